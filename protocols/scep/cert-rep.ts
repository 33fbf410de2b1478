import { randomBytes } from 'node:crypto';

import type { ServiceIdentity } from '../../core/authority/service-identities.ts';
import type { CmsSignatureAlgorithm } from '../../core/cms/cms-signature.ts';
import { keyLengthOf } from '../../core/cms/content-cipher.ts';
import type { DigestAlgorithm } from '../../core/cms/digest-algorithm.ts';
import { buildEnvelopedData, type Recipient } from '../../core/cms/enveloped-data.ts';
import { buildSignedData } from '../../core/cms/signed-data.ts';
import type { Secret } from '../../core/keys/secret.ts';
import type { PublicKeyAlgorithm } from '../../core/x509/public-key.ts';
import { answerAttributes, type AnsweredAttributes, type AnswerStatus } from './attributes.ts';
import type { Encryption } from './envelope.ts';

/** Digests of answers: those of requests, save SHAKE256, which no RSA signature goes with. */
export type AnswerDigest = 'md5' | 'sha1' | 'sha256' | 'sha384' | 'sha512';

/** The digest of the answer to a message with this one: the same (S26). */
export function answerDigest(digest: DigestAlgorithm): AnswerDigest {
  return digest === 'shake256-512' ? 'sha512' : digest;
}

/** What every answer is made of. */
export interface Answer {
  readonly request: AnsweredAttributes;
  readonly status: AnswerStatus;
  /** The envelope of a success; otherwise there is none (RFC 8894 §3.3.2). */
  readonly envelope: Uint8Array | undefined;
  readonly digest: AnswerDigest;
  readonly signer: ServiceIdentity;
  readonly tenant: string;
}

/**
 * Builds a CertRep (RFC 8894 §3.3.2). SignerInfo names `rsaEncryption` (S28), and the content that is not there is an
 * empty OCTET STRING: what other servers send, and what clients on OpenSSL can verify.
 * @throws UpstreamError when the token is away
 */
export function encodeCertRep({ request, status, envelope, digest, signer, tenant }: Answer): Promise<Uint8Array> {
  const signatureAlgorithm = `${digest}WithRSAEncryption` as const satisfies CmsSignatureAlgorithm;
  return buildSignedData({
    content: envelope ?? new Uint8Array(),
    signer: {
      certificate: signer.certificate.der,
      signatureAlgorithm,
      sign: (data) => signer.key.sign(data, { tenant, algorithm: signatureAlgorithm }),
    },
    signedAttributes: answerAttributes(request, status, randomBytes(16)),
  });
}

/** Who an answer is encrypted for: whoever signed the message (S26, S37). */
export interface EnvelopeRecipient {
  /** DER. */
  readonly certificate: Uint8Array;
  readonly algorithm: PublicKeyAlgorithm;
  /** The challenge of the request, where it had one: for keys that encrypt nothing. */
  readonly challenge: Secret | undefined;
}

/** Encrypts the degenerate SignedData of a success, in the cipher and the key transport of the request. */
export function encodeEnvelope(
  certsOnly: Uint8Array,
  { cipher, transport }: Encryption,
  recipient: EnvelopeRecipient,
): Promise<Uint8Array> {
  const recipients = [recipientOf(recipient, transport)];
  return buildEnvelopedData({ content: certsOnly, cipher, recipients, allowSingleDes: true });
}

/**
 * Whether an answer can be encrypted for a signer at all: to be asked before a certificate is issued that nobody could be
 * sent. RSA must hold the key; other keys need a challenge or ECDH.
 */
export function canReceive(
  { algorithm, challenge }: Omit<EnvelopeRecipient, 'certificate'>,
  { cipher, transport }: Encryption,
): boolean {
  if (algorithm.kind === 'rsa') {
    const overhead = transport.scheme === 'pkcs1' ? 11 : 2 * HASH_OCTETS[transport.hash] + 2;
    return algorithm.bits >= 1024 && Math.ceil(algorithm.bits / 8) >= keyLengthOf(cipher) + overhead;
  }
  if (challenge !== undefined) return true;
  // RFC 3394 wraps no key of eight octets.
  return algorithm.kind === 'ec' && cipher !== 'des-cbc';
}

const HASH_OCTETS = { sha1: 20, sha256: 32, sha384: 48, sha512: 64 } as const;

// RFC 8894 §3.1: PasswordRecipientInfo with the challengePassword where the key cannot encrypt. A renewal has none: there
// ECDH takes its place, which RFC 5753 has for these keys.
function recipientOf(
  { certificate, algorithm, challenge }: EnvelopeRecipient,
  transport: Encryption['transport'],
): Recipient {
  if (algorithm.kind !== 'rsa') {
    if (challenge === undefined) return { kind: 'ecdh', certificate };
    return { kind: 'password', password: new TextEncoder().encode(challenge.reveal()) };
  }
  if (transport.scheme === 'pkcs1') return { kind: 'rsa', certificate, keyTransport: 'pkcs1' };
  return { kind: 'rsa', certificate, keyTransport: 'oaep', oaepHash: transport.hash };
}
