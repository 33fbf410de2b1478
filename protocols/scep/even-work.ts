import type { CmsSignatureAlgorithm } from '../../core/cms/cms-signature.ts';
import type { SubjectPublicKeyInfo } from '../../core/x509/public-key.ts';
import { type ReceivedRequest, type SignedRequest, verifyRequest } from './certification-request.ts';

/**
 * What was decrypted may be garbage, and nobody may learn whether it is: of wrong RSA padding, a key of the wrong length,
 * wrong CBC padding, content that cannot be read and a request that its key did not sign, each must take the time of the
 * others and of what is right (V20, V22). So each content is read twice, once so that it succeeds and once so that it
 * fails, and so are two signatures verified.
 */

/** The signature of a message, which verified: what takes the place of a request's where there is none. */
export interface VerifiedSignature {
  readonly publicKey: SubjectPublicKeyInfo;
  readonly algorithm: CmsSignatureAlgorithm;
  readonly data: Uint8Array;
  readonly octets: Uint8Array;
}

/** Reads what was decrypted; undefined where it cannot be read. `example` is content of the kind that can be read. */
export function readEvenly<T>(
  content: Uint8Array,
  read: (content: Uint8Array) => T,
  example: Uint8Array,
): T | undefined {
  const found = attempt(read, content);
  // A copy in either case: one that lay in the cache for long is read faster.
  attempt(read, found === undefined ? new Uint8Array(example) : unreadable(content));
  return found;
}

/**
 * Whether there is a request and its key signed it. Of the two verifications one succeeds and one fails, in every case. Where
 * there is no request, what was decrypted stands as its data and the key of the message as its own: the same code runs over
 * memory that was touched as lately, which is worth microseconds.
 */
export async function verifyEvenly(
  request: ReceivedRequest | undefined,
  content: Uint8Array,
  message: VerifiedSignature,
): Promise<boolean> {
  const isSigned = await verifyRequest(request ?? unsigned(content, message));
  await verifyRequest(signedBy(message, isSigned ? wrong(message) : message.octets));
  return request !== undefined && isSigned;
}

/** Nothing that reading throws may leave this place, a fault of our own included: it would be told from the others. */
function attempt<T>(read: (content: Uint8Array) => T, content: Uint8Array): T | undefined {
  try {
    return read(content);
  } catch {
    return undefined;
  }
}

function unreadable(content: Uint8Array): Uint8Array {
  const copy = new Uint8Array(content);
  copy[0] = 0xff;
  return copy;
}

/** As much of what was decrypted as a request would have signed, under a signature that fails. */
function unsigned(content: Uint8Array, message: VerifiedSignature): SignedRequest {
  const octets = wrong(message);
  const data = content.subarray(0, Math.max(0, content.length - octets.length));
  // Another object, as a request's own key is one: OpenSSL's decoding of a key, once for each object, is part of the time.
  return signedBy({ ...message, data, publicKey: { ...message.publicKey } }, octets);
}

function signedBy({ publicKey, algorithm, data }: VerifiedSignature, signature: Uint8Array): SignedRequest {
  // MD5 is not known there, and takes the time of SHA-1.
  const signatureAlgorithm = algorithm === 'md5WithRSAEncryption' ? 'sha1WithRSAEncryption' : algorithm;
  return { request: { publicKey, signatureAlgorithm, infoDer: data, signature }, md5: undefined };
}

/** A signature that fails after all of the computation: changed where the change does not show in its form or its range. */
function wrong({ publicKey: { algorithm }, octets }: VerifiedSignature): Uint8Array {
  const copy = new Uint8Array(octets);
  const at = algorithm.kind === 'rsa' || algorithm.kind === 'ec' ? copy.length - 1 : 0;
  copy[at]! ^= 1;
  return copy;
}
