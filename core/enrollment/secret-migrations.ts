import { columnTypes } from '../store/column-types.ts';
import type { Migration } from '../store/migrations.ts';

/** The columns of the kinds of secret that are not looked up by their text. */
export const secretMigrations: readonly Migration[] = [
  {
    id: 'enrollment-secrets-0001',
    async up(db, engine) {
      const { textKey, text, blob } = columnTypes(engine);
      await db.schema.alterTable('shared_secrets').addColumn('reference', textKey).execute();
      await db.schema.alterTable('shared_secrets').addColumn('sealed', blob).execute();
      await db.schema.alterTable('shared_secrets').addColumn('scrypt', text).execute();
      await db.schema.alterTable('shared_secrets').addColumn('allowed', text).execute();
      await db.schema
        .createIndex('shared_secrets_reference')
        .on('shared_secrets')
        .columns(['endpoint', 'reference'])
        .unique()
        .execute();
      // The few secrets of an endpoint that a challenge is tried against one by one.
      await db.schema
        .createIndex('shared_secrets_tried')
        .on('shared_secrets')
        .columns(['endpoint', 'usage'])
        .where('usage', 'in', ['static', 'derived', 'decider'])
        .execute();
    },
  },
  {
    id: 'enrollment-secrets-0002',
    // Tickets: the evidence that was appraised before there was a request, and the key it was given for.
    async up(db, engine) {
      const { textKey } = columnTypes(engine);
      await db.schema.alterTable('shared_secrets').addColumn('evidence', textKey).execute();
      await db.schema.alterTable('shared_secrets').addColumn('spki_sha256', textKey).execute();
    },
  },
];
