import type Database from 'better-sqlite3';
import { InternalError } from '../errors/muster-error.ts';

/** SQLite's `synchronous` levels that only tests may choose: both can lose committed units when the machine stops. */
export type UnsafeSynchronous = 'OFF' | 'NORMAL';

const BUSY_TIMEOUT_MS = 5000;
/** Random serial numbers and hashes touch index pages all over: they should be found in memory. */
const CACHE_KIB = 32 * 1024;
/** 32 MB of WAL: pages that many commits touch are copied and synced once, not every 4 MB. */
const CHECKPOINT_PAGES = 8000;
/** `PRAGMA synchronous` as SQLite answers it: OFF 0, NORMAL 1, FULL 2, EXTRA 3. */
const FULL = 2;

/** Makes a write connection durable, then reads back what SQLite made of it. @throws InternalError when it is weaker. */
export function secureWriter(database: Database.Database, unsafe: UnsafeSynchronous | undefined): void {
  database.pragma('journal_mode = WAL');
  // The prebuilt binary's default in WAL mode is NORMAL, which syncs at checkpoints only.
  database.pragma(`synchronous = ${unsafe ?? 'FULL'}`);
  // macOS: fsync does not reach the medium, F_FULLFSYNC does. Without effect elsewhere.
  database.pragma('fullfsync = ON');
  database.pragma('checkpoint_fullfsync = ON');
  database.pragma('foreign_keys = ON');
  database.pragma('trusted_schema = OFF');
  database.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`);
  // A savepoint keeps copies of the pages it changes: by default in a file in /var/tmp, which doubled all writes.
  database.pragma('temp_store = MEMORY');
  database.pragma(`cache_size = -${CACHE_KIB}`);
  database.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
  expect(database, 'journal_mode', (value) => value === 'wal');
  expect(database, 'foreign_keys', (value) => value === 1);
  if (unsafe === undefined) expect(database, 'synchronous', (value) => Number(value) >= FULL);
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
