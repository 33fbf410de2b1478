import { columnTypes } from '../../core/store/column-types.ts';
import type { Migration } from '../../core/store/migrations.ts';

/** The schema of verdicts, reference values and revoked device certificates. */
export const attestationMigrations: readonly Migration[] = [
  {
    id: 'attestation-0001',
    async up(db, engine) {
      const { textKey, text, integer, blob } = columnTypes(engine);
      await db.schema
        .createTable('evidence')
        .addColumn('tenant', textKey, (column) => column.notNull().references('tenants.id'))
        .addColumn('id', textKey, (column) => column.notNull())
        .addColumn('endpoint', textKey, (column) => column.notNull())
        .addColumn('type', textKey, (column) => column.notNull())
        .addColumn('verdict', textKey, (column) => column.notNull())
        .addColumn('findings', text, (column) => column.notNull())
        .addColumn('detail', text)
        .addColumn('identifiers', text, (column) => column.notNull())
        .addColumn('claims', text, (column) => column.notNull())
        .addColumn('identity', textKey)
        .addColumn('sha256', text, (column) => column.notNull())
        .addColumn('octets', integer, (column) => column.notNull())
        .addColumn('attested_key', blob)
        .addColumn('attested_key_sha256', text)
        .addColumn('requester_proved', integer, (column) => column.notNull())
        .addColumn('evidence', blob)
        .addColumn('keep_until', integer)
        .addColumn('decision', text)
        .addColumn('mode', text, (column) => column.notNull())
        .addColumn('faults', text, (column) => column.notNull())
        .addColumn('enrollment', textKey)
        .addColumn('device_name', text)
        .addColumn('continuity', text)
        .addColumn('expires_at', integer)
        .addColumn('used_at', integer)
        .addColumn('created_at', integer, (column) => column.notNull())
        .addColumn('decided_at', integer)
        .addPrimaryKeyConstraint('evidence_pk', ['tenant', 'id'])
        .execute();
      await db.schema
        .createIndex('evidence_identity')
        .on('evidence')
        .columns(['identity', 'tenant'])
        .where('identity', 'is not', null)
        .execute();
      // The two kinds of row that time acts on: evidence that is kept whole, and verdicts that wait for their request.
      await db.schema
        .createIndex('evidence_kept')
        .on('evidence')
        .columns(['keep_until'])
        .where('keep_until', 'is not', null)
        .execute();
      await db.schema
        .createIndex('evidence_waiting')
        .on('evidence')
        .columns(['expires_at'])
        .where('expires_at', 'is not', null)
        .execute();
    },
  },
  {
    id: 'attestation-0002',
    async up(db, engine) {
      const { textKey, text, integer } = columnTypes(engine);
      await db.schema
        .createTable('reference_values')
        .addColumn('tenant', textKey, (column) => column.notNull().references('tenants.id'))
        .addColumn('id', textKey, (column) => column.notNull())
        .addColumn('model', textKey, (column) => column.notNull())
        .addColumn('firmware', text, (column) => column.notNull())
        .addColumn('pcrs', text, (column) => column.notNull())
        .addColumn('claims', text, (column) => column.notNull())
        .addColumn('created_at', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('reference_values_pk', ['tenant', 'id'])
        .execute();
      await db.schema
        .createTable('revoked_device_certificates')
        .addColumn('tenant', textKey, (column) => column.notNull().references('tenants.id'))
        .addColumn('issuer_key_id', textKey, (column) => column.notNull())
        .addColumn('serial_number', textKey, (column) => column.notNull())
        .addColumn('source', textKey, (column) => column.notNull())
        .addColumn('created_at', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('revoked_device_certificates_pk', ['tenant', 'issuer_key_id', 'serial_number'])
        .execute();
      await db.schema
        .createTable('attestation_revisions')
        .addColumn('tenant', textKey, (column) => column.primaryKey().references('tenants.id'))
        .addColumn('revision', integer, (column) => column.notNull())
        .execute();
    },
  },
];
