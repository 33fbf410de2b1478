import {
  constants,
  createCipheriv,
  createDecipheriv,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
  webcrypto,
} from 'node:crypto';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';

import { type WindowsDigest, webKeys, type WindowsIdentity } from './scep-windows-requests.ts';

/** Ciphers that Windows offers: 3DES, and AES where the server announces it. */
export type WindowsCipher = 'des-ede3-cbc' | 'aes-128-cbc' | 'aes-256-cbc';

/** OIDs of SCEP's attributes (RFC 8894 §3.2.1) and of CMS. */
export const OIDS = {
  data: '1.2.840.113549.1.7.1',
  signedData: '1.2.840.113549.1.7.2',
  envelopedData: '1.2.840.113549.1.7.3',
  contentType: '1.2.840.113549.1.9.3',
  messageDigest: '1.2.840.113549.1.9.4',
  rsaEncryption: '1.2.840.113549.1.1.1',
  messageType: '2.16.840.1.113733.1.9.2',
  pkiStatus: '2.16.840.1.113733.1.9.3',
  failInfo: '2.16.840.1.113733.1.9.4',
  senderNonce: '2.16.840.1.113733.1.9.5',
  recipientNonce: '2.16.840.1.113733.1.9.6',
  transactionId: '2.16.840.1.113733.1.9.7',
  failInfoText: '1.3.6.1.5.5.7.24.1',
} as const;

const CIPHERS: Record<WindowsCipher, { readonly oid: string; readonly keyOctets: number; readonly ivOctets: number }> =
  {
    'des-ede3-cbc': { oid: '1.2.840.113549.3.7', keyOctets: 24, ivOctets: 8 },
    'aes-128-cbc': { oid: '2.16.840.1.101.3.4.1.2', keyOctets: 16, ivOctets: 16 },
    'aes-256-cbc': { oid: '2.16.840.1.101.3.4.1.42', keyOctets: 32, ivOctets: 16 },
  };

/** What a pkiMessage says about itself. */
export interface MessageAttributes {
  readonly messageType: string;
  readonly transactionId: string;
  readonly senderNonce: Uint8Array;
}

/** EnvelopedData for an RSA certificate, in a ContentInfo. */
export function envelope(content: ArrayBuffer, recipient: pkijs.Certificate, cipher: WindowsCipher): ArrayBuffer {
  const { oid, keyOctets, ivOctets } = CIPHERS[cipher];
  const key = randomBytes(keyOctets);
  const iv = randomBytes(ivOctets);
  const encryption = createCipheriv(cipher, key, iv);
  const encrypted = Buffer.concat([encryption.update(new Uint8Array(content)), encryption.final()]);
  const encryptedKey = publicEncrypt({ key: publicKeyPem(recipient), padding: constants.RSA_PKCS1_PADDING }, key);
  const keyTransport = new pkijs.KeyTransRecipientInfo({
    version: 0,
    rid: new pkijs.IssuerAndSerialNumber({ issuer: recipient.issuer, serialNumber: recipient.serialNumber }),
    keyEncryptionAlgorithm: algorithm(OIDS.rsaEncryption),
    encryptedKey: octets(encryptedKey),
  });
  const enveloped = new pkijs.EnvelopedData({
    version: 0,
    recipientInfos: [new pkijs.RecipientInfo({ variant: 1, value: keyTransport })],
    encryptedContentInfo: new pkijs.EncryptedContentInfo({
      contentType: OIDS.data,
      contentEncryptionAlgorithm: new pkijs.AlgorithmIdentifier({ algorithmId: oid, algorithmParams: octets(iv) }),
      encryptedContent: octets(encrypted),
      disableSplit: true,
    }),
  });
  return contentInfo(OIDS.envelopedData, enveloped.toSchema());
}

/** Opens the envelope of a reply; throws {@link UnexpectedReply} when it is not for this key, or another cipher than asked for. */
export function openEnvelope(
  octetsOfReply: ArrayBuffer,
  { privateKey, certificate }: WindowsIdentity,
  cipher: WindowsCipher,
): ArrayBuffer {
  const enveloped = new pkijs.EnvelopedData({ schema: contentOf(octetsOfReply, OIDS.envelopedData) });
  const recipient = enveloped.recipientInfos[0]!.value as pkijs.KeyTransRecipientInfo;
  const rid = recipient.rid as pkijs.IssuerAndSerialNumber;
  if (!rid.issuer.isEqual(certificate.issuer) || !rid.serialNumber.isEqual(certificate.serialNumber)) {
    throw new UnexpectedReply('an envelope for my own certificate');
  }
  const { contentEncryptionAlgorithm } = enveloped.encryptedContentInfo;
  if (contentEncryptionAlgorithm.algorithmId !== CIPHERS[cipher].oid)
    throw new UnexpectedReply(`${cipher} in the reply`);
  const key = privateDecrypt(
    { key: privateKey, padding: constants.RSA_PKCS1_PADDING },
    new Uint8Array(recipient.encryptedKey.getValue()),
  );
  const iv = (contentEncryptionAlgorithm.algorithmParams as asn1js.OctetString).getValue();
  const decryption = createDecipheriv(cipher, key, new Uint8Array(iv));
  const encrypted = enveloped.encryptedContentInfo.getEncryptedContent();
  const content = Buffer.concat([decryption.update(new Uint8Array(encrypted)), decryption.final()]);
  return new Uint8Array(content).buffer;
}

