import { Asn1Error } from './asn1-error.ts';
import { UNIVERSAL } from './identifier.ts';
import type { Reader } from './reader.ts';
import { tagged } from './schema-type.ts';
import type { Contents, Schema } from './schema-type.ts';
import type { Writer } from './writer.ts';

/** BOOLEAN: in DER 00 or FF, nothing between (X.690 §11.1). */
export const boolean: Schema<boolean> = tagged(UNIVERSAL.boolean, {
  typeName: 'BOOLEAN',
  constructed: false,
  read(reader, end) {
    const octet = reader.bytes[reader.offset];
    if (end - reader.offset !== 1) throw reader.fault('a BOOLEAN of 1 octet', `${end - reader.offset}`);
    if (octet !== 0x00 && octet !== 0xff) throw reader.fault('a BOOLEAN of 00 or FF', 'another octet');
    reader.offset = end;
    return octet === 0xff;
  },
  write: (writer, value) => writer.octet(value ? 0xff : 0x00),
});

/** INTEGER of any size up to the limit. */
export const integer: Schema<bigint> = tagged(UNIVERSAL.integer, {
  typeName: 'INTEGER',
  constructed: false,
  read(reader, end) {
    const length = checkInteger(reader, end);
    return length <= 6 ? BigInt(readSmall(reader, end)) : readBig(reader, end);
  },
  write(writer, value) {
    let rest = value;
    if (value >= -0x8000_0000n && value <= 0x7fff_ffffn) return writeSmall(writer, Number(value));
    let octet: number;
    do {
      octet = Number(rest & 0xffn);
      writer.octet(octet);
      rest >>= 8n;
    } while (!(rest === 0n && octet < 0x80) && !(rest === -1n && octet >= 0x80));
  },
});

/** INTEGER that fits in a safe JavaScript number: versions, path lengths, counters. */
export const smallInteger: Schema<number> = tagged(UNIVERSAL.integer, smallNumber('INTEGER'));

/** ENUMERATED, as its number. */
export const enumerated: Schema<number> = tagged(UNIVERSAL.enumerated, smallNumber('ENUMERATED'));

/**
 * INTEGER as its content octets: minimal two's complement, most significant first. For serial numbers, which are
 * compared and stored but never computed with.
 */
export const serialInteger: Schema<Uint8Array> = tagged(UNIVERSAL.integer, {
  typeName: 'INTEGER',
  constructed: false,
  read(reader, end) {
    checkInteger(reader, end);
    const octets = reader.view(reader.offset, end);
    reader.offset = end;
    return octets;
  },
  write(writer, value) {
    if (value.length === 0 || isPadded(value[0]!, value[1])) {
      throw new Asn1Error("minimal two's complement octets", value.length === 0 ? 'none' : 'a redundant octet', -1);
    }
    writer.octets(value);
  },
});

function smallNumber(typeName: string): Contents<number> {
  return {
    typeName,
    constructed: false,
    read(reader, end) {
      const start = reader.offset;
      const value = checkInteger(reader, end) <= 7 ? readSmall(reader, end) : NaN;
      if (!Number.isSafeInteger(value)) throw reader.fault(`${typeName} below 2^53`, 'a larger one', start);
      return value;
    },
    write(writer, value) {
      if (!Number.isSafeInteger(value)) throw new Asn1Error('a safe integer', String(value), -1);
      writeSmall(writer, value);
    },
  };
}

// X.690 §8.3.2: the first nine bits are not all alike.
function checkInteger(reader: Reader, end: number): number {
  const length = end - reader.offset;
  if (length === 0) throw reader.fault('at least 1 octet', 'none');
  if (length > reader.limits.maxIntegerBytes) {
    throw reader.fault(`at most ${reader.limits.maxIntegerBytes} octets`, `${length}`);
  }
  if (length > 1 && isPadded(reader.bytes[reader.offset]!, reader.bytes[reader.offset + 1])) {
    throw reader.fault('a minimal INTEGER', 'a redundant leading octet');
  }
  return length;
}

function isPadded(first: number, second: number | undefined): boolean {
  if (second === undefined) return false;
  return (first === 0x00 && second < 0x80) || (first === 0xff && second >= 0x80);
}

// Exact up to 7 octets as far as the value is a safe integer; the caller checks.
function readSmall(reader: Reader, end: number): number {
  const { bytes } = reader;
  let value = bytes[reader.offset]!;
  if (value >= 0x80) value -= 0x100;
  for (let at = reader.offset + 1; at < end; at++) value = value * 256 + bytes[at]!;
  reader.offset = end;
  return value;
}

function readBig(reader: Reader, end: number): bigint {
  const octets = reader.view(reader.offset, end);
  const magnitude = BigInt(`0x${Buffer.from(octets).toString('hex')}`);
  reader.offset = end;
  return octets[0]! < 0x80 ? magnitude : BigInt.asIntN(octets.length * 8, magnitude);
}

function writeSmall(writer: Writer, value: number): void {
  let rest = value;
  let octet: number;
  do {
    octet = ((rest % 256) + 256) % 256;
    writer.octet(octet);
    rest = (rest - octet) / 256;
  } while (!(rest === 0 && octet < 0x80) && !(rest === -1 && octet >= 0x80));
}
