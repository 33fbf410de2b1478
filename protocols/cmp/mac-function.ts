import { createCipheriv, createHmac, randomBytes } from 'node:crypto';

import { decode, encode } from '../../core/asn1/codec.ts';
import { defaulted, octetString, sequence, smallInteger } from '../../core/asn1/schema.ts';
import { type AlgorithmIdentifier, hasNoParameters, NULL_PARAMETERS } from '../../core/cms/algorithm-identifier.ts';
import { CmpFault } from './errors.ts';
import { kmac } from './kmac.ts';
import { HASH, HMAC, MAC_ALGORITHM } from './oids.ts';

/** Hash functions by their names in node:crypto. */
export type MacHash =
  | 'sha1'
  | 'sha224'
  | 'sha256'
  | 'sha384'
  | 'sha512'
  | 'sha3-224'
  | 'sha3-256'
  | 'sha3-384'
  | 'sha3-512';

/** A message authentication code whose key is at hand (RFC 9481 §6.2). */
export type MacFunction =
  | { readonly kind: 'hmac'; readonly hash: MacHash }
  | {
      readonly kind: 'kmac';
      readonly strength: 128 | 256;
      readonly octets: number;
      readonly customization: Uint8Array;
    }
  | {
      readonly kind: 'gmac';
      readonly keyOctets: 16 | 24 | 32;
      readonly nonce: Uint8Array;
      readonly tagOctets: number;
    };

const HASH_OCTETS: Readonly<Record<MacHash, number>> = {
  sha1: 20,
  sha224: 28,
  sha256: 32,
  sha384: 48,
  sha512: 64,
  'sha3-224': 28,
  'sha3-256': 32,
  'sha3-384': 48,
  'sha3-512': 64,
};

/** The identifiers that Muster writes. */
const HMAC_OID: Readonly<Record<MacHash, string>> = {
  sha1: HMAC.sha1,
  sha224: HMAC.sha224,
  sha256: HMAC.sha256,
  sha384: HMAC.sha384,
  sha512: HMAC.sha512,
  'sha3-224': HMAC.sha3_224,
  'sha3-256': HMAC.sha3_256,
  'sha3-384': HMAC.sha3_384,
  'sha3-512': HMAC.sha3_512,
};
const HASH_OID: Readonly<Record<MacHash, string>> = {
  sha1: HASH.sha1,
  sha224: HASH.sha224,
  sha256: HASH.sha256,
  sha384: HASH.sha384,
  sha512: HASH.sha512,
  'sha3-224': HASH.sha3_224,
  'sha3-256': HASH.sha3_256,
  'sha3-384': HASH.sha3_384,
  'sha3-512': HASH.sha3_512,
};
const MAC_HASHES = Object.keys(HASH_OCTETS) as MacHash[];
const HASH_BY_HMAC: ReadonlyMap<string, MacHash> = new Map([
  ...MAC_HASHES.map((hash) => [HMAC_OID[hash], hash] as const),
  [HMAC.sha1Rfc2104, 'sha1'],
]);
const HASH_BY_OID: ReadonlyMap<string, MacHash> = new Map(MAC_HASHES.map((hash) => [HASH_OID[hash], hash]));

const GMAC_KEY_OCTETS: ReadonlyMap<string, 16 | 24 | 32> = new Map([
  [MAC_ALGORITHM.aes128Gmac, 16],
  [MAC_ALGORITHM.aes192Gmac, 24],
  [MAC_ALGORITHM.aes256Gmac, 32],
]);
const GMAC_OID = { 16: MAC_ALGORITHM.aes128Gmac, 24: MAC_ALGORITHM.aes192Gmac, 32: MAC_ALGORITHM.aes256Gmac };

// RFC 8702 §3.4: the length in bits.
const NO_OCTETS = new Uint8Array();
const kmacParameters = (bits: number) =>
  sequence('KMAC-params', {
    kMACOutputLength: defaulted(smallInteger, bits),
    customizationString: defaulted(octetString, NO_OCTETS),
  });
const KMAC_PARAMETERS = { 128: kmacParameters(256), 256: kmacParameters(512) } as const;
const KMAC_BITS = { min: 128, max: 1024 };

// RFC 9044 §2
const gmacParameters = sequence('GMACParameters', { nonce: octetString, length: defaulted(smallInteger, 12) });
/** RFC 9044 §2 recommends 12 octets; others make GMAC derive one, which nobody needs. */
const NONCE_OCTETS = 12;
const TAG_OCTETS = { min: 12, max: 16 };

/**
 * The function an AlgorithmIdentifier names; undefined for one that is no MAC.
 * @throws CmpFault `badAlg` for parameters out of bounds; Asn1Error
 */
export function macFunctionOf(identifier: AlgorithmIdentifier): MacFunction | undefined {
  const hash = HASH_BY_HMAC.get(identifier.algorithm);
  if (hash !== undefined) {
    if (!hasNoParameters(identifier)) throw new CmpFault('badAlg', 'HMAC: expected no parameters', 'bad-algorithm');
    return { kind: 'hmac', hash };
  }
  const keyOctets = GMAC_KEY_OCTETS.get(identifier.algorithm);
  if (keyOctets !== undefined) return gmacOf(identifier, keyOctets);
  if (identifier.algorithm === MAC_ALGORITHM.kmacWithShake128) return kmacOf(identifier, 128);
  if (identifier.algorithm === MAC_ALGORITHM.kmacWithShake256) return kmacOf(identifier, 256);
  return undefined;
}

