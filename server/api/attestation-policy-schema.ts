import { type Static, Type } from 'typebox';
import {
  ATTESTATION_MODES,
  type AttestationPolicy,
  attestationPolicy,
  type AttestationSettings,
  EVIDENCE_TYPES,
  RENEWAL_EVIDENCE,
} from '../../core/enrollment/attestation-policy.ts';

const mode = Type.Enum(ATTESTATION_MODES, {
  description: 'Whether evidence is asked for before a first certificate, and whether who has none is refused.',
});

const policyMembers = {
  mode,
  accepts: Type.Array(Type.Enum(EVIDENCE_TYPES), {
    description: 'The kinds of evidence that count.',
    uniqueItems: true,
  }),
  renewal: Type.Enum(RENEWAL_EVIDENCE, {
    description:
      'Renewals that need evidence: none, those that bring another key than the attested one, or every one of them.',
  }),
  expectedDevice: Type.Enum(['optional', 'required'], { description: 'Whether the device must stand in a manifest.' }),
  referenceValues: Type.Enum(['optional', 'required'], {
    description: 'Whether what the device measures must equal a reference value of its model.',
  }),
  retainEvidenceDays: Type.Integer({
    description: 'Days the evidence itself is kept beside its hash; 0: the hash alone.',
    minimum: 0,
    maximum: 3_650,
  }),
  oneTime: Type.Boolean({ description: 'One identity enrols once, until an operator has the device expected again.' }),
  allowTestDevices: Type.Boolean({ description: "Matter's test authorities count: for laboratories." }),
};

/** What an endpoint asks of attestation, as the API shows it. */
export const attestationView = Type.Object(policyMembers, { description: 'What the endpoint asks of attestation.' });

/** Changes to it: the mode alone, or the members that shall differ (RFC 7396). */
export const attestationChanges = Type.Union([
  mode,
  Type.Object(Type.Partial(Type.Object(policyMembers)).properties, { additionalProperties: false }),
]);

/** The settings after changes; the mode alone leaves the rest as it was. */
export function changedAttestation(
  before: AttestationSettings,
  changes: Static<typeof attestationChanges> | undefined,
): AttestationPolicy {
  const standing = attestationPolicy(before);
  if (changes === undefined) return standing;
  return { ...standing, ...(typeof changes === 'string' ? { mode: changes } : changes) };
}
