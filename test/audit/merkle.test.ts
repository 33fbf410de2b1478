import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CompactRange, EMPTY_ROOT, leafHash, nodeHash } from '../../core/audit/merkle.ts';
import { mth, numberedLeaves } from './recursive-tree.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

// The eight leaves and the roots that Certificate Transparency implementations test with
// (certificate-transparency/cpp/merkletree/merkle_tree_test.cc), in the order of the tree's size.
const CT_LEAVES = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'];
const CT_ROOTS = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];

describe('the Merkle tree of RFC 9162 §2.1', () => {
  test('has the roots of the Certificate Transparency vectors', () => {
    const range = CompactRange.empty();
    const roots = [hex(range.root())];
    for (const leaf of CT_LEAVES) {
      range.append(leafHash(Buffer.from(leaf, 'hex')));
      roots.push(hex(range.root()));
    }
    expect(roots).toEqual(CT_ROOTS);
    expect(hex(EMPTY_ROOT)).toBe(CT_ROOTS[0]);
  });

  test('has the root of the recursive definition at every size up to 300', () => {
    const leaves = numberedLeaves(300);
    const range = CompactRange.empty();
    for (const [index, leaf] of leaves.entries()) {
      range.append(leafHash(leaf));
      expect(hex(range.root())).toBe(hex(mth(leaves.slice(0, index + 1))));
    }
  });

  test('a leaf never hashes like a node', () => {
    const [left, right] = [leafHash(Buffer.from('a')), leafHash(Buffer.from('b'))];
    expect(hex(leafHash(Buffer.concat([left, right])))).not.toBe(hex(nodeHash(left, right)));
  });

  test('hashes leaves longer than the buffer it starts with', () => {
    const long = new Uint8Array(100_000).fill(7);
    expect(hex(leafHash(long))).toBe(hex(mth([long])));
    expect(hex(leafHash(new Uint8Array(0)))).toBe(CT_ROOTS[1]);
  });
});

describe('CompactRange', () => {
  test('goes on from its frontier as if it had never stopped', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 8 }), { maxLength: 80 }), fc.nat(80), (leaves, cut) => {
        const first = CompactRange.empty();
        for (const leaf of leaves.slice(0, cut)) first.append(leafHash(leaf));
        const second = CompactRange.from(first.size, first.frontier());
        for (const leaf of leaves.slice(cut)) second?.append(leafHash(leaf));
        expect(second?.size).toBe(leaves.length);
        expect(hex(second?.root() ?? new Uint8Array(0))).toBe(hex(mth(leaves)));
      }),
    );
  });

  test('tells of each complete subtree once, at its place', () => {
    const leaves = numberedLeaves(37);
    const heard = new Map<string, string>();
    const range = CompactRange.empty();
    for (const leaf of leaves) {
      range.append(leafHash(leaf), (level, index, hash) => {
        expect(heard.has(`${level}/${index}`)).toBe(false);
        heard.set(`${level}/${index}`, hex(hash));
      });
    }
    for (let level = 0, width = 1; width <= leaves.length; level++, width *= 2) {
      for (let index = 0; (index + 1) * width <= leaves.length; index++) {
        expect(heard.get(`${level}/${index}`)).toBe(hex(mth(leaves.slice(index * width, (index + 1) * width))));
        heard.delete(`${level}/${index}`);
      }
    }
    expect(heard.size).toBe(0);
  });

  test.each([
    ['one hash too few', 3, 32],
    ['one hash too many', 4, 64],
    ['half a hash', 1, 16],
    ['a negative size', -1, 0],
    ['a fraction', 0.5, 0],
  ])('refuses a frontier with %s', (_what, size, octets) => {
    expect(CompactRange.from(size, new Uint8Array(octets))).toBeUndefined();
  });

  test('holds sizes beyond 32 bits', () => {
    const size = 2 ** 40 + 1;
    const range = CompactRange.from(size, new Uint8Array(64));
    range?.append(new Uint8Array(32));
    expect(range?.size).toBe(size + 1);
    expect(range?.frontier().length).toBe(64);
  });
});
