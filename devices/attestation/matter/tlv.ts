import { isUtf8 } from 'node:buffer';

/** A decoded element of Matter TLV (Matter Core Specification, appendix A). Integers beyond 2^53 are bigint. */
export type TlvValue = number | bigint | boolean | string | null | Uint8Array | TlvArray | TlvStructure;
/** The members of an array or list, in order. */
export type TlvArray = readonly TlvValue[];
/** The members of a structure by context tag. Members with other tags (of vendors) are checked for their form and left out. */
export type TlvStructure = ReadonlyMap<number, TlvValue>;

/** Octets that are not the TLV asked for: what was expected there, and what was found. */
export class TlvError extends Error {
  readonly expected: string;
  readonly found: string;

  constructor(expected: string, found: string) {
    super(`expected ${expected}, found ${found}`);
    this.name = 'TlvError';
    this.expected = expected;
    this.found = found;
  }
}

/** What the elements of attestation can be at most; those of the specification are ten times smaller. */
const MAX_OCTETS = 8 * 1024;
const MAX_DEPTH = 8;
const MAX_ELEMENTS = 1024;

/**
 * Decodes one anonymous structure: nothing after it, context tags in ascending order (the tag-order that the specification asks
 * of every structure here), UTF-8 checked. Byte strings are views of the input. @throws TlvError
 */
export function decodeTlvStructure(octets: Uint8Array): TlvStructure {
  if (octets.length > MAX_OCTETS) throw new TlvError(`at most ${MAX_OCTETS} octets`, `${octets.length}`);
  const reader = new TlvReader(octets);
  const value = reader.element(0);
  if (!(value instanceof Map)) throw new TlvError('an anonymous structure', 'another element');
  if (!reader.atEnd) throw new TlvError('nothing after the structure', 'more octets');
  return value as TlvStructure;
}

/** A byte string as itself, of `size` octets where that is given. @throws TlvError naming `what` */
export function tlvBytes(value: TlvValue | undefined, what: string, size?: number): Uint8Array {
  if (!(value instanceof Uint8Array)) throw new TlvError(`${what} as octets`, kindOf(value));
  if (size === undefined || value.length === size) return value;
  throw new TlvError(`${what} of ${size} octets`, `${value.length} octets`);
}

/** An unsigned integer up to `max` as itself. @throws TlvError naming `what` */
export function tlvUnsigned(value: TlvValue | undefined, what: string, max: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max) return value;
  throw new TlvError(`${what} as an integer up to ${max}`, typeof value === 'number' ? `${value}` : kindOf(value));
}

/** A text as itself. @throws TlvError naming `what` */
export function tlvText(value: TlvValue | undefined, what: string): string {
  if (typeof value === 'string') return value;
  throw new TlvError(`${what} as text`, kindOf(value));
}

/** An array of `min` to `max` members as itself. @throws TlvError naming `what` */
export function tlvArray(value: TlvValue | undefined, what: string, min: number, max: number): TlvArray {
  if (!Array.isArray(value)) throw new TlvError(`${what} as an array`, kindOf(value));
  if (value.length >= min && value.length <= max) return value as TlvArray;
  throw new TlvError(`${what} with ${min} to ${max} members`, `${value.length}`);
}

/** Element types: the lower five bits of the control octet. Each of the first four groups has a length of 1, 2, 4 or 8 octets. */
const TYPE = {
  signed: 0x00,
  unsigned: 0x04,
  false: 0x08,
  true: 0x09,
  float: 0x0a,
  double: 0x0b,
  utf8: 0x0c,
  bytes: 0x10,
} as const;
const NULL = 0x14;
const STRUCTURE = 0x15;
const ARRAY = 0x16;
const LIST = 0x17;
const END = 0x18;

/** Octets of a tag by tag control, the upper three bits: anonymous, context, common and implicit profile, fully qualified. */
const TAG_OCTETS = [0, 1, 2, 4, 2, 4, 6, 8] as const;
const ANONYMOUS = 0;
const CONTEXT = 1;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

interface Head {
  readonly type: number;
  readonly tagControl: number;
  readonly tag: number | undefined;
}

class TlvReader {
  readonly #octets: Uint8Array;
  readonly #view: DataView;
  #at = 0;
  #elements = 0;

  constructor(octets: Uint8Array) {
    this.#octets = octets;
    this.#view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength);
  }

  get atEnd(): boolean {
    return this.#at === this.#octets.length;
  }

  /** One element without a tag, as at the top and in arrays. */
  element(depth: number): TlvValue {
    const { type, tagControl } = this.#head();
    if (type === END) throw new TlvError('an element', 'the end of a container');
    if (tagControl !== ANONYMOUS) throw new TlvError('an element without a tag', 'one with a tag');
    return this.#value(type, depth);
  }

