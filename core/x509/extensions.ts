import { decode, encode } from '../asn1/codec.ts';
import {
  any,
  boolean,
  defaulted,
  enumerated,
  generalizedTime,
  implicit,
  type Infer,
  integer,
  namedBits,
  nullValue,
  octetString,
  oid,
  optional,
  type Schema,
  sequence,
  sequenceOf,
  serialInteger,
} from '../asn1/schema.ts';
import { certificatePoliciesSchema, policyConstraintsSchema, policyMappingsSchema } from './certificate-policies.ts';
import { distributionPointsSchema, infoAccessSchema, issuingDistributionPointSchema } from './distribution-points.ts';
import { FOREIGN } from './foreign-limits.ts';
import { generalNameSchema, generalNamesSchema } from './general-name.ts';
import { mapped, nonNegativeInteger } from './mapped-schema.ts';
import { EXTENSION } from './oids.ts';
import { X509Error } from './x509-error.ts';

/** One extension of a certificate, request, CRL or CRL entry. */
export interface Extension {
  /** extnID, dotted. */
  readonly oid: string;
  readonly critical: boolean;
  /** The octets inside extnValue: the DER of the extension's own type. */
  readonly value: Uint8Array;
}

/** How one kind of extension is read and written. */
export interface ExtensionCodec<T> {
  readonly oid: string;
  /** The extension holding `value`; `critical` where it is not to be the kind's usual one. */
  encode(value: T, critical?: boolean): Extension;
  /** Decodes extnValue's octets. Throws Asn1Error. */
  decode(value: Uint8Array): T;
  /** The decoded extension among `extensions`, undefined where it is absent. Throws Asn1Error where it is malformed. */
  find(extensions: readonly Extension[]): T | undefined;
}

/** The bits of keyUsage by the names of RFC 5280 §4.2.1.3. */
const KEY_USAGE_BITS = {
  digitalSignature: 0,
  nonRepudiation: 1,
  keyEncipherment: 2,
  dataEncipherment: 3,
  keyAgreement: 4,
  keyCertSign: 5,
  cRLSign: 6,
  encipherOnly: 7,
  decipherOnly: 8,
} as const;

/** One bit of keyUsage. */
export type KeyUsageBit = keyof typeof KEY_USAGE_BITS;

const generalSubtrees = sequenceOf(
  sequence('GeneralSubtree', {
    base: generalNameSchema,
    minimum: defaulted(implicit(0, nonNegativeInteger), 0),
    maximum: optional(implicit(1, nonNegativeInteger)),
  }),
  { min: 1 },
);
const nameConstraints = sequence('NameConstraints', {
  permittedSubtrees: optional(implicit(0, generalSubtrees)),
  excludedSubtrees: optional(implicit(1, generalSubtrees)),
});
const authorityKeyIdentifier = sequence('AuthorityKeyIdentifier', {
  keyIdentifier: optional(implicit(0, octetString)),
  authorityCertIssuer: optional(implicit(1, generalNamesSchema)),
  authorityCertSerialNumber: optional(implicit(2, serialInteger)),
});
const basicConstraints = sequence('BasicConstraints', {
  cA: defaulted(boolean, false),
  pathLenConstraint: optional(nonNegativeInteger),
});

/** The subtrees of nameConstraints (RFC 5280 §4.2.1.10). */
export type GeneralSubtrees = Infer<typeof generalSubtrees>;
/** nameConstraints (RFC 5280 §4.2.1.10). */
export type NameConstraints = Infer<typeof nameConstraints>;
/** basicConstraints (RFC 5280 §4.2.1.9). */
export type BasicConstraints = Infer<typeof basicConstraints>;

/**
 * The extensions that Muster understands. Whether `encode` marks one critical unless told otherwise follows RFC 5280 §4.2 and
 * §5.2: what a relying party must not ignore is critical.
 */
