import { Asn1Error } from './asn1-error.ts';
import { identifierName, identifierWidth } from './identifier.ts';
import type { Limits } from './limits.ts';

/** What {@link Reader.peek} says where the enclosing encoding has ended. */
export const END = -1;

// One array for each length of a short text: two to three times as fast as a Buffer for the strings that names hold.
const CODES = Array.from({ length: 25 }, (_, length) => Array.from({ length }, () => 0));

/**
 * A position in one input and what may still be spent on it. Types read their octets straight from `bytes` between
 * `offset` and the end that {@link Reader.enter} gave them; no tree is built.
 */
export class Reader {
  readonly bytes: Uint8Array;
  readonly limits: Limits;
  offset = 0;
  readonly #buffer: ArrayBufferLike;
  readonly #byteOffset: number;
  #itemsLeft: number;
  #depthLeft: number;
  #text: Buffer | undefined;

  constructor(bytes: Uint8Array, limits: Limits) {
    this.bytes = bytes;
    this.#buffer = bytes.buffer;
    this.#byteOffset = bytes.byteOffset;
    this.limits = limits;
    this.#itemsLeft = limits.maxItems;
    this.#depthLeft = limits.maxDepth;
  }

  /** The identifier at the offset, or {@link END} at `limit`. Moves nothing. */
  peek(limit: number): number {
    if (this.offset >= limit) return END;
    const octet = this.bytes[this.offset]!;
    return (octet & 0x1f) === 0x1f ? this.#peekHighTag(octet, limit) : octet;
  }

  /** Steps over an identifier and its length; answers where the contents end. */
  enter(identifier: number, limit: number, typeName: string): number {
    const found = this.peek(limit);
    if (found !== identifier) throw this.mismatch(typeName, found);
    this.offset += identifier < 0x100 ? 1 : identifierWidth(identifier);
    return this.#length(limit);
  }

  /** Steps into a constructed encoding; {@link Reader.ascend} steps out. Not balanced when an error passes. */
  descend(): void {
    if (--this.#depthLeft < 0) throw this.fault(`at most ${this.limits.maxDepth} levels`, 'deeper nesting');
  }

  ascend(): void {
    this.#depthLeft++;
  }

  /** Counts one encoding against the limit. */
  countItem(): void {
    if (--this.#itemsLeft < 0) throw this.fault(`at most ${this.limits.maxItems} items`, 'more');
  }

  /** A view of the input, not a copy. */
  view(start: number, end: number): Uint8Array {
    return new Uint8Array(this.#buffer, this.#byteOffset + start, end - start);
  }

  /** ISO 8859-1 text: of octets that were checked to be ASCII, their ASCII text. */
  latin1(start: number, end: number): string {
    const { bytes } = this;
    const codes = CODES[end - start];
    if (codes === undefined) {
      this.#text ??= Buffer.from(this.#buffer, this.#byteOffset, bytes.length);
      return this.#text.toString('latin1', start, end);
    }
    for (let i = 0; i < codes.length; i++) codes[i] = bytes[start + i]!;
    return String.fromCharCode.apply(null, codes);
  }

  /** An error at the present offset, or at the given one. */
  fault(expected: string, found: string, offset = this.offset): Asn1Error {
    return new Asn1Error(expected, found, offset);
  }

  /** An error about an identifier that {@link Reader.peek} gave. */
  mismatch(expected: string, identifier: number): Asn1Error {
    return this.fault(expected, identifier === END ? 'the end' : identifierName(identifier));
  }

  // X.690 §10.1: the definite form, encoded in the minimum number of octets.
  #length(limit: number): number {
    this.countItem();
    if (this.offset >= limit) throw this.fault('a length', 'the end');
    const first = this.bytes[this.offset++]!;
    const end = this.offset + first;
    if (first >= 0x80) return this.#longLength(first & 0x7f, limit);
    if (end > limit) throw this.fault(`${first} octets`, `${limit - this.offset}`);
    return end;
  }

  #longLength(octets: number, limit: number): number {
    const start = this.offset - 1;
    if (octets === 0) throw this.fault('a definite length', 'the indefinite form', start);
    if (octets > 4) throw this.fault('a length of at most 4 octets', `${octets} octets`, start);
    if (this.offset + octets > limit) throw this.fault('a length', 'the end', start);
    let length = 0;
    for (let i = 0; i < octets; i++) length = length * 256 + this.bytes[this.offset++]!;
    if (length < 0x80 || length < 256 ** (octets - 1)) throw this.fault('a minimal length', 'a longer form', start);
    if (this.offset + length > limit) throw this.fault(`${length} octets`, `${limit - this.offset}`);
    return this.offset + length;
  }

  // X.690 §8.1.2.4, with tag numbers below 2^21.
  #peekHighTag(leading: number, limit: number): number {
    let tagNumber = 0;
    for (let at = this.offset + 1; at < limit && at <= this.offset + 3; at++) {
      const octet = this.bytes[at]!;
      tagNumber = tagNumber * 128 + (octet & 0x7f);
      if (tagNumber === 0) break;
      if (octet >= 0x80) continue;
      if (tagNumber < 0x1f) break;
      return tagNumber * 256 + leading;
    }
    throw this.fault('a minimal tag number below 2^21', 'another');
  }
}
