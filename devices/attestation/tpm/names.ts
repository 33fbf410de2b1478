import { createHash } from 'node:crypto';
import { hashAlgorithmId, type NameHash } from './algorithms.ts';
import type { PublicArea } from './public-area.ts';

/** The Name of an object: nameAlg ‖ digest of its public area exactly as received (TPM 2.0 Library, Part 1 §16). 34 octets with SHA-256. */
export function objectName(area: PublicArea): Uint8Array {
  return digestWithAlgorithm(area.nameAlg, [area.bytes]);
}

/**
 * The Qualified Name of an object below the one with the Qualified Name `parent`: which key under which parents, up to a hierarchy,
 * whose Qualified Name is its handle (Part 1 §26.5).
 */
export function qualifiedName(parent: Uint8Array, area: PublicArea): Uint8Array {
  return digestWithAlgorithm(area.nameAlg, [parent, objectName(area)]);
}

function digestWithAlgorithm(hash: NameHash, parts: readonly Uint8Array[]): Uint8Array {
  const digest = createHash(hash);
  for (const part of parts) digest.update(part);
  const algorithm = hashAlgorithmId(hash);
  return Uint8Array.from([algorithm >> 8, algorithm & 0xff, ...digest.digest()]);
}