export const EXTENSIONS = {
  basicConstraints: codec(EXTENSION.basicConstraints, basicConstraints, true),
  keyUsage: codec(EXTENSION.keyUsage, namedBits(KEY_USAGE_BITS), true),
  extendedKeyUsage: codec(EXTENSION.extendedKeyUsage, sequenceOf(oid, { min: 1 }), false),
  /** Critical only where the subject is empty (RFC 5280 §4.2.1.6): the caller says so. */
  subjectAltName: codec(EXTENSION.subjectAltName, generalNamesSchema, false),
  issuerAltName: codec(EXTENSION.issuerAltName, generalNamesSchema, false),
  authorityKeyIdentifier: codec(EXTENSION.authorityKeyIdentifier, authorityKeyIdentifier, false),
  subjectKeyIdentifier: codec(EXTENSION.subjectKeyIdentifier, octetString, false),
  crlDistributionPoints: codec(EXTENSION.crlDistributionPoints, distributionPointsSchema, false),
  freshestCRL: codec(EXTENSION.freshestCRL, distributionPointsSchema, false),
  authorityInfoAccess: codec(EXTENSION.authorityInfoAccess, infoAccessSchema, false),
  subjectInfoAccess: codec(EXTENSION.subjectInfoAccess, infoAccessSchema, false),
  certificatePolicies: codec(EXTENSION.certificatePolicies, certificatePoliciesSchema, false),
  policyMappings: codec(EXTENSION.policyMappings, policyMappingsSchema, true),
  policyConstraints: codec(EXTENSION.policyConstraints, policyConstraintsSchema, true),
  inhibitAnyPolicy: codec(EXTENSION.inhibitAnyPolicy, nonNegativeInteger, true),
  nameConstraints: codec(EXTENSION.nameConstraints, nameConstraints, true),
  ocspNoCheck: codec(EXTENSION.ocspNoCheck, nullValue, false),
  crlNumber: codec(EXTENSION.crlNumber, integer, false),
  deltaCRLIndicator: codec(EXTENSION.deltaCRLIndicator, integer, true),
  issuingDistributionPoint: codec(EXTENSION.issuingDistributionPoint, issuingDistributionPointSchema, true),
  /** The number of a CRLReason (RFC 5280 §5.3.1). */
  reasonCode: codec(EXTENSION.reasonCode, enumerated, false),
  invalidityDate: codec(EXTENSION.invalidityDate, generalizedTime, false),
  certificateIssuer: codec(EXTENSION.certificateIssuer, generalNamesSchema, true),
} as const;

/** More than any certificate has; bounds the search for duplicates. */
const MAX_EXTENSIONS = 64;

/** The schema of Extensions: at least one, no kind twice (RFC 5280 §4.2). */
export const extensionsSchema: Schema<readonly Extension[]> = mapped(
  sequenceOf(
    mapped(
      sequence('Extension', { extnID: oid, critical: defaulted(boolean, false), extnValue: octetString }),
      ({ extnID, critical, extnValue }): Extension => ({ oid: extnID, critical, value: extnValue }),
      ({ oid: extnID, critical, value }: Extension) => ({ extnID, critical, extnValue: value }),
    ),
    { min: 1, max: MAX_EXTENSIONS },
  ),
  refuseDuplicates,
  refuseDuplicates,
);

/** The extension of a kind (dotted OID), undefined where it is absent. */
export function findExtension(extensions: readonly Extension[], kind: string): Extension | undefined {
  return extensions.find((extension) => extension.oid === kind);
}

/** An extension of a kind that has no codec here, from the DER of its type; that it is one complete encoding is checked. */
export function rawExtension(kind: string, value: Uint8Array, critical: boolean): Extension {
  return { oid: kind, critical, value: decode(any, value) };
}

function codec<T>(kind: string, schema: Schema<T>, usuallyCritical: boolean): ExtensionCodec<T> {
  const decodeValue = (value: Uint8Array): T => decode(schema, value, FOREIGN);
  return {
    oid: kind,
    encode: (value, critical = usuallyCritical) => ({ oid: kind, critical, value: encode(schema, value) }),
    decode: decodeValue,
    find(extensions) {
      const found = findExtension(extensions, kind);
      return found === undefined ? undefined : decodeValue(found.value);
    },
  };
}

function refuseDuplicates(extensions: readonly Extension[]): readonly Extension[] {
  for (let i = 1; i < extensions.length; i++) {
    for (let j = 0; j < i; j++) {
      if (extensions[i]!.oid === extensions[j]!.oid) {
        throw new X509Error(`[${i}]`, 'each extension once', `${extensions[i]!.oid} twice`);
      }
    }
  }
  return extensions;
}
