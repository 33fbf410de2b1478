import { constants, createPublicKey, publicEncrypt } from 'node:crypto';
import { decode } from '../asn1/codec.ts';
import { parseSubjectPublicKeyInfo } from '../x509/public-key.ts';
import { NULL_PARAMETERS, hasNoParameters } from './algorithm-identifier.ts';
import type { AlgorithmIdentifier } from './algorithm-identifier.ts';
import { certificateIdentity, identifierOf, issuerAndSerialNumberSchema } from './certificate-identity.ts';
import type { CertificateIdentifier } from './certificate-identity.ts';
import { CmsError } from './cms-error.ts';
import { oaepHashOf, oaepIdentifier } from './oaep-parameters.ts';
import type { OaepHash } from './oaep-parameters.ts';
import { KEY_TRANSPORT } from './oids.ts';
import type { RecipientInfoWire } from './recipient-info.ts';
import type { Opening } from './recipient-key.ts';

/** How RSA carries a content-encryption key: RSAES-PKCS1-v1_5, or RSAES-OAEP with a hash. */
export type KeyTransport = { readonly scheme: 'pkcs1' } | { readonly scheme: 'oaep'; readonly hash: OaepHash };

/** A certificate to encrypt for, and how to name it. */
export interface CertificateRecipient {
  /** DER. */
  readonly certificate: Uint8Array;
  /** DER of an IssuerAndSerialNumber to write instead of the certificate's own: as the device itself wrote it. */
  readonly issuerAndSerialNumber?: Uint8Array;
  /** Default issuerAndSerialNumber, which every client understands. */
  readonly identifiedBy?: CertificateIdentifier['kind'];
}

/** The name of a recipient in a message. Throws Asn1Error; CmsError where it has no such name. */
export function recipientIdentifier(recipient: CertificateRecipient): CertificateIdentifier {
  const { certificate, issuerAndSerialNumber, identifiedBy = 'issuerAndSerialNumber' } = recipient;
  if (issuerAndSerialNumber === undefined) return identifierOf(certificateIdentity(certificate), identifiedBy);
  return { kind: 'issuerAndSerialNumber', value: decode(issuerAndSerialNumberSchema, issuerAndSerialNumber) };
}

/** Encrypts a content-encryption key for an RSA certificate (RFC 5652 §6.2.1). */
export function keyTransportFor(
  recipient: CertificateRecipient,
  transport: KeyTransport,
  key: Uint8Array,
): RecipientInfoWire {
  const { subjectPublicKeyInfo } = certificateIdentity(recipient.certificate);
  const { algorithm, der } = parseSubjectPublicKeyInfo(subjectPublicKeyInfo);
  if (algorithm.kind !== 'rsa') throw new CmsError('invalid-argument', 'an RSA certificate', algorithm.kind);
  const publicKey = createPublicKey({ key: Buffer.from(der), format: 'der', type: 'spki' });
  const rid = recipientIdentifier(recipient);
  return {
    kind: 'ktri',
    value: {
      version: rid.kind === 'issuerAndSerialNumber' ? 0 : 2,
      rid,
      keyEncryptionAlgorithm: transportIdentifier(transport),
      encryptedKey: publicEncrypt({ key: publicKey, ...nativePadding(transport) }, key),
    },
  };
}

/** How a RecipientInfo carries its key. Throws CmsError `unsupported-algorithm`, and Asn1Error. */
export function keyTransportOf(identifier: AlgorithmIdentifier): KeyTransport {
  if (identifier.algorithm === KEY_TRANSPORT.rsaesOaep) return { scheme: 'oaep', hash: oaepHashOf(identifier) };
  if (identifier.algorithm === KEY_TRANSPORT.rsaEncryption && hasNoParameters(identifier)) return { scheme: 'pkcs1' };
  throw new CmsError('unsupported-algorithm', 'rsaEncryption or RSAES-OAEP', identifier.algorithm);
}

/** Has the private key's holder decrypt the content-encryption key. */
export async function openKeyTransport(
  { key, recipient }: Opening & { kind: 'rsa' },
  keyLength: number,
): Promise<Uint8Array> {
  const transport = keyTransportOf(recipient.algorithm);
  return key.decryptKeyTransport({
    scheme: transport.scheme,
    hash: transport.scheme === 'oaep' ? transport.hash : 'sha1',
    ciphertext: recipient.encryptedKey,
    keyLength,
  });
}

function transportIdentifier(transport: KeyTransport): AlgorithmIdentifier {
  if (transport.scheme === 'oaep') return oaepIdentifier(transport.hash);
  return { algorithm: KEY_TRANSPORT.rsaEncryption, parameters: NULL_PARAMETERS };
}

function nativePadding(transport: KeyTransport): { padding: number; oaepHash?: string } {
  if (transport.scheme === 'pkcs1') return { padding: constants.RSA_PKCS1_PADDING };
  return { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: transport.hash };
}
