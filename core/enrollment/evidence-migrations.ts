import { columnTypes } from '../store/column-types.ts';
import type { Migration } from '../store/migrations.ts';

/** What enrolments rest on, and what the attestation gate is told of trust anchors. */
export const evidenceMigrations: readonly Migration[] = [
  {
    id: 'enrollment-evidence-0001',
    async up(db, engine) {
      const { textKey, text } = columnTypes(engine);
      await db.schema.alterTable('enrollments').addColumn('evidence', textKey).execute();
      await db.schema
        .createIndex('enrollments_evidence')
        .on('enrollments')
        .columns(['evidence'])
        .where('evidence', 'is not', null)
        .execute();
      await db.schema.alterTable('trust_anchors').addColumn('settings', text).execute();
      await db.schema.createIndex('trust_anchors_purpose').on('trust_anchors').columns(['tenant', 'purpose']).execute();
    },
  },
];
