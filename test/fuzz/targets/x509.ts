import { Asn1Error } from '../../../core/asn1/asn1-error.ts';
import { parseCertificate, parseTbsCertificate } from '../../../core/x509/certificate.ts';
import type { Certificate } from '../../../core/x509/certificate.ts';
import { parseCertificationRequest, verifyCertificationRequest } from '../../../core/x509/certification-request.ts';
import { parseCertificateList } from '../../../core/x509/crl.ts';
import { type Extension, EXTENSIONS } from '../../../core/x509/extensions.ts';
import { generalNameFromText, generalNameToText } from '../../../core/x509/general-name.ts';
import { findKeyWeakness } from '../../../core/x509/key-weakness.ts';
import { nameFromText, nameKey, namesEqual, nameToText, parseName } from '../../../core/x509/name.ts';
import { validatePath } from '../../../core/x509/path-validation.ts';
import { decodePem, encodePem } from '../../../core/x509/pem.ts';
import { keyIdentifier, parseSubjectPublicKeyInfo } from '../../../core/x509/public-key.ts';
import { parseSerialNumber } from '../../../core/x509/serial-number.ts';
import {
  algorithmIdentifier,
  parseSignatureAlgorithm,
  verifySignature,
} from '../../../core/x509/signature-algorithm.ts';
import type { FuzzTarget } from '../run-fuzz.ts';
import { seedFile } from '../seed-files.ts';

const CERTIFICATES = ['certificate-p256', 'certificate-ca-rsa', 'certificate-recipient-rsa'];
const REQUESTS = ['certification-request-p256', 'certification-request-rsa'];
const NAME_TEXTS = ['CN=a\\, b+O=c,2.5.4.5=#0c0141', 'C=DE,O=Example,CN=r1.example'];
const GENERAL_NAME_TEXTS = [
  'dns:r1.example',
  'ip:2001:db8::1',
  'ip:192.0.2.0/255.255.255.0',
  'dirname:CN=a',
  'rid:1.2.3',
];

/** Every parser of core/x509, followed by what its callers do with the result. X509Error is an Asn1Error. */
export const x509Targets: readonly FuzzTarget[] = [
  target('x509 certificate', () => CERTIFICATES.map(seedFile), readCertificate),
  target('x509 certification request', () => REQUESTS.map(seedFile), readRequest),
  target('x509 certificate list', () => [seedFile('certificate-list')], parseCertificateList),
  target('x509 name', () => CERTIFICATES.map((name) => certificate(name).subject.der), readName),
  target('x509 public key', () => CERTIFICATES.map((name) => certificate(name).publicKey.der), readPublicKey),
  target('x509 signature algorithm', algorithms, parseSignatureAlgorithm),
  target('x509 extension values', extensionValues, readAsEveryExtension),
  target('x509 path', () => [seedFile('certificate-p256'), seedFile('certificate-ca-rsa')], validatePaths),
  target('x509 PEM', () => [ascii(encodePem('CERTIFICATE', seedFile('certificate-p256')))], readPem),
  target(
    'x509 name text',
    () => NAME_TEXTS.map(ascii),
    (bytes) => parseName(nameFromText(text(bytes)).der),
  ),
  target(
    'x509 general name text',
    () => GENERAL_NAME_TEXTS.map(ascii),
    (bytes) => generalNameToText(generalNameFromText(text(bytes))),
  ),
  target(
    'x509 serial number text',
    () => [ascii('8f01'), ascii('01')],
    (bytes) => parseSerialNumber(text(bytes)),
  ),
];

function readCertificate(der: Uint8Array): void {
  const { tbsDer, issuer, subject, extensions, publicKey } = parseCertificate(der);
  parseTbsCertificate(tbsDer);
  for (const name of [issuer, subject]) nameFromText(nameToText(name));
  readKnownExtensions(extensions);
  keyIdentifier(publicKey);
  findKeyWeakness(publicKey);
}

function readRequest(der: Uint8Array): void {
  const request = parseCertificationRequest(der);
  nameToText(request.subject);
  readKnownExtensions(request.requestedExtensions);
  verifyCertificationRequest(request);
}

function readName(der: Uint8Array): void {
  const name = parseName(der);
  const again = nameFromText(nameToText(name));
  if (nameKey(name) !== nameKey(name) || !namesEqual(name, again)) throw new RangeError('its text is another name');
}

function readPublicKey(der: Uint8Array): void {
  const publicKey = parseSubjectPublicKeyInfo(der);
  findKeyWeakness(publicKey);
  for (const algorithm of ['ecdsa-with-SHA256', 'sha256WithRSAEncryption'] as const) {
    verifySignature(publicKey, algorithm, der, der);
  }
}

// What a value means is told by the extension's OID alone, so an attacker may put any value under any of them.
function readAsEveryExtension(value: Uint8Array): void {
  const refusals = Object.values(EXTENSIONS).map((codec) => refusal(() => codec.decode(value)));
  if (refusals.every((error) => error !== undefined)) throw refusals[0]!;
}

function validatePaths(der: Uint8Array): void {
  const fuzzed = parseCertificate(der);
  const authority = certificate('certificate-ca-rsa');
  const rules = { at: new Date('2026-12-01T00:00:00Z'), purpose: { extendedKeyUsage: ['1.3.6.1.5.5.7.3.2'] } };
  validatePath({ leaf: fuzzed, intermediates: [fuzzed], anchors: [authority], ...rules });
  const leaf = certificate('certificate-recipient-rsa');
  validatePath({ leaf, intermediates: [fuzzed, authority], anchors: [fuzzed, authority], ...rules });
}

function readPem(bytes: Uint8Array): void {
  for (const { label, der } of decodePem(text(bytes))) encodePem(label, der);
}

function readKnownExtensions(extensions: readonly Extension[]): void {
  for (const codec of Object.values(EXTENSIONS)) codec.find(extensions);
  for (const name of EXTENSIONS.subjectAltName.find(extensions) ?? []) generalNameToText(name);
}

function extensionValues(): readonly Uint8Array[] {
  const lists = [...CERTIFICATES.map(certificate), parseCertificateList(seedFile('certificate-list'))];
  return lists.flatMap(({ extensions }) => extensions.map(({ value }) => value));
}

function algorithms(): readonly Uint8Array[] {
  return (['ecdsa-with-SHA256', 'sha256WithRSAEncryption', 'rsassa-pss-sha384', 'ed25519'] as const).map(
    algorithmIdentifier,
  );
}

function certificate(name: string): Certificate {
  return parseCertificate(seedFile(name));
}

function refusal(run: () => unknown): Asn1Error | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    if (error instanceof Asn1Error) return error;
    throw error;
  }
}

function target(name: string, seeds: () => readonly Uint8Array[], decode: (bytes: Uint8Array) => unknown): FuzzTarget {
  return { name, seeds, decode, allowedErrors: [Asn1Error] };
}

function ascii(characters: string): Uint8Array {
  return new TextEncoder().encode(characters);
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}
