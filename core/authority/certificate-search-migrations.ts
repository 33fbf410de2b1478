import { sql } from 'kysely';

import type { Migration } from '../store/migrations.ts';

/** What certificates are searched by, among a million. */
export const certificateSearchMigrations: readonly Migration[] = [
  {
    id: 'certificate-search-0001',
    async up(db) {
      for (const columns of [
        ['tenant', 'fingerprint'],
        ['tenant', 'not_after', 'id'],
        ['tenant', 'key_algorithm', 'id'],
        ['tenant', 'authority', 'id'],
      ]) {
        await db.schema
          .createIndex(`certificates_${columns.slice(1).join('_')}`)
          .on('certificates')
          .columns(columns)
          .execute();
      }
      // Few certificates are in these: an issued one that is valid costs them nothing.
      await db.schema
        .createIndex('certificates_revoked')
        .on('certificates')
        .columns(['tenant', 'id'])
        .where(sql<boolean>`status = 'revoked'`)
        .execute();
      await db.schema
        .createIndex('certificates_foreign')
        .on('certificates')
        .columns(['tenant', 'serial_number'])
        .where(sql<boolean>`authority is null`)
        .execute();
      for (const source of ['imported', 'discovered']) {
        await db.schema
          .createIndex(`certificates_${source}`)
          .on('certificates')
          .columns(['tenant', 'id'])
          .where(sql<boolean>`source = ${sql.lit(source)}`)
          .execute();
      }
    },
  },
];
