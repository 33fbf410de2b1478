import { constants, createPublicKey, verify } from 'node:crypto';
import { encode } from '../../../core/asn1/codec.ts';
import { sequence, serialInteger } from '../../../core/asn1/schema.ts';
import type { SubjectPublicKeyInfo } from '../../../core/x509/public-key.ts';
import { type HashName, type SignatureAlgorithm, verifySignature } from '../../../core/x509/signature-algorithm.ts';
import type { TpmSignature } from './tpmt-signature.ts';

/** RFC 3279 §2.2.3. */
const ecdsaSigValue = sequence('Ecdsa-Sig-Value', { r: serialInteger, s: serialInteger });

const RSASSA: Readonly<Record<HashName, SignatureAlgorithm>> = {
  sha1: 'sha1WithRSAEncryption',
  sha256: 'sha256WithRSAEncryption',
  sha384: 'sha384WithRSAEncryption',
  sha512: 'sha512WithRSAEncryption',
};
const ECDSA: Readonly<Record<HashName, SignatureAlgorithm>> = {
  sha1: 'ecdsa-with-SHA1',
  sha256: 'ecdsa-with-SHA256',
  sha384: 'ecdsa-with-SHA384',
  sha512: 'ecdsa-with-SHA512',
};

/** What of a TPM's signature is verified. */
export interface TpmSignatureCheck {
  readonly publicKey: SubjectPublicKeyInfo;
  readonly data: Uint8Array;
  readonly signature: TpmSignature;
}

/** Whether a TPM's signature over `data` verifies: never with a key of another kind, nor with SHA-1. */
export function verifyTpmSignature({ publicKey, data, signature }: TpmSignatureCheck): boolean {
  switch (signature.algorithm) {
    case 'rsassa':
      return verifySignature(publicKey, RSASSA[signature.hash], data, signature.signature);
    case 'rsapss':
      return verifyPss(publicKey, data, signature);
    case 'ecdsa':
      return verifySignature(publicKey, ECDSA[signature.hash], data, signatureInX509Form(signature));
  }
}

/** The octets of a TPM's signature as X.509 has them: ECDSA as DER Ecdsa-Sig-Value, RSA as they are. */
export function signatureInX509Form(signature: TpmSignature): Uint8Array {
  if (signature.algorithm !== 'ecdsa') return signature.signature;
  return encode(ecdsaSigValue, { r: integerOctets(signature.r), s: integerOctets(signature.s) });
}

/** TPM 2.0 Library, Part 1 §B.7: TPMs salt as long as fits, or as long as the hash; X.509's algorithms know the latter alone. */
function verifyPss(
  publicKey: SubjectPublicKeyInfo,
  data: Uint8Array,
  { hash, signature }: Extract<TpmSignature, { algorithm: 'rsassa' | 'rsapss' }>,
): boolean {
  if (publicKey.algorithm.kind !== 'rsa' || hash === 'sha1') return false;
  try {
    const key = createPublicKey({ key: Buffer.from(publicKey.der), format: 'der', type: 'spki' });
    const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_AUTO };
    return verify(hash, data, { key, ...pss }, signature);
  } catch {
    return false;
  }
}

/** The octets of a DER INTEGER of an unsigned number that may have leading zeros. */
function integerOctets(number: Uint8Array): Uint8Array {
  let first = 0;
  while (first < number.length - 1 && number[first] === 0) first++;
  const octets = number.subarray(first);
  return octets[0]! < 0x80 ? octets : Uint8Array.of(0, ...octets);
}
