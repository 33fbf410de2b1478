import { columnTypes } from '../../core/store/column-types.ts';
import type { Migration } from '../../core/store/migrations.ts';

/** Facts of the installation that every node shares. */
export interface InstallationTables {
  installation: { name: string; value: Uint8Array };
}

/** The schema of this folder. */
export const installationMigrations: readonly Migration[] = [
  {
    id: 'installation-0001',
    async up(db, engine) {
      const { textKey, blob } = columnTypes(engine);
      await db.schema
        .createTable('installation')
        .addColumn('name', textKey, (column) => column.primaryKey().notNull())
        .addColumn('value', blob, (column) => column.notNull())
        .execute();
    },
  },
];
