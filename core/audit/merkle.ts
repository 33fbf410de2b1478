import { hash } from 'node:crypto';

/**
 * The Merkle tree of RFC 9162 §2.1 (the same tree as RFC 6962 §2.1) with SHA-256: hashing, and a tree that grows at
 * its right edge while remembering only O(log n) hashes.
 */

/** Octets of every hash in a tree. */
export const HASH_BYTES = 32;

// RFC 9162 §2.1.1: the prefix octets keep a leaf from ever hashing like an interior node.
const LEAF_PREFIX = 0x00;
const NODE_PREFIX = 0x01;

const nodeInput = new Uint8Array(1 + 2 * HASH_BYTES);
nodeInput[0] = NODE_PREFIX;
// Byte 0 stays LEAF_PREFIX: hashing runs to completion, so one buffer serves every caller.
let leafInput = new Uint8Array(4096);

/** RFC 9162 §2.1.1: MTH({}) = HASH(), the root of the tree with no leaf. */
export const EMPTY_ROOT: Uint8Array = hash('sha256', new Uint8Array(0), 'buffer');

/** RFC 9162 §2.1.1: MTH({d}) = HASH(0x00 || d). */
export function leafHash(entry: Uint8Array): Uint8Array {
  if (entry.length >= leafInput.length) leafInput = new Uint8Array(2 * entry.length + 1);
  leafInput[0] = LEAF_PREFIX;
  leafInput.set(entry, 1);
  return hash('sha256', leafInput.subarray(0, entry.length + 1), 'buffer');
}

/** RFC 9162 §2.1.1: HASH(0x01 || left || right) of two subtree hashes. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  nodeInput.set(left, 1);
  nodeInput.set(right, 1 + HASH_BYTES);
  return hash('sha256', nodeInput, 'buffer');
}

/** Whether two hashes are equal; hashes of a public tree are no secret, so this need not take constant time. */
export function hashesEqual(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/**
 * The root of a tree from the hashes of the complete subtrees it falls into, left to right (RFC 9162 §2.1.1: the left
 * side is always the larger power of two, so the pieces join from the right).
 */
export function joinSubtrees(hashes: readonly Uint8Array[]): Uint8Array {
  let root = hashes.at(-1);
  if (root === undefined) return EMPTY_ROOT;
  for (let index = hashes.length - 2; index >= 0; index--) root = nodeHash(hashes[index]!, root);
  return root;
}

/** Called for each subtree that became complete: 2^level leaves, the first of them at index × 2^level. */
export type SubtreeListener = (level: number, index: number, hash: Uint8Array) => void;

/**
 * A tree that only grows: its size and the hashes of the complete subtrees along its right edge, largest first (one
 * for each 1 bit of the size).
 */
export class CompactRange {
  #size: number;
  readonly #hashes: Uint8Array[];

  private constructor(size: number, hashes: Uint8Array[]) {
    this.#size = size;
    this.#hashes = hashes;
  }

  /** The tree with no leaf. */
  static empty(): CompactRange {
    return new CompactRange(0, []);
  }

  /**
   * The tree as `frontier()` wrote it, or undefined when the bytes cannot belong to a tree of that size.
   */
  static from(size: number, frontier: Uint8Array): CompactRange | undefined {
    if (!Number.isSafeInteger(size) || size < 0) return undefined;
    const hashes: Uint8Array[] = [];
    for (let at = 0; at < frontier.length; at += HASH_BYTES) hashes.push(frontier.slice(at, at + HASH_BYTES));
    if (frontier.length % HASH_BYTES !== 0 || hashes.length !== countOnes(size)) return undefined;
    return new CompactRange(size, hashes);
  }

  /** Number of leaves. */
  get size(): number {
    return this.#size;
  }

  /** Adds the hash of the next leaf; `onComplete` hears of it and of every subtree it completes, smallest first. */
  append(hashOfLeaf: Uint8Array, onComplete?: SubtreeListener): void {
    let level = 0;
    let index = this.#size;
    let complete = hashOfLeaf;
    onComplete?.(level, index, complete);
    while (index % 2 === 1) {
      complete = nodeHash(this.#hashes.pop()!, complete);
      index = (index - 1) / 2;
      level++;
      onComplete?.(level, index, complete);
    }
    this.#hashes.push(complete);
    this.#size++;
  }

  /** The root of the tree as it stands. */
  root(): Uint8Array {
    return joinSubtrees(this.#hashes);
  }

  /** The hashes of the right edge, concatenated, largest subtree first. */
  frontier(): Uint8Array {
    const bytes = new Uint8Array(this.#hashes.length * HASH_BYTES);
    for (const [index, subtree] of this.#hashes.entries()) bytes.set(subtree, index * HASH_BYTES);
    return bytes;
  }
}

function countOnes(size: number): number {
  let ones = 0;
  for (let rest = size; rest > 0; rest = Math.floor(rest / 2)) ones += rest % 2;
  return ones;
}
