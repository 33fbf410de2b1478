import { PeerError } from '../errors/muster-error.ts';
import type { Store } from '../store/store.ts';
import type { AuditTree } from './entry.ts';
import { readHead } from './head.ts';
import { consistencyRanges, inclusionRanges, rangeHash, subtreesOf } from './proof.ts';
import type { ConsistencyProof, InclusionProof, LeafRange } from './proof.ts';
import { readSubtrees } from './tile.ts';

/**
 * Proves that entry `index` is in the tree of the first `size` entries (the whole tree by default). What the proof
 * shows is what the stored tree says: compare its root with a signed checkpoint. Throws PeerError `not-found` when the
 * tree has no such entry.
 */
export async function inclusionProof(
  store: Store,
  tree: AuditTree,
  index: number,
  size?: number,
): Promise<InclusionProof> {
  const treeSize = await checkedSize(store, tree, size);
  if (!Number.isSafeInteger(index) || index < 0 || index >= treeSize) {
    throw new PeerError('not-found', `expected an index below ${treeSize}, found ${index}`);
  }
  const leaf = { from: index, to: index + 1 };
  const [leafHash, rootHash, ...hashes] = await readRanges(store, tree, [
    leaf,
    { from: 0, to: treeSize },
    ...inclusionRanges(index, treeSize),
  ]);
  return { index, size: treeSize, leafHash: leafHash!, rootHash: rootHash!, hashes };
}

/**
 * Proves that the first `oldSize` entries are the beginning of the first `newSize` (the whole tree by default). What
 * the proof shows is what the stored tree says: compare its roots with signed checkpoints. Throws PeerError
 * `not-found` when the tree is smaller than that.
 */
export async function consistencyProof(
  store: Store,
  tree: AuditTree,
  oldSize: number,
  newSize?: number,
): Promise<ConsistencyProof> {
  const treeSize = await checkedSize(store, tree, newSize);
  if (!Number.isSafeInteger(oldSize) || oldSize < 0 || oldSize > treeSize) {
    throw new PeerError('not-found', `expected an earlier size of at most ${treeSize}, found ${oldSize}`);
  }
  const [oldRoot, newRoot, ...hashes] = await readRanges(store, tree, [
    { from: 0, to: oldSize },
    { from: 0, to: treeSize },
    ...consistencyRanges(oldSize, treeSize),
  ]);
  return { oldSize, newSize: treeSize, oldRoot: oldRoot!, newRoot: newRoot!, hashes };
}

async function checkedSize(store: Store, tree: AuditTree, size: number | undefined): Promise<number> {
  const head = await readHead(store, tree);
  if (size === undefined) return head.size;
  if (Number.isSafeInteger(size) && size >= 0 && size <= head.size) return size;
  throw new PeerError('not-found', `expected a tree of at most ${head.size} entries, found ${size}`);
}

async function readRanges(store: Store, tree: AuditTree, ranges: readonly LeafRange[]): Promise<Uint8Array[]> {
  const hashOf = await readSubtrees(store, tree, ranges.flatMap(subtreesOf));
  return ranges.map((range) => rangeHash(range, hashOf));
}
