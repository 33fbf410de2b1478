import { keyAlgorithmIdentifier, keyKinds, LONGEST_RSA_BITS } from '../../core/authority/key-kinds.ts';
import type { KeyRules } from '../../core/authority/profile.ts';
import type { AlgorithmIdentifier } from '../../core/cms/algorithm-identifier.ts';
import { PUBLIC_KEY } from '../../core/x509/oids.ts';
import type { PublicKeyAlgorithm } from '../../core/x509/public-key.ts';

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

/** Of RSA the parameters say nothing, and may be left out; of EC they are the curve. */
function nameOf({ algorithm, parameters }: AlgorithmIdentifier): string {
  return algorithm === PUBLIC_KEY.ecPublicKey
    ? `${algorithm} ${Buffer.from(parameters ?? []).toString('hex')}`
    : algorithm;
}
