import { Asn1Error, within } from './asn1-error.ts';
import { UNIVERSAL } from './identifier.ts';
import type { Reader } from './reader.ts';
import { tagged } from './schema-type.ts';
import type { Schema } from './schema-type.ts';
import type { Writer } from './writer.ts';

/** `SIZE (min..max)`; without one, any number of items that the limits allow. */
export interface Size {
  readonly min?: number;
  readonly max?: number;
}

/** `SEQUENCE OF T`. */
export function sequenceOf<T>(item: Schema<T>, size: Size = {}): Schema<readonly T[]> {
  return tagged<readonly T[]>(UNIVERSAL.sequence, {
    typeName: 'SEQUENCE OF',
    constructed: true,
    read: (reader, end) => readItems(reader, end, item, size, false),
    write(writer, values) {
      assertSize(values.length, size);
      for (let at = values.length - 1; at >= 0; at--) writeItem(writer, values, at, item);
    },
  });
}

/**
 * `SET OF T`: written in ascending order of the encodings (X.690 §11.6), which must be the order of the input too,
 * unless it is read with `setOrder: 'any'`. Values keep the order of the input.
 */
export function setOf<T>(item: Schema<T>, size: Size = {}): Schema<readonly T[]> {
  return tagged<readonly T[]>(UNIVERSAL.set, {
    typeName: 'SET OF',
    constructed: true,
    read: (reader, end) => readItems(reader, end, item, size, reader.limits.setOrder === 'der'),
    write(writer, values) {
      assertSize(values.length, size);
      if (values.length === 1) writeItem(writer, values, 0, item);
      else writeSorted(writer, values, item);
    },
  });
}

function readItems<T>(reader: Reader, end: number, item: Schema<T>, size: Size, isSorted: boolean): readonly T[] {
  const max = size.max ?? Infinity;
  let values: T[] = [];
  let previous = reader.offset;
  reader.descend();
  try {
    while (reader.offset < end) {
      const start = reader.offset;
      if (values.length >= max) throw reader.fault(`at most ${max} items`, 'more');
      const value = item.read(reader, end);
      if (isSorted && start > previous && !isAscending(reader.bytes, previous, start, reader.offset)) {
        throw reader.fault('ascending order of the SET', 'another', start);
      }
      previous = start;
      // Most collections have one item; the first push onto an empty array would make room for 17.
      if (values.length === 0) values = [value];
      else values.push(value);
    }
  } catch (error) {
    throw within(error, `[${values.length}]`);
  }
  reader.ascend();
  if (values.length < (size.min ?? 0)) throw reader.fault(`at least ${size.min} items`, `${values.length}`);
  return values;
}

// Compares the encoding at first (which ends where the second begins) with the one at second. Equal ones may repeat.
function isAscending(bytes: Uint8Array, first: number, second: number, end: number): boolean {
  const length = Math.min(second - first, end - second);
  for (let i = 0; i < length; i++) {
    const difference = bytes[first + i]! - bytes[second + i]!;
    if (difference !== 0) return difference < 0;
  }
  return true; // one encoding is never a proper prefix of another
}

function writeItem<T>(writer: Writer, values: readonly T[], at: number, item: Schema<T>): void {
  try {
    item.write(writer, values[at]!);
  } catch (error) {
    throw within(error, `[${at}]`);
  }
}

function writeSorted<T>(writer: Writer, values: readonly T[], item: Schema<T>): void {
  const start = writer.written;
  const encodings = values.map((_, at) => {
    writeItem(writer, values, at, item);
    const encoding = new Uint8Array(writer.since(start)); // a copy
    writer.rewind(start);
    return encoding;
  });
  for (const encoding of encodings.toSorted((a, b) => Buffer.compare(b, a))) writer.octets(encoding);
}

function assertSize(length: number, { min = 0, max = Infinity }: Size): void {
  if (length < min || length > max) throw new Asn1Error(`${min} to ${max} items`, `${length}`, -1);
}
