import { hash } from 'node:crypto';
import { decode, encode } from '../asn1/codec.ts';
import {
  any,
  bitString,
  defaulted,
  explicit,
  implicit,
  type Infer,
  optional,
  sequence,
  serialInteger,
  smallInteger,
  time,
  withDer,
} from '../asn1/schema.ts';
import { type BasicConstraints, type Extension, EXTENSIONS, extensionsSchema, type KeyUsageBit } from './extensions.ts';
import { FOREIGN } from './foreign-limits.ts';
import { type Name, nameSchema, namesEqual } from './name.ts';
import { octetsEqual } from './octets.ts';
import type { GeneralName } from './general-name.ts';
import { type SubjectPublicKeyInfo, subjectPublicKeyInfoSchema } from './public-key.ts';
import { type SerialNumber, serialNumberFromOctets, serialNumberOctets } from './serial-number.ts';
import { algorithmIdentifier, type SignatureAlgorithm, signatureAlgorithmSchema } from './signature-algorithm.ts';
import { wholeOctets } from './whole-octets.ts';
import { X509Error } from './x509-error.ts';

/** What a signature covers in a certificate (RFC 5280 §4.1.2). Octets are views of the input. */
export interface TbsCertificate {
  readonly tbsDer: Uint8Array;
  /** 1, 2 or 3. */
  readonly version: number;
  readonly serialNumber: SerialNumber;
  /** Content octets of the serial number's INTEGER as they came, sign octet included. */
  readonly serialNumberOctets: Uint8Array;
  readonly issuer: Name;
  readonly subject: Name;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly publicKey: SubjectPublicKeyInfo;
  /** In the order of the certificate; each kind at most once. */
  readonly extensions: readonly Extension[];
  readonly signatureAlgorithm: SignatureAlgorithm;
}

/** A certificate (RFC 5280 §4.1), its signature not yet verified. */
export interface Certificate extends TbsCertificate {
  readonly der: Uint8Array;
  readonly signature: Uint8Array;
}

/** What goes into a certificate that is to be signed. Its names and key are written octet by octet as given. */
export interface TbsCertificateTemplate {
  readonly serialNumber: SerialNumber;
  readonly signatureAlgorithm: SignatureAlgorithm;
  readonly issuer: Name;
  /** Both ends inclusive; fractions of a second are cut off. */
  readonly validity: { readonly notBefore: Date; readonly notAfter: Date };
  readonly subject: Name;
  readonly publicKey: SubjectPublicKeyInfo;
  /** Written in this order; with none the certificate is version 1, else version 3. */
  readonly extensions: readonly Extension[];
}

const V1 = 0;
const V3 = 2;

const tbsCertificate = sequence('TBSCertificate', {
  version: defaulted(explicit(0, smallInteger), V1),
  serialNumber: serialInteger,
  signature: withDer(signatureAlgorithmSchema),
  issuer: nameSchema,
  validity: sequence('Validity', { notBefore: time, notAfter: time }),
  subject: nameSchema,
  subjectPublicKeyInfo: subjectPublicKeyInfoSchema,
  issuerUniqueID: optional(implicit(1, bitString)),
  subjectUniqueID: optional(implicit(2, bitString)),
  extensions: optional(explicit(3, extensionsSchema)),
});

const certificate = sequence('Certificate', {
  tbsCertificate: withDer(tbsCertificate),
  signatureAlgorithm: any,
  signatureValue: bitString,
});

const signed = sequence('SIGNED', { toBeSigned: any, signatureAlgorithm: any, signature: bitString });

/**
 * Decodes a certificate of any version. Throws Asn1Error on other DER, and X509Error where the fields contradict each other,
 * or where key or signature algorithm is outside the lists of `public-key.ts` and `signature-algorithm.ts`.
 */
export function parseCertificate(der: Uint8Array): Certificate {
  const { tbsCertificate: tbs, signatureAlgorithm, signatureValue } = decode(certificate, der, FOREIGN);
  // RFC 5280 §4.1.1.2: the field MUST contain the same algorithm identifier as signature in tbsCertificate.
  if (!octetsEqual(signatureAlgorithm, tbs.value.signature.der)) {
    throw new X509Error('Certificate.signatureAlgorithm', 'that of tbsCertificate.signature', 'another');
  }
  return {
    der,
    ...tbsFields(tbs.value, tbs.der),
    signature: wholeOctets(signatureValue, 'Certificate.signatureValue'),
  };
}

/** Decodes a TBSCertificate alone, as linters and stored unsigned certificates need it. Throws like `parseCertificate`. */
export function parseTbsCertificate(der: Uint8Array): TbsCertificate {
  return tbsFields(decode(tbsCertificate, der, FOREIGN), der);
}