/** The one-way function an AlgorithmIdentifier names (RFC 9810 §5.1.3.1). Throws CmpFault `badAlg`. */
export function oneWayFunctionOf(identifier: AlgorithmIdentifier): MacHash {
  const hash = HASH_BY_OID.get(identifier.algorithm);
  if (hash !== undefined && hasNoParameters(identifier)) return hash;
  throw new CmpFault('badAlg', `expected SHA-1, SHA-2 or SHA-3, found ${identifier.algorithm}`, 'bad-algorithm');
}

/** The hash of the pseudo-random function of PBKDF2 (RFC 8018 §A.2). Throws CmpFault `badAlg`. */
export function pseudoRandomFunctionOf(identifier: AlgorithmIdentifier): MacHash {
  const hash = HASH_BY_HMAC.get(identifier.algorithm);
  if (hash !== undefined && hasNoParameters(identifier)) return hash;
  throw new CmpFault('badAlg', `expected HMAC, found ${identifier.algorithm}`, 'bad-algorithm');
}

/** The identifier of a one-way function. */
export function oneWayIdentifier(hash: MacHash): AlgorithmIdentifier {
  return { algorithm: HASH_OID[hash] };
}

/** The identifier of HMAC with a hash, its parameters NULL (RFC 8018 §B.1.2). */
export function hmacIdentifier(hash: MacHash): AlgorithmIdentifier {
  return { algorithm: HMAC_OID[hash], parameters: NULL_PARAMETERS };
}

/** Octets of a hash. */
export function hashOctets(hash: MacHash): number {
  return HASH_OCTETS[hash];
}

/** Octets of key that a function takes; for HMAC and KMAC, which take any, as many as the function is strong. */
export function keyOctetsOf(mac: MacFunction): number {
  switch (mac.kind) {
    case 'hmac':
      return HASH_OCTETS[mac.hash];
    case 'kmac':
      return mac.strength / 8;
    case 'gmac':
      return mac.keyOctets;
  }
}

/** The MAC of some octets. The key of GMAC has exactly the length of its cipher's. */
export function computeMac(mac: MacFunction, key: Uint8Array, data: Uint8Array): Uint8Array {
  switch (mac.kind) {
    case 'hmac':
      return createHmac(mac.hash, key).update(data).digest();
    case 'kmac':
      return kmac(mac.strength, key, data, mac.octets, mac.customization);
    case 'gmac': {
      const cipher = createCipheriv(
        `aes-${mac.keyOctets === 16 ? 128 : mac.keyOctets === 24 ? 192 : 256}-gcm`,
        key,
        mac.nonce,
        {
          authTagLength: mac.tagOctets,
        },
      );
      cipher.setAAD(data);
      cipher.final();
      return cipher.getAuthTag();
    }
  }
}

/** The same GMAC with a nonce of its own: under one key no nonce may serve twice (RFC 9044 §4). */
export function withFreshNonce(mac: MacFunction & { readonly kind: 'gmac' }): {
  readonly mac: MacFunction;
  readonly identifier: AlgorithmIdentifier;
} {
  const nonce = randomBytes(NONCE_OCTETS);
  const parameters = encode(gmacParameters, { nonce, length: mac.tagOctets });
  return { mac: { ...mac, nonce }, identifier: { algorithm: GMAC_OID[mac.keyOctets], parameters } };
}

function kmacOf({ parameters }: AlgorithmIdentifier, strength: 128 | 256): MacFunction {
  const schema = KMAC_PARAMETERS[strength];
  const { kMACOutputLength: bits, customizationString: customization } =
    parameters === undefined
      ? { kMACOutputLength: strength * 2, customizationString: NO_OCTETS }
      : decode(schema, parameters);
  if (bits % 8 !== 0 || bits < KMAC_BITS.min || bits > KMAC_BITS.max || customization.length > 64) {
    throw new CmpFault(
      'badAlg',
      `KMAC: expected ${KMAC_BITS.min} to ${KMAC_BITS.max} bits, found ${bits}`,
      'bad-algorithm',
    );
  }
  return { kind: 'kmac', strength, octets: bits / 8, customization };
}

function gmacOf({ parameters }: AlgorithmIdentifier, keyOctets: 16 | 24 | 32): MacFunction {
  if (parameters === undefined) throw new CmpFault('badAlg', 'AES-GMAC: expected a nonce, found none', 'bad-algorithm');
  const { nonce, length: tagOctets } = decode(gmacParameters, parameters);
  if (nonce.length !== NONCE_OCTETS || tagOctets < TAG_OCTETS.min || tagOctets > TAG_OCTETS.max) {
    throw new CmpFault('badAlg', 'AES-GMAC: expected a nonce of 12 octets and a tag of 12 to 16', 'bad-algorithm');
  }
  return { kind: 'gmac', keyOctets, nonce, tagOctets };
}