/** A pkiMessage: SignedData over an envelope. */
export async function pkiMessage(
  enveloped: ArrayBuffer,
  { messageType, transactionId, senderNonce }: MessageAttributes,
  { privateKey, certificate }: WindowsIdentity,
  digest: WindowsDigest,
): Promise<Uint8Array> {
  const attributes = [
    attribute(OIDS.contentType, new asn1js.ObjectIdentifier({ value: OIDS.data })),
    attribute(OIDS.messageDigest, octets(await webcrypto.subtle.digest(digest, enveloped))),
    attribute(OIDS.messageType, new asn1js.PrintableString({ value: messageType })),
    attribute(OIDS.senderNonce, octets(senderNonce)),
    attribute(OIDS.transactionId, new asn1js.PrintableString({ value: transactionId })),
  ].toSorted((a, b) => Buffer.compare(ber(a), ber(b)));
  const signed = new pkijs.SignedData({
    version: 1,
    encapContentInfo: new pkijs.EncapsulatedContentInfo({ eContentType: OIDS.data, eContent: octets(enveloped) }),
    certificates: [certificate],
    signerInfos: [
      new pkijs.SignerInfo({
        version: 1,
        sid: new pkijs.IssuerAndSerialNumber({ issuer: certificate.issuer, serialNumber: certificate.serialNumber }),
        signedAttrs: new pkijs.SignedAndUnsignedAttributes({ type: 0, attributes }),
      }),
    ],
  });
  await signed.sign((await webKeys(privateKey, digest)).privateKey, 0, digest);
  return new Uint8Array(contentInfo(OIDS.signedData, signed.toSchema(true)));
}

/** A SignedData out of a ContentInfo. */
export function readSignedData(message: ArrayBuffer): pkijs.SignedData {
  return new pkijs.SignedData({ schema: contentOf(message, OIDS.signedData) });
}

/** The certificates of a SignedData. */
export function certificatesOf(message: ArrayBuffer): pkijs.Certificate[] {
  return (readSignedData(message).certificates ?? []).filter((each) => each instanceof pkijs.Certificate);
}

/** The one value of a signed attribute; undefined where it is absent. */
export function signedAttribute({ signerInfos }: pkijs.SignedData, type: string): asn1js.BaseBlock | undefined {
  const found = (signerInfos[0]?.signedAttrs?.attributes ?? []).filter((each) => each.type === type);
  if (found.length > 1 || (found[0]?.values.length ?? 1) !== 1) throw new UnexpectedReply(`one value of ${type}`);
  return found[0]?.values[0];
}

/** The text of a string attribute. */
export function textOf(value: asn1js.BaseBlock | undefined): string | undefined {
  if (value === undefined) return undefined;
  if (value instanceof asn1js.PrintableString || value instanceof asn1js.Utf8String) return value.getValue();
  throw new UnexpectedReply('a PrintableString');
}

/** What holds a public key: a certificate or a request. */
export type PublicKeyHolder = Pick<pkijs.Certificate, 'subjectPublicKeyInfo'>;

/** Whether two of them have one public key. */
export function isFor({ subjectPublicKeyInfo }: PublicKeyHolder, certificate: PublicKeyHolder): boolean {
  return Buffer.from(subjectPublicKeyInfo.toSchema().toBER()).equals(
    Buffer.from(certificate.subjectPublicKeyInfo.toSchema().toBER()),
  );
}

/** A reply that Windows would not take. */
export class UnexpectedReply extends Error {
  constructor(expected: string) {
    super(`expected ${expected}`);
    this.name = 'UnexpectedReply';
  }
}

function contentOf(message: ArrayBuffer, type: string): asn1js.BaseBlock {
  const { result, offset } = asn1js.fromBER(message);
  if (offset === -1) throw new UnexpectedReply('ASN.1');
  const info = new pkijs.ContentInfo({ schema: result });
  if (info.contentType !== type) throw new UnexpectedReply(`content of type ${type}`);
  return info.content as asn1js.BaseBlock;
}

function contentInfo(contentType: string, content: asn1js.BaseBlock): ArrayBuffer {
  return new pkijs.ContentInfo({ contentType, content }).toSchema().toBER();
}

function algorithm(algorithmId: string): pkijs.AlgorithmIdentifier {
  return new pkijs.AlgorithmIdentifier({ algorithmId, algorithmParams: new asn1js.Null() });
}

function octets(value: Uint8Array | ArrayBuffer): asn1js.OctetString {
  return new asn1js.OctetString({ valueHex: new Uint8Array(value).slice().buffer });
}

function attribute(type: string, value: asn1js.BaseBlock): pkijs.Attribute {
  return new pkijs.Attribute({ type, values: [value] });
}

function ber(value: pkijs.Attribute): Buffer {
  return Buffer.from(value.toSchema().toBER());
}

/** The public key of a certificate as PEM. */
function publicKeyPem({ subjectPublicKeyInfo }: pkijs.Certificate): string {
  const base64 = Buffer.from(subjectPublicKeyInfo.toSchema().toBER()).toString('base64');
  return `-----BEGIN PUBLIC KEY-----\n${base64}\n-----END PUBLIC KEY-----\n`;
}
