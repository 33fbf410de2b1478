import { encode } from '../asn1/codec.ts';
import { type Extension, EXTENSIONS, extensionsSchema } from '../x509/extensions.ts';
import { CRL_REASON, encodeTbsCertList, type TbsCertListTemplate } from '../x509/crl.ts';
import { algorithmIdentifier, type SignatureAlgorithm } from '../x509/signature-algorithm.ts';
import type { RevocationRow } from './tables.ts';

/** What of a row stands in a CRL. */
export type CrlEntryRow = Pick<RevocationRow, 'serial_number' | 'state' | 'reason' | 'revoked_at' | 'invalidity_date'>;

/** The contents of a TBSCertList around its entries (RFC 5280 §5.1.2). */
export interface CrlFrame {
  readonly before: Uint8Array;
  readonly after: Uint8Array;
}

/** Encodes everything of a CRL but its entries. */
export function crlFrame(template: Omit<TbsCertListTemplate, 'entries'>): CrlFrame {
  const whole = contents(encodeTbsCertList({ ...template, entries: [] }));
  const before = contents(encodeTbsCertList({ ...template, entries: [], extensions: [] }));
  return { before, after: whole.subarray(before.length) };
}

const SLICE_BYTES = 1 << 20;
/** No entry is longer: a serial number of 20 octets, two times, two extensions. */
const LONGEST_ENTRY = 128;

/**
 * Encodes the entries of a CRL as they come from the database, a megabyte at a time: a list of a million makes neither a
 * million objects nor a buffer that doubles.
 */
export class CrlEntryWriter {
  readonly #full: Uint8Array[] = [];
  #slice: Buffer = Buffer.allocUnsafe(SLICE_BYTES);
  #offset = 0;
  #count = 0;
  // Revocations come in bursts: the text of the last second is kept.
  #second = -1;
  #time = '';

  /** Entries so far. */
  get count(): number {
    return this.#count;
  }

  add(row: CrlEntryRow): void {
    if (this.#offset + LONGEST_ENTRY > this.#slice.length) this.#next();
    const slice = this.#slice;
    const start = this.#offset;
    let at = writeSerial(slice, start + 2, row.serial_number);
    at = this.#writeTime(slice, at, row.revoked_at);
    const extensions = entryExtensions(row);
    slice.set(extensions, at);
    at += extensions.length;
    // The length of an entry fits one octet: see LONGEST_ENTRY.
    slice[start] = SEQUENCE;
    slice[start + 1] = at - start - 2;
    this.#offset = at;
    this.#count += 1;
  }

  /** The DER of the TBSCertList. RFC 5280 §5.1.2.6: without entries, revokedCertificates MUST be absent. */
  finish({ before, after }: CrlFrame): Uint8Array {
    const slices = [...this.#full, this.#slice.subarray(0, this.#offset)];
    const length = slices.reduce((total, slice) => total + slice.length, 0);
    const list = length === 0 ? [] : [header(SEQUENCE, length), ...slices];
    return sequenceOf([before, ...list, after]);
  }

  /** RFC 5280 §5.1.2.4: UTCTime through 2049, GeneralizedTime after. Returns where it ends. */
  #writeTime(slice: Buffer, at: number, milliseconds: number): number {
    const second = Math.floor(milliseconds / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#time = new Date(second * 1000).toISOString().replace(/[-:T]|\.\d+/g, '');
    }
    const isUtc = milliseconds < START_OF_2050;
    const text = isUtc ? this.#time.slice(2) : this.#time;
    slice[at] = isUtc ? UTC_TIME : GENERALIZED_TIME;
    slice[at + 1] = text.length;
    return at + 2 + slice.write(text, at + 2, 'latin1');
  }

  #next(): void {
    this.#full.push(this.#slice.subarray(0, this.#offset));
    this.#slice = Buffer.allocUnsafe(SLICE_BYTES);
    this.#offset = 0;
  }
}

/** A signed CRL of its parts, in one copy. */
export function assembleCertList(tbsDer: Uint8Array, algorithm: SignatureAlgorithm, signature: Uint8Array): Uint8Array {
  const unusedBits = Uint8Array.of(0);
  const bits = header(BIT_STRING, signature.length + unusedBits.length);
  return sequenceOf([tbsDer, algorithmIdentifier(algorithm), bits, unusedBits, signature]);
}

const INTEGER = 0x02;
const BIT_STRING = 0x03;
const UTC_TIME = 0x17;
const GENERALIZED_TIME = 0x18;
const SEQUENCE = 0x30;

function sequenceOf(parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((total, part) => total + part.length, 0);
  const head = header(SEQUENCE, length);
  // A buffer of its own: it is handed from thread to thread.
  const der = new Uint8Array(head.length + length);
  let offset = 0;
  for (const part of [head, ...parts]) {
    der.set(part, offset);
    offset += part.length;
  }
  return der;
}

/** X.690 §8.1.3: identifier and definite length, in the fewest octets. */
function header(identifier: number, length: number): Uint8Array {
  if (length < 0x80) return Uint8Array.of(identifier, length);
  const octets: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest & 0xff);
  return Uint8Array.of(identifier, 0x80 | octets.length, ...octets);
}

/** What stands inside the outermost SEQUENCE. */
function contents(der: Uint8Array): Uint8Array {
  const length = der[1]!;
  return der.subarray(length < 0x80 ? 2 : 2 + (length & 0x7f));
}

/** RFC 5280 §5.1.2.6: userCertificate, positive. Returns where it ends. */
function writeSerial(slice: Buffer, at: number, hex: string): number {
  const sign = hex.charCodeAt(0) >= EIGHT ? 1 : 0;
  slice[at] = INTEGER;
  slice[at + 2] = 0;
  const octets = slice.write(hex, at + 2 + sign, 'hex');
  slice[at + 1] = octets + sign;
  return at + 2 + sign + octets;
}

const EIGHT = '8'.charCodeAt(0);
const START_OF_2050 = Date.UTC(2050, 0);

const NONE = new Uint8Array(0);

const REASONS: ReadonlyMap<number, Uint8Array> = new Map(
  Object.values(CRL_REASON).map((code) => [code, code === CRL_REASON.unspecified ? NONE : encoded([reason(code)])]),
);

function entryExtensions({ state, reason: given, invalidity_date: invalidityDate }: CrlEntryRow): Uint8Array {
  // RFC 5280 §5.3.1: unspecified SHOULD be left out; removeFromCRL is how a delta takes an entry back.
  const code = state === 'released' ? CRL_REASON.removeFromCRL : given;
  if (invalidityDate === null || state === 'released') return REASONS.get(code) ?? NONE;
  const since = EXTENSIONS.invalidityDate.encode(new Date(invalidityDate));
  return encoded(code === CRL_REASON.unspecified ? [since] : [reason(code), since]);
}

function reason(code: number): Extension {
  return EXTENSIONS.reasonCode.encode(code);
}

function encoded(extensions: readonly Extension[]): Uint8Array {
  return encode(extensionsSchema, extensions);
}
