import { PeerError } from '../../core/errors/muster-error.ts';

/** A JSON object as it came: its members are still to be looked at. */
export type JsonObject = Readonly<Record<string, unknown>>;

const decoder = new TextDecoder('utf-8', { fatal: true });

/** Reads a JSON object in UTF-8. @throws PeerError `malformed-request` */
export function parseObject(bytes: Uint8Array): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(bytes));
  } catch (error) {
    throw new PeerError('malformed-request', 'the body: expected JSON in UTF-8', { cause: error });
  }
  return asObject(value, 'the body');
}

/** A member that is an object. @throws PeerError `malformed-request` */
export function objectAt(object: JsonObject, name: string): JsonObject {
  return asObject(memberOf(object, name), name);
}

/** A member that is a text of at most `max` characters, none of control; undefined where absent. @throws PeerError `malformed-request` */
export function textAt(object: JsonObject, name: string, max: number): string | undefined {
  const value = memberOf(object, name);
  if (value === undefined) return undefined;
  if (typeof value === 'string' && value !== '' && value.length <= max && !/\p{Cc}/u.test(value)) return value;
  throw new PeerError('malformed-request', `${name}: expected a text of at most ${max} characters`);
}

/** A member that is an integer within bounds; undefined where absent. @throws PeerError `malformed-request` */
export function integerAt(object: JsonObject, name: string, min: number, max: number): number | undefined {
  const value = memberOf(object, name);
  if (value === undefined) return undefined;
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value;
  throw new PeerError('malformed-request', `${name}: expected an integer from ${min} to ${max}`);
}

/** A member that holds octets in base64. @throws PeerError `malformed-request` */
export function octetsAt(object: JsonObject, name: string): Uint8Array {
  const octets = optionalOctetsAt(object, name);
  if (octets !== undefined) return octets;
  throw new PeerError('malformed-request', `${name}: expected base64, found none`);
}

/** A member that holds octets in base64; undefined where it is absent, null or empty, as Go writes what it has not. @throws PeerError `malformed-request` */
export function optionalOctetsAt(object: JsonObject, name: string): Uint8Array | undefined {
  const value = memberOf(object, name);
  return value === undefined || value === null || value === '' ? undefined : fromBase64(value, name);
}

/** A member that is a list of at most `max` octet strings in base64; empty where absent or null. @throws PeerError `malformed-request` */
export function octetListAt(object: JsonObject, name: string, max: number): readonly Uint8Array[] {
  const value = memberOf(object, name) ?? [];
  if (Array.isArray(value) && value.length <= max) return value.map((item) => fromBase64(item, name));
  throw new PeerError('malformed-request', `${name}: expected a list of at most ${max}`);
}

function memberOf(object: JsonObject, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

function asObject(value: unknown, what: string): JsonObject {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw new PeerError('malformed-request', `${what}: expected a JSON object`);
}

/** Base64 of RFC 4648 §4 or §5, padded or not: deployed clients write either. */
function fromBase64(value: unknown, name: string): Uint8Array {
  if (typeof value === 'string') {
    const octets = Buffer.from(value, 'base64');
    const canonical = octets.toString('base64url');
    const written = value
      .replace(/={0,2}$/, '')
      .replaceAll('+', '-')
      .replaceAll('/', '_');
    if (octets.length > 0 && canonical === written) return new Uint8Array(octets);
  }
  throw new PeerError('malformed-request', `${name}: expected base64`);
}
