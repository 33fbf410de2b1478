import type { KeyObject } from 'node:crypto';
import forge from 'node-forge';

import {
  algorithm,
  type Asn1,
  bitString,
  children,
  der,
  fromDer,
  octetString,
  octetsOf,
  oid,
  printable,
  sequence,
  set,
  smallInteger,
  tagged,
  taggedOctets,
  trueValue,
} from './scep-cisco-asn1.ts';
import {
  type CiscoCertificate,
  type CiscoDigest,
  DIGESTS,
  publicKeyInfo,
  rsaKeyOf,
  signed,
  signOctets,
} from './scep-cisco-certificate.ts';

/** Ciphers that IOS offers; `des` is what it falls back to. */
export type CiscoCipher = 'des' | '3des' | 'aes128' | 'aes192' | 'aes256';

/** messageType of RFC 8894 §3.2.1.2, and any other number, to see what a server makes of it. */
export type MessageType = '17' | '19' | '20' | '21' | '22' | (string & {});

export const CIPHERS: Record<
  CiscoCipher,
  {
    readonly oid: string;
    readonly forge: forge.cipher.Algorithm;
    readonly keyOctets: number;
    readonly blockOctets: number;
  }
> = {
  des: { oid: '1.3.14.3.2.7', forge: 'DES-CBC', keyOctets: 8, blockOctets: 8 },
  '3des': { oid: '1.2.840.113549.3.7', forge: '3DES-CBC', keyOctets: 24, blockOctets: 8 },
  aes128: { oid: '2.16.840.1.101.3.4.1.2', forge: 'AES-CBC', keyOctets: 16, blockOctets: 16 },
  aes192: { oid: '2.16.840.1.101.3.4.1.22', forge: 'AES-CBC', keyOctets: 24, blockOctets: 16 },
  aes256: { oid: '2.16.840.1.101.3.4.1.42', forge: 'AES-CBC', keyOctets: 32, blockOctets: 16 },
};

export const OIDS = {
  rsaEncryption: '1.2.840.113549.1.1.1',
  data: '1.2.840.113549.1.7.1',
  signedData: '1.2.840.113549.1.7.2',
  envelopedData: '1.2.840.113549.1.7.3',
  contentType: '1.2.840.113549.1.9.3',
  messageDigest: '1.2.840.113549.1.9.4',
  messageType: '2.16.840.1.113733.1.9.2',
  pkiStatus: '2.16.840.1.113733.1.9.3',
  failInfo: '2.16.840.1.113733.1.9.4',
  senderNonce: '2.16.840.1.113733.1.9.5',
  recipientNonce: '2.16.840.1.113733.1.9.6',
  transactionId: '2.16.840.1.113733.1.9.7',
  failInfoText: '1.3.6.1.5.5.7.24.1',
} as const;

/** A key pair, and the certificate that a message is signed with. */
export interface CiscoSigner {
  readonly privateKey: KeyObject;
  readonly certificate: CiscoCertificate;
}

/** The PKCS #10 request of IOS: challengePassword as PrintableString, and keyUsage as requested extension. */
export function certificationRequest(
  privateKey: KeyObject,
  subject: Asn1,
  digest: CiscoDigest,
  challenge: string | undefined,
): string {
  // digitalSignature and keyEncipherment; critical.
  const keyUsage = sequence(oid('2.5.29.15'), trueValue(), octetString(der(bitString('\xa0', 5))));
  const info = sequence(
    smallInteger(0),
    subject,
    publicKeyInfo(privateKey),
    tagged(
      0,
      ...(challenge === undefined ? [] : [attributeOf('1.2.840.113549.1.9.7', printable(challenge))]),
      attributeOf('1.2.840.113549.1.9.14', sequence(keyUsage)),
    ),
  );
  return der(signed(info, algorithm(DIGESTS[digest].withRsa), privateKey, digest));
}

