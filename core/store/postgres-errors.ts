import { DatabaseError } from 'pg';
import { InternalError, MusterError, StateError, UpstreamError } from '../errors/muster-error.ts';

/** SQLSTATE codes (PostgreSQL manual, appendix A). */
const UNIQUE_VIOLATION = '23505';
const FOREIGN_KEY_VIOLATION = '23503';
const SERIALIZATION_FAILURE = '40001';
const DEADLOCK_DETECTED = '40P01';

/**
 * States that speak of the server, not of the statement: connection (08), resources (53), cancelled or stopping (57),
 * system (58), lock time-out (55P03), idle or transaction time-out (25P03, 25P04), read-only after a fail-over (25006).
 */
const UNAVAILABLE = /^(08|53|57|58|55P03|25P03|25P04|25006|XX)/;

/** Translates what pg throws; the original stays as the cause. */
export function postgresError(error: unknown): MusterError {
  if (error instanceof MusterError) return error;
  // Without a SQLSTATE it is the connection: sockets, time-outs, a client that has ended.
  if (!(error instanceof DatabaseError)) return postgresUnavailable('the database did not answer', error);
  const code = error.code ?? '';
  if (code === UNIQUE_VIOLATION || code === FOREIGN_KEY_VIOLATION) {
    return new StateError('conflict', 'a key refused the change', { cause: error });
  }
  if (UNAVAILABLE.test(code) || isContention(error)) return postgresUnavailable('the database failed', error);
  return new InternalError('the database refused a statement', { cause: error });
}

/** The error of everything that waited for a database which did not do its work. */
export function postgresUnavailable(message: string, cause: unknown): UpstreamError {
  return new UpstreamError('store-unavailable', message, { cause });
}

/** Whether PostgreSQL gave this transaction up in favour of another one, so that running it again may succeed. */
export function isContention(error: unknown): boolean {
  const state = error instanceof MusterError ? error.cause : error;
  return state instanceof DatabaseError && (state.code === SERIALIZATION_FAILURE || state.code === DEADLOCK_DETECTED);
}