  #head(): Head {
    if (++this.#elements > MAX_ELEMENTS) throw new TlvError(`at most ${MAX_ELEMENTS} elements`, 'more');
    const control = this.#take(1)[0]!;
    const tagControl = control >> 5;
    const octets = this.#take(TAG_OCTETS[tagControl]!);
    return { type: control & 0x1f, tagControl, tag: tagControl === CONTEXT ? octets[0]! : undefined };
  }

  #value(type: number, depth: number): TlvValue {
    switch (type) {
      case TYPE.false:
      case TYPE.true:
        return type === TYPE.true;
      case TYPE.float:
        return this.#number(4, (at) => this.#view.getFloat32(at, true));
      case TYPE.double:
        return this.#number(8, (at) => this.#view.getFloat64(at, true));
      case NULL:
        return null;
      case STRUCTURE:
        return this.#structure(inside(depth));
      case ARRAY:
      case LIST:
        return this.#members(type, inside(depth));
    }
    if (type < TYPE.unsigned) return this.#integer(1 << type, true);
    if (type < TYPE.false) return this.#integer(1 << (type - TYPE.unsigned), false);
    if (type >= TYPE.utf8 && type < TYPE.bytes) return this.#text(this.#length(1 << (type - TYPE.utf8)));
    if (type >= TYPE.bytes && type < NULL) return this.#take(this.#length(1 << (type - TYPE.bytes)));
    throw new TlvError('a known element type', `0x${type.toString(16)}`);
  }

  #structure(depth: number): TlvStructure {
    const members = new Map<number, TlvValue>();
    let last = -1;
    for (;;) {
      const { type, tagControl, tag } = this.#head();
      if (type === END) return this.#ended(tagControl, members);
      if (tagControl === ANONYMOUS) throw new TlvError('a tag on each member of a structure', 'none');
      const value = this.#value(type, depth);
      if (tag === undefined) continue;
      if (tag <= last) throw new TlvError('tags in ascending order', `${tag} after ${last}`);
      last = tag;
      members.set(tag, value);
    }
  }

  #members(container: number, depth: number): TlvArray {
    const members: TlvValue[] = [];
    for (;;) {
      const { type, tagControl } = this.#head();
      if (type === END) return this.#ended(tagControl, members);
      if (container === ARRAY && tagControl !== ANONYMOUS)
        throw new TlvError('members of an array without tags', 'one');
      members.push(this.#value(type, depth));
    }
  }

  #ended<T>(tagControl: number, members: T): T {
    if (tagControl !== ANONYMOUS) throw new TlvError('the end of a container without a tag', 'one with a tag');
    return members;
  }

  #integer(octets: number, signed: boolean): number | bigint {
    const view = this.#view;
    switch (octets) {
      case 1:
        return this.#number(1, (at) => (signed ? view.getInt8(at) : view.getUint8(at)));
      case 2:
        return this.#number(2, (at) => (signed ? view.getInt16(at, true) : view.getUint16(at, true)));
      case 4:
        return this.#number(4, (at) => (signed ? view.getInt32(at, true) : view.getUint32(at, true)));
      default: {
        const value = this.#number(8, (at) => (signed ? view.getBigInt64(at, true) : view.getBigUint64(at, true)));
        return Number.isSafeInteger(Number(value)) ? Number(value) : value;
      }
    }
  }

  #length(octets: number): number {
    const length = this.#integer(octets, false);
    if (typeof length === 'number') return length;
    throw new TlvError('a length within the element', 'a longer one');
  }

  #text(length: number): string {
    const octets = this.#take(length);
    if (!isUtf8(octets)) throw new TlvError('UTF-8', 'other octets');
    return utf8.decode(octets);
  }

  #number<T>(octets: number, read: (at: number) => T): T {
    const at = this.#at;
    this.#take(octets);
    return read(at);
  }

  #take(length: number): Uint8Array {
    const end = this.#at + length;
    if (end > this.#octets.length) throw new TlvError(`${length} octets more`, `${this.#octets.length - this.#at}`);
    const taken = this.#octets.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }
}

function inside(depth: number): number {
  if (depth >= MAX_DEPTH) throw new TlvError(`at most ${MAX_DEPTH} levels`, 'more');
  return depth + 1;
}

function kindOf(value: TlvValue | undefined): string {
  if (value === undefined) return 'none';
  if (value === null) return 'null';
  if (value instanceof Uint8Array) return 'octets';
  if (Array.isArray(value)) return 'an array';
  return value instanceof Map ? 'a structure' : `a ${typeof value}`;
}
