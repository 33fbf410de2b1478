import { createHash } from 'node:crypto';
import { decode, encode } from '../asn1/codec.ts';
import { smallInteger } from '../asn1/schema.ts';
import { hasNoParameters } from './algorithm-identifier.ts';
import type { AlgorithmIdentifier } from './algorithm-identifier.ts';

/**
 * Digest algorithms of SignerInfo (RFC 3370 §2, RFC 5754 §2, RFC 8419 §2.3). `shake256-512` is id-shake256-len with 512
 * bits, which goes with Ed448. MD5 and SHA-1 are known so that an old client's choice can be named, accepted where the
 * caller lists them, and mirrored.
 */
export type DigestAlgorithm = 'md5' | 'sha1' | 'sha256' | 'sha384' | 'sha512' | 'shake256-512';

/** What a verifier accepts unless told otherwise. */
export const MODERN_DIGESTS: readonly DigestAlgorithm[] = ['sha256', 'sha384', 'sha512', 'shake256-512'];

const OID: Record<DigestAlgorithm, string> = {
  md5: '1.2.840.113549.2.5',
  sha1: '1.3.14.3.2.26',
  sha256: '2.16.840.1.101.3.4.2.1',
  sha384: '2.16.840.1.101.3.4.2.2',
  sha512: '2.16.840.1.101.3.4.2.3',
  'shake256-512': '2.16.840.1.101.3.4.2.18',
};
const NAME_OF: ReadonlyMap<string, DigestAlgorithm> = new Map(
  Object.entries(OID).map(([name, oid]) => [oid, name as DigestAlgorithm]),
);
const SHAKE_BITS = 512;

/** The digest named by an AlgorithmIdentifier; undefined for one that is not of the list. */
export function digestAlgorithmOf(identifier: AlgorithmIdentifier): DigestAlgorithm | undefined {
  const digest = NAME_OF.get(identifier.algorithm);
  if (digest === 'shake256-512') return hasShakeBits(identifier.parameters) ? digest : undefined;
  return hasNoParameters(identifier) ? digest : undefined;
}

/** The AlgorithmIdentifier of a digest: RFC 5754 §2 has the parameters absent for SHA-2. */
export function digestIdentifier(digest: DigestAlgorithm): AlgorithmIdentifier {
  if (digest !== 'shake256-512') return { algorithm: OID[digest] };
  return { algorithm: OID[digest], parameters: encode(smallInteger, SHAKE_BITS) };
}

/** The digest of some octets. */
export function digestOctets(digest: DigestAlgorithm, octets: Uint8Array): Uint8Array {
  const hash =
    digest === 'shake256-512' ? createHash('shake256', { outputLength: SHAKE_BITS / 8 }) : createHash(digest);
  return hash.update(octets).digest();
}

function hasShakeBits(parameters: Uint8Array | undefined): boolean {
  try {
    return parameters !== undefined && decode(smallInteger, parameters) === SHAKE_BITS;
  } catch {
    return false;
  }
}
