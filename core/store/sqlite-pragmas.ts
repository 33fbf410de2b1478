import type Database from 'better-sqlite3';
import { InternalError } from '../errors/muster-error.ts';

/** What only tests may choose: nothing is synced, and committed units can be lost when the machine stops. */
export type UnsafeSynchronous = 'OFF';

const BUSY_TIMEOUT_MS = 5000;
/** Random serial numbers and hashes touch index pages all over: they should be found in memory. */
const CACHE_KIB = 32 * 1024;
/** `PRAGMA synchronous` as SQLite answers it: OFF 0, NORMAL 1, FULL 2, EXTRA 3. */
const NORMAL = 1;

/**
 * Prepares a write connection whose COMMITs the {@link WriteAheadLog} makes durable, then reads back what SQLite made of it.
 * @throws InternalError when it is weaker.
 */
export function secureWriter(database: Database.Database, unsafe: UnsafeSynchronous | undefined): void {
  database.pragma('journal_mode = WAL');
  // NORMAL syncs a new log's header and checkpoints, so the file is never corrupt; the log itself is synced beside COMMIT.
  database.pragma(`synchronous = ${unsafe ?? 'NORMAL'}`);
  // macOS: fsync does not reach the medium, F_FULLFSYNC does. Without effect elsewhere.
  database.pragma('fullfsync = ON');
  database.pragma('checkpoint_fullfsync = ON');
  database.pragma('foreign_keys = ON');
  database.pragma('trusted_schema = OFF');
  database.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`);
  // A savepoint keeps copies of the pages it changes: by default in a file in /var/tmp, which doubled all writes.
  database.pragma('temp_store = MEMORY');
  database.pragma(`cache_size = -${CACHE_KIB}`);
  // A checkpoint inside COMMIT would find the readers' snapshot in its way each time.
  database.pragma('wal_autocheckpoint = 0');
  expect(database, 'journal_mode', (value) => value === 'wal');
  expect(database, 'foreign_keys', (value) => value === 1);
  if (unsafe === undefined) expect(database, 'synchronous', (value) => Number(value) >= NORMAL);
}

/** Makes a connection that can only read. */
export function secureReader(database: Database.Database): void {
  database.pragma('query_only = ON');
  database.pragma('trusted_schema = OFF');
  database.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`);
  expect(database, 'query_only', (value) => value === 1);
}

function expect(database: Database.Database, name: string, strong: (value: unknown) => boolean): void {
  const value = database.pragma(name, { simple: true });
  if (!strong(value)) throw new InternalError(`SQLite answered ${name} = ${String(value)}, too weak for a CA`);
}
