import { columnTypes } from '../../core/store/column-types.ts';
import type { Migration } from '../../core/store/migrations.ts';

/** Tables of this folder. Times are epoch milliseconds. */
export interface BatchTables {
  batches: BatchRow;
}

/** Requests that an operator hands in together. */
export interface BatchRow {
  id: string;
  tenant: string;
  name: string;
  /** Id of the endpoint they are for. */
  endpoint: string;
  /** Lines that were answered, from the first on. */
  lines: number;
  created_by: string;
  created_at: number;
  updated_at: number;
}

/** The schema of batches. */
export const batchMigrations: readonly Migration[] = [
  {
    id: 'batch-0001',
    async up(db, engine) {
      const { textKey, text, integer } = columnTypes(engine);
      await db.schema
        .createTable('batches')
        .addColumn('tenant', textKey, (column) => column.notNull().references('tenants.id'))
        .addColumn('id', textKey, (column) => column.notNull())
        .addColumn('name', text, (column) => column.notNull())
        .addColumn('endpoint', textKey, (column) => column.notNull())
        .addColumn('lines', integer, (column) => column.notNull())
        .addColumn('created_by', text, (column) => column.notNull())
        .addColumn('created_at', integer, (column) => column.notNull())
        .addColumn('updated_at', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('batches_pk', ['tenant', 'id'])
        .addForeignKeyConstraint('batches_endpoint', ['tenant', 'endpoint'], 'endpoints', ['tenant', 'id'])
        .execute();
    },
  },
];
