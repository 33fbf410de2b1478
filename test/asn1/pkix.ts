import {
  any,
  bitString,
  bmpString,
  boolean,
  choice,
  defaulted,
  explicit,
  ia5String,
  implicit,
  oid,
  octetString,
  optional,
  printableString,
  sequence,
  sequenceOf,
  serialInteger,
  setOf,
  smallInteger,
  t61String,
  time,
  universalString,
  utf8String,
  withDer,
} from '../../core/asn1/schema.ts';

/** RFC 5280 and RFC 2986 as far as the codec's own tests and figures need them: every part typed, nothing left raw. */

const AlgorithmIdentifier = sequence('AlgorithmIdentifier', { algorithm: oid, parameters: optional(any) });

const AttributeValue = choice('AttributeValue', {
  utf8String,
  printableString,
  ia5String,
  t61String,
  bmpString,
  universalString,
});

const AttributeTypeAndValue = sequence('AttributeTypeAndValue', { type: oid, value: AttributeValue });

/** RDNSequence, down to the characters. */
export const Name = sequenceOf(setOf(AttributeTypeAndValue, { min: 1 }));

const SubjectPublicKeyInfo = sequence('SubjectPublicKeyInfo', {
  algorithm: AlgorithmIdentifier,
  subjectPublicKey: bitString,
});

const Extension = sequence('Extension', { extnID: oid, critical: defaulted(boolean, false), extnValue: octetString });

const Extensions = sequenceOf(Extension, { min: 1 });

const Attribute = sequence('Attribute', {
  type: oid,
  values: setOf(choice('AttributeValues', { extensions: Extensions, any })),
});

const CertificationRequestInfo = sequence('CertificationRequestInfo', {
  version: smallInteger,
  subject: Name,
  subjectPKInfo: SubjectPublicKeyInfo,
  attributes: implicit(0, setOf(Attribute)),
});

/** RFC 2986 §4.2. */
export const CertificationRequest = sequence('CertificationRequest', {
  certificationRequestInfo: withDer(CertificationRequestInfo),
  signatureAlgorithm: AlgorithmIdentifier,
  signature: bitString,
});

/** RFC 5280 §4.1.2. */
export const TBSCertificate = sequence('TBSCertificate', {
  version: defaulted(explicit(0, smallInteger), 0),
  serialNumber: serialInteger,
  signature: AlgorithmIdentifier,
  issuer: Name,
  validity: sequence('Validity', { notBefore: time, notAfter: time }),
  subject: Name,
  subjectPublicKeyInfo: SubjectPublicKeyInfo,
  issuerUniqueID: optional(implicit(1, bitString)),
  subjectUniqueID: optional(implicit(2, bitString)),
  extensions: optional(explicit(3, Extensions)),
});

/** RFC 5280 §4.1.1. */
export const Certificate = sequence('Certificate', {
  tbsCertificate: TBSCertificate,
  signatureAlgorithm: AlgorithmIdentifier,
  signatureValue: bitString,
});
