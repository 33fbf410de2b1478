import { createHash, createHmac } from 'node:crypto';
import { digestOctets, type NameHash } from './algorithms.ts';

/** The two contexts of a derivation: octets that bind the key to what it is for. */
export interface DerivationContext {
  readonly u?: Uint8Array;
  readonly v?: Uint8Array;
}

const NONE = new Uint8Array();

/**
 * KDFa (TPM 2.0 Library, Part 1 §11.4.10.2; NIST SP 800-108 in counter mode with HMAC): whole octets of `bits`. The label goes in
 * with a final NUL.
 */
export function kdfA(
  hash: NameHash,
  key: Uint8Array,
  label: string,
  { u = NONE, v = NONE }: DerivationContext,
  bits: number,
): Uint8Array {
  return blocks(hash, bits, (counter) =>
    createHmac(hash, key).update(word(counter)).update(`${label}\0`).update(u).update(v).update(word(bits)).digest(),
  );
}

/** KDFe (Part 1 §11.4.10.3; NIST SP 800-56A one-step): from an ECDH secret `z`, with party information. Its bits are not hashed. */
export function kdfE(
  hash: NameHash,
  z: Uint8Array,
  label: string,
  { u = NONE, v = NONE }: DerivationContext,
  bits: number,
): Uint8Array {
  return blocks(hash, bits, (counter) =>
    createHash(hash).update(word(counter)).update(z).update(`${label}\0`).update(u).update(v).digest(),
  );
}

// Every key derived here has whole octets, so no bits of the first one are masked.
function blocks(hash: NameHash, bits: number, block: (counter: number) => Uint8Array): Uint8Array {
  const octets = bits / 8;
  const count = Math.ceil(octets / digestOctets(hash));
  const derived = Buffer.concat(Array.from({ length: count }, (_, index) => block(index + 1)));
  return new Uint8Array(derived.subarray(0, octets));
}

function word(value: number): Uint8Array {
  const octets = new Uint8Array(4);
  new DataView(octets.buffer).setUint32(0, value);
  return octets;
}
