import { createHash, type KeyObject, randomBytes, webcrypto } from 'node:crypto';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';

/** What a Windows client makes before it speaks SCEP, with pkijs: its key, its certificate for one message, its PKCS #10. */

/** WebCrypto's names of the digests that Windows offers. */
export type WindowsDigest = 'SHA-1' | 'SHA-256' | 'SHA-512';

/** Names and purposes of a request. */
export interface WindowsRequest {
  readonly commonName: string;
  readonly dnsNames?: readonly string[];
  /** Security identifier of the account, as Intune puts it into the certificate (KB5014754). */
  readonly sid?: string;
  readonly challenge?: string | undefined;
}

/** A certificate with the key it is for. */
export interface WindowsIdentity {
  readonly privateKey: KeyObject;
  readonly certificate: pkijs.Certificate;
}

/**
 * The self-signed certificate that Windows signs its first message with: always the same subject, whatever is asked for, and an
 * authorityKeyIdentifier marked critical, against RFC 5280 §4.2.1.1.
 */
export async function protocolCertificate(privateKey: KeyObject, digest: WindowsDigest): Promise<pkijs.Certificate> {
  const certificate = new pkijs.Certificate();
  certificate.version = 2;
  certificate.serialNumber = new asn1js.Integer({ valueHex: positive(randomBytes(16)) });
  for (const name of [certificate.subject, certificate.issuer]) {
    name.typesAndValues.push(commonName('SCEP Protocol Certificate'));
  }
  certificate.notBefore.value = new Date(Date.now() - 600_000);
  certificate.notAfter.value = new Date(Date.now() + 7 * 86_400_000);
  const keys = await webKeys(privateKey, digest);
  await certificate.subjectPublicKeyInfo.importKey(keys.publicKey);
  const publicKey = certificate.subjectPublicKeyInfo.subjectPublicKey.valueBlock.valueHexView;
  const keyIdentifier = new asn1js.OctetString({
    valueHex: await webcrypto.subtle.digest('SHA-1', new Uint8Array(publicKey)),
  });
  const authorityKeyIdentifier = new pkijs.AuthorityKeyIdentifier({ keyIdentifier });
  certificate.extensions = [
    extension('2.5.29.15', true, keyUsageBits()),
    extension('2.5.29.14', false, keyIdentifier),
    extension('2.5.29.35', true, authorityKeyIdentifier.toSchema()),
  ];
  await certificate.sign(keys.privateKey, digest);
  return reread(certificate);
}

/** PKCS #10 with the attributes that CertEnroll adds: version, provider and process of the client, then extensions and challenge. */
export async function certificationRequest(
  privateKey: KeyObject,
  request: WindowsRequest,
  digest: WindowsDigest,
): Promise<pkijs.CertificationRequest> {
  const csr = new pkijs.CertificationRequest();
  csr.version = 0;
  csr.subject.typesAndValues.push(commonName(request.commonName));
  const keys = await webKeys(privateKey, digest);
  await csr.subjectPublicKeyInfo.importKey(keys.publicKey);
  csr.attributes = [
    attribute(MICROSOFT.osVersion, new asn1js.IA5String({ value: '10.0.22631.2' })),
    attribute(MICROSOFT.clientInformation, clientInformation()),
    attribute(MICROSOFT.provider, provider()),
    attribute('1.2.840.113549.1.9.14', requestedExtensions(request)),
  ];
  if (request.challenge !== undefined) {
    csr.attributes.push(attribute('1.2.840.113549.1.9.7', new asn1js.PrintableString({ value: request.challenge })));
  }
  await csr.sign(keys.privateKey, digest);
  return csr;
}

/** The transactionID of Windows: a hash of the public key in lower-case hex. */
export function transactionIdOf({ subjectPublicKeyInfo }: Pick<pkijs.Certificate, 'subjectPublicKeyInfo'>): string {
  return createHash('sha1').update(new Uint8Array(subjectPublicKeyInfo.toSchema().toBER())).digest('hex');
}

