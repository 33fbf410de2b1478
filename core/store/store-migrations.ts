import type { Kysely } from 'kysely';
import { columnTypes } from './column-types.ts';
import type { Migration, MigrationTables } from './migrations.ts';
import type { Engine } from './store.ts';

/** The tables of the store itself: jobs, their schedules, and keys that were taken once. */
export const storeMigrations: readonly Migration[] = [{ id: 'store-0001', up: createStoreTables }];

async function createStoreTables(db: Kysely<MigrationTables>, engine: Engine): Promise<void> {
  const type = columnTypes(engine);
  await db.schema
    .createTable('jobs')
    .addColumn('id', type.textKey, (column) => column.primaryKey().notNull())
    .addColumn('kind', type.textKey, (column) => column.notNull())
    .addColumn('key', type.textKey)
    .addColumn('live_key', type.textKey, (column) => column.unique())
    .addColumn('payload', type.text, (column) => column.notNull())
    .addColumn('state', type.textKey, (column) => column.notNull())
    .addColumn('run_at', type.integer, (column) => column.notNull())
    .addColumn('attempts', type.integer, (column) => column.notNull())
    .addColumn('max_attempts', type.integer, (column) => column.notNull())
    .addColumn('rerun', type.integer, (column) => column.notNull())
    .addColumn('fencing_token', type.integer, (column) => column.notNull())
    .addColumn('lease_until', type.integer)
    .addColumn('last_error', type.text)
    .addColumn('created_at', type.integer, (column) => column.notNull())
    .execute();
  await db.schema.createIndex('jobs_due').on('jobs').columns(['state', 'run_at']).execute();
  await db.schema
    .createTable('job_schedules')
    .addColumn('name', type.textKey, (column) => column.primaryKey().notNull())
    .addColumn('next_at', type.integer, (column) => column.notNull())
    .execute();
  await db.schema
    .createTable('taken_keys')
    .addColumn('key', type.textKey, (column) => column.primaryKey().notNull())
    .addColumn('expires_at', type.integer, (column) => column.notNull())
    .execute();
  await db.schema.createIndex('taken_keys_expiry').on('taken_keys').column('expires_at').execute();
}
