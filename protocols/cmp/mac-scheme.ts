import { randomBytes } from 'node:crypto';

import { encode } from '../../core/asn1/codec.ts';
import { choice, octetString, optional, sequence, smallInteger } from '../../core/asn1/schema.ts';
import {
  type AlgorithmIdentifier,
  algorithmIdentifierSchema,
  parametersOf,
} from '../../core/cms/algorithm-identifier.ts';
import type { CmpMac } from '../../core/enrollment/cmp-settings.ts';
import { CmpFault } from './errors.ts';
import {
  hashOctets,
  hmacIdentifier,
  keyOctetsOf,
  type MacFunction,
  macFunctionOf,
  type MacHash,
  oneWayFunctionOf,
  oneWayIdentifier,
  pseudoRandomFunctionOf,
  withFreshNonce,
} from './mac-function.ts';
import { MAC_ALGORITHM } from './oids.ts';

/** How the key of a MAC comes from a shared secret (RFC 9481 §6.1); bounded already when it is one of these. */
export type KeyDerivation =
  /** RFC 9810 §5.1.3.1: the hash of secret and salt, hashed again and again. */
  | {
      readonly kind: 'pbm';
      readonly salt: Uint8Array;
      readonly hash: MacHash;
      readonly iterations: number;
      readonly octets: number;
    }
  /** RFC 8018 §5.2 in PBMAC1 (§7.1, RFC 9579). */
  | {
      readonly kind: 'pbkdf2';
      readonly salt: Uint8Array;
      readonly hash: MacHash;
      readonly iterations: number;
      readonly octets: number;
    }
  /** RFC 9481 §6.2: the octets of the secret are the key. */
  | { readonly kind: 'none' };

/** A MAC over messages as protectionAlg names it. */
export interface MacScheme {
  /** What an endpoint's settings call it. */
  readonly name: CmpMac;
  readonly derivation: KeyDerivation;
  readonly mac: MacFunction;
  /** The DER of the AlgorithmIdentifier. */
  readonly der: Uint8Array;
}

// RFC 9810 §5.1.3.1
const pbmParameter = sequence('PBMParameter', {
  salt: octetString,
  owf: algorithmIdentifierSchema,
  iterationCount: smallInteger,
  mac: algorithmIdentifierSchema,
});

// RFC 8018 §A.2, §A.5
const pbkdf2Params = sequence('PBKDF2-params', {
  salt: choice('salt', { specified: octetString, otherSource: algorithmIdentifierSchema }),
  iterationCount: smallInteger,
  keyLength: optional(smallInteger),
  prf: optional(algorithmIdentifierSchema),
});
const pbmac1Params = sequence('PBMAC1-params', {
  keyDerivationFunc: algorithmIdentifierSchema,
  messageAuthScheme: algorithmIdentifierSchema,
});

/** V30; a salt shorter than eight octets is nobody's, a longer one than 64 only work. */
const SALT_OCTETS = { min: 8, max: 64 };
/** RFC 8018 §A.2: the DEFAULT. */
const DEFAULT_PRF: AlgorithmIdentifier = hmacIdentifier('sha1');

/** What an endpoint lets a sender choose. */
export interface MacBounds {
  readonly macs: readonly CmpMac[];
  readonly iterations: { readonly min: number; readonly max: number };
}

/**
 * The scheme of a protectionAlg, its figures within the bounds; undefined where it names no MAC. Nothing is derived here.
 *
 * @param der the complete encoding of the AlgorithmIdentifier
 * @throws CmpFault `badAlg`; Asn1Error
 */
export function macSchemeOf(
  identifier: AlgorithmIdentifier,
  der: Uint8Array,
  bounds: MacBounds,
): MacScheme | undefined {
  const scheme = readScheme(identifier, der);
  if (scheme === undefined) return undefined;
  if (!bounds.macs.includes(scheme.name)) {
    throw new CmpFault('badAlg', `expected one of ${bounds.macs.join(', ')}, found ${scheme.name}`, 'bad-algorithm');
  }
  const { derivation } = scheme;
  if (derivation.kind !== 'none') {
    assertWithin(derivation.iterations, bounds.iterations, 'iterations');
    assertWithin(derivation.salt.length, SALT_OCTETS, 'octets of salt');
  }
  return scheme;
}

/** PBM as every client reads it, for answers where the sender's own choice is out of bounds. */
export function defaultMacScheme(): MacScheme {
  const derivation = { kind: 'pbm', salt: randomBytes(16), hash: 'sha256', iterations: 1024, octets: 32 } as const;
  return {
    name: 'pbm',
    derivation,
    mac: { kind: 'hmac', hash: 'sha256' },
    der: encode(algorithmIdentifierSchema, around(derivation, hmacIdentifier('sha256'))),
  };
}

