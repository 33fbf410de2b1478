/** The kinds of evidence there are; what a gate has no verifier for it refuses. */
export const EVIDENCE_TYPES = [
  'tpm-certify',
  'tpm-quote',
  'tpm-activation',
  'matter-dac',
  'idevid',
  'eat',
  'acme-tpm',
  'acme-step',
  'acme-apple',
  'acme-android-key',
] as const;
/**
 * `tpm-certify`, `tpm-quote`: statements of a TPM 2.0 in an attestation bundle. `tpm-activation`: the secret that a TPM gave back for
 * an attestation key. `matter-dac`: a Matter attestation with a
 * NOCSR. `idevid`: an IEEE 802.1AR certificate, as presented or with a signature of its key. `eat`: an Entity Attestation
 * Token. `acme-…`: the attestation objects of device-attest-01 by format.
 */
export type EvidenceType = (typeof EVIDENCE_TYPES)[number];

/** Whether an endpoint asks for evidence, and whether it refuses who has none. */
export const ATTESTATION_MODES = ['off', 'observe', 'enforce'] as const;
export type AttestationMode = (typeof ATTESTATION_MODES)[number];

/** Which renewals need evidence as a first certificate does: none, those that bring another key, all. */
export const RENEWAL_EVIDENCE = ['none', 'new-key', 'every'] as const;
export type RenewalEvidence = (typeof RENEWAL_EVIDENCE)[number];

/** What an endpoint asks of attestation. */
export interface AttestationPolicy {
  readonly mode: AttestationMode;
  /** The kinds of evidence that count; others are refused. */
  readonly accepts: readonly EvidenceType[];
  readonly renewal: RenewalEvidence;
  /** `required`: the device must stand in the manifest. Where it stands there, it must be what the manifest says either way. */
  readonly expectedDevice: 'optional' | 'required';
  /** What the evidence measures must equal a reference value of the model; without one it is refused. */
  readonly referenceValues: 'optional' | 'required';
  /** How many days the evidence itself is kept beside its hash; 0 keeps the hash alone. */
  readonly retainEvidenceDays: number;
  /** One identity enrols once: a second first enrolment waits until an operator has the device expected again. */
  readonly oneTime: boolean;
  /** Matter's test authorities count, and certification declarations by the test key: for laboratories. */
  readonly allowTestDevices: boolean;
}

/** How an administrator writes it: the mode alone, or with what shall differ from the defaults. */
export type AttestationSettings =
  | AttestationMode
  | (Pick<AttestationPolicy, 'mode'> & Partial<Omit<AttestationPolicy, 'mode'>>);

/** What holds where nothing else is said: every kind of evidence, and again when a renewal brings another key. */
const DEFAULTS: Omit<AttestationPolicy, 'mode'> = {
  accepts: EVIDENCE_TYPES,
  renewal: 'new-key',
  expectedDevice: 'optional',
  referenceValues: 'optional',
  retainEvidenceDays: 0,
  oneTime: false,
  allowTestDevices: false,
};

/** An endpoint without attestation. */
export const NO_ATTESTATION: AttestationPolicy = { mode: 'off', ...DEFAULTS };

/** The policy that settings mean; the mode alone is how they were written before there was more to say. */
export function attestationPolicy(settings: AttestationSettings): AttestationPolicy {
  return typeof settings === 'string' ? { mode: settings, ...DEFAULTS } : { ...DEFAULTS, ...settings };
}
