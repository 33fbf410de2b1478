import { Asn1Error } from './asn1-error.ts';
import { UNIVERSAL } from './identifier.ts';
import type { Reader } from './reader.ts';
import { tagged } from './schema-type.ts';
import type { Schema } from './schema-type.ts';

/** NULL. */
export const nullValue: Schema<null> = tagged(UNIVERSAL.null, {
  typeName: 'NULL',
  constructed: false,
  read: () => null, // contents left over are refused by the header
  write: () => undefined,
});

/** OCTET STRING, primitive. The value is a view of the input. */
export const octetString: Schema<Uint8Array> = tagged(UNIVERSAL.octetString, {
  typeName: 'OCTET STRING',
  constructed: false,
  read(reader, end) {
    const octets = reader.view(reader.offset, end);
    reader.offset = end;
    return octets;
  },
  write: (writer, value) => writer.octets(value),
});

/** `OCTET STRING (CONTAINING T)` in DER. */
export function octetStringOf<T>(schema: Schema<T>): Schema<T> {
  return tagged<T>(UNIVERSAL.octetString, {
    typeName: 'OCTET STRING',
    constructed: false,
    read: (reader, end) => contained(schema, reader, end),
    write: (writer, value) => schema.write(writer, value),
  });
}

/** The value of a BIT STRING without names. */
export interface BitString {
  /** 0 to 7: how many low bits of the last octet do not belong to the string; they are zero. */
  readonly unusedBits: number;
  readonly bytes: Uint8Array;
}

/** BIT STRING, primitive, with its unused bits zero (X.690 §11.2.1). The octets are a view of the input. */
export const bitString: Schema<BitString> = tagged(UNIVERSAL.bitString, {
  typeName: 'BIT STRING',
  constructed: false,
  read(reader, end) {
    const unusedBits = readUnusedBits(reader, end);
    const bytes = reader.view(reader.offset, end);
    reader.offset = end;
    return { unusedBits, bytes };
  },
  write(writer, { unusedBits, bytes }) {
    const last = bytes[bytes.length - 1];
    const fits = last === undefined ? unusedBits === 0 : isUnusedBits(unusedBits) && hasZeroTail(last, unusedBits);
    if (!fits) throw new Asn1Error('a BIT STRING with 0 to 7 unused bits, all zero', `${unusedBits}`, -1);
    writer.octets(bytes);
    writer.octet(unusedBits);
  },
});

/** `BIT STRING (CONTAINING T)` in DER: whole octets. */
export function bitStringOf<T>(schema: Schema<T>): Schema<T> {
  return tagged<T>(UNIVERSAL.bitString, {
    typeName: 'BIT STRING',
    constructed: false,
    read(reader, end) {
      if (readUnusedBits(reader, end) !== 0) throw reader.fault('whole octets', 'unused bits', reader.offset - 1);
      return contained(schema, reader, end);
    },
    write(writer, value) {
      schema.write(writer, value);
      writer.octet(0);
    },
  });
}

/**
 * BIT STRING with named bits, as the set of the names of its one bits; trailing zero bits are stripped (X.690 §11.2.2).
 * A one bit without a name is refused: a set of names could not carry it.
 *
 * @param names each name's bit number, as in the ASN.1 module; bit 0 is the most significant of the first octet
 */
export function namedBits<N extends string>(names: Readonly<Record<N, number>>): Schema<ReadonlySet<N>> {
  const nameOf = new Map(Object.entries<number>(names).map(([name, bit]) => [bit, name as N]));
  return tagged<ReadonlySet<N>>(UNIVERSAL.bitString, {
    typeName: 'BIT STRING',
    constructed: false,
    read: (reader, end) => readNamedBits(reader, end, nameOf),
    write(writer, value) {
      const bits = [...value].map((name) => names[name]);
      const highest = Math.max(-1, ...bits);
      const bytes = new Uint8Array((highest + 8) >> 3);
      for (const bit of bits) bytes[bit >> 3]! |= 0x80 >> (bit & 7);
      writer.octets(bytes);
      writer.octet(highest < 0 ? 0 : 7 - (highest & 7));
    },
  });
}

function readNamedBits<N extends string>(reader: Reader, end: number, nameOf: Map<number, N>): ReadonlySet<N> {
  const unusedBits = readUnusedBits(reader, end);
  const start = reader.offset;
  if (end > start && ((reader.bytes[end - 1]! >> unusedBits) & 1) === 0) {
    throw reader.fault('no trailing zero bits', 'some');
  }
  const set = new Set<N>();
  const length = (end - start) * 8 - unusedBits;
  if (length > Math.max(-1, ...nameOf.keys()) + 1) throw reader.fault('named bits', `bit ${length - 1}`); // the last bit is one
  for (let bit = 0; bit < length; bit++) {
    if ((reader.bytes[start + (bit >> 3)]! & (0x80 >> (bit & 7))) === 0) continue;
    const name = nameOf.get(bit);
    if (name === undefined) throw reader.fault('named bits', `bit ${bit}`);
    set.add(name);
  }
  reader.offset = end;
  return set;
}

function readUnusedBits(reader: Reader, end: number): number {
  const length = end - reader.offset;
  if (length === 0) throw reader.fault('a count of unused bits', 'no octets');
  const unusedBits = reader.bytes[reader.offset]!;
  if (unusedBits > 7 || (length === 1 && unusedBits > 0)) throw reader.fault('fewer unused bits', `${unusedBits}`);
  if (unusedBits > 0 && !hasZeroTail(reader.bytes[end - 1]!, unusedBits)) {
    throw reader.fault('unused bits of zero', 'others', end - 1);
  }
  reader.offset++;
  return unusedBits;
}

function contained<T>(schema: Schema<T>, reader: Reader, end: number): T {
  reader.descend();
  const value = schema.read(reader, end);
  reader.ascend();
  return value;
}

function isUnusedBits(count: number): boolean {
  return Number.isInteger(count) && count >= 0 && count <= 7;
}

function hasZeroTail(octet: number, unusedBits: number): boolean {
  return (octet & ((1 << unusedBits) - 1)) === 0;
}
