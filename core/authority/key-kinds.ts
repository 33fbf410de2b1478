import { encode } from '../asn1/codec.ts';
import { oid } from '../asn1/schema.ts';
import type { KeyRules } from './profile.ts';
import { type AlgorithmIdentifier, NULL_PARAMETERS } from '../cms/algorithm-identifier.ts';
import { NAMED_CURVE, PUBLIC_KEY } from '../x509/oids.ts';
import type { PublicKeyAlgorithm } from '../x509/public-key.ts';

/** The public exponent of the RSA keys made here: everybody's. */
export const RSA_EXPONENT = 65_537;

/** Longest RSA key that is made here, unless the profile asks for more: each doubling takes 8 to 16 times as long. */
export const LONGEST_RSA_BITS = 4096;

const CURVES = { 'P-256': NAMED_CURVE.secp256r1, 'P-384': NAMED_CURVE.secp384r1, 'P-521': NAMED_CURVE.secp521r1 };
const ML_DSA = { 44: PUBLIC_KEY.mlDsa44, 65: PUBLIC_KEY.mlDsa65, 87: PUBLIC_KEY.mlDsa87 };

/** Every kind of key that the rules allow, the preferred first: EC, Edwards, RSA of the least size, ML-DSA. */
export function keyKinds(rules: KeyRules): readonly PublicKeyAlgorithm[] {
  return [
    ...rules.ec.map((curve) => ({ kind: 'ec', curve }) as const),
    ...rules.edwards.map((kind) => ({ kind }) as const),
    ...(rules.rsa ? [{ kind: 'rsa', bits: rules.rsa.minBits, exponent: RSA_EXPONENT } as const] : []),
    ...rules.mlDsa.map((parameterSet) => ({ kind: 'ml-dsa', parameterSet }) as const),
  ];
}

/** The AlgorithmIdentifier of a kind of key, as SubjectPublicKeyInfo has it. */
export function keyAlgorithmIdentifier(key: PublicKeyAlgorithm): AlgorithmIdentifier {
  switch (key.kind) {
    case 'rsa':
      return { algorithm: PUBLIC_KEY.rsaEncryption, parameters: NULL_PARAMETERS };
    case 'ec':
      return { algorithm: PUBLIC_KEY.ecPublicKey, parameters: encode(oid, CURVES[key.curve]) };
    case 'ed25519':
    case 'ed448':
      return { algorithm: PUBLIC_KEY[key.kind] };
    case 'ml-dsa':
      return { algorithm: ML_DSA[key.parameterSet] };
  }
}