/** The scheme for an answer: the same, so that nothing is derived again; a nonce is never used twice. */
export function answeringScheme(scheme: MacScheme): MacScheme {
  if (scheme.mac.kind !== 'gmac') return scheme;
  const { mac, identifier } = withFreshNonce(scheme.mac);
  return { ...scheme, mac, der: encode(algorithmIdentifierSchema, around(scheme.derivation, identifier)) };
}

function readScheme(identifier: AlgorithmIdentifier, der: Uint8Array): MacScheme | undefined {
  switch (identifier.algorithm) {
    case MAC_ALGORITHM.passwordBasedMac:
      return { name: 'pbm', der, ...passwordBasedMac(identifier) };
    case MAC_ALGORITHM.pbmac1:
      return { name: 'pbmac1', der, ...pbmac1(identifier) };
    default: {
      const mac = macFunctionOf(identifier);
      return mac && { name: mac.kind, derivation: { kind: 'none' }, mac, der };
    }
  }
}

function passwordBasedMac(identifier: AlgorithmIdentifier): Pick<MacScheme, 'derivation' | 'mac'> {
  const parameters = parametersOf(identifier, pbmParameter);
  if (parameters === undefined) throw new CmpFault('badAlg', 'PBM: expected parameters, found none', 'bad-algorithm');
  const mac = requiredMac(parameters.mac);
  const hash = oneWayFunctionOf(parameters.owf);
  const octets = mac.kind === 'gmac' ? mac.keyOctets : hashOctets(hash);
  if (octets > hashOctets(hash)) {
    throw new CmpFault(
      'badAlg',
      `PBM: expected a one-way function of ${octets} octets, found ${hash}`,
      'bad-algorithm',
    );
  }
  return {
    derivation: { kind: 'pbm', salt: parameters.salt, hash, iterations: parameters.iterationCount, octets },
    mac,
  };
}

function pbmac1(identifier: AlgorithmIdentifier): Pick<MacScheme, 'derivation' | 'mac'> {
  const parameters = parametersOf(identifier, pbmac1Params);
  const kdf = parameters && parametersOf(parameters.keyDerivationFunc, pbkdf2Params);
  if (kdf?.salt.kind !== 'specified' || parameters?.keyDerivationFunc.algorithm !== MAC_ALGORITHM.pbkdf2) {
    throw new CmpFault('badAlg', 'PBMAC1: expected PBKDF2 with a salt', 'bad-algorithm');
  }
  const mac = requiredMac(parameters.messageAuthScheme);
  const octets = kdf.keyLength ?? keyOctetsOf(mac);
  assertWithin(
    octets,
    mac.kind === 'gmac' ? { min: mac.keyOctets, max: mac.keyOctets } : { min: 14, max: 64 },
    'octets of key',
  );
  const hash = pseudoRandomFunctionOf(kdf.prf ?? DEFAULT_PRF);
  return { derivation: { kind: 'pbkdf2', salt: kdf.salt.value, hash, iterations: kdf.iterationCount, octets }, mac };
}

function requiredMac(identifier: AlgorithmIdentifier): MacFunction {
  const mac = macFunctionOf(identifier);
  if (mac !== undefined) return mac;
  throw new CmpFault('badAlg', `expected HMAC, KMAC or AES-GMAC, found ${identifier.algorithm}`, 'bad-algorithm');
}

/** The AlgorithmIdentifier of a derivation around that of a MAC. */
function around(derivation: KeyDerivation, mac: AlgorithmIdentifier): AlgorithmIdentifier {
  if (derivation.kind === 'none') return mac;
  const { salt, iterations: iterationCount, hash, octets } = derivation;
  if (derivation.kind === 'pbm') {
    const parameters = encode(pbmParameter, { salt, owf: oneWayIdentifier(hash), iterationCount, mac });
    return { algorithm: MAC_ALGORITHM.passwordBasedMac, parameters };
  }
  const kdf = encode(pbkdf2Params, {
    salt: { kind: 'specified', value: salt },
    iterationCount,
    keyLength: octets,
    prf: hmacIdentifier(hash),
  });
  const parameters = encode(pbmac1Params, {
    keyDerivationFunc: { algorithm: MAC_ALGORITHM.pbkdf2, parameters: kdf },
    messageAuthScheme: mac,
  });
  return { algorithm: MAC_ALGORITHM.pbmac1, parameters };
}

function assertWithin(value: number, { min, max }: { min: number; max: number }, what: string): void {
  if (value >= min && value <= max) return;
  throw new CmpFault('badAlg', `expected ${min} to ${max} ${what}, found ${value}`, 'bad-algorithm');
}
