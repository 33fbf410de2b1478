import { decode } from '../asn1/codec.ts';
import {
  any,
  bitString,
  boolean,
  choice,
  defaulted,
  explicit,
  implicit,
  octetString,
  oid,
  optional,
  sequence,
} from '../asn1/schema.ts';
import { sequenceOf, serialInteger, smallInteger } from '../asn1/schema.ts';
import { namesEqual, parseName } from '../x509/name.ts';
import { octetsEqual } from '../x509/octets.ts';
import { EXTENSION } from '../x509/oids.ts';
import { CmsError } from './cms-error.ts';

/** IssuerAndSerialNumber (RFC 5652 §10.2.4). */
interface IssuerAndSerialNumber {
  /** The complete encoding of the issuer's Name. */
  readonly issuer: Uint8Array;
  /** Content octets of the INTEGER; old Cisco devices send negative ones, which must come back octet for octet. */
  readonly serialNumber: Uint8Array;
}

/** Schema of {@link IssuerAndSerialNumber}. */
export const issuerAndSerialNumberSchema = sequence('IssuerAndSerialNumber', {
  issuer: any,
  serialNumber: serialInteger,
});

/** What CMS needs to know of a certificate: how messages name it, and its key. */
export interface CertificateIdentity extends IssuerAndSerialNumber {
  /** Of the extension; undefined where the certificate has none. */
  readonly subjectKeyIdentifier: Uint8Array | undefined;
  /** The complete encoding. */
  readonly subjectPublicKeyInfo: Uint8Array;
}

/** How SignerInfo and RecipientInfo name a certificate (RFC 5652 §5.3 SignerIdentifier, §6.2.1 RecipientIdentifier). */
export type CertificateIdentifier =
  | { readonly kind: 'issuerAndSerialNumber'; readonly value: IssuerAndSerialNumber }
  | { readonly kind: 'subjectKeyIdentifier'; readonly value: Uint8Array };

/** Schema of {@link CertificateIdentifier}. */
export const certificateIdentifierSchema = choice('CertificateIdentifier', {
  issuerAndSerialNumber: issuerAndSerialNumberSchema,
  subjectKeyIdentifier: implicit(0, octetString),
});

// Only as deep as needed: extensions that a strict parser refuses (Windows marks authorityKeyIdentifier critical) are
// no reason not to find the certificate. Who trusts a certificate parses all of it.
const extensions = sequenceOf(
  sequence('Extension', { extnID: oid, critical: defaulted(boolean, false), extnValue: octetString }),
);
const certificateSchema = sequence('Certificate', {
  tbsCertificate: sequence('TBSCertificate', {
    version: optional(explicit(0, smallInteger)),
    serialNumber: serialInteger,
    signature: any,
    issuer: any,
    validity: any,
    subject: any,
    subjectPublicKeyInfo: any,
    issuerUniqueID: optional(implicit(1, bitString)),
    subjectUniqueID: optional(implicit(2, bitString)),
    extensions: optional(explicit(3, extensions)),
  }),
  signatureAlgorithm: any,
  signature: bitString,
});

/** Reads the identity of a certificate in DER. Throws Asn1Error. */
export function certificateIdentity(certificate: Uint8Array): CertificateIdentity {
  const {
    issuer,
    serialNumber,
    subjectPublicKeyInfo,
    extensions: found,
  } = decode(certificateSchema, certificate).tbsCertificate;
  const identifier = found?.find(({ extnID }) => extnID === EXTENSION.subjectKeyIdentifier);
  const subjectKeyIdentifier = identifier === undefined ? undefined : decode(octetString, identifier.extnValue);
  return { issuer, serialNumber, subjectKeyIdentifier, subjectPublicKeyInfo };
}

/**
 * How to name a certificate, in the way asked for.
 *
 * @throws CmsError `invalid-argument` where it has no subjectKeyIdentifier to be named by
 */
export function identifierOf(
  certificate: CertificateIdentity,
  kind: CertificateIdentifier['kind'],
): CertificateIdentifier {
  const { issuer, serialNumber, subjectKeyIdentifier } = certificate;
  if (kind === 'issuerAndSerialNumber') return { kind, value: { issuer, serialNumber } };
  if (subjectKeyIdentifier !== undefined) return { kind, value: subjectKeyIdentifier };
  throw new CmsError('invalid-argument', 'a certificate with a subjectKeyIdentifier', 'one without');
}

/** Whether the identifier names this certificate. Names are compared as RFC 5280 §7.1 has it. */
export function identifies(identifier: CertificateIdentifier, certificate: CertificateIdentity): boolean {
  switch (identifier.kind) {
    case 'issuerAndSerialNumber':
      return (
        octetsEqual(identifier.value.serialNumber, certificate.serialNumber) &&
        issuersEqual(identifier.value.issuer, certificate.issuer)
      );
    case 'subjectKeyIdentifier':
      return (
        certificate.subjectKeyIdentifier !== undefined &&
        octetsEqual(identifier.value, certificate.subjectKeyIdentifier)
      );
  }
}

function issuersEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (octetsEqual(a, b)) return true;
  try {
    return namesEqual(parseName(a), parseName(b));
  } catch {
    return false; // one that is not a Name equals none
  }
}
