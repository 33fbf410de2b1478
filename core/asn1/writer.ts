import { identifierWidth } from './identifier.ts';

const INITIAL_BYTES = 1024;
// Up to here a loop is faster than a call of `set`; most contents are shorter.
const SHORT_BYTES = 32;

/**
 * Writes an encoding backwards, last octet first: when a header is due, its length is known, and nothing moves.
 * `written` counts the octets so far; marks are values of it, because the buffer grows at the front.
 */
export class Writer {
  written = 0;
  #bytes: Uint8Array = Buffer.allocUnsafe(INITIAL_BYTES);

  octet(value: number): void {
    if (this.written === this.#bytes.length) this.#grow(1);
    this.#bytes[this.#bytes.length - ++this.written] = value;
  }

  octets(value: Uint8Array): void {
    const { bytes, start } = this.reserve(value.length);
    if (value.length > SHORT_BYTES) bytes.set(value, start);
    else for (let i = 0; i < value.length; i++) bytes[start + i] = value[i]!;
  }

  /** Makes room for `length` octets and answers the buffer and the index of the first of them. */
  reserve(length: number): { readonly bytes: Uint8Array; readonly start: number } {
    if (this.written + length > this.#bytes.length) this.#grow(length);
    this.written += length;
    return { bytes: this.#bytes, start: this.#bytes.length - this.written };
  }

  /** Puts identifier and length before everything written since `mark`. */
  header(identifier: number, mark: number): void {
    const length = this.written - mark;
    if (length < 0x80) this.octet(length);
    else this.#longLength(length);
    if (identifier < 0x100) this.octet(identifier);
    else this.#highTag(identifier);
  }

  /** The octets written since `mark`, in order: a view that the next write may invalidate. */
  since(mark: number): Uint8Array {
    const end = this.#bytes.length - mark;
    return this.#bytes.subarray(this.#bytes.length - this.written, end);
  }

  /** Forgets everything written since `mark`. */
  rewind(mark: number): void {
    this.written = mark;
  }

  /** The whole encoding: the one copy. */
  finish(): Uint8Array {
    const der = new Uint8Array(this.written);
    der.set(this.since(0));
    return der;
  }

  #longLength(length: number): void {
    let count = 0;
    for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) {
      this.octet(rest & 0xff);
      count++;
    }
    this.octet(0x80 | count);
  }

  #highTag(identifier: number): void {
    const width = identifierWidth(identifier);
    let tagNumber = Math.floor(identifier / 256);
    for (let i = 1; i < width; i++) {
      this.octet((tagNumber & 0x7f) | (i === 1 ? 0 : 0x80));
      tagNumber >>= 7;
    }
    this.octet(identifier & 0xff);
  }

  #grow(need: number): void {
    const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.written + need));
    grown.set(this.since(0), grown.length - this.written);
    this.#bytes = grown;
  }
}
