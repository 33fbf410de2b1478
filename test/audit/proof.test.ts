import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { leafHash } from '../../core/audit/merkle.ts';
import {
  consistencyRanges,
  inclusionRanges,
  rangeHash,
  verifyConsistency,
  verifyInclusion,
} from '../../core/audit/proof.ts';
import type { LeafRange, Subtree } from '../../core/audit/proof.ts';
import { mth, numberedLeaves, path, proof } from './recursive-tree.ts';

const MAX = 300;
const leaves = numberedLeaves(MAX);
const subtreeHashes = new Map<string, Uint8Array>();
const roots = Array.from({ length: MAX + 1 }, (_, size) => mth(leaves.slice(0, size)));

const hashOf = ({ level, index }: Subtree): Uint8Array => {
  const key = `${level}/${index}`;
  const known = subtreeHashes.get(key) ?? mth(leaves.slice(index * 2 ** level, (index + 1) * 2 ** level));
  subtreeHashes.set(key, known);
  return known;
};
const rangeHashes = new Map<number, Uint8Array>();
const hashOfRange = (range: LeafRange): Uint8Array => {
  const key = range.from * (MAX + 1) + range.to;
  const known = rangeHashes.get(key) ?? rangeHash(range, hashOf);
  rangeHashes.set(key, known);
  return known;
};
const hashes = (ranges: readonly LeafRange[]): Uint8Array[] => ranges.map(hashOfRange);
const hex = (list: readonly Uint8Array[]): string[] => list.map((hash) => Buffer.from(hash).toString('hex'));

function inclusion(index: number, size: number) {
  return {
    index,
    size,
    leafHash: leafHash(leaves[index]!),
    rootHash: roots[size]!,
    hashes: hashes(inclusionRanges(index, size)),
  };
}

function consistency(oldSize: number, newSize: number) {
  return {
    oldSize,
    newSize,
    oldRoot: roots[oldSize]!,
    newRoot: roots[newSize]!,
    hashes: hashes(consistencyRanges(oldSize, newSize)),
  };
}

function flipOneBit(hash: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(hash);
  copy[17]! ^= 0x10;
  return copy;
}

describe('inclusion proofs', () => {
  test('verify for every leaf of every tree up to 300', () => {
    for (let size = 1; size <= MAX; size++) {
      for (let index = 0; index < size; index++) {
        if (!verifyInclusion(inclusion(index, size))) expect.fail(`leaf ${index} of ${size}`);
      }
    }
  });

  test('are the ones of the recursive definition', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: MAX }), fc.nat(), (size, seed) => {
        const index = seed % size;
        expect(hex(inclusion(index, size).hashes)).toEqual(hex(path(index, leaves.slice(0, size))));
      }),
    );
  });

  test('do not verify for another index, size, leaf, root or path', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: MAX }), fc.nat(), fc.nat(), (size, seed, other) => {
        const good = inclusion(seed % size, size);
        const wrongIndex = other % size;
        if (wrongIndex !== good.index) expect(verifyInclusion({ ...good, index: wrongIndex })).toBe(false);
        expect(verifyInclusion({ ...good, index: size })).toBe(false);
        expect(verifyInclusion({ ...good, index: -1 })).toBe(false);
        expect(verifyInclusion({ ...good, leafHash: flipOneBit(good.leafHash) })).toBe(false);
        expect(verifyInclusion({ ...good, rootHash: flipOneBit(good.rootHash) })).toBe(false);
        expect(verifyInclusion({ ...good, hashes: good.hashes.slice(1) })).toBe(false);
        expect(verifyInclusion({ ...good, hashes: [...good.hashes, good.rootHash] })).toBe(false);
        const at = other % good.hashes.length;
        expect(verifyInclusion({ ...good, hashes: good.hashes.with(at, flipOneBit(good.hashes[at]!)) })).toBe(false);
      }),
    );
  });
});

describe('consistency proofs', () => {
  test('verify between all pairs of sizes up to 300', () => {
    for (let newSize = 0; newSize <= MAX; newSize++) {
      for (let oldSize = 0; oldSize <= newSize; oldSize++) {
        if (!verifyConsistency(consistency(oldSize, newSize))) expect.fail(`${oldSize} to ${newSize}`);
      }
    }
  });

  test('are the ones of the recursive definition', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: MAX }), fc.nat(), (newSize, seed) => {
        const oldSize = 1 + (seed % newSize);
        expect(hex(consistency(oldSize, newSize).hashes)).toEqual(hex(proof(oldSize, leaves.slice(0, newSize))));
      }),
    );
  });

  test('do not verify for another size, root or path', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: MAX }), fc.nat(), fc.nat(), (newSize, seed, other) => {
        const oldSize = 1 + (seed % (newSize - 1));
        const good = consistency(oldSize, newSize);
        expect(verifyConsistency({ ...good, oldRoot: flipOneBit(good.oldRoot) })).toBe(false);
        expect(verifyConsistency({ ...good, newRoot: flipOneBit(good.newRoot) })).toBe(false);
        expect(verifyConsistency({ ...good, oldSize: newSize, newSize: oldSize })).toBe(false);
        expect(verifyConsistency({ ...good, hashes: good.hashes.slice(1) })).toBe(false);
        expect(verifyConsistency({ ...good, hashes: [...good.hashes, good.newRoot] })).toBe(false);
        const at = other % good.hashes.length;
        expect(verifyConsistency({ ...good, hashes: good.hashes.with(at, flipOneBit(good.hashes[at]!)) })).toBe(false);
      }),
    );
  });

  test('equal sizes with different roots, and an empty tree with a root, are inconsistent', () => {
    expect(verifyConsistency({ ...consistency(7, 7), newRoot: roots[8]! })).toBe(false);
    expect(verifyConsistency({ ...consistency(0, 7), oldRoot: roots[1]! })).toBe(false);
  });

  test('any input gives an answer', () => {
    const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });
    const size = fc.oneof(fc.nat(40), fc.maxSafeNat(), fc.double());
    fc.assert(
      fc.property(
        size,
        size,
        hash,
        hash,
        fc.array(hash, { maxLength: 60 }),
        (oldSize, newSize, oldRoot, newRoot, list) => {
          expect(verifyConsistency({ oldSize, newSize, oldRoot, newRoot, hashes: list })).toBe(false);
          expect(
            verifyInclusion({ index: oldSize, size: newSize, leafHash: oldRoot, rootHash: newRoot, hashes: list }),
          ).toBe(false);
        },
      ),
    );
  });
});
