import { columnTypes } from '../store/column-types.ts';
import type { Migration } from '../store/migrations.ts';

/** The schema of the keys Muster uses itself: service identities in the token, and what seals readable secrets. */
export const serviceKeyMigrations: readonly Migration[] = [
  {
    id: 'service-keys-0001',
    async up(db, engine) {
      const { textKey, text, integer, blob } = columnTypes(engine);
      await db.schema.alterTable('service_identities').addColumn('key_uri', text).execute();
      await db.schema.alterTable('service_identities').addColumn('generation', integer).execute();
      // Nodes race for a number and the database decides; rows without one (TLS) are outside the race.
      await db.schema
        .createIndex('service_identities_generation')
        .on('service_identities')
        .columns(['tenant', 'authority', 'purpose', 'generation'])
        .unique()
        .execute();
      await db.schema
        .createTable('data_keys')
        .addColumn('tenant', textKey, (column) => column.notNull().references('tenants.id'))
        .addColumn('number', integer, (column) => column.notNull())
        .addColumn('key_uri', text, (column) => column.notNull())
        .addColumn('padding', text, (column) => column.notNull())
        .addColumn('wrapped', blob, (column) => column.notNull())
        .addColumn('check_value', blob, (column) => column.notNull())
        .addColumn('created_at', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('data_keys_pk', ['tenant', 'number'])
        .execute();
    },
  },
];
