import type { Random } from './random.ts';
import { allNodes, concat, encodeTlv, parseTlv, wrap } from './tlv-tree.ts';
import type { TlvNode } from './tlv-tree.ts';

/** A valid message, taken apart once. */
export interface Seed {
  readonly bytes: Uint8Array;
  /** Empty where the message is not one DER encoding (text, BER with indefinite lengths). */
  readonly nodes: readonly TlvNode[];
}

/** Prepares messages for {@link mutate}. */
export function prepareSeeds(messages: readonly Uint8Array[]): readonly Seed[] {
  return messages.map((bytes) => ({ bytes, nodes: allNodes(parseTlv(bytes) ?? []) }));
}

/** One to three mutations of one of the messages. */
export function mutate(random: Random, seeds: readonly Seed[]): Uint8Array {
  const seed = random.pick(seeds);
  const isTree = seed.nodes.length > 0 && random.below(2) === 0;
  let bytes = isTree ? random.pick(TREE_MUTATIONS)(random, seed, random.pick(seeds)) : seed.bytes;
  const rounds = isTree ? random.below(2) : 1 + random.below(3);
  for (let i = 0; i < rounds; i++) bytes = random.pick(BYTE_MUTATIONS)(random, bytes, random.pick(seeds).bytes);
  return random.below(ONE_IN_SO_MANY_GROWS) === 0 ? grow(random, bytes, seed) : bytes;
}

/** Octets that come from no message: random ones, or a random tree of encodings. */
export function arbitrary(random: Random): Uint8Array {
  return random.below(3) === 0 ? random.bytes(random.below(200)) : randomTree(random, 1 + random.below(6));
}

// Work that grows faster than the input shows only in large inputs, and these are slow to make.
const ONE_IN_SO_MANY_GROWS = 500;
const GROWN_BYTES = 60_000;

type ByteMutation = (random: Random, bytes: Uint8Array, other: Uint8Array) => Uint8Array;
type TreeMutation = (random: Random, seed: Seed, other: Seed) => Uint8Array;

// Where decoders make mistakes: signs, the two forms of a length, the frequent identifiers.
const TELLING_OCTETS = [0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x1f, 0x24, 0x30, 0x31, 0x7f, 0x80, 0x81, 0x82];
const MORE_TELLING_OCTETS = [0x84, 0x88, 0xa0, 0xa1, 0xa3, 0xbf, 0xfe, 0xff];
const WRAPPERS = [0x24, 0x30, 0x31, 0xa0, 0xa1, 0xa4, 0x04];
const LONG_LENGTHS = [
  [0x80],
  [0x81, 0x01],
  [0x82, 0x00, 0x05],
  [0x84, 0xff, 0xff, 0xff, 0xff],
  [0x84, 0x7f, 0xff, 0xff, 0xff],
  [0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
  [0xff],
];

const BYTE_MUTATIONS: readonly ByteMutation[] = [
  function flipBit(random, bytes) {
    const copy = Uint8Array.from(bytes);
    const at = random.below(copy.length);
    if (copy.length > 0) copy[at]! ^= 1 << random.below(8);
    return copy;
  },
  function setOctet(random, bytes) {
    const copy = Uint8Array.from(bytes);
    if (copy.length > 0) copy[random.below(copy.length)] = random.pick([...TELLING_OCTETS, ...MORE_TELLING_OCTETS]);
    return copy;
  },
  function nudgeOctet(random, bytes) {
    const copy = Uint8Array.from(bytes);
    if (copy.length > 0) copy[random.below(copy.length)]! += random.pick([1, -1, 2, -2, 16]);
    return copy;
  },
  (random, bytes) => bytes.slice(0, random.below(bytes.length + 1)),
  (random, bytes) => insert(bytes, random.below(bytes.length + 1), random.bytes(1 + random.below(8))),
  (random, bytes) => insert(bytes, bytes.length, random.bytes(1 + random.below(4))),
  function remove(random, bytes) {
    const at = random.below(bytes.length + 1);
    return concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random.below(8))]);
  },
  function repeat(random, bytes) {
    const at = random.below(bytes.length + 1);
    return insert(bytes, at, bytes.slice(at, at + random.below(64)));
  },
  (random, bytes) => insert(bytes, random.below(bytes.length + 1), Uint8Array.from(random.pick(LONG_LENGTHS))),
  function splice(random, bytes, other) {
    return concat([bytes.subarray(0, random.below(bytes.length + 1)), other.subarray(random.below(other.length + 1))]);
  },
];

