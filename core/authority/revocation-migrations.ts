import { columnTypes } from '../store/column-types.ts';
import type { Migration } from '../store/migrations.ts';

/** The schema of revocations and CRLs. They stand apart from `certificates`: no index here costs an issued certificate. */
export const revocationMigrations: readonly Migration[] = [
  {
    id: 'revocation-0001',
    async up(db, engine) {
      const { textKey, text, integer } = columnTypes(engine);
      await db.schema
        .createTable('revocations')
        .addColumn('tenant', textKey, (column) => column.notNull().references('tenants.id'))
        .addColumn('authority', textKey, (column) => column.notNull())
        .addColumn('serial_number', textKey, (column) => column.notNull())
        .addColumn('certificate', textKey, (column) => column.notNull())
        .addColumn('shard', integer, (column) => column.notNull())
        .addColumn('state', text, (column) => column.notNull())
        .addColumn('reason', integer, (column) => column.notNull())
        .addColumn('revoked_at', integer, (column) => column.notNull())
        .addColumn('invalidity_date', integer)
        .addColumn('not_after', integer, (column) => column.notNull())
        .addColumn('changed_at', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('revocations_pk', ['authority', 'serial_number'])
        .execute();
      // A shard is read in the order it is written in; deltas and nodes read what changed last.
      for (const columns of [['authority', 'shard', 'serial_number'], ['authority', 'changed_at'], ['changed_at']]) {
        await db.schema
          .createIndex(`revocations_${columns.join('_')}`)
          .on('revocations')
          .columns(columns)
          .execute();
      }
    },
  },
  {
    id: 'revocation-0002',
    async up(db, engine) {
      const { textKey, integer, blob } = columnTypes(engine);
      await db.schema
        .createTable('crl_series')
        .addColumn('authority', textKey, (column) => column.notNull())
        .addColumn('series', textKey, (column) => column.notNull())
        .addColumn('number', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('crl_series_pk', ['authority', 'series'])
        .execute();
      await db.schema
        .createTable('crls')
        .addColumn('tenant', textKey, (column) => column.notNull().references('tenants.id'))
        .addColumn('authority', textKey, (column) => column.notNull())
        .addColumn('scope', textKey, (column) => column.notNull())
        .addColumn('number', integer, (column) => column.notNull())
        .addColumn('base_number', integer)
        .addColumn('this_update', integer, (column) => column.notNull())
        .addColumn('next_update', integer, (column) => column.notNull())
        .addColumn('published_at', integer, (column) => column.notNull())
        .addColumn('regular_at', integer, (column) => column.notNull())
        .addColumn('entries', integer, (column) => column.notNull())
        .addColumn('size', integer, (column) => column.notNull())
        .addColumn('sha256', textKey, (column) => column.notNull())
        .addPrimaryKeyConstraint('crls_pk', ['authority', 'scope'])
        .execute();
      await db.schema
        .createTable('crl_parts')
        .addColumn('authority', textKey, (column) => column.notNull())
        .addColumn('scope', textKey, (column) => column.notNull())
        .addColumn('number', integer, (column) => column.notNull())
        .addColumn('sha256', textKey, (column) => column.notNull())
        .addColumn('position', integer, (column) => column.notNull())
        .addColumn('bytes', blob, (column) => column.notNull())
        .addPrimaryKeyConstraint('crl_parts_pk', ['authority', 'scope', 'number', 'sha256', 'position'])
        .execute();
      await db.schema
        .createTable('crl_bases')
        .addColumn('authority', textKey, (column) => column.notNull())
        .addColumn('number', integer, (column) => column.notNull())
        .addColumn('covers', integer, (column) => column.notNull())
        .addColumn('next_update', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('crl_bases_pk', ['authority', 'number'])
        .execute();
    },
  },
  {
    id: 'revocation-0003',
    async up(db, engine) {
      const { textKey, text, integer } = columnTypes(engine);
      await db.schema
        .createTable('revocation_batches')
        .addColumn('tenant', textKey, (column) => column.notNull().references('tenants.id'))
        .addColumn('id', textKey, (column) => column.notNull())
        .addColumn('query', text, (column) => column.notNull())
        .addColumn('reason', text, (column) => column.notNull())
        .addColumn('invalidity_date', integer)
        .addColumn('actor', text, (column) => column.notNull())
        .addColumn('expected', integer, (column) => column.notNull())
        .addColumn('done', integer, (column) => column.notNull())
        .addColumn('position', textKey)
        .addColumn('created_at', integer, (column) => column.notNull())
        .addColumn('finished_at', integer)
        .addPrimaryKeyConstraint('revocation_batches_pk', ['tenant', 'id'])
        .execute();
      await db.schema
        .createTable('revocation_sightings')
        .addColumn('tenant', textKey, (column) => column.notNull().references('tenants.id'))
        .addColumn('certificate', textKey, (column) => column.notNull())
        .addColumn('changed_at', integer, (column) => column.notNull())
        .addColumn('node', textKey, (column) => column.notNull())
        .addColumn('seen_at', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('revocation_sightings_pk', ['tenant', 'certificate', 'changed_at', 'node'])
        .execute();
      await db.schema
        .createIndex('revocation_sightings_seen_at')
        .on('revocation_sightings')
        .column('seen_at')
        .execute();
    },
  },
  {
    id: 'revocation-0004',
    async up(db, engine) {
      const { textKey, text, integer } = columnTypes(engine);
      await db.schema
        .createTable('authority_status')
        .addColumn('tenant', textKey, (column) => column.notNull().references('tenants.id'))
        .addColumn('authority', textKey, (column) => column.notNull().primaryKey())
        .addColumn('lifetimes', text)
        .addColumn('ends_at', integer)
        .execute();
    },
  },
];
