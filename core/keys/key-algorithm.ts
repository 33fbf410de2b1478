import type { CurveName } from '../x509/ec-curve.ts';
import type { PublicKeyAlgorithm } from '../x509/public-key.ts';

/** What a kind of key is to a token. */
export type KeyParameters =
  | { readonly kind: 'rsa'; readonly bits: number }
  | { readonly kind: 'ec'; readonly curve: CurveName }
  | { readonly kind: 'ed25519' }
  | { readonly kind: 'ml-dsa'; readonly parameterSet: 44 | 65 | 87; readonly signatureOctets: number };

/** Every kind of key Muster makes in a token. ML-DSA: sizes of FIPS 204 table 2. */
export const KEY_ALGORITHMS = {
  'rsa-2048': { kind: 'rsa', bits: 2048 },
  'rsa-3072': { kind: 'rsa', bits: 3072 },
  'rsa-4096': { kind: 'rsa', bits: 4096 },
  'ec-p256': { kind: 'ec', curve: 'P-256' },
  'ec-p384': { kind: 'ec', curve: 'P-384' },
  'ec-p521': { kind: 'ec', curve: 'P-521' },
  ed25519: { kind: 'ed25519' },
  'ml-dsa-44': { kind: 'ml-dsa', parameterSet: 44, signatureOctets: 2420 },
  'ml-dsa-65': { kind: 'ml-dsa', parameterSet: 65, signatureOctets: 3309 },
  'ml-dsa-87': { kind: 'ml-dsa', parameterSet: 87, signatureOctets: 4627 },
} as const satisfies Record<string, KeyParameters>;

/** The name of a kind of key: a key of {@link KEY_ALGORITHMS}. */
export type KeyAlgorithm = keyof typeof KEY_ALGORITHMS;

const NAMES = Object.keys(KEY_ALGORITHMS) as KeyAlgorithm[];

/** The kind of key a public key belongs to; `undefined` for one that Muster does not keep in tokens (RSA of other sizes). */
export function keyAlgorithmOf(publicKey: PublicKeyAlgorithm): KeyAlgorithm | undefined {
  return NAMES.find((name) => fits(KEY_ALGORITHMS[name], publicKey));
}

function fits(parameters: KeyParameters, publicKey: PublicKeyAlgorithm): boolean {
  switch (parameters.kind) {
    case 'rsa':
      return publicKey.kind === 'rsa' && publicKey.bits === parameters.bits;
    case 'ec':
      return publicKey.kind === 'ec' && publicKey.curve === parameters.curve;
    case 'ed25519':
      return publicKey.kind === 'ed25519';
    case 'ml-dsa':
      return publicKey.kind === 'ml-dsa' && publicKey.parameterSet === parameters.parameterSet;
  }
}
