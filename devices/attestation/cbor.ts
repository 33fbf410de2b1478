import { isUtf8 } from 'node:buffer';
import { decode, type Token, Tokenizer, Type } from 'cborg';

/** A decoded CBOR data item. Integers beyond 2^53 are bigint; undefined, NaN, infinities and other simple values are refused. */
export type CborValue = number | bigint | string | boolean | null | Uint8Array | CborArray | CborMap | CborTag;
/** A CBOR array. */
export type CborArray = readonly CborValue[];
/** A CBOR map: keys are text or integers, none twice. */
export type CborMap = ReadonlyMap<string | number | bigint, CborValue>;

/** A tagged item (RFC 8949 §3.4): of the tags that the caller named. */
export class CborTag {
  readonly tag: number;
  readonly content: CborValue;

  constructor(tag: number, content: CborValue) {
    this.tag = tag;
    this.content = content;
  }
}

/** Octets that are not the CBOR asked for: what was expected there, and what was found. */
export class CborError extends Error {
  readonly expected: string;
  readonly found: string;

  constructor(expected: string, found: string) {
    super(`expected ${expected}, found ${found}`);
    this.name = 'CborError';
    this.expected = expected;
    this.found = found;
  }
}

/** What one item may hold, whatever its heads claim. */
export interface CborLimits {
  readonly maxOctets: number;
  /** Arrays, maps and tags around one another. */
  readonly maxDepth: number;
  /** Data items, nested ones and the keys of maps included. */
  readonly maxItems: number;
}

/** Ample for an attestation object with eight certificates, or an EAT with its measurements. */
const DEFAULT_CBOR_LIMITS: CborLimits = { maxOctets: 64 * 1024, maxDepth: 16, maxItems: 4096 };

/** What {@link decodeCbor} may be asked. */
export interface CborOptions {
  readonly limits?: Partial<CborLimits>;
  /** Tags to accept; each comes back as a {@link CborTag}. Default: none. */
  readonly tags?: readonly number[];
}

/**
 * Decodes exactly one data item (RFC 8949): shortest heads only, definite lengths, UTF-8 checked, no key twice, nothing after
 * it, and within the limits. Byte strings may be views of the input. @throws CborError
 */
export function decodeCbor(octets: Uint8Array, options: CborOptions = {}): CborValue {
  const limits = { ...DEFAULT_CBOR_LIMITS, ...options.limits };
  if (octets.length > limits.maxOctets) {
    throw new CborError(`at most ${limits.maxOctets} octets`, `${octets.length}`);
  }
  try {
    const tokenizer = new BoundedTokenizer(octets, limits);
    return decode(octets, { ...STRICT, tokenizer, tags: tagDecoders(options.tags ?? []) }) as CborValue;
  } catch (error) {
    if (error instanceof CborError) throw error;
    throw new CborError('one item of strict CBOR', reasonOf(error));
  }
}

/** A map as itself. @throws CborError naming `what` */
export function cborMap(value: CborValue | undefined, what: string): CborMap {
  if (value instanceof Map) return value as CborMap;
  throw new CborError(`${what} as a map`, kindOf(value));
}

/** An array as itself. @throws CborError naming `what` */
export function cborArray(value: CborValue | undefined, what: string): CborArray {
  if (Array.isArray(value)) return value as CborArray;
  throw new CborError(`${what} as an array`, kindOf(value));
}

/** A byte string as itself. @throws CborError naming `what` */
export function cborBytes(value: CborValue | undefined, what: string): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new CborError(`${what} as a byte string`, kindOf(value));
}

/** A text string as itself. @throws CborError naming `what` */
export function cborText(value: CborValue | undefined, what: string): string {
  if (typeof value === 'string') return value;
  throw new CborError(`${what} as a text string`, kindOf(value));
}

/** An integer of at most 53 bits as itself. @throws CborError naming `what` */
export function cborInteger(value: CborValue | undefined, what: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value;
  throw new CborError(`${what} as an integer`, kindOf(value));
}

const STRICT = {
  strict: true,
  allowIndefinite: false,
  allowUndefined: false,
  allowInfinity: false,
  allowNaN: false,
  allowBigInt: true,
  useMaps: true,
  rejectDuplicateMapKeys: true,
  retainStringBytes: true,
} as const;

/** An array, map or tag being read: items still to come, and for a map whether the next one is a key. */
interface OpenItem {
  left: number;
  readonly isMap: boolean;
}

/** Counts before the library builds anything, so that a head that claims millions costs nothing. */
class BoundedTokenizer extends Tokenizer {
  readonly #limits: CborLimits;
  readonly #size: number;
  readonly #open: OpenItem[] = [];
  #items = 0;

  constructor(octets: Uint8Array, limits: CborLimits) {
    super(octets, STRICT);
    this.#limits = limits;
    this.#size = octets.length;
  }

  override next(): Token {
    const token = super.next();
    if (++this.#items > this.#limits.maxItems) throw new CborError(`at most ${this.#limits.maxItems} items`, 'more');
    this.#enter(token);
    return token;
  }

  #enter(token: Token): void {
    const around = this.#open.at(-1);
    if (around !== undefined) {
      if (around.isMap && around.left % 2 === 0) refuseKey(token);
      around.left--;
    }
    // The library replaces what is no UTF-8; the empty text has no octets.
    if (token.byteValue !== undefined && !isUtf8(token.byteValue)) throw new CborError('UTF-8', 'other octets');
    const left = itemsInside(token);
    if (left === undefined) {
      this.#close();
      return;
    }
    // Every item takes an octet: a larger claim cannot come true.
    if (left > this.#size - this.pos()) throw new CborError('as many items as there are octets', `${left} claimed`);
    this.#open.push({ left, isMap: Type.equals(token.type, Type.map) });
    if (this.#open.length > this.#limits.maxDepth)
      throw new CborError(`at most ${this.#limits.maxDepth} levels`, 'more');
    this.#close();
  }

  #close(): void {
    while (this.#open.at(-1)?.left === 0) this.#open.pop();
  }
}

function itemsInside({ type, value }: Token): number | undefined {
  if (Type.equals(type, Type.array)) return value as number;
  if (Type.equals(type, Type.map)) return 2 * (value as number);
  return Type.equals(type, Type.tag) ? 1 : undefined;
}

// Keys of other kinds are compared by identity: one could be there twice.
function refuseKey({ type }: Token): void {
  if ([Type.string, Type.uint, Type.negint].some((kind) => Type.equals(type, kind))) return;
  throw new CborError('text or an integer as a key', type.name);
}

function tagDecoders(tags: readonly number[]): Record<number, (content: () => unknown) => CborTag> {
  return Object.fromEntries(tags.map((tag) => [tag, (content) => new CborTag(tag, content() as CborValue)]));
}

function kindOf(value: CborValue | undefined): string {
  if (value === undefined) return 'none';
  if (value === null) return 'null';
  if (value instanceof Uint8Array) return 'a byte string';
  if (value instanceof CborTag) return `tag ${value.tag}`;
  if (Array.isArray(value)) return 'an array';
  return value instanceof Map ? 'a map' : `a ${typeof value}`;
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message.replace(/^CBOR decode error:? ?/, '') : 'other octets';
}
