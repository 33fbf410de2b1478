import { createPublicKey, verify } from 'node:crypto';
import { decode, encode } from '../asn1/codec.ts';
import type { SubjectPublicKeyInfo } from '../x509/public-key.ts';
import {
  SIGNATURE_ALGORITHMS,
  algorithmIdentifier,
  parseSignatureAlgorithm,
  verifySignature,
} from '../x509/signature-algorithm.ts';
import type { SignatureAlgorithm, SignatureParameters } from '../x509/signature-algorithm.ts';
import { NULL_PARAMETERS, algorithmIdentifierSchema, hasNoParameters } from './algorithm-identifier.ts';
import type { DigestAlgorithm } from './digest-algorithm.ts';
import { KEY_TRANSPORT } from './oids.ts';

/** Signature algorithms of SignerInfo: those of X.509, and MD5 with RSA for the oldest SCEP clients. */
export type CmsSignatureAlgorithm = SignatureAlgorithm | 'md5WithRSAEncryption';

const MD5_WITH_RSA = '1.2.840.113549.1.1.4';

/**
 * The algorithm that a SignerInfo's signatureAlgorithm means together with its digest; undefined for unknown ones.
 * RFC 3370 §3.2: rsaEncryption leaves the hash to digestAlgorithm.
 *
 * @param identifier the complete encoding of the AlgorithmIdentifier
 */
export function resolveSignatureAlgorithm(
  identifier: Uint8Array,
  digest: DigestAlgorithm,
): CmsSignatureAlgorithm | undefined {
  const wire = decode(algorithmIdentifierSchema, identifier);
  if (wire.algorithm === KEY_TRANSPORT.rsaEncryption) return hasNoParameters(wire) ? rsaWith(digest) : undefined;
  if (wire.algorithm === MD5_WITH_RSA) return hasNoParameters(wire) ? 'md5WithRSAEncryption' : undefined;
  try {
    return parseSignatureAlgorithm(identifier);
  } catch {
    return undefined;
  }
}

/** The encoding of a signatureAlgorithm; `rsaEncryption` is written for RSASSA-PKCS1-v1_5 where the caller asks for it. */
export function signatureAlgorithmDer(algorithm: CmsSignatureAlgorithm, writesRsaEncryption: boolean): Uint8Array {
  if (writesRsaEncryption && isRsaPkcs1(algorithm)) {
    return encode(algorithmIdentifierSchema, { algorithm: KEY_TRANSPORT.rsaEncryption, parameters: NULL_PARAMETERS });
  }
  if (algorithm !== 'md5WithRSAEncryption') return algorithmIdentifier(algorithm);
  return encode(algorithmIdentifierSchema, { algorithm: MD5_WITH_RSA, parameters: NULL_PARAMETERS });
}

/** Whether an algorithm is RSASSA-PKCS1-v1_5, which both identifiers can name. */
export function isRsaPkcs1(algorithm: CmsSignatureAlgorithm): boolean {
  if (algorithm === 'md5WithRSAEncryption') return true;
  const parameters: SignatureParameters = SIGNATURE_ALGORITHMS[algorithm];
  return parameters.key === 'rsa' && parameters.padding === 'pkcs1';
}

/** The digests that may go with a signature algorithm; the first is what we write. */
export function digestsFor(algorithm: CmsSignatureAlgorithm): readonly [DigestAlgorithm, ...DigestAlgorithm[]] {
  if (algorithm === 'md5WithRSAEncryption') return ['md5'];
  const parameters: SignatureParameters = SIGNATURE_ALGORITHMS[algorithm];
  switch (parameters.key) {
    case 'rsa':
    case 'ec':
      return [parameters.hash];
    case 'ed25519':
      return ['sha512']; // RFC 8419 §3.1
    case 'ed448':
      return ['shake256-512']; // RFC 8419 §3.1
    case 'ml-dsa':
      return ML_DSA_DIGESTS[parameters.parameterSet];
  }
}

/** Whether the signature is this key's over `data`. Whether its digest is acceptable is the caller's to decide. */
export function verifyCmsSignature(
  publicKey: SubjectPublicKeyInfo,
  algorithm: CmsSignatureAlgorithm,
  data: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (algorithm !== 'md5WithRSAEncryption') {
    return verifySignature(publicKey, algorithm, data, signature, { allowSha1: true });
  }
  return publicKey.algorithm.kind === 'rsa' && verifyMd5WithRsa(publicKey.der, data, signature);
}

// RFC 9882 §3.3: no digest weaker than the parameter set.
const ML_DSA_DIGESTS = {
  44: ['sha512', 'sha384', 'sha256'],
  65: ['sha512', 'sha384'],
  87: ['sha512'],
} as const;

function rsaWith(digest: DigestAlgorithm): CmsSignatureAlgorithm | undefined {
  return digest === 'shake256-512' ? undefined : `${digest}WithRSAEncryption`;
}

function verifyMd5WithRsa(spki: Uint8Array, data: Uint8Array, signature: Uint8Array): boolean {
  try {
    return verify('md5', data, createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' }), signature);
  } catch {
    return false;
  }
}
