import { columnTypes } from '../store/column-types.ts';
import type { Migration } from '../store/migrations.ts';
import { evidenceMigrations } from './evidence-migrations.ts';
import { secretMigrations } from './secret-migrations.ts';
import { waitingRequestMigrations } from './waiting-requests.ts';

/** The schema of endpoints, enrolments, shared secrets and client trust anchors. */
export const enrollmentMigrations: readonly Migration[] = [
  {
    id: 'enrollment-0001',
    async up(db, engine) {
      const { textKey, text, integer, blob } = columnTypes(engine);
      await db.schema
        .createTable('endpoints')
        .addColumn('tenant', textKey, (column) => column.notNull().references('tenants.id'))
        .addColumn('id', textKey, (column) => column.notNull())
        // A label is a path segment of the whole installation: two tenants cannot share one.
        .addColumn('label', textKey, (column) => column.notNull().unique())
        .addColumn('profile', textKey, (column) => column.notNull())
        .addColumn('authority', textKey, (column) => column.notNull())
        .addColumn('settings', text, (column) => column.notNull())
        .addColumn('revision', integer, (column) => column.notNull())
        .addColumn('is_default', integer, (column) => column.notNull())
        .addColumn('created_at', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('endpoints_pk', ['tenant', 'id'])
        .addForeignKeyConstraint('endpoints_profile', ['tenant', 'profile'], 'profiles', ['tenant', 'id'])
        .addForeignKeyConstraint('endpoints_authority', ['tenant', 'authority'], 'authorities', ['tenant', 'id'])
        .execute();
      await db.schema
        .createTable('trust_anchors')
        .addColumn('tenant', textKey, (column) => column.notNull().references('tenants.id'))
        .addColumn('id', textKey, (column) => column.notNull())
        .addColumn('purpose', text, (column) => column.notNull())
        .addColumn('name', textKey, (column) => column.notNull())
        .addColumn('certificate', blob, (column) => column.notNull())
        .addColumn('created_at', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('trust_anchors_pk', ['tenant', 'id'])
        .execute();
      await db.schema
        .createTable('shared_secrets')
        .addColumn('tenant', textKey, (column) => column.notNull().references('tenants.id'))
        .addColumn('id', textKey, (column) => column.notNull())
        .addColumn('endpoint', textKey, (column) => column.notNull())
        .addColumn('usage', text, (column) => column.notNull())
        .addColumn('secret_hmac', textKey, (column) => column.notNull().unique())
        .addColumn('username', textKey)
        .addColumn('subject', textKey)
        .addColumn('state', text, (column) => column.notNull())
        .addColumn('bound_key', textKey)
        .addColumn('expires_at', integer, (column) => column.notNull())
        .addColumn('created_by', text, (column) => column.notNull())
        .addColumn('created_at', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('shared_secrets_pk', ['tenant', 'id'])
        .addForeignKeyConstraint('shared_secrets_endpoint', ['tenant', 'endpoint'], 'endpoints', ['tenant', 'id'])
        .execute();
    },
  },
  {
    id: 'enrollment-0002',
    async up(db, engine) {
      const { textKey, text, integer, blob } = columnTypes(engine);
      await db.schema
        .createTable('enrollments')
        .addColumn('tenant', textKey, (column) => column.notNull().references('tenants.id'))
        .addColumn('id', textKey, (column) => column.notNull())
        .addColumn('endpoint', textKey, (column) => column.notNull())
        .addColumn('endpoint_revision', integer, (column) => column.notNull())
        .addColumn('protocol', text, (column) => column.notNull())
        .addColumn('status', textKey, (column) => column.notNull())
        .addColumn('idempotency_key', textKey)
        .addColumn('principal', text, (column) => column.notNull())
        .addColumn('device_name', textKey, (column) => column.notNull())
        .addColumn('subject', text, (column) => column.notNull())
        .addColumn('names', text, (column) => column.notNull())
        .addColumn('spki_sha256', textKey, (column) => column.notNull())
        .addColumn('server_generated', integer, (column) => column.notNull())
        .addColumn('request', blob, (column) => column.notNull())
        .addColumn('secret', textKey)
        .addColumn('authority', textKey, (column) => column.notNull())
        .addColumn('profile', textKey, (column) => column.notNull())
        .addColumn('serial_number', textKey)
        .addColumn('tbs', blob)
        .addColumn('lease_owner', text)
        .addColumn('lease_until', integer)
        .addColumn('certificate', textKey)
        .addColumn('replaces', textKey)
        .addColumn('reason', text)
        .addColumn('detail', text)
        .addColumn('decided_by', text)
        .addColumn('source_address', text, (column) => column.notNull())
        .addColumn('created_at', integer, (column) => column.notNull())
        .addColumn('updated_at', integer, (column) => column.notNull())
        .addColumn('expires_at', integer)
        .addPrimaryKeyConstraint('enrollments_pk', ['tenant', 'id'])
        .addForeignKeyConstraint('enrollments_endpoint', ['tenant', 'endpoint'], 'endpoints', ['tenant', 'id'])
        // One enrolment a request: whoever races, the database decides. Serial numbers are unique among certificates.
        .addUniqueConstraint('enrollments_idempotency', ['endpoint', 'idempotency_key'])
        .execute();
      // What is under way is few; what is done is many. Only the few are indexed.
      await db.schema
        .createIndex('enrollments_open')
        .on('enrollments')
        .columns(['status', 'lease_until'])
        .where('status', 'in', ['pending', 'approved', 'signing'])
        .execute();
    },
  },
  ...secretMigrations,
  ...waitingRequestMigrations,
  ...evidenceMigrations,
];
