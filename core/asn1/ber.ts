import { Asn1Error } from './asn1-error.ts';
import { CONSTRUCTED, UNIVERSAL, identifierWidth } from './identifier.ts';
import { completeLimits } from './limits.ts';
import type { Limits } from './limits.ts';
import { END, Reader } from './reader.ts';
import { Writer } from './writer.ts';

/**
 * An implicitly tagged OCTET STRING that BER may send constructed. Nothing in the encoding tells it from an explicit
 * tag around an OCTET STRING, so it is named by where it stands: in a SEQUENCE, directly behind components with these
 * identifiers.
 */
export interface ImplicitOctetString {
  /** The identifiers of all components before it. */
  readonly after: readonly number[];
  readonly tagNumber: number;
}

/** RFC 5652 §6.1, EncryptedContentInfo: contentType, contentEncryptionAlgorithm, [0] IMPLICIT OCTET STRING. */
const ENCRYPTED_CONTENT: ImplicitOctetString = { after: [UNIVERSAL.oid, UNIVERSAL.sequence], tagNumber: 0 };

/**
 * Rewrites BER (X.690 §8) as DER: indefinite and non-minimal lengths become minimal, constructed strings become
 * primitive, BOOLEANs become 00 or FF, unused bits of BIT STRINGs become zero. Input that is DER already is returned
 * as it is, not copied.
 *
 * What depends on a schema stays as it came: the order of SETs (signed attributes are not to be reordered: decode with
 * `setOrder: 'any'`) and encoded DEFAULTs. `limits` bounds size, depth and number of encodings before they are spent.
 *
 * @throws Asn1Error and nothing else, for any input
 */
export function berToDer(
  bytes: Uint8Array,
  limits?: Partial<Limits>,
  implicitOctetStrings: readonly ImplicitOctetString[] = [ENCRYPTED_CONTENT],
): Uint8Array {
  const complete = completeLimits(limits);
  if (bytes.length > complete.maxBytes) {
    throw new Asn1Error(`at most ${complete.maxBytes} octets`, `${bytes.length}`, 0);
  }
  const input: Input = { reader: new Reader(bytes, complete), implicitOctetStrings, isDer: true };
  const root = readEncoding(input, bytes.length);
  if (input.reader.offset !== bytes.length) throw input.reader.fault('the end of the input', 'more octets');
  if (input.isDer) return bytes;
  const writer = new Writer();
  writeEncoding(writer, root);
  return writer.finish();
}

interface Input {
  readonly reader: Reader;
  readonly implicitOctetStrings: readonly ImplicitOctetString[];
  /** Until something is found that DER writes otherwise. */
  isDer: boolean;
}

/** Either parts (constructed) or pieces of the contents in order (primitive). */
interface Encoding {
  readonly identifier: number;
  readonly parts: readonly Encoding[] | undefined;
  readonly pieces: readonly Uint8Array[];
}

const INDEFINITE = -1;
const NO_PIECES: readonly Uint8Array[] = [];

// The types whose contents BER may cut into segments: X.690 §§8.6, 8.7, 8.23 to 8.26.
const STRINGS = new Set([0x03, 0x04, 0x0c, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1e]);

function readEncoding(input: Input, limit: number): Encoding {
  const { reader } = input;
  const identifier = reader.peek(limit);
  if (identifier === END || identifier === 0) throw reader.mismatch('an encoding', identifier);
  reader.countItem();
  reader.offset += identifierWidth(identifier);
  const end = readLength(input, limit);
  if ((identifier & CONSTRUCTED) !== 0) return readConstructed(input, identifier, end, limit);
  if (end === INDEFINITE) throw reader.fault('a definite length', 'the indefinite form', reader.offset - 1);
  const contents = reader.view(reader.offset, end);
  reader.offset = end;
  return { identifier, parts: undefined, pieces: [canonical(input, identifier, contents)] };
}

function readConstructed(input: Input, identifier: number, end: number, limit: number): Encoding {
  const { reader } = input;
  const parts: Encoding[] = [];
  reader.descend();
  if (end === INDEFINITE) {
    while (reader.peek(limit) !== 0) parts.push(readPart(input, limit, parts));
    readEndOfContents(reader, limit);
  } else {
    while (reader.offset < end) parts.push(readPart(input, end, parts));
  }
  reader.ascend();
  const primitive = identifier & ~CONSTRUCTED;
  return STRINGS.has(primitive) ? joined(input, primitive, parts) : { identifier, parts, pieces: NO_PIECES };
}

function readPart(input: Input, limit: number, before: readonly Encoding[]): Encoding {
  const part = readEncoding(input, limit);
  const rule = part.parts === undefined ? undefined : input.implicitOctetStrings.find((it) => stands(it, part, before));
  return rule === undefined ? part : joined(input, part.identifier & ~CONSTRUCTED, part.parts!);
}

