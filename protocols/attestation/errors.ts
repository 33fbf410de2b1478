import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { MusterError, reasonOf } from '../../core/errors/muster-error.ts';
import { printableText } from '../../core/errors/printable-text.ts';
import { REASONS, type ReasonCode } from '../../core/errors/reasons.ts';
import { EvidenceRefusal } from './evidence-refusal.ts';

/** Characters of a detail. */
const MAX_DETAIL = 300;

/** How the front door answers one reason: an HTTP status and a detail. */
interface AttestationError {
  readonly status: number;
  /** What the device reads. `message`: the message of the error, which names the fault. */
  readonly detail: 'message' | { readonly fixed: string };
}

const badRequest = { status: 400, detail: 'message' } as const;
const refused = { status: 403, detail: 'message' } as const;
const missing = { status: 404, detail: 'message' } as const;
const conflict = { status: 409, detail: 'message' } as const;
const unavailable: AttestationError = {
  status: 503,
  detail: { fixed: 'the service is not available at the moment; the same request may be sent again' },
};

/** Every reason in the front door's vocabulary. */
export const ATTESTATION_ERRORS: Readonly<Record<ReasonCode, AttestationError>> = {
  'malformed-request': badRequest,
  'bad-encoding': badRequest,
  'bad-signature': badRequest,
  'bad-algorithm': badRequest,
  'bad-time': badRequest,
  'bad-channel-binding': badRequest,
  'too-large': { status: 413, detail: 'message' },
  'unsupported-media-type': { status: 415, detail: 'message' },
  'unsupported-operation': { status: 501, detail: 'message' },
  'unknown-endpoint': missing,
  'not-found': missing,
  'protocol-not-open': missing,
  'authentication-required': refused,
  'bad-credential': refused,
  'locked-out': refused,
  'not-authorized': refused,
  'other-tenant': refused,
  'certificate-revoked': refused,
  'certificate-expired': refused,
  'certificate-untrusted': refused,
  'subject-mismatch': refused,
  'key-not-allowed': refused,
  'key-weak': refused,
  'key-reused': refused,
  'subject-not-allowed': refused,
  'name-not-allowed': refused,
  'template-not-allowed': refused,
  'lint-failed': refused,
  'policy-refused': refused,
  'operator-rejected': refused,
  'evidence-required': refused,
  'evidence-refused': refused,
  'device-blocked': refused,
  'enrollment-expired': conflict,
  'transaction-in-use': conflict,
  conflict,
  'quota-exceeded': { status: 429, detail: 'message' },
  'authority-retired': unavailable,
  'hsm-unavailable': unavailable,
  'hsm-pin-refused': unavailable,
  'store-unavailable': unavailable,
  'decider-unavailable': unavailable,
  overloaded: unavailable,
  'shutting-down': unavailable,
  internal: { status: 500, detail: { fixed: 'a fault of the server' } },
};

/** What a device is told of a failure (RFC 9457), with the reason and the gate's codes as members of their own. */
export interface AttestationFailure {
  readonly reason: ReasonCode;
  readonly status: number;
  readonly detail: string;
  readonly findings: readonly string[];
  readonly retryAfterSeconds: number | undefined;
}

/** The failure that any thrown value is to the device; what nobody threw on purpose tells nothing. */
export function failureOfError(error: unknown): AttestationFailure {
  if (error instanceof Asn1Error) return failureOf('malformed-request', error.message);
  if (!(error instanceof MusterError)) return failureOf(reasonOf(error), '');
  const findings = error instanceof EvidenceRefusal ? error.findings : [];
  return { ...failureOf(error.reason, error.message, error.retryAfterSeconds), findings };
}

/** The failure of a reason with its message and, where the error named one, its delay in seconds. */
export function failureOf(reason: ReasonCode, message: string, retryAfterSeconds?: number): AttestationFailure {
  const { status, detail } = ATTESTATION_ERRORS[reason];
  return {
    reason,
    status,
    detail: detail === 'message' ? printableText(message, MAX_DETAIL) : detail.fixed,
    findings: [],
    retryAfterSeconds: retryAfterSeconds ?? REASONS[reason].retryAfterSeconds,
  };
}
