import { createPublicKey, verify } from 'node:crypto';

import { decode } from '../../core/asn1/codec.ts';
import {
  type AlgorithmIdentifier,
  algorithmIdentifierSchema,
  hasNoParameters,
} from '../../core/cms/algorithm-identifier.ts';
import type { SubjectPublicKeyInfo } from '../../core/x509/public-key.ts';
import {
  isLegacySignatureAlgorithm,
  keyFitsSignatureAlgorithm,
  parseSignatureAlgorithm,
  type SignatureAlgorithm,
  verifySignatureAsync,
} from '../../core/x509/signature-algorithm.ts';
import { X509Error } from '../../core/x509/x509-error.ts';
import { CmpFault } from './errors.ts';

/** SHA-3 with ECDSA and RSASSA-PKCS1-v1_5 (RFC 9688 §3): signatures of messages alone, no certificate here has one. */
const SHA3_SIGNATURES = {
  '2.16.840.1.101.3.4.3.10': { key: 'ec', hash: 'sha3-256' },
  '2.16.840.1.101.3.4.3.11': { key: 'ec', hash: 'sha3-384' },
  '2.16.840.1.101.3.4.3.12': { key: 'ec', hash: 'sha3-512' },
  '2.16.840.1.101.3.4.3.14': { key: 'rsa', hash: 'sha3-256' },
  '2.16.840.1.101.3.4.3.15': { key: 'rsa', hash: 'sha3-384' },
  '2.16.840.1.101.3.4.3.16': { key: 'rsa', hash: 'sha3-512' },
} as const;

/** A signature algorithm of a protection or a proof of possession: those of X.509, and SHA-3. */
export type MessageSignature =
  | { readonly kind: 'x509'; readonly algorithm: SignatureAlgorithm }
  | { readonly kind: 'sha3'; readonly key: 'ec' | 'rsa'; readonly hash: string };

/**
 * Reads the AlgorithmIdentifier of a signature (RFC 9481 §3). SHA-1 is refused.
 *
 * @param field what holds it, for the message
 * @throws CmpFault `badAlg`; Asn1Error
 */
export function messageSignatureOf(der: Uint8Array, field: string): MessageSignature {
  const sha3 = sha3Signature(decode(algorithmIdentifierSchema, der));
  if (sha3 !== undefined) return { kind: 'sha3', ...sha3 };
  try {
    const algorithm = parseSignatureAlgorithm(der);
    if (!isLegacySignatureAlgorithm(algorithm)) return { kind: 'x509', algorithm };
  } catch (error) {
    if (!(error instanceof X509Error)) throw error;
  }
  throw new CmpFault(
    'badAlg',
    `${field}: expected a signature algorithm with SHA-2 or SHA-3, or EdDSA`,
    'bad-algorithm',
  );
}

/** Whether a key can have made such a signature. */
export function fitsKey(signature: MessageSignature, publicKey: SubjectPublicKeyInfo): boolean {
  return signature.kind === 'sha3'
    ? publicKey.algorithm.kind === signature.key
    : keyFitsSignatureAlgorithm(publicKey.algorithm, signature.algorithm);
}

/** Whether `octets` is this key's signature over `data`. Never rejects. */
export function verifyMessageSignature(
  publicKey: SubjectPublicKeyInfo,
  signature: MessageSignature,
  data: Uint8Array,
  octets: Uint8Array,
): Promise<boolean> {
  if (signature.kind === 'x509') return verifySignatureAsync(publicKey, signature.algorithm, data, octets);
  if (!fitsKey(signature, publicKey)) return Promise.resolve(false);
  return new Promise((resolve) => {
    try {
      const key = createPublicKey({ key: Buffer.from(publicKey.der), format: 'der', type: 'spki' });
      verify(signature.hash, data, key, octets, (error, valid) => resolve(error === null && valid));
    } catch {
      resolve(false);
    }
  });
}

function sha3Signature(
  identifier: AlgorithmIdentifier,
): { readonly key: 'ec' | 'rsa'; readonly hash: string } | undefined {
  const { algorithm } = identifier;
  if (!isSha3(algorithm) || !hasNoParameters(identifier)) return undefined;
  return SHA3_SIGNATURES[algorithm];
}

function isSha3(algorithm: string): algorithm is keyof typeof SHA3_SIGNATURES {
  return Object.hasOwn(SHA3_SIGNATURES, algorithm);
}
