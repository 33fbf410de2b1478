import { sql } from 'kysely';

import { columnTypes } from '../store/column-types.ts';
import type { Migration } from '../store/migrations.ts';
import { certificateSearchMigrations } from './certificate-search-migrations.ts';
import { revocationMigrations } from './revocation-migrations.ts';
import { rolloverMigrations } from './rollover-migrations.ts';
import { serviceKeyMigrations } from './service-key-migrations.ts';
import { tenantMigrations } from './tenant-migrations.ts';

/** The schema of tenants, authorities, profiles and certificates. */
export const authorityMigrations: readonly Migration[] = [
  {
    id: 'authority-0001',
    async up(db, engine) {
      const { textKey, text, integer, blob } = columnTypes(engine);
      await db.schema
        .createTable('tenants')
        .addColumn('id', textKey, (column) => column.primaryKey().notNull())
        .addColumn('name', textKey, (column) => column.notNull().unique())
        .addColumn('created_at', integer, (column) => column.notNull())
        .execute();
      await db.schema
        .createTable('authorities')
        .addColumn('tenant', textKey, (column) => column.notNull().references('tenants.id'))
        .addColumn('id', textKey, (column) => column.notNull())
        .addColumn('name', textKey, (column) => column.notNull())
        .addColumn('kind', text, (column) => column.notNull())
        .addColumn('parent', textKey)
        .addColumn('key_uri', text, (column) => column.notNull())
        .addColumn('certificate', blob, (column) => column.notNull())
        .addColumn('spki_sha256', textKey, (column) => column.notNull())
        .addColumn('state', text, (column) => column.notNull())
        .addColumn('crl_shards', integer, (column) => column.notNull())
        .addColumn('created_at', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('authorities_pk', ['tenant', 'id'])
        .addUniqueConstraint('authorities_name', ['tenant', 'name'])
        .execute();
      await db.schema.createIndex('authorities_spki').on('authorities').column('spki_sha256').execute();
      await db.schema
        .createTable('profiles')
        .addColumn('tenant', textKey, (column) => column.notNull().references('tenants.id'))
        .addColumn('id', textKey, (column) => column.notNull())
        .addColumn('name', textKey, (column) => column.notNull())
        .addColumn('settings', text, (column) => column.notNull())
        .addColumn('revision', integer, (column) => column.notNull())
        .addColumn('created_at', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('profiles_pk', ['tenant', 'id'])
        .addUniqueConstraint('profiles_name', ['tenant', 'name'])
        .execute();
    },
  },
  {
    id: 'authority-0002',
    async up(db, engine) {
      const { textKey, text, integer, blob } = columnTypes(engine);
      await db.schema
        .createTable('certificates')
        .addColumn('tenant', textKey, (column) => column.notNull().references('tenants.id'))
        .addColumn('id', textKey, (column) => column.notNull())
        .addColumn('kind', text, (column) => column.notNull())
        .addColumn('authority', textKey)
        .addColumn('serial_number', textKey, (column) => column.notNull())
        .addColumn('device', textKey)
        .addColumn('profile', textKey)
        .addColumn('enrollment', textKey)
        .addColumn('subject', text, (column) => column.notNull())
        .addColumn('der', blob, (column) => column.notNull())
        .addColumn('fingerprint', textKey, (column) => column.notNull())
        .addColumn('spki_sha256', textKey, (column) => column.notNull())
        .addColumn('key_algorithm', text, (column) => column.notNull())
        .addColumn('not_before', integer, (column) => column.notNull())
        .addColumn('not_after', integer, (column) => column.notNull())
        .addColumn('status', text, (column) => column.notNull())
        .addColumn('revoked_at', integer)
        .addColumn('revocation_reason', integer)
        .addColumn('replaced_by', textKey)
        .addColumn('source', text, (column) => column.notNull())
        .addColumn('created_at', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('certificates_pk', ['tenant', 'id'])
        // Serial numbers are unique for each issuer (RFC 5280 §4.1.2.2): the database has the last word.
        .addUniqueConstraint('certificates_serial', ['authority', 'serial_number'])
        .execute();
      // Each index costs every certificate a page of the log: only what requests and lists look up by has one.
      for (const columns of [['spki_sha256'], ['tenant', 'status', 'not_after'], ['tenant', 'device']]) {
        await db.schema
          .createIndex(`certificates_${columns.join('_')}`)
          .on('certificates')
          .columns(columns)
          .execute();
      }
      // The key is what is searched by, and on SQLite the table itself: one tree instead of three.
      await db.schema
        .createTable('certificate_names')
        .addColumn('tenant', textKey, (column) => column.notNull())
        .addColumn('value', textKey, (column) => column.notNull())
        .addColumn('kind', textKey, (column) => column.notNull())
        .addColumn('certificate', textKey, (column) => column.notNull())
        .addPrimaryKeyConstraint('certificate_names_pk', ['tenant', 'value', 'kind', 'certificate'])
        .$call((table) => (engine === 'sqlite' ? table.modifyEnd(sql`without rowid`) : table))
        .execute();
    },
  },
  {
    id: 'authority-0003',
    async up(db, engine) {
      const { textKey, text, integer, blob } = columnTypes(engine);
      await db.schema
        .createTable('service_identities')
        .addColumn('tenant', textKey, (column) => column.notNull().references('tenants.id'))
        .addColumn('id', textKey, (column) => column.notNull())
        .addColumn('purpose', text, (column) => column.notNull())
        .addColumn('authority', textKey, (column) => column.notNull())
        .addColumn('serial_number', textKey, (column) => column.notNull())
        .addColumn('tbs', blob, (column) => column.notNull())
        .addColumn('certificate', textKey)
        .addColumn('created_at', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('service_identities_pk', ['tenant', 'id'])
        .addUniqueConstraint('service_identities_serial', ['authority', 'serial_number'])
        .execute();
    },
  },
  ...revocationMigrations,
  ...serviceKeyMigrations,
  ...rolloverMigrations,
  ...tenantMigrations,
  ...certificateSearchMigrations,
];
