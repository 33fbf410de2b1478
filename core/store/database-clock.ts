import { sql, type RawBuilder } from 'kysely';
import { statement } from './statement.ts';
import type { Engine } from './store.ts';

/**
 * The database's clock as an SQL expression: epoch milliseconds, an integer. On PostgreSQL the time of the statement, not
 * of its transaction's start.
 */
export function databaseNow(engine: Engine): RawBuilder<number> {
  return engine === 'sqlite'
    ? sql<number>`cast(unixepoch('subsec') * 1000 as integer)`
    : sql<number>`cast(extract(epoch from clock_timestamp()) * 1000 as bigint)`;
}

/** Reads the database's clock. */
export const readDatabaseTime = statement<unknown>()('store-database-time', (db, _none: Record<never, never>, engine) =>
  db.selectNoFrom(() => databaseNow(engine).as('now')),
);
