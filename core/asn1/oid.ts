import { Asn1Error } from './asn1-error.ts';
import { UNIVERSAL } from './identifier.ts';
import type { Reader } from './reader.ts';
import { tagged } from './schema-type.ts';
import type { Schema } from './schema-type.ts';

// Bounds of what is in use: the longest registered identifiers have some 20 arcs, and UUIDs (2.25.…) have 128 bits.
const MAX_OCTETS = 64;
const MAX_ARCS = 32;
const MAX_ARC_OCTETS = 19;

/**
 * OBJECT IDENTIFIER as dotted decimal text: at most 64 octets, 32 arcs, 133 bits an arc, each arc minimal
 * (X.690 §8.19.2).
 */
export const oid: Schema<string> = tagged(UNIVERSAL.oid, {
  typeName: 'OBJECT IDENTIFIER',
  constructed: false,
  read(reader, end) {
    const slot = hash(reader.bytes, reader.offset, end);
    const known = decoded[slot];
    if (known !== undefined && equals(known.octets, reader.bytes, reader.offset, end)) {
      reader.offset = end;
      return known.text;
    }
    const octets = new Uint8Array(reader.view(reader.offset, end)); // a copy: the memo outlives the input
    const text = readArcs(reader, end);
    decoded[slot] = { octets, text };
    return text;
  },
  write: (writer, value) => writer.octets(contentOctets(value)),
});

/** Whether text is an OBJECT IDENTIFIER that {@link oid} encodes. */
export function isOid(text: string): boolean {
  try {
    contentOctets(text);
    return true;
  } catch {
    return false;
  }
}

// Memos of fixed size (a slot is simply overwritten): the same few dozen identifiers make up nearly all input.
const SLOTS = 1024;
const decoded: ({ readonly octets: Uint8Array; readonly text: string } | undefined)[] = Array.from({ length: SLOTS });
const encoded = new Map<string, Uint8Array>();

function hash(bytes: Uint8Array, start: number, end: number): number {
  let sum = end - start;
  const stop = Math.min(end, start + MAX_OCTETS);
  for (let at = start; at < stop; at++) sum = (Math.imul(sum, 31) + bytes[at]!) | 0;
  return sum & (SLOTS - 1);
}

function equals(octets: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (octets.length !== end - start) return false;
  for (let i = 0; i < octets.length; i++) if (octets[i] !== bytes[start + i]) return false;
  return true;
}

function readArcs(reader: Reader, end: number): string {
  const length = end - reader.offset;
  if (length === 0 || length > MAX_OCTETS) throw reader.fault(`1 to ${MAX_OCTETS} octets`, `${length}`);
  const arcs: (number | bigint)[] = [];
  while (reader.offset < end) {
    const arc = readArc(reader, end);
    if (arcs.length > 0) arcs.push(arc);
    else arcs.push(...firstArcs(arc)); // X.690 §8.19.4: the first two arcs share a subidentifier
    if (arcs.length > MAX_ARCS) throw reader.fault(`at most ${MAX_ARCS} arcs`, 'more');
  }
  return arcs.join('.');
}

function firstArcs(subidentifier: number | bigint): (number | bigint)[] {
  if (typeof subidentifier === 'bigint') return [2, subidentifier - 80n];
  return subidentifier < 80 ? [Math.floor(subidentifier / 40), subidentifier % 40] : [2, subidentifier - 80];
}

function readArc(reader: Reader, end: number): number | bigint {
  const start = reader.offset;
  const stop = Math.min(end, start + MAX_ARC_OCTETS);
  if (reader.bytes[start] === 0x80) throw reader.fault('a minimal arc', 'a padded one');
  let arc = 0;
  let at = start;
  while (at < stop && reader.bytes[at]! >= 0x80) arc = arc * 128 + (reader.bytes[at++]! & 0x7f);
  if (at === stop) throw reader.fault(`an arc of at most ${MAX_ARC_OCTETS} octets`, 'more, or the end');
  reader.offset = at + 1;
  if (at - start < 7) return arc * 128 + reader.bytes[at]!; // 49 bits
  return reader.bytes.subarray(start, at + 1).reduce((sum, octet) => (sum << 7n) | BigInt(octet & 0x7f), 0n);
}

function contentOctets(text: string): Uint8Array {
  const known = encoded.get(text);
  if (known !== undefined) return known;
  const octets = encodeArcs(text);
  if (encoded.size >= SLOTS) encoded.clear();
  encoded.set(text, octets);
  return octets;
}

function encodeArcs(text: string): Uint8Array {
  const fault = (): Asn1Error => new Asn1Error('an OBJECT IDENTIFIER', text.slice(0, 80), -1);
  if (text.length > 512 || !/^[012](?:\.(?:0|[1-9][0-9]{0,40})){1,31}$/.test(text)) throw fault();
  const [root, second, ...rest] = text.split('.').map(BigInt) as [bigint, bigint, ...bigint[]];
  if (root < 2n && second >= 40n) throw fault();
  const subidentifiers = [root * 40n + second, ...rest].map(base128);
  const octets = subidentifiers.flat();
  if (octets.length > MAX_OCTETS || subidentifiers.some((arc) => arc.length > MAX_ARC_OCTETS)) throw fault();
  return Uint8Array.from(octets);
}

function base128(arc: bigint): number[] {
  const octets = [Number(arc & 0x7fn)];
  for (let rest = arc >> 7n; rest > 0n; rest >>= 7n) octets.unshift(Number(rest & 0x7fn) | 0x80);
  return octets;
}
