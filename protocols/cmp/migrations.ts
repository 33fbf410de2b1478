import { columnTypes } from '../../core/store/column-types.ts';
import type { Migration } from '../../core/store/migrations.ts';

/** The schema of CMP's transactions. */
export const cmpMigrations: readonly Migration[] = [
  {
    id: 'cmp-0001',
    async up(db, engine) {
      const { textKey, text, integer, blob } = columnTypes(engine);
      await db.schema
        .createTable('cmp_transactions')
        .addColumn('tenant', textKey, (column) => column.notNull().references('tenants.id'))
        .addColumn('endpoint', textKey, (column) => column.notNull())
        .addColumn('transaction_id', textKey, (column) => column.notNull())
        .addColumn('owner', textKey, (column) => column.notNull())
        .addColumn('protection', text, (column) => column.notNull())
        .addColumn('state', textKey, (column) => column.notNull())
        .addColumn('body', text, (column) => column.notNull())
        .addColumn('request_digest', text, (column) => column.notNull())
        .addColumn('request', blob)
        .addColumn('last_digest', text)
        .addColumn('answer', blob)
        .addColumn('peer_nonce', blob, (column) => column.notNull())
        .addColumn('own_nonce', blob)
        .addColumn('certificate', textKey)
        .addColumn('unconfirmed', text, (column) => column.notNull())
        .addColumn('confirmation', text)
        .addColumn('created_at', integer, (column) => column.notNull())
        .addColumn('updated_at', integer, (column) => column.notNull())
        .addColumn('due_at', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('cmp_transactions_pk', ['endpoint', 'transaction_id'])
        .execute();
      // One index for all that time ends: each costs every message a page of the log.
      await db.schema.createIndex('cmp_transactions_due').on('cmp_transactions').column('due_at').execute();
    },
  },
];
