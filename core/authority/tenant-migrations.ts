import { columnTypes } from '../store/column-types.ts';
import type { Migration } from '../store/migrations.ts';

/** What an administrator says of a tenant, and authorities that wait for an external certificate. */
export const tenantMigrations: readonly Migration[] = [
  {
    id: 'tenants-0001',
    async up(db, engine) {
      const { text, integer } = columnTypes(engine);
      await db.schema.alterTable('tenants').addColumn('description', text).execute();
      await db.schema.alterTable('tenants').addColumn('token', text).execute();
      await db.schema
        .alterTable('tenants')
        .addColumn('revision', integer, (column) => column.notNull().defaultTo(1))
        .execute();
    },
  },
  {
    id: 'authority-requests-0001',
    async up(db, engine) {
      const { textKey, text, integer, blob } = columnTypes(engine);
      await db.schema
        .createTable('authority_requests')
        .addColumn('tenant', textKey, (column) => column.notNull().references('tenants.id'))
        .addColumn('id', textKey, (column) => column.notNull())
        .addColumn('name', textKey, (column) => column.notNull())
        .addColumn('key_uri', text, (column) => column.notNull())
        .addColumn('spki_sha256', textKey, (column) => column.notNull())
        .addColumn('csr', blob, (column) => column.notNull())
        .addColumn('crl_shards', integer, (column) => column.notNull())
        .addColumn('created_by', text, (column) => column.notNull())
        .addColumn('created_at', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('authority_requests_pk', ['tenant', 'id'])
        .addUniqueConstraint('authority_requests_name', ['tenant', 'name'])
        .execute();
    },
  },
];
