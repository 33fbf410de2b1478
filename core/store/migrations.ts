import { sql, type Kysely } from 'kysely';
import { InternalError } from '../errors/muster-error.ts';
import { columnTypes } from './column-types.ts';
import type { SqlValue } from './sql-value.ts';
import type { Engine, Store, Unit } from './store.ts';

/** What a migration sees of the tables: it runs before and after their types change, so it knows none of them. */
export type MigrationTables = Record<string, Record<string, SqlValue>>;

/** One step forward of the schema. Steps never change once released, and never go back. */
export interface Migration {
  /** Folder and number: `audit-0001`. Unique in the installation. */
  readonly id: string;
  /** Makes the change. It lists its columns and never selects `*`. */
  up(db: Kysely<MigrationTables>, engine: Engine): Promise<void>;
}

interface MigrationLog {
  schema_migrations: { id: string; applied_at: number };
}

const MIGRATION_DEADLINE_MS = 10 * 60 * 1000;
/** Any constant that nothing else in the database locks by: "muster" in ASCII. */
const ADVISORY_LOCK = 0x6d7573746572;

/**
 * Applies, in the order given and one unit each, the migrations that the database does not have. Safe when several
 * processes start at once: each step looks again under a lock.
 *
 * @returns the identifiers applied now.
 * @throws InternalError for a duplicate identifier, and for a database that a newer version has migrated further.
 */
export async function migrate(store: Store, migrations: readonly Migration[]): Promise<string[]> {
  assertUnique(migrations);
  const known = await inMigrationUnit(store, async (tx) => {
    await createMigrationLog(tx);
    return appliedIds(tx);
  });
  assertNotNewer(known, migrations);
  const applied: string[] = [];
  for (const migration of migrations) {
    if (known.has(migration.id)) continue;
    if (await inMigrationUnit(store, (tx) => applyOnce(tx, migration, store.clock.now()))) applied.push(migration.id);
  }
  return applied;
}

async function applyOnce(tx: Unit, migration: Migration, now: number): Promise<boolean> {
  if ((await appliedIds(tx)).has(migration.id)) return false;
  await migration.up(tx.db<MigrationTables>(), tx.engine);
  await tx.db<MigrationLog>().insertInto('schema_migrations').values({ id: migration.id, applied_at: now }).execute();
  return true;
}

function inMigrationUnit<T>(store: Store, work: (tx: Unit) => Promise<T>): Promise<T> {
  return store.unit(
    async (tx) => {
      if (tx.engine === 'postgres') {
        await sql`select pg_advisory_xact_lock(${sql.lit(ADVISORY_LOCK)})`.execute(tx.db());
      }
      return work(tx);
    },
    { deadlineMs: MIGRATION_DEADLINE_MS },
  );
}

async function createMigrationLog(tx: Unit): Promise<void> {
  const types = columnTypes(tx.engine);
  await tx
    .db()
    .schema.createTable('schema_migrations')
    .ifNotExists()
    .addColumn('id', types.textKey, (column) => column.primaryKey().notNull())
    .addColumn('applied_at', types.integer, (column) => column.notNull())
    .execute();
}

async function appliedIds(tx: Unit): Promise<Set<string>> {
  const rows = await tx.db<MigrationLog>().selectFrom('schema_migrations').select('id').execute();
  return new Set(rows.map((row) => row.id));
}

function assertUnique(migrations: readonly Migration[]): void {
  const seen = new Set<string>();
  for (const { id } of migrations) {
    if (seen.has(id)) throw new InternalError(`migration "${id}" is listed twice`);
    seen.add(id);
  }
}

function assertNotNewer(known: ReadonlySet<string>, migrations: readonly Migration[]): void {
  const ours = new Set(migrations.map((migration) => migration.id));
  const foreign = [...known].filter((id) => !ours.has(id));
  if (foreign.length > 0) {
    throw new InternalError(`the database was migrated by a newer version: ${foreign.join(', ')} unknown here`);
  }
}
