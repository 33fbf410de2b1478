/** An encoding taken apart loosely, so that it can be put together wrongly. */
export interface TlvNode {
  /** The identifier octet (mutations are not interested in longer ones). */
  readonly identifier: number;
  readonly children: readonly TlvNode[] | undefined;
  readonly contents: Uint8Array;
}

/** Takes as many encodings from the octets as there are; undefined where they do not fill the octets exactly. */
export function parseTlv(bytes: Uint8Array, depth = 0): readonly TlvNode[] | undefined {
  const nodes: TlvNode[] = [];
  let at = 0;
  while (at < bytes.length) {
    const header = readHeader(bytes, at);
    if (header === undefined) return undefined;
    const contents = bytes.subarray(header.start, header.end);
    const identifier = bytes[at]!;
    nodes.push({ identifier, children: childrenOf(identifier, contents, depth), contents });
    at = header.end;
  }
  return nodes;
}

/** Every node below and with the given ones. */
export function allNodes(nodes: readonly TlvNode[]): readonly TlvNode[] {
  return nodes.flatMap((node) => [node, ...allNodes(node.children ?? [])]);
}

/** Encodes with right lengths, save that `replace` may put other octets in the place of a node. */
export function encodeTlv(node: TlvNode, replace: (node: TlvNode) => Uint8Array | undefined): Uint8Array {
  const replacement = replace(node);
  if (replacement !== undefined) return replacement;
  if (node.children === undefined) return wrap(node.identifier, node.contents);
  return wrap(node.identifier, concat(node.children.map((child) => encodeTlv(child, replace))));
}

/** One encoding with a minimal length. */
export function wrap(identifier: number, contents: Uint8Array): Uint8Array {
  return concat([Uint8Array.of(identifier, ...lengthOctets(contents.length)), contents]);
}

/** The octets of all parts, one after the other. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function lengthOctets(length: number): readonly number[] {
  if (length < 0x80) return [length];
  if (length < 0x100) return [0x81, length];
  if (length < 0x10000) return [0x82, length >> 8, length & 0xff];
  return [0x84, length >>> 24, (length >> 16) & 0xff, (length >> 8) & 0xff, length & 0xff];
}

// Constructed encodings, and what looks like DER inside an OCTET STRING.
function childrenOf(identifier: number, contents: Uint8Array, depth: number): readonly TlvNode[] | undefined {
  if (depth > 40 || contents.length === 0) return undefined;
  const mayContain = (identifier & 0x20) !== 0 || (identifier === 0x04 && contents[0] === 0x30);
  return mayContain ? parseTlv(contents, depth + 1) : undefined;
}

function readHeader(bytes: Uint8Array, at: number): { start: number; end: number } | undefined {
  const first = bytes[at + 1];
  if (first === undefined || (bytes[at]! & 0x1f) === 0x1f) return undefined;
  const octets = first < 0x80 ? 0 : first & 0x7f;
  if (octets > 3 || first === 0x80) return undefined;
  let length = first < 0x80 ? first : 0;
  for (let i = 0; i < octets; i++) length = length * 256 + (bytes[at + 2 + i] ?? 0);
  const start = at + 2 + octets;
  return start + length <= bytes.length ? { start, end: start + length } : undefined;
}