/** The DER of a TBSCertificate. Throws Asn1Error where a value has no encoding, X509Error where an extension occurs twice. */
export function encodeTbsCertificate(template: TbsCertificateTemplate): Uint8Array {
  const { signatureAlgorithm, validity, extensions } = template;
  return encode(tbsCertificate, {
    version: extensions.length === 0 ? V1 : V3,
    serialNumber: serialNumberOctets(template.serialNumber),
    signature: { value: signatureAlgorithm, der: algorithmIdentifier(signatureAlgorithm) },
    issuer: template.issuer,
    validity,
    subject: template.subject,
    subjectPublicKeyInfo: template.publicKey,
    extensions: extensions.length === 0 ? undefined : extensions,
  });
}

/**
 * The certificate, request or CRL of a to-be-signed encoding and the signature over it (X.509 form: ECDSA as DER
 * Ecdsa-Sig-Value). Throws Asn1Error where `tbsDer` is not one encoding.
 */
export function assembleSigned(tbsDer: Uint8Array, algorithm: SignatureAlgorithm, signature: Uint8Array): Uint8Array {
  return encode(signed, {
    toBeSigned: tbsDer,
    signatureAlgorithm: algorithmIdentifier(algorithm),
    signature: { unusedBits: 0, bytes: signature },
  });
}

/** SHA-256 of a complete certificate in lower-case hex. */
export function certificateFingerprint(der: Uint8Array): string {
  return hash('sha256', der, 'hex');
}

/** basicConstraints, undefined where absent. Like the accessors below, throws Asn1Error where the extension is malformed. */
export function basicConstraints(of: TbsCertificate): BasicConstraints | undefined {
  return EXTENSIONS.basicConstraints.find(of.extensions);
}

/** keyUsage, undefined where absent: then every use is allowed. */
export function keyUsage(of: TbsCertificate): ReadonlySet<KeyUsageBit> | undefined {
  return EXTENSIONS.keyUsage.find(of.extensions);
}

/** The key purposes (dotted OIDs), undefined where absent: then every purpose is allowed. */
export function extendedKeyUsage(of: TbsCertificate): readonly string[] | undefined {
  return EXTENSIONS.extendedKeyUsage.find(of.extensions);
}

/** The names of subjectAltName; none where it is absent. */
export function subjectAltName(of: TbsCertificate): readonly GeneralName[] {
  return EXTENSIONS.subjectAltName.find(of.extensions) ?? [];
}

/** The octets of subjectKeyIdentifier, undefined where absent. */
export function subjectKeyIdentifier(of: TbsCertificate): Uint8Array | undefined {
  return EXTENSIONS.subjectKeyIdentifier.find(of.extensions);
}

/** The key identifier of the issuer in authorityKeyIdentifier, undefined where there is none. */
export function authorityKeyIdentifier(of: TbsCertificate): Uint8Array | undefined {
  return EXTENSIONS.authorityKeyIdentifier.find(of.extensions)?.keyIdentifier;
}

/** Whether subject and issuer are the same name (RFC 5280 §3.2): as in roots, and in key rollover certificates. */
export function isSelfIssued(of: TbsCertificate): boolean {
  return namesEqual(of.subject, of.issuer);
}

function tbsFields(tbs: Infer<typeof tbsCertificate>, tbsDer: Uint8Array): TbsCertificate {
  refuseFieldsOfLaterVersions(tbs);
  return {
    tbsDer,
    version: tbs.version + 1,
    serialNumber: serialNumberFromOctets(tbs.serialNumber),
    serialNumberOctets: tbs.serialNumber,
    issuer: tbs.issuer,
    subject: tbs.subject,
    notBefore: tbs.validity.notBefore,
    notAfter: tbs.validity.notAfter,
    publicKey: tbs.subjectPublicKeyInfo,
    extensions: tbs.extensions ?? [],
    signatureAlgorithm: tbs.signature.value,
  };
}

// RFC 5280 §4.1.2.1, §4.1.2.8, §4.1.2.9.
function refuseFieldsOfLaterVersions(tbs: Infer<typeof tbsCertificate>): void {
  const { version, extensions } = tbs;
  if (version < V1 || version > V3) throw new X509Error('TBSCertificate.version', 'v1, v2 or v3', String(version));
  if (extensions !== undefined && version !== V3) {
    throw new X509Error('TBSCertificate.version', 'v3 where there are extensions', `v${version + 1}`);
  }
  if (version === V1 && (tbs.issuerUniqueID ?? tbs.subjectUniqueID) !== undefined) {
    throw new X509Error('TBSCertificate.version', 'v2 or v3 where there are unique identifiers', 'v1');
  }
}