/** `IssuerAndSubject` of CertPoll (RFC 8894 §3.3.3). */
export function issuerAndSubject(issuer: string, subject: string): string {
  return der(sequence(fromDer(issuer), fromDer(subject)));
}

/** `IssuerAndSerialNumber` (RFC 5652 §10.2.4). */
export function issuerAndSerialNumber({
  issuer,
  serialNumber,
}: Pick<CiscoCertificate, 'issuer' | 'serialNumber'>): Asn1 {
  return sequence(fromDer(issuer), fromDer(serialNumber));
}

/** EnvelopedData for one RSA recipient (RFC 5652 §6), in a ContentInfo. */
export function envelope(content: string, recipient: CiscoCertificate, cipher: CiscoCipher): string {
  const { oid: cipherOid, forge: name, keyOctets, blockOctets } = CIPHERS[cipher];
  const key = forge.random.getBytesSync(keyOctets);
  const iv = forge.random.getBytesSync(blockOctets);
  const encryption = forge.cipher.createCipher(name, key);
  encryption.start({ iv });
  encryption.update(forge.util.createBuffer(content));
  encryption.finish();
  const publicKey = rsaKeyOf(recipient);
  const recipientInfo = sequence(
    smallInteger(0),
    issuerAndSerialNumber(recipient),
    algorithm(OIDS.rsaEncryption),
    octetString(publicKey.encrypt(key, 'RSAES-PKCS1-V1_5')),
  );
  return contentInfo(
    OIDS.envelopedData,
    sequence(
      smallInteger(0),
      set(recipientInfo),
      sequence(oid(OIDS.data), algorithm(cipherOid, octetString(iv)), taggedOctets(0, encryption.output.getBytes())),
    ),
  );
}

/** What a pkiMessage says about itself in its signed attributes (RFC 8894 §3.2.1). */
export interface MessageAttributes {
  readonly messageType: MessageType;
  readonly transactionId: string;
  readonly senderNonce: string;
}

/** A pkiMessage: SignedData over an envelope, by the certificate that is in it. */
export function pkiMessage(
  enveloped: string,
  { messageType, transactionId, senderNonce }: MessageAttributes,
  { privateKey, certificate }: CiscoSigner,
  digest: CiscoDigest,
): string {
  const messageDigest = forge.md[digest].create().update(enveloped).digest().getBytes();
  const attributes = [
    attributeOf(OIDS.messageType, printable(messageType)),
    attributeOf(OIDS.contentType, oid(OIDS.data)),
    attributeOf(OIDS.messageDigest, octetString(messageDigest)),
    attributeOf(OIDS.senderNonce, octetString(senderNonce)),
    attributeOf(OIDS.transactionId, printable(transactionId)),
  ];
  const signedSet = set(...attributes);
  const signature = signOctets(der(signedSet), privateKey, digest);
  const signerInfo = sequence(
    smallInteger(1),
    issuerAndSerialNumber(certificate),
    algorithm(DIGESTS[digest].digest),
    tagged(0, ...children(signedSet)),
    algorithm(OIDS.rsaEncryption),
    octetString(signature),
  );
  return contentInfo(
    OIDS.signedData,
    sequence(
      smallInteger(1),
      set(algorithm(DIGESTS[digest].digest)),
      sequence(oid(OIDS.data), tagged(0, octetString(enveloped))),
      tagged(0, fromDer(certificate.der)),
      set(signerInfo),
    ),
  );
}

/** The transactionID of IOS: the MD5 of the public key in upper-case hex. */
export function ciscoTransactionId(publicKey: string): string {
  return forge.md.md5.create().update(publicKey).digest().toHex().toUpperCase();
}

/** The content octets of an element that stands alone. */
export function contentOctets(element: string): string {
  return octetsOf(fromDer(element));
}

function contentInfo(type: string, content: Asn1): string {
  return der(sequence(oid(type), tagged(0, content)));
}

function attributeOf(type: string, value: Asn1): Asn1 {
  return sequence(oid(type), set(value));
}
