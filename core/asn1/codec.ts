import { within } from './asn1-error.ts';
import { completeLimits } from './limits.ts';
import type { Limits } from './limits.ts';
import { Reader } from './reader.ts';
import type { Schema } from './schema-type.ts';
import { Writer } from './writer.ts';

export { DEFAULT_LIMITS } from './limits.ts';
export type { Limits } from './limits.ts';

/**
 * Decodes one value: the whole input, strict DER (X.690 §§8, 10, 11), within the limits (those not given are
 * {@link DEFAULT_LIMITS}). Octets in the result are views of the input: who keeps it leaves the input unchanged.
 *
 * @throws Asn1Error and nothing else, for any input
 */
export function decode<T>(schema: Schema<T>, bytes: Uint8Array, limits?: Partial<Limits>): T {
  const reader = new Reader(bytes, completeLimits(limits));
  try {
    if (bytes.length > reader.limits.maxBytes) {
      throw reader.fault(`at most ${reader.limits.maxBytes} octets`, `${bytes.length}`);
    }
    const value = schema.read(reader, bytes.length);
    if (reader.offset !== bytes.length) {
      throw reader.fault('the end of the input', `${bytes.length - reader.offset} more octets`);
    }
    return value;
  } catch (error) {
    throw within(error, schema.typeName);
  }
}

/**
 * Encodes a value as DER, in a buffer of its own.
 *
 * @throws Asn1Error (offset -1) for a value that the type cannot express: a character outside a string's set, a count
 * outside a SIZE, a missing component
 */
export function encode<T>(schema: Schema<T>, value: T): Uint8Array {
  const writer = new Writer();
  try {
    schema.write(writer, value);
  } catch (error) {
    throw within(error, schema.typeName);
  }
  return writer.finish();
}
