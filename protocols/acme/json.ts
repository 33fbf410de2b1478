import { AcmeProblem } from './problem.ts';

/** A JSON object as it came: its members are still to be looked at. */
export type JsonObject = Readonly<Record<string, unknown>>;

const decoder = new TextDecoder('utf-8', { fatal: true });

/**
 * Reads a JSON object (RFC 8259) in UTF-8.
 * @throws AcmeProblem `malformed`; `what` names it.
 */
export function parseObject(bytes: Uint8Array, what: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(bytes));
  } catch (error) {
    throw new AcmeProblem('malformed', `${what}: expected JSON in UTF-8`, { cause: error });
  }
  return asObject(value, what);
}

/** The value as an object. @throws AcmeProblem `malformed`. */
export function asObject(value: unknown, what: string): JsonObject {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw new AcmeProblem('malformed', `${what}: expected a JSON object`);
}

/** A member that is a string, or absent. @throws AcmeProblem `malformed`. */
export function optionalString(object: JsonObject, name: string): string | undefined {
  const value = Object.hasOwn(object, name) ? object[name] : undefined;
  if (value === undefined || typeof value === 'string') return value;
  throw new AcmeProblem('malformed', `${name}: expected a string`);
}

/** A member that is a string. @throws AcmeProblem `malformed`. */
export function requiredString(object: JsonObject, name: string): string {
  const value = optionalString(object, name);
  if (value === undefined) throw new AcmeProblem('malformed', `${name}: expected a string, found none`);
  return value;
}

/** A member that is a boolean, or absent (false). @throws AcmeProblem `malformed`. */
export function flag(object: JsonObject, name: string): boolean {
  const value = Object.hasOwn(object, name) ? object[name] : undefined;
  if (value === undefined || typeof value === 'boolean') return value ?? false;
  throw new AcmeProblem('malformed', `${name}: expected true or false`);
}

/** A member that is a list of at most `max` values, or absent. @throws AcmeProblem `malformed`. */
export function optionalList(object: JsonObject, name: string, max: number): readonly unknown[] | undefined {
  const value = Object.hasOwn(object, name) ? object[name] : undefined;
  if (value === undefined || (Array.isArray(value) && value.length <= max)) return value;
  throw new AcmeProblem('malformed', `${name}: expected a list of at most ${max}`);
}

/**
 * Octets of base64url without padding (RFC 7515 §2), in its one canonical spelling.
 * @throws AcmeProblem `malformed`.
 */
export function fromBase64url(text: string, what: string): Uint8Array {
  const octets = Buffer.from(text, 'base64url');
  if (octets.toString('base64url') === text) return octets;
  throw new AcmeProblem('malformed', `${what}: expected base64url without padding`);
}
