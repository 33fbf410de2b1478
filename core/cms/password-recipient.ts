import { pbkdf2, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { decode } from '../asn1/codec.ts';
import { choice, octetString, optional, sequence, smallInteger } from '../asn1/schema.ts';
import type { Infer } from '../asn1/schema.ts';
import {
  NULL_PARAMETERS,
  algorithmIdentifierSchema,
  algorithmWith,
  hasNoParameters,
  parametersOf,
} from './algorithm-identifier.ts';
import type { AlgorithmIdentifier } from './algorithm-identifier.ts';
import { CmsError } from './cms-error.ts';
import { cbcParametersOf, cipherIdentifier, freshCbcParameters, keyLengthOf } from './content-cipher.ts';
import { PASSWORD } from './oids.ts';
import { unwrapWithPasswordKey, wrapWithPasswordKey } from './pwri-kek.ts';
import type { RecipientInfoWire } from './recipient-info.ts';
import type { Opening } from './recipient-key.ts';

// The sender chooses, before it has shown that it knows anything, how long we compute: every figure is bounded.
const ITERATIONS = { min: 100, max: 100_000 };
const SALT_OCTETS = { min: 8, max: 64 };
const DEFAULT_ITERATIONS = 100_000;
const FRESH_SALT_OCTETS = 16;

// RFC 8018 §B.1.1 and RFC 8018 §B.1.2
const PRF = {
  sha1: '1.2.840.113549.2.7',
  sha224: '1.2.840.113549.2.8',
  sha256: '1.2.840.113549.2.9',
  sha384: '1.2.840.113549.2.10',
  sha512: '1.2.840.113549.2.11',
} as const;
const PRF_HASH_OF: ReadonlyMap<string, string> = new Map(
  Object.entries(PRF).map(([hash, algorithm]) => [algorithm, hash]),
);

// RFC 8018 §A.2
const pbkdf2Parameters = sequence('PBKDF2-params', {
  salt: choice('salt', { specified: octetString, otherSource: algorithmIdentifierSchema }),
  iterationCount: smallInteger,
  keyLength: optional(smallInteger),
  prf: optional(algorithmIdentifierSchema),
});

interface Derivation {
  readonly salt: Uint8Array;
  readonly iterations: number;
  /** In the names of node:crypto. */
  readonly hash: string;
}

const derive = promisify(pbkdf2);

/** Encrypts a content-encryption key for those who know a password (RFC 5652 §6.2.4, RFC 3211): PBKDF2, AES-256-CBC twice. */
export async function passwordRecipientFor(
  password: Uint8Array,
  key: Uint8Array,
  iterations = DEFAULT_ITERATIONS,
): Promise<RecipientInfoWire> {
  const salt = randomBytes(FRESH_SALT_OCTETS);
  const wrap = freshCbcParameters('aes-256-cbc');
  assertWithin(iterations, ITERATIONS, 'iterations');
  const keyEncryptionKey = await derive(password, salt, iterations, keyLengthOf(wrap.cipher), 'sha256');
  return {
    kind: 'pwri',
    value: {
      version: 0,
      keyDerivationAlgorithm: algorithmWith(PASSWORD.pbkdf2, pbkdf2Parameters, {
        salt: { kind: 'specified', value: salt },
        iterationCount: iterations,
        prf: { algorithm: PRF.sha256, parameters: NULL_PARAMETERS },
      }),
      keyEncryptionAlgorithm: algorithmWith(PASSWORD.pwriKek, algorithmIdentifierSchema, cipherIdentifier(wrap)),
      encryptedKey: wrapWithPasswordKey(wrap, keyEncryptionKey, key),
    },
  };
}

/**
 * Derives the key from the password, in the thread pool, and unwraps the content-encryption key.
 *
 * @throws CmsError `out-of-bounds`, `unsupported-algorithm` and Asn1Error before anything is computed; CmsDecryptError after
 */
export async function openPasswordRecipient(
  { key: { password }, recipient }: Opening & { kind: 'password' },
  keyLength: number,
): Promise<Uint8Array> {
  const wrap = wrapParametersOf(recipient.algorithm);
  const { salt, iterations, hash } = derivationOf(recipient.derivation, keyLengthOf(wrap.cipher));
  const keyEncryptionKey = await derive(password, salt, iterations, keyLengthOf(wrap.cipher), hash);
  return unwrapWithPasswordKey(wrap, keyEncryptionKey, recipient.encryptedKey, keyLength);
}

function wrapParametersOf(identifier: AlgorithmIdentifier): ReturnType<typeof cbcParametersOf> {
  const cipher = parametersOf(identifier, algorithmIdentifierSchema);
  if (identifier.algorithm !== PASSWORD.pwriKek || cipher === undefined) {
    throw new CmsError('unsupported-algorithm', 'PWRI-KEK', identifier.algorithm);
  }
  const parameters = cbcParametersOf(cipher);
  if (parameters.cipher !== 'des-cbc') return parameters;
  throw new CmsError('unsupported-algorithm', 'AES or 3DES to wrap the key', parameters.cipher);
}

function derivationOf(identifier: AlgorithmIdentifier | undefined, keyLength: number): Derivation {
  if (identifier?.algorithm !== PASSWORD.pbkdf2) {
    throw new CmsError('unsupported-algorithm', 'PBKDF2', identifier?.algorithm ?? 'no key derivation');
  }
  const parameters = decode(pbkdf2Parameters, identifier.parameters ?? new Uint8Array());
  const { salt, iterationCount: iterations, keyLength: length = keyLength } = parameters;
  if (salt.kind !== 'specified') throw new CmsError('unsupported-algorithm', 'a salt', 'another source of salt');
  assertWithin(iterations, ITERATIONS, 'iterations');
  assertWithin(salt.value.length, SALT_OCTETS, 'octets of salt');
  assertWithin(length, { min: keyLength, max: keyLength }, 'octets of key');
  return { salt: salt.value, iterations, hash: hashOf(parameters) };
}

function hashOf({ prf }: Infer<typeof pbkdf2Parameters>): string {
  if (prf === undefined) return 'sha1'; // the DEFAULT
  const hash = PRF_HASH_OF.get(prf.algorithm);
  if (hash !== undefined && hasNoParameters(prf)) return hash;
  throw new CmsError('unsupported-algorithm', 'HMAC with SHA-1 or SHA-2', prf.algorithm);
}

function assertWithin(value: number, { min, max }: { min: number; max: number }, what: string): void {
  if (value < min || value > max) throw new CmsError('out-of-bounds', `${min} to ${max} ${what}`, `${value}`);
}
