import type { SubjectPublicKeyInfo } from '../../../core/x509/public-key.ts';
import { publicKeysEqual } from '../../../core/x509/public-key.ts';
import type { NameHash } from './algorithms.ts';
import type { PublicArea } from './public-area.ts';
import { tpmPublicKey } from './tpm-public-key.ts';

/** What a credential for an EK is made with; its certificate does not say. */
export interface EkAlgorithms {
  readonly nameAlg: NameHash;
  /** AES-CFB with a key of so many bits. */
  readonly aesBits: 128 | 256;
}

/**
 * The name hash and symmetric algorithm that TCG's EK Credential Profile (§B.3, §B.4) has for each kind of key, over all its
 * templates; undefined for a key that no template makes.
 */
export function ekAlgorithms({ algorithm }: SubjectPublicKeyInfo): EkAlgorithms | undefined {
  switch (algorithm.kind) {
    case 'rsa':
      if (algorithm.exponent !== 65_537) return undefined;
      return algorithm.bits === 2048 ? SHA256_AES128 : RSA_HIGH.has(algorithm.bits) ? SHA384_AES256 : undefined;
    case 'ec':
      return { 'P-256': SHA256_AES128, 'P-384': SHA384_AES256, 'P-521': SHA512_AES256 }[algorithm.curve];
    case 'ed25519':
    case 'ed448':
    case 'ml-dsa':
      return undefined;
  }
}

/**
 * Whether a public area that a device sent is that of this EK, by one of the templates: a restricted decryption key that cannot
 * leave the TPM, with the name hash and the symmetric algorithm of its kind.
 */
export function isEndorsementKeyArea(area: PublicArea, ek: SubjectPublicKeyInfo): boolean {
  const algorithms = ekAlgorithms(ek);
  const { attributes, symmetric } = area;
  return (
    algorithms !== undefined &&
    publicKeysEqual(tpmPublicKey(area), ek) &&
    area.nameAlg === algorithms.nameAlg &&
    symmetric?.keyBits === algorithms.aesBits &&
    REQUIRED.every((attribute) => attributes.has(attribute)) &&
    !attributes.has('sign')
  );
}

const SHA256_AES128: EkAlgorithms = { nameAlg: 'sha256', aesBits: 128 };
const SHA384_AES256: EkAlgorithms = { nameAlg: 'sha384', aesBits: 256 };
const SHA512_AES256: EkAlgorithms = { nameAlg: 'sha512', aesBits: 256 };
const RSA_HIGH: ReadonlySet<number> = new Set([3072, 4096]);
const REQUIRED = ['fixedTPM', 'fixedParent', 'sensitiveDataOrigin', 'restricted', 'decrypt'] as const;