// All keep the lengths around the change right, so that it is met by the decoder of its own place.
const TREE_MUTATIONS: readonly TreeMutation[] = [
  (random, seed, other) => swap(seed, random.pick(seed.nodes), encodeNode(random.pick(anyNodes(seed, other)))),
  (random, seed) => swap(seed, random.pick(seed.nodes), new Uint8Array()),
  function duplicate(random, seed) {
    const node = random.pick(seed.nodes);
    const copies = Array.from({ length: 2 + random.below(random.below(20) === 0 ? 200 : 3) }, () => encodeNode(node));
    return swap(seed, node, concat(copies));
  },
  function nest(random, seed) {
    const node = random.pick(seed.nodes);
    return swap(seed, node, nested(random, encodeNode(node), 1 + random.below(random.below(10) === 0 ? 100 : 3)));
  },
  function retag(random, seed) {
    const node = random.pick(seed.nodes);
    const der = encodeNode(node);
    der[0] = random.pick([...TELLING_OCTETS, ...MORE_TELLING_OCTETS]);
    return swap(seed, node, der);
  },
  function changeContents(random, seed) {
    const node = random.pick(seed.nodes);
    return swap(seed, node, wrap(node.identifier, random.pick(BYTE_MUTATIONS)(random, node.contents, node.contents)));
  },
  function changeLength(random, seed) {
    const node = random.pick(seed.nodes);
    const length = random.pick(LONG_LENGTHS);
    return swap(seed, node, concat([Uint8Array.of(node.identifier, ...length), node.contents, new Uint8Array(2)]));
  },
  function replaceByArbitrary(random, seed) {
    return swap(seed, random.pick(seed.nodes), randomTree(random, 1 + random.below(3)));
  },
];

// A part of the octets, or one encoding, again and again.
function grow(random: Random, bytes: Uint8Array, seed: Seed): Uint8Array {
  const node = seed.nodes.length > 0 && random.below(3) > 0 ? random.pick(seed.nodes) : undefined;
  const at = random.below(bytes.length + 1);
  const unit = node === undefined ? bytes.slice(at, at + 1 + random.below(100)) : encodeNode(node);
  const copies = Array.from({ length: Math.ceil(GROWN_BYTES / Math.max(1, unit.length)) }, () => unit);
  return node === undefined ? insert(bytes, at, concat(copies)) : swap(seed, node, concat(copies));
}

function swap(seed: Seed, target: TlvNode, replacement: Uint8Array): Uint8Array {
  return encodeTlv(seed.nodes[0]!, (node) => (node === target ? replacement : undefined));
}

function encodeNode(node: TlvNode): Uint8Array {
  return encodeTlv(node, () => undefined);
}

function anyNodes(seed: Seed, other: Seed): readonly TlvNode[] {
  return other.nodes.length > 0 ? other.nodes : seed.nodes;
}

function nested(random: Random, der: Uint8Array, levels: number): Uint8Array {
  let result = der;
  const wrapper = random.pick(WRAPPERS);
  for (let i = 0; i < levels; i++) result = wrap(wrapper, result);
  return result;
}

function randomTree(random: Random, depth: number): Uint8Array {
  const identifier = random.pick([...TELLING_OCTETS, 0x0a, 0x0c, 0x13, 0x17, 0x18, 0x1e, 0xa0, 0x80, 0x82]);
  const isPrimitive = depth === 0 || (identifier & 0x20) === 0;
  if (isPrimitive) return wrap(identifier, random.bytes(random.below(random.below(20) === 0 ? 300 : 12)));
  return wrap(identifier, concat(Array.from({ length: random.below(5) }, () => randomTree(random, depth - 1))));
}

function insert(bytes: Uint8Array, at: number, inserted: Uint8Array): Uint8Array {
  return concat([bytes.subarray(0, at), inserted, bytes.subarray(at)]);
}
