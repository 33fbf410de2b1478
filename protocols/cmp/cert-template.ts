import { decode, encode } from '../../core/asn1/codec.ts';
import {
  any,
  bitString,
  explicit,
  implicit,
  type Infer,
  oid,
  optional,
  sequence,
  sequenceOf,
  serialInteger,
  smallInteger,
  time,
} from '../../core/asn1/schema.ts';
import { algorithmIdentifierSchema } from '../../core/cms/algorithm-identifier.ts';
import { extensionsSchema } from '../../core/x509/extensions.ts';
import { generalNameSchema } from '../../core/x509/general-name.ts';
import { nameSchema } from '../../core/x509/name.ts';
import { parseSubjectPublicKeyInfo, type SubjectPublicKeyInfo } from '../../core/x509/public-key.ts';
import { FOREIGN } from '../../core/x509/foreign-limits.ts';

/** A SubjectPublicKeyInfo as templates have it: in one that asks for a key made here the BIT STRING is empty. */
const publicKeyTemplate = sequence('SubjectPublicKeyInfo', {
  algorithm: algorithmIdentifierSchema,
  subjectPublicKey: bitString,
});

// RFC 4211 §5: IMPLICIT TAGS; Name and Time are CHOICEs, so their tags are explicit.
const optionalValidity = sequence('OptionalValidity', {
  notBefore: optional(explicit(0, time)),
  notAfter: optional(explicit(1, time)),
});

/** CertTemplate (RFC 4211 §5). */
export const certTemplate = sequence('CertTemplate', {
  version: optional(implicit(0, smallInteger)),
  serialNumber: optional(implicit(1, serialInteger)),
  signingAlg: optional(implicit(2, algorithmIdentifierSchema)),
  issuer: optional(explicit(3, nameSchema)),
  validity: optional(implicit(4, optionalValidity)),
  subject: optional(explicit(5, nameSchema)),
  publicKey: optional(implicit(6, publicKeyTemplate)),
  issuerUID: optional(implicit(7, bitString)),
  subjectUID: optional(implicit(8, bitString)),
  extensions: optional(implicit(9, extensionsSchema)),
});

/** A decoded CertTemplate. */
export type CertTemplate = Infer<typeof certTemplate>;

/** CertId (RFC 4211 §6.5). */
export const certId = sequence('CertId', { issuer: generalNameSchema, serialNumber: serialInteger });

/** Controls of a CertRequest (RFC 4211 §6), their values raw. */
export const controls = sequenceOf(sequence('AttributeTypeAndValue', { type: oid, value: any }), { min: 1, max: 32 });

/** The key of a template where it has one; undefined where the template leaves it to be made here (RFC 9483 §4.1.6). Throws Asn1Error. */
export function publicKeyOf({ publicKey }: Pick<CertTemplate, 'publicKey'>): SubjectPublicKeyInfo | undefined {
  if (publicKey === undefined || publicKey.subjectPublicKey.bytes.length === 0) return undefined;
  return parseSubjectPublicKeyInfo(encode(publicKeyTemplate, publicKey));
}

/** Reads a CertTemplate by itself. Throws Asn1Error. */
export function parseCertTemplate(der: Uint8Array): CertTemplate {
  return decode(certTemplate, der, FOREIGN);
}
