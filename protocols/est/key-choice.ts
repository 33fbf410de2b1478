import type { KeyRules } from '../../core/authority/profile.ts';
import { algorithmIdentifierSchema } from '../../core/cms/algorithm-identifier.ts';
import { decode, encode } from '../../core/asn1/codec.ts';
import { oid } from '../../core/asn1/schema.ts';
import { NAMED_CURVE, PUBLIC_KEY } from '../../core/x509/oids.ts';
import type { PublicKeyAlgorithm } from '../../core/x509/public-key.ts';
import { algorithmIdentifier, defaultSignatureAlgorithm } from '../../core/x509/signature-algorithm.ts';

/** RSA as everybody makes it. */
const EXPONENT = 65_537;
/** Longest RSA key that is made here, unless the profile asks for more: each doubling of the length takes 8 to 16 times as long. */
const LONGEST_RSA_BITS = 4096;
/** RSA lengths are offered in these steps. */
const RSA_STEP_BITS = 1024;

const CURVES = { 'P-256': NAMED_CURVE.secp256r1, 'P-384': NAMED_CURVE.secp384r1, 'P-521': NAMED_CURVE.secp521r1 };
const ML_DSA = { 44: PUBLIC_KEY.mlDsa44, 65: PUBLIC_KEY.mlDsa65, 87: PUBLIC_KEY.mlDsa87 };

/** The key a profile is asked for first: EC before Edwards, RSA and ML-DSA; undefined where its rules allow none. */
export function preferredKey(rules: KeyRules): PublicKeyAlgorithm | undefined {
  const [curve] = rules.ec;
  if (curve !== undefined) return { kind: 'ec', curve };
  const [edwards] = rules.edwards;
  if (edwards !== undefined) return { kind: edwards };
  if (rules.rsa) return { kind: 'rsa', bits: rules.rsa.minBits, exponent: EXPONENT };
  const [parameterSet] = rules.mlDsa;
  return parameterSet === undefined ? undefined : { kind: 'ml-dsa', parameterSet };
}

/** The key most like `hint` that the rules allow, else the preferred one; undefined where they allow none. */
export function keyLike(rules: KeyRules, hint: PublicKeyAlgorithm): PublicKeyAlgorithm | undefined {
  switch (hint.kind) {
    case 'rsa':
      return rules.rsa ? { kind: 'rsa', bits: rsaBits(rules.rsa, hint.bits), exponent: EXPONENT } : preferredKey(rules);
    case 'ec':
      return rules.ec.includes(hint.curve) ? hint : preferredKey(rules);
    case 'ed25519':
    case 'ed448':
      return rules.edwards.includes(hint.kind) ? hint : preferredKey(rules);
    case 'ml-dsa':
      return rules.mlDsa.includes(hint.parameterSet) ? hint : preferredKey(rules);
  }
}

/** The OID of a kind of key, and its parameters in DER: a curve; none for the others, RSA's NULL apart. */
export function keyAlgorithmIdentifier(key: PublicKeyAlgorithm): { algorithm: string; parameters?: Uint8Array } {
  switch (key.kind) {
    case 'rsa':
      return { algorithm: PUBLIC_KEY.rsaEncryption, parameters: Uint8Array.of(0x05, 0x00) };
    case 'ec':
      return { algorithm: PUBLIC_KEY.ecPublicKey, parameters: encode(oid, CURVES[key.curve]) };
    case 'ed25519':
    case 'ed448':
      return { algorithm: PUBLIC_KEY[key.kind] };
    case 'ml-dsa':
      return { algorithm: ML_DSA[key.parameterSet] };
  }
}

/** The OID of the signature that goes with a kind of key. */
export function signatureOid(key: PublicKeyAlgorithm): string {
  return decode(algorithmIdentifierSchema, algorithmIdentifier(defaultSignatureAlgorithm(key))).algorithm;
}

function rsaBits({ minBits, maxBits }: { minBits: number; maxBits: number }, hint: number): number {
  const wanted = Math.ceil(hint / RSA_STEP_BITS) * RSA_STEP_BITS;
  return Math.max(minBits, Math.min(wanted, maxBits, LONGEST_RSA_BITS));
}
