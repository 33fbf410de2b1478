import { InternalError } from '../errors/muster-error.ts';

/**
 * One value, one text: the JSON Canonicalization Scheme of RFC 8785. Members are sorted by the UTF-16 code units of
 * their names (§3.2.3), there is no white space (§3.2.1), strings and numbers are written as ECMAScript writes them
 * (§3.2.2). One divergence: a lone surrogate is written as its \u escape where §3.2.2.2 wants an error, because a
 * device that sends a strange name must not be able to keep what it did out of the log.
 */

/** A value JSON can hold. Instances of classes (a `Secret`, a `Date`, bytes) are none. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject;

/** A JSON object. A member whose value is undefined is left out. */
export type JsonObject = { readonly [name: string]: JsonValue | undefined };

/** Bounds recursion; deeper values are a programming error. */
const MAX_DEPTH = 16;

// What RFC 8785 §3.2.2.2 escapes, and the surrogates (see above): other strings are written as they are, which is
// most of them and several times as fast.
// oxlint-disable-next-line no-control-regex -- the control characters are meant
const NEEDS_ESCAPE = /["\\\u0000-\u001f\ud800-\udfff]/;

/**
 * The canonical text of a value. Throws InternalError for what is no JSON value: instances of classes, so that a
 * secret never gets into the log by accident; functions; numbers that are not finite; cycles.
 */
export function canonicalJson(value: JsonValue): string {
  return write(value, 0);
}

/** The canonical text of a string. */
export function canonicalString(value: string): string {
  return NEEDS_ESCAPE.test(value) ? JSON.stringify(value) : `"${value}"`;
}

function write(value: unknown, depth: number): string {
  if (typeof value === 'string') return canonicalString(value);
  // RFC 8785 §3.2.2.3: numbers as ECMAScript writes them; -0 is 0.
  if (typeof value === 'number' && Number.isFinite(value)) return `${value}`;
  if (typeof value === 'boolean' || value === null) return `${value}`;
  if (typeof value === 'object') return writeStructure(value, depth);
  const found = typeof value === 'number' ? `${value}` : typeof value;
  throw new InternalError(`expected a JSON value in an audit entry, found ${found}`);
}

function writeStructure(value: object, depth: number): string {
  if (depth >= MAX_DEPTH) throw new InternalError(`expected an audit entry nested at most ${MAX_DEPTH} deep`);
  if (Array.isArray(value)) return `[${value.map((item) => write(item, depth + 1)).join(',')}]`;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw new InternalError(
      `expected a plain object in an audit entry, found an instance of ${value.constructor.name}`,
    );
  }
  return writeObject(value as Readonly<Record<string, unknown>>, depth);
}

function writeObject(value: Readonly<Record<string, unknown>>, depth: number): string {
  let text = '{';
  // The default order of sort() is that of UTF-16 code units (RFC 8785 §3.2.3).
  for (const name of Object.keys(value).sort()) {
    const member = value[name];
    if (member === undefined) continue;
    if (text.length > 1) text += ',';
    text += `${canonicalString(name)}:${write(member, depth + 1)}`;
  }
  return `${text}}`;
}
