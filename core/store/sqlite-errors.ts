import Database from 'better-sqlite3';
import { InternalError, MusterError, StateError, UpstreamError } from '../errors/muster-error.ts';

/** Refusals of a key that a rule may meet in the ordinary course; the other constraints are faults of the caller. */
const CONFLICTS = new Set([
  'SQLITE_CONSTRAINT_UNIQUE',
  'SQLITE_CONSTRAINT_PRIMARYKEY',
  'SQLITE_CONSTRAINT_ROWID',
  'SQLITE_CONSTRAINT_FOREIGNKEY',
]);

/** Primary result codes that speak of the file, the disk or a lock, not of the statement. */
const UNAVAILABLE = /^SQLITE_(BUSY|LOCKED|NOMEM|READONLY|INTERRUPT|IOERR|CORRUPT|FULL|CANTOPEN|PROTOCOL|NOTADB)/;

/** Translates what better-sqlite3 throws; the original stays as the cause. */
export function sqliteError(error: unknown): MusterError {
  if (error instanceof MusterError) return error;
  if (!(error instanceof Database.SqliteError)) {
    return new InternalError('the database binding refused a statement', { cause: error });
  }
  if (CONFLICTS.has(error.code)) return new StateError('conflict', 'a key refused the change', { cause: error });
  if (UNAVAILABLE.test(error.code)) return sqliteUnavailable('the database failed', error);
  return new InternalError('the database refused a statement', { cause: error });
}

/** The error of everything that waited for a database which did not do its work. */
export function sqliteUnavailable(message: string, cause: unknown): UpstreamError {
  return new UpstreamError('store-unavailable', message, { cause });
}
