import { TpmStructureError } from './structure-error.ts';

/** How long the contents of a TPM2B may be, in octets. */
export interface SizeBounds {
  readonly min?: number;
  readonly max: number;
}

/**
 * Reads one structure from its start to its end (TPM 2.0 Library, Part 2 §4.9: integers are big-endian, nothing is aligned).
 * `read` takes the fields in order; whatever it leaves unread is a fault. Octets in the value are views of `bytes`.
 * @throws TpmStructureError
 */
export function readStructure<T>(
  structure: string,
  bytes: Uint8Array,
  maxOctets: number,
  read: (reader: StructureReader) => T,
): T {
  if (bytes.length > maxOctets) {
    throw new TpmStructureError(structure, `at most ${maxOctets} octets`, `${bytes.length} octets`, 0);
  }
  const reader = new StructureReader(structure, bytes);
  const value = read(reader);
  reader.end();
  return value;
}

/** A cursor over the octets of one structure; every step is checked against its end. */
export class StructureReader {
  readonly #structure: string;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #offset = 0;

  constructor(structure: string, bytes: Uint8Array) {
    this.#structure = structure;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** UINT8. */
  u8(field: string): number {
    return this.#view.getUint8(this.#advance(1, field));
  }

  /** UINT16. */
  u16(field: string): number {
    return this.#view.getUint16(this.#advance(2, field));
  }

  /** UINT32. */
  u32(field: string): number {
    return this.#view.getUint32(this.#advance(4, field));
  }

  /** UINT64. */
  u64(field: string): bigint {
    return this.#view.getBigUint64(this.#advance(8, field));
  }

  /** So many octets as they are. */
  octets(count: number, field: string): Uint8Array {
    const start = this.#advance(count, field);
    return this.#bytes.subarray(start, start + count);
  }

  /** The contents of a TPM2B: UINT16 size, then as many octets. */
  sized(field: string, { min = 0, max }: SizeBounds): Uint8Array {
    const size = this.u16(`${field}.size`);
    if (size < min || size > max) this.fault(`${field}.size`, `${min} to ${max}`, String(size), 2);
    return this.octets(size, field);
  }

  /** Nothing may be left. */
  end(): void {
    const left = this.#bytes.length - this.#offset;
    if (left > 0) this.fault('', 'the end', `${left} more octets`);
  }

  /** Refuses what was just read: `octetsBack` is how long it was. */
  fault(field: string, expected: string, found: string, octetsBack = 0): never {
    throw new TpmStructureError(this.#path(field), expected, found, this.#offset - octetsBack);
  }

  #advance(count: number, field: string): number {
    const start = this.#offset;
    const left = this.#bytes.length - start;
    if (count > left) this.fault(field, `${count} octets`, `${left}`);
    this.#offset += count;
    return start;
  }

  #path(field: string): string {
    return field === '' ? this.#structure : `${this.#structure}.${field}`;
  }
}
