/**
 * The one table of reasons. Every refusal, anywhere in Muster, carries one of these codes; each protocol's `errors.ts`
 * maps every code to its own vocabulary, and a test walks this table to prove that none was forgotten.
 */

/** Who must act for the request to succeed. */
export type Blame =
  /** The peer sent something malformed or inconsistent. */
  | 'peer'
  /** The request was understood and refused by a rule of this installation. */
  | 'policy'
  /** The request conflicts with the state of something stored here. */
  | 'state'
  /** A part Muster depends on (HSM, database, device) did not answer. */
  | 'upstream'
  /** A fault of Muster itself. */
  | 'internal';

interface ReasonEntry {
  readonly blame: Blame;
  /** What an operator does about it: one sentence, no secrets, no data of the request. */
  readonly hint: string;
  /** How long a peer waits before it asks again, where the error names no delay of its own. */
  readonly retryAfterSeconds?: number;
}

const table = {
  'malformed-request': { blame: 'peer', hint: 'the request does not follow its protocol; look at the named field' },
  'bad-encoding': { blame: 'peer', hint: 'the body is not the base64 or DER its content type promises' },
  'bad-signature': {
    blame: 'peer',
    hint: 'the proof of possession does not verify with the public key in the request',
  },
  'bad-algorithm': { blame: 'peer', hint: 'the request uses an algorithm this endpoint does not accept' },
  'bad-time': { blame: 'peer', hint: 'the clock of the device is too far from ours; set it by NTP' },
  'bad-channel-binding': { blame: 'peer', hint: 'the request is not bound to the TLS connection it came on' },
  'too-large': { blame: 'peer', hint: 'the message exceeds the size limit of this operation' },
  'unsupported-media-type': { blame: 'peer', hint: 'the content type is not the one this operation takes' },
  'unsupported-operation': { blame: 'peer', hint: 'this operation is not offered here' },
  'unknown-endpoint': { blame: 'peer', hint: 'no endpoint has this label; list them with `muster endpoint list`' },
  'not-found': { blame: 'peer', hint: 'no such object in this tenant' },
  'authentication-required': { blame: 'peer', hint: 'the device sent no credential this endpoint accepts' },
  'bad-credential': {
    blame: 'policy',
    hint: 'the password, secret or certificate is wrong, spent, expired or revoked',
  },
  'locked-out': { blame: 'policy', hint: 'too many wrong credentials; wait, or clear the lock-out' },
  'protocol-not-open': { blame: 'policy', hint: 'the endpoint is not open for this protocol; open it in its settings' },
  'not-authorized': { blame: 'policy', hint: 'the credential is genuine but may not ask for this' },
  'other-tenant': { blame: 'policy', hint: 'the subject belongs to another tenant' },
  'certificate-revoked': { blame: 'policy', hint: 'the presented certificate is revoked; the device must enrol anew' },
  'certificate-expired': {
    blame: 'policy',
    hint: 'the presented certificate has expired; enrol anew or allow expired ones',
  },
  'certificate-untrusted': {
    blame: 'policy',
    hint: 'the presented certificate does not lead to an anchor of this endpoint',
  },
  'subject-mismatch': { blame: 'policy', hint: 'subject or subjectAltName differ from the certificate being renewed' },
  'key-not-allowed': { blame: 'policy', hint: 'the profile does not allow this key type or size' },
  'key-weak': { blame: 'policy', hint: 'the key is known to be weak; make a new one on the device' },
  'key-reused': { blame: 'policy', hint: 'the profile asks for a new key and this one was certified before' },
  'subject-not-allowed': { blame: 'policy', hint: 'the profile does not allow this subject' },
  'name-not-allowed': { blame: 'policy', hint: 'the profile or the credential does not allow this subjectAltName' },
  'template-not-allowed': { blame: 'policy', hint: 'the request asks for an extension the profile does not grant' },
  'lint-failed': { blame: 'policy', hint: 'the certificate would break a rule; see the findings of the enrolment' },
  'policy-refused': { blame: 'policy', hint: 'an admission rule refused; see the rule named in the enrolment' },
  'operator-rejected': { blame: 'policy', hint: 'an operator rejected the enrolment' },
  'evidence-required': { blame: 'policy', hint: 'the endpoint asks for attestation evidence and none was accepted' },
  'evidence-refused': { blame: 'policy', hint: 'the attestation evidence was appraised and refused' },
  'device-blocked': { blame: 'policy', hint: 'the device is blocked in the inventory' },
  'enrollment-expired': { blame: 'state', hint: 'the enrolment waited too long; the device must ask again' },
  'transaction-in-use': { blame: 'state', hint: 'the transaction id is bound to another request' },
  conflict: { blame: 'state', hint: 'the object was changed meanwhile; read it again' },
  'quota-exceeded': {
    blame: 'state',
    hint: 'the tenant or source has too many requests waiting',
    retryAfterSeconds: 60,
  },
  // The device can do nothing, an operator can: it asks again later, not at once.
  'authority-retired': {
    blame: 'state',
    hint: 'the certification authority of this endpoint no longer issues',
    retryAfterSeconds: 3600,
  },
  'hsm-unavailable': {
    blame: 'upstream',
    hint: 'the token did not answer; see `muster doctor`',
    retryAfterSeconds: 30,
  },
  'hsm-pin-refused': {
    blame: 'upstream',
    hint: 'the token refused the PIN; it is not tried again until restarted with the right one',
    retryAfterSeconds: 300,
  },
  'store-unavailable': {
    blame: 'upstream',
    hint: 'the database did not answer or refused to commit',
    retryAfterSeconds: 10,
  },
  'decider-unavailable': {
    blame: 'upstream',
    hint: 'the external decider of the endpoint did not answer as agreed; look at it, or at its URL and key',
    retryAfterSeconds: 30,
  },
  overloaded: { blame: 'upstream', hint: 'more requests wait than this node can serve', retryAfterSeconds: 10 },
  'shutting-down': {
    blame: 'upstream',
    hint: 'this node is stopping; another one or a restart will answer',
    retryAfterSeconds: 10,
  },
  internal: { blame: 'internal', hint: 'a fault of Muster; look up the request id in the log' },
} as const satisfies Record<string, ReasonEntry>;

/** The stable code of a reason: kebab-case, never reused for another meaning. */
export type ReasonCode = keyof typeof table;

/** The codes that blame one party, so that `new PolicyError('hsm-unavailable')` does not compile. */
export type ReasonCodeBlaming<B extends Blame> = {
  [C in ReasonCode]: (typeof table)[C]['blame'] extends B ? C : never;
}[ReasonCode];

/** Every reason with its blame and the operator's hint. */
export const REASONS: Readonly<Record<ReasonCode, ReasonEntry>> = Object.freeze(table);

/** All reason codes, for the tests that walk each protocol's mapping. */
export const REASON_CODES = Object.freeze(Object.keys(table)) as readonly ReasonCode[];
