import { keyKinds, LONGEST_RSA_BITS, RSA_EXPONENT } from '../../core/authority/key-kinds.ts';
import type { KeyRules } from '../../core/authority/profile.ts';
import { algorithmIdentifierSchema } from '../../core/cms/algorithm-identifier.ts';
import { decode } from '../../core/asn1/codec.ts';
import type { PublicKeyAlgorithm } from '../../core/x509/public-key.ts';
import { algorithmIdentifier, defaultSignatureAlgorithm } from '../../core/x509/signature-algorithm.ts';

/** RSA lengths are offered in these steps. */
const RSA_STEP_BITS = 1024;

/** The key most like `hint` that the rules allow, else the preferred one; undefined where they allow none. */
export function keyLike(rules: KeyRules, hint: PublicKeyAlgorithm): PublicKeyAlgorithm | undefined {
  switch (hint.kind) {
    case 'rsa':
      return rules.rsa
        ? { kind: 'rsa', bits: rsaBits(rules.rsa, hint.bits), exponent: RSA_EXPONENT }
        : keyKinds(rules)[0];
    case 'ec':
      return rules.ec.includes(hint.curve) ? hint : keyKinds(rules)[0];
    case 'ed25519':
    case 'ed448':
      return rules.edwards.includes(hint.kind) ? hint : keyKinds(rules)[0];
    case 'ml-dsa':
      return rules.mlDsa.includes(hint.parameterSet) ? hint : keyKinds(rules)[0];
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
