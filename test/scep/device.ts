import { createHash, createPublicKey, type KeyObject, randomBytes, sign } from 'node:crypto';

import { encode } from '../../core/asn1/codec.ts';
import { octetString, printableString } from '../../core/asn1/schema.ts';
import { type Attribute, attribute } from '../../core/cms/attribute.ts';
import type { CbcCipher } from '../../core/cms/content-cipher.ts';
import type { DigestAlgorithm } from '../../core/cms/digest-algorithm.ts';
import { buildEnvelopedData, type Recipient } from '../../core/cms/enveloped-data.ts';
import { buildSignedData } from '../../core/cms/signed-data.ts';
import { assembleSigned, encodeTbsCertificate } from '../../core/x509/certificate.ts';
import { type Extension, EXTENSIONS } from '../../core/x509/extensions.ts';
import { nameFromText } from '../../core/x509/name.ts';
import { type SerialNumber, parseSerialNumber } from '../../core/x509/serial-number.ts';
import { defaultSignatureAlgorithm } from '../../core/x509/signature-algorithm.ts';
import { makeKey, publicKeyOf, signWith, type TestKeyKind } from '../support/test-pki.ts';

/** SCEP's attributes, written out: the product's table is what is under test. */
export const OID = {
  messageType: '2.16.840.1.113733.1.9.2',
  pkiStatus: '2.16.840.1.113733.1.9.3',
  failInfo: '2.16.840.1.113733.1.9.4',
  senderNonce: '2.16.840.1.113733.1.9.5',
  recipientNonce: '2.16.840.1.113733.1.9.6',
  transactionID: '2.16.840.1.113733.1.9.7',
  failInfoText: '1.3.6.1.5.5.7.24.1',
} as const;

/** A private key with the certificate that a device signs its messages with. */
export interface Signer {
  readonly der: Uint8Array;
  readonly privateKey: KeyObject;
}

/** What a test makes of a certificate that a device signs for itself. */
export interface SelfSignedOptions {
  readonly subject?: string;
  readonly key?: KeyObject | TestKeyKind;
  readonly serialNumber?: string;
  readonly extensions?: readonly Extension[];
}

/** A certificate of a device's own making (RFC 8894 §2.3). A serial number may start with `-`. */
export function selfSigned(options: SelfSignedOptions = {}): Signer {
  const { key = 'rsa-2048', serialNumber = randomBytes(8).toString('hex') } = options;
  const privateKey = typeof key === 'string' ? makeKey(key) : key;
  const subject = nameFromText(options.subject ?? 'CN=device');
  const publicKey = publicKeyOf(privateKey);
  const signatureAlgorithm = defaultSignatureAlgorithm(publicKey.algorithm);
  const isNegative = serialNumber.startsWith('-');
  const tbs = encodeTbsCertificate({
    serialNumber: isNegative ? (serialNumber as SerialNumber) : parseSerialNumber(serialNumber),
    signatureAlgorithm,
    issuer: subject,
    subject,
    validity: { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 86_400_000) },
    publicKey,
    extensions: options.extensions ?? [EXTENSIONS.keyUsage.encode(new Set(['digitalSignature', 'keyEncipherment']))],
  });
  return { der: assembleSigned(tbs, signatureAlgorithm, signWith(privateKey, signatureAlgorithm, tbs)), privateKey };
}

/** What a test says of one message; everything has a default but the certificate to encrypt for. */
export interface MessageOptions {
  readonly messageType?: string;
  readonly transactionId?: string;
  readonly senderNonce?: Uint8Array;
  readonly digest?: Exclude<DigestAlgorithm, 'shake256-512'>;
  readonly cipher?: CbcCipher;
  readonly transport?: Pick<Recipient & { kind: 'rsa' }, 'keyTransport' | 'oaepHash'>;
  /** DER of the certificate to encrypt for. */
  readonly recipient: Uint8Array;
  readonly signer: Signer;
  /** What is encrypted. */
  readonly content: Uint8Array;
  /** A pkcsPKIEnvelope instead of one of the content. */
  readonly envelope?: Uint8Array;
  /** Further signed attributes, or SCEP's in another form: one of the same type takes the place of the default. */
  readonly attributes?: readonly Attribute[];
  /** Attribute types to leave out. */
  readonly omit?: readonly string[];
  /** Certificates of the message instead of the signer's. */
  readonly certificates?: readonly Uint8Array[];
  readonly rsaIdentifier?: 'specific';
}

/** Builds a pkiMessage as a device would. */
export async function buildMessage(options: MessageOptions): Promise<Uint8Array> {
  const { digest = 'sha256', cipher = 'aes-128-cbc', recipient, signer, content } = options;
  const transport = options.transport ?? { keyTransport: 'pkcs1' };
  const recipients = [{ kind: 'rsa', certificate: recipient, ...transport } as const];
  const envelope =
    options.envelope ?? (await buildEnvelopedData({ content, cipher, recipients, allowSingleDes: true }));
  const { algorithm } = publicKeyOf(signer.privateKey);
  return buildSignedData({
    content: envelope,
    signer: {
      certificate: signer.der,
      signatureAlgorithm:
        algorithm.kind === 'rsa' ? `${digest}WithRSAEncryption` : defaultSignatureAlgorithm(algorithm),
      sign: async (data) => new Uint8Array(sign(algorithm.kind === 'ed25519' ? null : digest, data, signer.privateKey)),
      ...(options.rsaIdentifier && { rsaIdentifier: options.rsaIdentifier }),
    },
    signedAttributes: attributesOf(options),
    ...(options.certificates && { certificates: options.certificates }),
  });
}

/** The transactionID most clients make: a digest of the public key in hex. */
export function transactionOf(key: KeyObject): string {
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
  return createHash('sha1').update(spki).digest('hex');
}

/** A PrintableString attribute. */
export function printable(type: string, value: string): Attribute {
  return attribute(type, encode(printableString, value));
}

function attributesOf(options: MessageOptions): Attribute[] {
  const { messageType = '19', senderNonce = randomBytes(16), attributes = [], omit = [] } = options;
  const usual = [
    printable(OID.messageType, messageType),
    printable(OID.transactionID, options.transactionId ?? transactionOf(options.signer.privateKey)),
    attribute(OID.senderNonce, encode(octetString, senderNonce)),
  ];
  const given = new Set([...omit, ...attributes.map(({ type }) => type)]);
  return [...usual.filter(({ type }) => !given.has(type)), ...attributes];
}
