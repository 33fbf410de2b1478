import { constants, createCipheriv, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto';

import { encode } from '../../core/asn1/codec.ts';
import { any, octetString, sequenceOf } from '../../core/asn1/schema.ts';
import type { ServiceIdentity } from '../../core/authority/service-identities.ts';
import { NULL_PARAMETERS } from '../../core/cms/algorithm-identifier.ts';
import { decodeContentInfo } from '../../core/cms/content-info.ts';
import { buildEnvelopedData, type Recipient } from '../../core/cms/enveloped-data.ts';
import { CONTENT_TYPE } from '../../core/cms/oids.ts';
import { buildSignedData } from '../../core/cms/signed-data.ts';
import { type Certificate, keyUsage, parseCertificate } from '../../core/x509/certificate.ts';
import { EXTENSION, PUBLIC_KEY } from '../../core/x509/oids.ts';
import { underIdentifier } from './context-sequence.ts';
import type { EncryptedKey } from './encrypted-key.ts';
import { CmpFault } from './errors.ts';
import type { Sender } from './sender.ts';

/** [0] IMPLICIT EnvelopedData in EncryptedKey. */
const ENVELOPED_DATA = 0xa0;
/** RFC 9481 §4.2: what everybody has. */
const CIPHER = 'aes-256-cbc';
const AES_256_CBC = '2.16.840.1.101.3.4.1.42';
/** Of PBKDF2 in a PasswordRecipientInfo: the secret has 128 bits or more of its own. */
const PASSWORD_ITERATIONS = 10_000;

/**
 * A private key for its device, signed by the key generation authority and encrypted for who asked (RFC 9483 §4.1.6): with
 * the certificate of the protection by key transport or key agreement, as its keyUsage has it, with the shared secret
 * after a MAC. An EnvelopedData needs version 3.
 *
 * @param pkcs8 PrivateKeyInfo in DER; the caller's to erase
 * @throws what the authority's token throws
 */
export async function enclosePrivateKey(
  pkcs8: Uint8Array,
  authority: ServiceIdentity,
  recipient: Recipient,
  tenant: string,
): Promise<EncryptedKey> {
  // RFC 5958 §2: AsymmetricKeyPackage ::= SEQUENCE SIZE (1..MAX) OF OneAsymmetricKey
  const keyPackage = encode(sequenceOf(any), [pkcs8]);
  const { certificate, chain, key } = authority;
  const signed = await buildSignedData({
    contentType: CONTENT_TYPE.asymmetricKeyPackage,
    content: keyPackage,
    signer: {
      certificate: certificate.der,
      signatureAlgorithm: key.signatureAlgorithm,
      identifiedBy: 'subjectKeyIdentifier',
      rsaIdentifier: 'specific',
      sign: (data) => key.sign(data, { tenant }),
    },
    certificates: [certificate.der, ...chain],
  });
  const enveloped = await buildEnvelopedData({
    contentType: CONTENT_TYPE.signedData,
    // RFC 5652 §6.3: what is encrypted is the value of the type named, a SignedData without its ContentInfo.
    content: decodeContentInfo(signed).content,
    cipher: CIPHER,
    recipients: [recipient],
  });
  keyPackage.fill(0);
  signed.fill(0);
  return envelopedKey(enveloped);
}

/**
 * To whom a key that is made here goes.
 * @throws CmpFault `notAuthorized` for a certificate whose key may neither encipher nor agree keys
 */
export function recipientOf(sender: Sender): Recipient {
  if (sender.kind === 'mac') {
    const password = Buffer.from(sender.credential.secret.reveal(), 'utf8');
    return { kind: 'password', password, iterations: PASSWORD_ITERATIONS };
  }
  const { certificate } = sender.fact;
  const usage = keyUsage(certificate);
  const { kind } = certificate.publicKey.algorithm;
  if (kind === 'rsa' && usage?.has('keyEncipherment') !== false) {
    return {
      kind: 'rsa',
      certificate: certificate.der,
      keyTransport: 'oaep',
      identifiedBy: identifierKind(certificate),
    };
  }
  if (kind === 'ec' && usage?.has('keyAgreement') !== false) {
    return { kind: 'ecdh', certificate: certificate.der, identifiedBy: identifierKind(certificate) };
  }
  throw new CmpFault(
    'notAuthorized',
    'expected a protection certificate whose key may encipher or agree keys, to encrypt a key made here for',
  );
}

/**
 * A new certificate encrypted to its own key (RFC 9810 §5.2.8.3.2): who confirms it holds the private key. Version 3 has an
 * EnvelopedData; for version 2 an EncryptedValue, which is all that its clients read.
 */
export async function encloseCertificate(der: Uint8Array, pvno: number): Promise<EncryptedKey> {
  const certificate = parseCertificate(der);
  const { kind } = certificate.publicKey.algorithm;
  if (pvno < 3 && kind === 'rsa') return encryptedValueOf(certificate);
  if (kind !== 'rsa' && kind !== 'ec') {
    throw new CmpFault('badPOP', `popo: nothing can be encrypted to a key of kind ${kind}`, 'bad-signature');
  }
  const named = { certificate: der, identifiedBy: 'subjectKeyIdentifier' } as const;
  const recipient: Recipient = kind === 'rsa' ? { kind, ...named, keyTransport: 'oaep' } : { kind: 'ecdh', ...named };
  return envelopedKey(await buildEnvelopedData({ content: der, cipher: CIPHER, recipients: [recipient] }));
}

function envelopedKey(contentInfo: Uint8Array): EncryptedKey {
  const { content } = decodeContentInfo(contentInfo);
  return { kind: 'envelopedData', value: underIdentifier(content, ENVELOPED_DATA) };
}

/** RFC 4211 §2.1: a fresh key under RSA, the certificate under that key. */
function encryptedValueOf({ der, publicKey }: Certificate): EncryptedKey {
  const contentKey = randomBytes(32);
  const iv = randomBytes(16);
  const cipher = createCipheriv(CIPHER, contentKey, iv);
  const encValue = Buffer.concat([cipher.update(der), cipher.final()]);
  const key = createPublicKey({ key: Buffer.from(publicKey.der), format: 'der', type: 'spki' });
  const encSymmKey = publicEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, contentKey);
  contentKey.fill(0);
  return {
    kind: 'encryptedValue',
    value: {
      symmAlg: { algorithm: AES_256_CBC, parameters: encode(octetString, iv) },
      encSymmKey: { unusedBits: 0, bytes: encSymmKey },
      keyAlg: { algorithm: PUBLIC_KEY.rsaEncryption, parameters: NULL_PARAMETERS },
      encValue: { unusedBits: 0, bytes: encValue },
    },
  };
}

/** RFC 9483 §4.1.6.1: by subjectKeyIdentifier, where the certificate has one. */
function identifierKind(certificate: Certificate): 'subjectKeyIdentifier' | 'issuerAndSerialNumber' {
  return certificate.extensions.some(({ oid }) => oid === EXTENSION.subjectKeyIdentifier)
    ? 'subjectKeyIdentifier'
    : 'issuerAndSerialNumber';
}
