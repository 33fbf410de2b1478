import { columnTypes } from '../../../core/store/column-types.ts';
import type { Migration } from '../../../core/store/migrations.ts';

/** The schema of attestation keys and of their activations under way. */
export const attestationKeyMigrations: readonly Migration[] = [
  {
    id: 'attestation-keys-0001',
    async up(db, engine) {
      const { textKey, text, integer, blob } = columnTypes(engine);
      await db.schema
        .createTable('attestation_keys')
        .addColumn('tenant', textKey, (column) => column.notNull().references('tenants.id'))
        .addColumn('name', textKey, (column) => column.notNull())
        .addColumn('qualified_name', textKey)
        .addColumn('public_key', blob, (column) => column.notNull())
        .addColumn('ek_sha256', textKey, (column) => column.notNull())
        .addColumn('identifiers', text, (column) => column.notNull())
        .addColumn('claims', text, (column) => column.notNull())
        .addColumn('revocable', text, (column) => column.notNull())
        .addColumn('activated_at', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('attestation_keys_pk', ['tenant', 'name'])
        .execute();
      await db.schema
        .createIndex('attestation_keys_qualified_name')
        .on('attestation_keys')
        .columns(['tenant', 'qualified_name'])
        .execute();
      await db.schema
        .createTable('attestation_key_activations')
        .addColumn('tenant', textKey, (column) => column.notNull().references('tenants.id'))
        .addColumn('secret_sha256', textKey, (column) => column.notNull())
        .addColumn('endpoint', textKey, (column) => column.notNull())
        .addColumn('name', textKey, (column) => column.notNull())
        .addColumn('qualified_name', textKey)
        .addColumn('public_key', blob, (column) => column.notNull())
        .addColumn('ek_sha256', textKey, (column) => column.notNull())
        .addColumn('identifiers', text, (column) => column.notNull())
        .addColumn('claims', text, (column) => column.notNull())
        .addColumn('revocable', text, (column) => column.notNull())
        .addColumn('expires_at', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('attestation_key_activations_pk', ['tenant', 'secret_sha256'])
        .execute();
      await db.schema
        .createIndex('attestation_key_activations_expiry')
        .on('attestation_key_activations')
        .columns(['tenant', 'expires_at'])
        .execute();
    },
  },
];