function stands({ after, tagNumber }: ImplicitOctetString, part: Encoding, before: readonly Encoding[]): boolean {
  if (part.identifier !== (0x80 | CONSTRUCTED | tagNumber) || before.length !== after.length) return false;
  if (!part.parts!.every(({ identifier }) => identifier === UNIVERSAL.octetString)) return false;
  return before.every(({ identifier }, at) => identifier === after[at]);
}

// X.690 §8.7.3.2: segments are OCTET STRINGs (of a BIT STRING, BIT STRINGs); some encoders repeat the string's own tag.
function joined(input: Input, identifier: number, segments: readonly Encoding[]): Encoding {
  input.isDer = false;
  const isBits = identifier === UNIVERSAL.bitString;
  for (const segment of segments) {
    const fits = segment.identifier === identifier || (!isBits && segment.identifier === UNIVERSAL.octetString);
    if (!fits) throw input.reader.mismatch('a segment of a string', segment.identifier);
  }
  const pieces = isBits ? joinedBits(input.reader, segments) : segments.flatMap((segment) => segment.pieces);
  return { identifier, parts: undefined, pieces };
}

// X.690 §8.6.4: every segment but the last holds whole octets; each begins with its own count of unused bits.
function joinedBits(reader: Reader, segments: readonly Encoding[]): readonly Uint8Array[] {
  let unusedBits = 0;
  const pieces: Uint8Array[] = [];
  for (const segment of segments) {
    if (unusedBits !== 0) throw reader.fault('whole octets in all but the last segment', 'unused bits');
    const [first, ...rest] = segment.pieces; // the first begins with the count: canonicalBits and this function see to it
    unusedBits = first![0]!;
    pieces.push(first!.subarray(1), ...rest);
  }
  return [Uint8Array.of(unusedBits), ...pieces];
}

function canonical(input: Input, identifier: number, contents: Uint8Array): Uint8Array {
  if (identifier === UNIVERSAL.boolean) return canonicalBoolean(input, contents);
  return identifier === UNIVERSAL.bitString ? canonicalBits(input, contents) : contents;
}

function canonicalBoolean(input: Input, contents: Uint8Array): Uint8Array {
  const value = contents[0];
  if (value === undefined || value === 0x00 || value === 0xff || contents.length > 1) return contents;
  input.isDer = false;
  return Uint8Array.of(0xff);
}

function canonicalBits(input: Input, contents: Uint8Array): Uint8Array {
  const unusedBits = contents[0];
  if (unusedBits === undefined || unusedBits > 7 || (contents.length === 1 && unusedBits > 0)) {
    throw input.reader.fault('a BIT STRING with 0 to 7 unused bits', 'another');
  }
  const mask = (1 << unusedBits) - 1;
  if (contents.length === 1 || (contents.at(-1)! & mask) === 0) return contents;
  input.isDer = false;
  const copy = new Uint8Array(contents);
  copy[copy.length - 1]! &= ~mask;
  return copy;
}

function readEndOfContents(reader: Reader, limit: number): void {
  if (reader.offset + 2 > limit || reader.bytes[reader.offset + 1] !== 0)
    throw reader.fault('end-of-contents', 'other octets');
  reader.countItem();
  reader.offset += 2;
}

// X.690 §8.1.3, any form; answers where the contents end.
function readLength(input: Input, limit: number): number {
  const { reader } = input;
  if (reader.offset >= limit) throw reader.fault('a length', 'the end');
  const first = reader.bytes[reader.offset++]!;
  const length = first < 0x80 ? first : readLongLength(input, first & 0x7f, limit);
  if (length === INDEFINITE) return INDEFINITE;
  if (reader.offset + length > limit) throw reader.fault(`${length} octets`, `${limit - reader.offset}`);
  return reader.offset + length;
}

function readLongLength(input: Input, octets: number, limit: number): number {
  const { reader } = input;
  if (octets === 0) {
    input.isDer = false;
    return INDEFINITE;
  }
  if (reader.offset + octets > limit) throw reader.fault('a length', 'the end');
  let length = 0;
  for (let i = 0; i < octets; i++) {
    length = length * 256 + reader.bytes[reader.offset++]!;
    if (length > limit) throw reader.fault(`a length of at most ${limit}`, 'a larger one');
  }
  if (length < 0x80 || length < 256 ** (octets - 1)) input.isDer = false;
  return length;
}

function writeEncoding(writer: Writer, { identifier, parts, pieces }: Encoding): void {
  const mark = writer.written;
  for (let at = pieces.length - 1; at >= 0; at--) writer.octets(pieces[at]!);
  for (let at = (parts?.length ?? 0) - 1; at >= 0; at--) writeEncoding(writer, parts![at]!);
  writer.header(identifier, mark);
}
