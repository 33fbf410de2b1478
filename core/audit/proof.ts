import { hashesEqual, joinSubtrees, nodeHash } from './merkle.ts';

/**
 * Inclusion and consistency proofs of RFC 9162 §2.1.3 and §2.1.4. Making one is two steps, so that a tree may live
 * anywhere: name the leaf ranges whose hashes form the proof, then hash each from its complete subtrees.
 */

/** The leaves [from, to) of a tree; `from` is a multiple of the smallest power of two that is at least `to - from`. */
export interface LeafRange {
  readonly from: number;
  readonly to: number;
}

/** A complete subtree: 2^level leaves, the first of them at index × 2^level. */
export interface Subtree {
  readonly level: number;
  readonly index: number;
}

/** Looks up the hash of a complete subtree. */
export type SubtreeHashes = (subtree: Subtree) => Uint8Array;

/**
 * RFC 9162 §2.1.3.1, PATH(m, D_n): the ranges whose hashes prove that leaf `index` is in the tree of `size` leaves,
 * from the leaf upwards. `index` must be below `size`.
 */
export function inclusionRanges(index: number, size: number): LeafRange[] {
  const path: LeafRange[] = [];
  let from = 0;
  let to = size;
  while (to - from > 1) {
    const middle = from + largestPowerOfTwoBelow(to - from);
    // Walking down from the root meets the siblings in reverse order of the proof.
    if (index < middle) {
      path.push({ from: middle, to });
      to = middle;
    } else {
      path.push({ from, to: middle });
      from = middle;
    }
  }
  return path.reverse();
}

/**
 * RFC 9162 §2.1.4.1, PROOF(m, D_n): the ranges whose hashes prove that the tree of `oldSize` leaves is a prefix of the
 * tree of `newSize`. Empty when either tree has nothing to prove (`oldSize` 0 or equal sizes).
 */
export function consistencyRanges(oldSize: number, newSize: number): LeafRange[] {
  if (oldSize === 0 || oldSize === newSize) return [];
  const proof: LeafRange[] = [];
  let from = 0;
  let to = newSize;
  let oldRootIsKnown = true;
  // SUBPROOF(m, D[from:to], b): the old tree ends inside [from, to).
  while (oldSize !== to) {
    const middle = from + largestPowerOfTwoBelow(to - from);
    if (oldSize <= middle) {
      proof.push({ from: middle, to });
      to = middle;
    } else {
      proof.push({ from, to: middle });
      from = middle;
      oldRootIsKnown = false;
    }
  }
  if (!oldRootIsKnown) proof.push({ from, to });
  return proof.reverse();
}

/** The complete subtrees a range falls into, left to right: their hashes joined are the hash of the range. */
export function subtreesOf(range: LeafRange): Subtree[] {
  const subtrees: Subtree[] = [];
  let { from } = range;
  while (from < range.to) {
    let level = 0;
    let leaves = 1;
    while (leaves * 2 <= range.to - from) {
      leaves *= 2;
      level++;
    }
    subtrees.push({ level, index: from / leaves });
    from += leaves;
  }
  return subtrees;
}

/** The hash of a range of leaves (RFC 9162 §2.1.1, MTH(D[from:to])). */
export function rangeHash(range: LeafRange, hashOf: SubtreeHashes): Uint8Array {
  return joinSubtrees(subtreesOf(range).map(hashOf));
}

/** A claim that the leaf with `leafHash` stands at `index` of the tree of `size` leaves with root `rootHash`. */
export interface InclusionProof {
  readonly index: number;
  readonly size: number;
  readonly leafHash: Uint8Array;
  readonly rootHash: Uint8Array;
  readonly hashes: readonly Uint8Array[];
}

/** A claim that the tree with `oldRoot` is the prefix of `oldSize` leaves of the tree with `newRoot`. */
export interface ConsistencyProof {
  readonly oldSize: number;
  readonly newSize: number;
  readonly oldRoot: Uint8Array;
  readonly newRoot: Uint8Array;
  readonly hashes: readonly Uint8Array[];
}

/** RFC 9162 §2.1.3.2: whether the proof shows what it claims. The caller must trust `rootHash` for a reason of its own. */
export function verifyInclusion(proof: InclusionProof): boolean {
  const { index, size, hashes } = proof;
  // Step 1: the index must lie inside the tree.
  if (!isCount(index) || !isCount(size) || index >= size) return false;
  // Steps 2-3: fn is the position at the current level, sn the last position there.
  let fn = index;
  let sn = size - 1;
  let r = proof.leafHash;
  // Step 4.
  for (const p of hashes) {
    if (sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      r = nodeHash(p, r);
      while (fn % 2 === 0 && fn !== 0) {
        fn = half(fn);
        sn = half(sn);
      }
    } else {
      r = nodeHash(r, p);
    }
    fn = half(fn);
    sn = half(sn);
  }
  // Step 5.
  return sn === 0 && hashesEqual(r, proof.rootHash);
}

/** RFC 9162 §2.1.4.2: whether the proof shows what it claims. The caller must trust both roots for reasons of its own. */
export function verifyConsistency(proof: ConsistencyProof): boolean {
  const { oldSize, newSize } = proof;
  if (!isCount(oldSize) || !isCount(newSize) || oldSize > newSize) return false;
  // The RFC defines the proof for 0 < first < second only: equal trees need equal roots, and every tree extends the empty one.
  if (oldSize === newSize) return proof.hashes.length === 0 && hashesEqual(proof.oldRoot, proof.newRoot);
  if (oldSize === 0) return proof.hashes.length === 0 && hashesEqual(proof.oldRoot, joinSubtrees([]));
  // Step 1: an old tree of a power of two is itself the first node of the path.
  const path = isPowerOfTwo(oldSize) ? [proof.oldRoot, ...proof.hashes] : proof.hashes;
  const roots = rootsFromPath(path, oldSize, newSize);
  // Step 7.
  return roots !== undefined && hashesEqual(roots.fr, proof.oldRoot) && hashesEqual(roots.sr, proof.newRoot);
}

// RFC 9162 §2.1.4.2 steps 2 to 6: the old root (fr) and the new root (sr) that the path leads to.
function rootsFromPath(path: readonly Uint8Array[], oldSize: number, newSize: number) {
  const [first, ...rest] = path;
  if (first === undefined) return undefined;
  // Step 2.
  let fn = oldSize - 1;
  let sn = newSize - 1;
  // Step 3.
  while (fn % 2 === 1) {
    fn = half(fn);
    sn = half(sn);
  }
  // Steps 4-5.
  let fr = first;
  let sr = first;
  // Step 6.
  for (const c of rest) {
    if (sn === 0) return undefined;
    if (fn % 2 === 1 || fn === sn) {
      fr = nodeHash(c, fr);
      sr = nodeHash(c, sr);
      while (fn % 2 === 0 && fn !== 0) {
        fn = half(fn);
        sn = half(sn);
      }
    } else {
      sr = nodeHash(sr, c);
    }
    fn = half(fn);
    sn = half(sn);
  }
  return sn === 0 ? { fr, sr } : undefined;
}

// Sizes go beyond 32 bits, where JavaScript's shifts wrap: arithmetic instead.
const half = (value: number): number => Math.floor(value / 2);

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;

function largestPowerOfTwoBelow(count: number): number {
  let power = 1;
  while (power * 2 < count) power *= 2;
  return power;
}

function isPowerOfTwo(value: number): boolean {
  let power = 1;
  while (power < value) power *= 2;
  return power === value;
}
