import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { reasonOf } from '../../core/errors/muster-error.ts';
import type { ReasonCode } from '../../core/errors/reasons.ts';
import { X509Error } from '../../core/x509/x509-error.ts';
import type { FailureStatus } from './messages.ts';

/** Every reason in OCSP's vocabulary (RFC 6960 §2.3). */
export const OCSP_ERRORS: Readonly<Record<ReasonCode, FailureStatus>> = {
  'malformed-request': 'malformedRequest',
  'bad-encoding': 'malformedRequest',
  'bad-signature': 'malformedRequest',
  'bad-algorithm': 'malformedRequest',
  'bad-time': 'malformedRequest',
  'bad-channel-binding': 'malformedRequest',
  'too-large': 'malformedRequest',
  'unsupported-media-type': 'malformedRequest',
  'unsupported-operation': 'malformedRequest',
  // RFC 5019 §2.2.3: unauthorized is for what this responder cannot answer with authority.
  'unknown-endpoint': 'unauthorized',
  'not-found': 'unauthorized',
  'authentication-required': 'unauthorized',
  'bad-credential': 'unauthorized',
  'locked-out': 'unauthorized',
  'protocol-not-open': 'unauthorized',
  'not-authorized': 'unauthorized',
  'other-tenant': 'unauthorized',
  'certificate-revoked': 'unauthorized',
  'certificate-expired': 'unauthorized',
  'certificate-untrusted': 'unauthorized',
  'subject-mismatch': 'unauthorized',
  'key-not-allowed': 'unauthorized',
  'key-weak': 'unauthorized',
  'key-reused': 'unauthorized',
  'subject-not-allowed': 'unauthorized',
  'name-not-allowed': 'unauthorized',
  'template-not-allowed': 'unauthorized',
  'lint-failed': 'unauthorized',
  'policy-refused': 'unauthorized',
  'operator-rejected': 'unauthorized',
  'evidence-required': 'unauthorized',
  'evidence-refused': 'unauthorized',
  'device-blocked': 'unauthorized',
  'enrollment-expired': 'unauthorized',
  'transaction-in-use': 'unauthorized',
  // A retired authority signs no responder's certificate any more: nothing is known that could be said with a signature.
  'authority-retired': 'unauthorized',
  conflict: 'tryLater',
  'quota-exceeded': 'tryLater',
  'hsm-unavailable': 'tryLater',
  'hsm-pin-refused': 'tryLater',
  'store-unavailable': 'tryLater',
  'decider-unavailable': 'tryLater',
  overloaded: 'tryLater',
  'shutting-down': 'tryLater',
  internal: 'internalError',
};

/** The failure that any thrown value is to a relying party. */
export function failureOf(error: unknown): FailureStatus {
  if (error instanceof Asn1Error || error instanceof X509Error) return 'malformedRequest';
  return OCSP_ERRORS[reasonOf(error)];
}