/** An RSA key pair of node:crypto for pkijs. */
export async function webKeys(privateKey: KeyObject, digest: WindowsDigest): Promise<webcrypto.CryptoKeyPair> {
  const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: digest };
  const pkcs8 = privateKey.export({ format: 'der', type: 'pkcs8' });
  const imported = await webcrypto.subtle.importKey('pkcs8', new Uint8Array(pkcs8), algorithm, true, ['sign']);
  const jwk = await webcrypto.subtle.exportKey('jwk', imported);
  const half = { kty: 'RSA', n: jwk.n!, e: jwk.e! };
  const publicKey = await webcrypto.subtle.importKey('jwk', half, algorithm, true, ['verify']);
  return { privateKey: imported, publicKey };
}

const MICROSOFT = {
  osVersion: '1.3.6.1.4.1.311.13.2.3',
  clientInformation: '1.3.6.1.4.1.311.21.20',
  provider: '1.3.6.1.4.1.311.13.2.2',
  applicationPolicies: '1.3.6.1.4.1.311.21.10',
} as const;
const CLIENT_AUTHENTICATION = '1.3.6.1.5.5.7.3.2';

function requestedExtensions({ dnsNames = [], sid }: WindowsRequest): asn1js.Sequence {
  const names = [
    ...dnsNames.map((value) => new pkijs.GeneralName({ type: 2, value })),
    ...(sid === undefined
      ? []
      : [new pkijs.GeneralName({ type: 6, value: `tag:microsoft.com,2022-09-14:sid:${sid}` })]),
  ];
  const purposes = new pkijs.ExtKeyUsage({ keyPurposes: [CLIENT_AUTHENTICATION] });
  const policies = new asn1js.Sequence({
    value: [new asn1js.Sequence({ value: [new asn1js.ObjectIdentifier({ value: CLIENT_AUTHENTICATION })] })],
  });
  const extensions = [
    extension('2.5.29.15', true, keyUsageBits()),
    extension('2.5.29.37', false, purposes.toSchema()),
    extension(MICROSOFT.applicationPolicies, false, policies),
    ...(names.length === 0 ? [] : [extension('2.5.29.17', false, new pkijs.GeneralNames({ names }).toSchema())]),
  ];
  return new pkijs.Extensions({ extensions }).toSchema();
}

function clientInformation(): asn1js.Sequence {
  return new asn1js.Sequence({
    value: [
      new asn1js.Integer({ value: 5 }),
      new asn1js.Utf8String({ value: 'desktop.example' }),
      new asn1js.Utf8String({ value: 'EXAMPLE\\desktop$' }),
      new asn1js.Utf8String({ value: 'omadmclient.exe' }),
    ],
  });
}

function provider(): asn1js.Sequence {
  return new asn1js.Sequence({
    value: [
      new asn1js.Integer({ value: 1 }),
      new asn1js.BmpString({ value: 'Microsoft Software Key Storage Provider' }),
      new asn1js.BitString({ valueHex: new ArrayBuffer(0) }),
    ],
  });
}

/** digitalSignature and keyEncipherment. */
function keyUsageBits(): asn1js.BitString {
  return new asn1js.BitString({ valueHex: Uint8Array.of(0xa0).buffer, unusedBits: 5 });
}

function extension(extnID: string, critical: boolean, value: asn1js.BaseBlock): pkijs.Extension {
  return new pkijs.Extension({ extnID, critical, extnValue: value.toBER() });
}

function attribute(type: string, value: asn1js.BaseBlock): pkijs.Attribute {
  return new pkijs.Attribute({ type, values: [value] });
}

function commonName(value: string): pkijs.AttributeTypeAndValue {
  return new pkijs.AttributeTypeAndValue({ type: '2.5.4.3', value: new asn1js.Utf8String({ value }) });
}

/** As a serial number wants it: at most 20 octets, and not negative. */
function positive(octets: Buffer): ArrayBuffer {
  octets[0] = (octets[0]! & 0x7f) | 0x40;
  return new Uint8Array(octets).buffer;
}

function reread(certificate: pkijs.Certificate): pkijs.Certificate {
  return pkijs.Certificate.fromBER(certificate.toSchema(true).toBER());
}
