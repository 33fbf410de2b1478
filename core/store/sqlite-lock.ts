import Database from 'better-sqlite3';
import { UpstreamError } from '../errors/muster-error.ts';

/**
 * Holds the right to write to the database file `file`, for one process at a time.
 *
 * An exclusive transaction on an empty database beside it, `<file>.lock`, is a POSIX record lock: the kernel drops it
 * when the process dies, however it dies, and SQLite keeps count of it inside one process too. Locking the database
 * itself would shut readers out.
 *
 * @returns what gives the lock back.
 * @throws UpstreamError store-unavailable when another writer holds it.
 */
export function lockForWriting(file: string): () => void {
  const lock = new Database(`${file}.lock`, { timeout: 0 });
  try {
    lock.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    lock.close();
    throw new UpstreamError('store-unavailable', 'another process writes to this database', { cause: error });
  }
  return () => lock.close();
}
