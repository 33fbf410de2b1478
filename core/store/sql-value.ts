import { InternalError, PeerError } from '../errors/muster-error.ts';

/** What both engines bind and return alike: integers are safe JavaScript integers, booleans are 0 or 1, times epoch milliseconds. */
export type SqlValue = string | number | Uint8Array | null;

/**
 * Checks that a value means the same on both engines and returns it; `undefined` becomes NULL.
 *
 * Text comes from peers (names, transaction identifiers): NUL, which PostgreSQL cannot hold and SQLite cuts at, and lone
 * surrogates, which UTF-8 encoders all fold into U+FFFD so that two identifiers would become one, are the peer's fault.
 * Any other type is ours: better-sqlite3 binds no boolean and no Date, and a bigint comes back as a number.
 *
 * @throws PeerError malformed-request for text that cannot be stored; InternalError for a type that cannot.
 */
export function portableValue(value: unknown): SqlValue {
  if (typeof value === 'string') return storableText(value);
  if (typeof value === 'number') return storableNumber(value);
  if (value === undefined || value === null) return null;
  if (value instanceof Uint8Array) return value;
  throw new InternalError(`only text, numbers, bytes and null are stored, got ${describe(value)}`);
}

function storableText(value: string): string {
  if (value.includes('\0') || !value.isWellFormed()) {
    throw new PeerError('malformed-request', 'text must be well-formed Unicode without NUL');
  }
  return value;
}

function storableNumber(value: number): number {
  if (Number.isSafeInteger(value) || (Number.isFinite(value) && !Number.isInteger(value))) return value;
  throw new InternalError(`a stored number must be a safe integer or a finite fraction, got ${value}`);
}

function describe(value: unknown): string {
  return typeof value === 'object' && value !== null ? value.constructor.name : typeof value;
}
