import { randomBytes } from 'node:crypto';
import { decode } from '../asn1/codec.ts';
import { octetString, optional, sequence, smallInteger } from '../asn1/schema.ts';
import { algorithmWith, parametersOf } from './algorithm-identifier.ts';
import type { AlgorithmIdentifier } from './algorithm-identifier.ts';
import { CmsError } from './cms-error.ts';

/** Ciphers of EnvelopedData (RFC 3565, RFC 3370 §5.1). `des-cbc` is for clients that know nothing else. */
export type CbcCipher = 'aes-128-cbc' | 'aes-192-cbc' | 'aes-256-cbc' | 'des-ede3-cbc' | 'des-cbc';

/** Ciphers of AuthEnvelopedData (RFC 5084 §3.2). */
export type GcmCipher = 'aes-128-gcm' | 'aes-192-gcm' | 'aes-256-gcm';

/** A content-encryption algorithm. */
export type ContentCipher = CbcCipher | GcmCipher;

/** A CBC cipher with the parameters of one message. */
export interface CbcParameters {
  readonly cipher: CbcCipher;
  readonly iv: Uint8Array;
}

/** A GCM cipher with the parameters of one message. */
export interface GcmParameters {
  readonly cipher: GcmCipher;
  /** 12 octets. */
  readonly nonce: Uint8Array;
  /** Octets of the authentication tag, 12 to 16. */
  readonly tagLength: number;
}

interface CipherFacts {
  readonly oid: string;
  readonly keyLength: number;
  readonly blockLength: number;
}

const CIPHERS: Record<ContentCipher, CipherFacts> = {
  'aes-128-cbc': { oid: '2.16.840.1.101.3.4.1.2', keyLength: 16, blockLength: 16 },
  'aes-192-cbc': { oid: '2.16.840.1.101.3.4.1.22', keyLength: 24, blockLength: 16 },
  'aes-256-cbc': { oid: '2.16.840.1.101.3.4.1.42', keyLength: 32, blockLength: 16 },
  'des-ede3-cbc': { oid: '1.2.840.113549.3.7', keyLength: 24, blockLength: 8 },
  'des-cbc': { oid: '1.3.14.3.2.7', keyLength: 8, blockLength: 8 },
  'aes-128-gcm': { oid: '2.16.840.1.101.3.4.1.6', keyLength: 16, blockLength: 16 },
  'aes-192-gcm': { oid: '2.16.840.1.101.3.4.1.26', keyLength: 24, blockLength: 16 },
  'aes-256-gcm': { oid: '2.16.840.1.101.3.4.1.46', keyLength: 32, blockLength: 16 },
};
const CIPHER_OF: ReadonlyMap<string, ContentCipher> = new Map(
  Object.entries(CIPHERS).map(([name, { oid }]) => [oid, name as ContentCipher]),
);

// RFC 5084 §3.2: "A length of 12 octets is RECOMMENDED" for the nonce; nobody sends another. The tag has 12 to 16.
const NONCE_LENGTH = 12;
const DEFAULT_TAG_LENGTH = 12;
const TAG_LENGTH = 16;
const gcmParameters = sequence('GCMParameters', { nonce: octetString, icvLen: optional(smallInteger) });

/** Octets of the content-encryption key. */
export function keyLengthOf(cipher: ContentCipher): number {
  return CIPHERS[cipher].keyLength;
}

/** Octets of a cipher's block. */
export function blockLengthOf(cipher: ContentCipher): number {
  return CIPHERS[cipher].blockLength;
}

/** The cipher of a dotted OID; undefined for one that is not of the list. */
export function cipherOfOid(oid: string): ContentCipher | undefined {
  return CIPHER_OF.get(oid);
}

/** Reads a contentEncryptionAlgorithm for EnvelopedData. Throws CmsError `unsupported-algorithm`, and Asn1Error. */
export function cbcParametersOf(identifier: AlgorithmIdentifier): CbcParameters {
  const cipher = CIPHER_OF.get(identifier.algorithm);
  if (cipher === undefined || !isCbc(cipher)) throw unsupported('a CBC cipher', identifier.algorithm);
  const iv = parametersOf(identifier, octetString);
  if (iv?.length !== blockLengthOf(cipher)) {
    throw unsupported(`an IV of ${blockLengthOf(cipher)} octets`, `${iv?.length ?? 'no'} octets`);
  }
  return { cipher, iv };
}

/** Reads a contentEncryptionAlgorithm for AuthEnvelopedData. Throws CmsError `unsupported-algorithm`, and Asn1Error. */
export function gcmParametersOf(identifier: AlgorithmIdentifier): GcmParameters {
  const cipher = CIPHER_OF.get(identifier.algorithm);
  if (cipher === undefined || isCbc(cipher)) throw unsupported('an AES-GCM cipher', identifier.algorithm);
  const parameters = decode(gcmParameters, identifier.parameters ?? new Uint8Array());
  const { nonce, icvLen: tagLength = DEFAULT_TAG_LENGTH } = parameters;
  if (nonce.length !== NONCE_LENGTH) throw unsupported(`a nonce of ${NONCE_LENGTH} octets`, `${nonce.length} octets`);
  if (tagLength < DEFAULT_TAG_LENGTH || tagLength > TAG_LENGTH) {
    throw unsupported(`a tag of ${DEFAULT_TAG_LENGTH} to ${TAG_LENGTH} octets`, `${tagLength} octets`);
  }
  return { cipher, nonce, tagLength };
}

/** Fresh parameters for one message. */
export function freshCbcParameters(cipher: CbcCipher): CbcParameters {
  return { cipher, iv: randomBytes(blockLengthOf(cipher)) };
}

/** Fresh parameters for one message: the key is fresh as well, so that a nonce never meets a key twice. */
export function freshGcmParameters(cipher: GcmCipher): GcmParameters {
  return { cipher, nonce: randomBytes(NONCE_LENGTH), tagLength: TAG_LENGTH };
}

/** The AlgorithmIdentifier of a cipher with its parameters. */
export function cipherIdentifier(parameters: CbcParameters | GcmParameters): AlgorithmIdentifier {
  const algorithm = CIPHERS[parameters.cipher].oid;
  if ('iv' in parameters) return algorithmWith(algorithm, octetString, parameters.iv);
  const { nonce, tagLength } = parameters;
  const icvLen = tagLength === DEFAULT_TAG_LENGTH ? undefined : tagLength;
  return algorithmWith(algorithm, gcmParameters, { nonce, icvLen });
}

/** A fresh content-encryption key. DES keys get odd parity, which old implementations check. */
export function freshContentKey(cipher: ContentCipher): Uint8Array {
  const key = randomBytes(keyLengthOf(cipher));
  return cipher.startsWith('des') ? key.map(oddParity) : key;
}

function isCbc(cipher: ContentCipher): cipher is CbcCipher {
  return cipher.endsWith('-cbc');
}

function oddParity(octet: number): number {
  let parity = 1;
  for (let bit = 1; bit < 8; bit++) parity ^= (octet >> bit) & 1;
  return (octet & 0xfe) | parity;
}

function unsupported(expected: string, found: string): CmsError {
  return new CmsError('unsupported-algorithm', expected, found);
}
