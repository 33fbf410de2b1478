import { encode } from '../../core/asn1/codec.ts';
import { oid } from '../../core/asn1/schema.ts';
import type { KeyRules } from '../../core/authority/profile.ts';
import { type AlgorithmIdentifier, NULL_PARAMETERS } from '../../core/cms/algorithm-identifier.ts';
import { NAMED_CURVE, PUBLIC_KEY } from '../../core/x509/oids.ts';
import type { PublicKeyAlgorithm } from '../../core/x509/public-key.ts';

/** RSA as everybody makes it. */
const EXPONENT = 65_537;
/** Longest RSA key that is made here, unless the profile asks for more: each doubling takes 8 to 16 times as long. */
const LONGEST_RSA_BITS = 4096;

const CURVES = { 'P-256': NAMED_CURVE.secp256r1, 'P-384': NAMED_CURVE.secp384r1, 'P-521': NAMED_CURVE.secp521r1 };
const ML_DSA = { 44: PUBLIC_KEY.mlDsa44, 65: PUBLIC_KEY.mlDsa65, 87: PUBLIC_KEY.mlDsa87 };

/** Every kind of key that the rules allow, the preferred first: EC, Edwards, RSA of the least size, ML-DSA. */
export function keyKinds(rules: KeyRules): readonly PublicKeyAlgorithm[] {
  return [
    ...rules.ec.map((curve) => ({ kind: 'ec', curve }) as const),
    ...rules.edwards.map((kind) => ({ kind }) as const),
    ...(rules.rsa ? [{ kind: 'rsa', bits: rules.rsa.minBits, exponent: EXPONENT } as const] : []),
    ...rules.mlDsa.map((parameterSet) => ({ kind: 'ml-dsa', parameterSet }) as const),
  ];
}

/**
 * The key to make for a template that names an algorithm (RFC 9483 §4.1.6: "the client may specify the type of key"), or
 * the preferred one where it names none; undefined where the rules allow no such key.
 */
export function keyFor(rules: KeyRules, wanted: AlgorithmIdentifier | undefined): PublicKeyAlgorithm | undefined {
  const kinds = keyKinds(rules);
  if (wanted === undefined) return kinds[0];
  const name = nameOf(wanted);
  const kind = kinds.find((candidate) => nameOf(keyAlgorithmIdentifier(candidate)) === name);
  if (kind?.kind !== 'rsa' || rules.rsa === undefined) return kind;
  return { ...kind, bits: Math.max(kind.bits, Math.min(rules.rsa.maxBits, LONGEST_RSA_BITS, 3072)) };
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

/** Of RSA the parameters say nothing, and may be left out; of EC they are the curve. */
function nameOf({ algorithm, parameters }: AlgorithmIdentifier): string {
  return algorithm === PUBLIC_KEY.ecPublicKey
    ? `${algorithm} ${Buffer.from(parameters ?? []).toString('hex')}`
    : algorithm;
}
