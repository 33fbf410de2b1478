import { any, implicit, oid, optional, type Infer, sequence, sequenceOf } from '../asn1/schema.ts';
import { nonNegativeInteger } from './mapped-schema.ts';

/** certificatePolicies (RFC 5280 §4.2.1.4); qualifiers are kept as DER. */
export const certificatePoliciesSchema = sequenceOf(
  sequence('PolicyInformation', {
    policyIdentifier: oid,
    policyQualifiers: optional(
      sequenceOf(sequence('PolicyQualifierInfo', { policyQualifierId: oid, qualifier: any }), { min: 1 }),
    ),
  }),
  { min: 1 },
);

/** policyMappings (RFC 5280 §4.2.1.5). */
export const policyMappingsSchema = sequenceOf(
  sequence('PolicyMapping', { issuerDomainPolicy: oid, subjectDomainPolicy: oid }),
  { min: 1 },
);

/** policyConstraints (RFC 5280 §4.2.1.11): counts of further certificates. */
export const policyConstraintsSchema = sequence('PolicyConstraints', {
  requireExplicitPolicy: optional(implicit(0, nonNegativeInteger)),
  inhibitPolicyMapping: optional(implicit(1, nonNegativeInteger)),
});

/** The policies of a certificate. */
export type CertificatePolicies = Infer<typeof certificatePoliciesSchema>;
/** Equivalences between the policies of an issuer and those of its subject. */
export type PolicyMappings = Infer<typeof policyMappingsSchema>;
