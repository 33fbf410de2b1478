import { Asn1Error } from './asn1-error.ts';
import { END, Reader } from './reader.ts';
import type { Schema } from './schema-type.ts';
import { explicit } from './tagging.ts';
import { DEFAULT_LIMITS } from './limits.ts';

/**
 * An open type (`ANY`, `ANY DEFINED BY`): one complete encoding, raw. Its outer header is checked, its contents only
 * when someone decodes them. The value is a view of the input.
 */
export const any: Schema<Uint8Array> = {
  typeName: 'ANY',
  identifiers: () => undefined,
  read(reader, limit) {
    const start = reader.offset;
    skip(reader, limit);
    return reader.view(start, reader.offset);
  },
  write(writer, value) {
    assertOneEncoding(value);
    writer.octets(value);
  },
  retag: (tagNumber) => explicit(tagNumber, any),
};

/** A decoded value together with the octets it was decoded from. */
export interface WithDer<T> {
  readonly value: T;
  /** The complete encoding, header included: a view of the input. */
  readonly der: Uint8Array;
}

/** Keeps the raw octets beside the value, where a signature covers them. Encoding writes `der`, not `value`. */
export function withDer<T>(schema: Schema<T>): Schema<WithDer<T>> {
  return {
    typeName: schema.typeName,
    identifiers: () => schema.identifiers(),
    read(reader, limit) {
      const start = reader.offset;
      const value = schema.read(reader, limit);
      return { value, der: reader.view(start, reader.offset) };
    },
    write(writer, { der }) {
      assertOneEncoding(der);
      writer.octets(der);
    },
    retag: (tagNumber) => withDer(schema.retag(tagNumber)),
  };
}

/** A type that is defined later, or in terms of itself. The thunk runs once, at the first use. */
export function lazily<T>(thunk: () => Schema<T>): Schema<T> {
  let resolved: Schema<T> | undefined;
  const resolve = (): Schema<T> => (resolved ??= thunk());
  return {
    typeName: 'a recursive type',
    identifiers: () => resolve().identifiers(),
    read(reader, limit) {
      // The recursion may pass through no constructed encoding of its own (a CHOICE), so it counts as a level.
      reader.descend();
      const value = resolve().read(reader, limit);
      reader.ascend();
      return value;
    },
    write: (writer, value) => resolve().write(writer, value),
    retag: (tagNumber) => lazily(() => resolve().retag(tagNumber)),
  };
}

function skip(reader: Reader, limit: number): void {
  const identifier = reader.peek(limit);
  // X.690 §8.1.5: universal tag 0 is the end-of-contents marker of the indefinite form.
  if (identifier === END || identifier === 0) throw reader.mismatch('an encoding', identifier);
  reader.offset = reader.enter(identifier, limit, 'an encoding');
}

function assertOneEncoding(der: Uint8Array): void {
  const reader = new Reader(der, DEFAULT_LIMITS);
  try {
    skip(reader, der.length);
  } catch {
    throw new Asn1Error('one DER encoding', 'other octets', -1);
  }
  if (reader.offset !== der.length) throw new Asn1Error('one DER encoding', 'octets after it', -1);
}
