import { MusterError, reasonOf } from '../../core/errors/muster-error.ts';
import { printableText } from '../../core/errors/printable-text.ts';
import { REASONS, type ReasonCode } from '../../core/errors/reasons.ts';

/** Characters of a text that a device is told. */
const MAX_TEXT = 300;

/** How EST answers one reason: an HTTP status and a text (RFC 7030 §4.2.3: 4xx or 5xx, a human-readable body). */
interface EstError {
  readonly status: number;
  /** What the device reads. `message`: the message of the error, which names the fault. */
  readonly text: 'message' | { readonly fixed: string };
}

const badRequest = { status: 400, text: 'message' } as const;
const refused = { status: 403, text: 'message' } as const;
/** One answer for every credential that does not serve: nobody learns which half of it was wrong, nor of a lock-out. */
const unauthorized = { status: 401, text: { fixed: 'the credential is not valid here' } } as const;
const unavailable: EstError = {
  status: 503,
  text: { fixed: 'the service is not available at the moment; the same request may be sent again' },
};

/** Every reason in EST's vocabulary. */
export const EST_ERRORS: Readonly<Record<ReasonCode, EstError>> = {
  'malformed-request': badRequest,
  'bad-encoding': badRequest,
  'bad-signature': badRequest,
  'bad-algorithm': badRequest,
  'bad-time': badRequest,
  // RFC 7030 §3.5: a request whose channel binding does not verify is refused with a text that says so.
  'bad-channel-binding': badRequest,
  'too-large': { status: 413, text: 'message' },
  'unsupported-media-type': { status: 415, text: 'message' },
  // RFC 7030 §3.2.2 leaves fullcmc, serverkeygen and csrattrs optional.
  'unsupported-operation': { status: 501, text: 'message' },
  'unknown-endpoint': { status: 404, text: 'message' },
  'not-found': { status: 404, text: 'message' },
  'authentication-required': { status: 401, text: 'message' },
  'bad-credential': unauthorized,
  'locked-out': unauthorized,
  'protocol-not-open': { status: 404, text: 'message' },
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
  'enrollment-expired': { status: 409, text: 'message' },
  'transaction-in-use': { status: 409, text: 'message' },
  conflict: { status: 409, text: 'message' },
  'quota-exceeded': { status: 429, text: 'message' },
  'authority-retired': unavailable,
  'hsm-unavailable': unavailable,
  'hsm-pin-refused': unavailable,
  'store-unavailable': unavailable,
  'decider-unavailable': unavailable,
  overloaded: unavailable,
  'shutting-down': unavailable,
  internal: { status: 500, text: { fixed: 'a fault of the server' } },
};

/** What a device is told of a failure. */
export interface EstFailure {
  readonly reason: ReasonCode;
  readonly status: number;
  /** One line of printable text. */
  readonly text: string;
  readonly retryAfterSeconds: number | undefined;
}

/** The failure that any thrown value is to the device; what is not a MusterError is `internal` and tells nothing. */
export function failureOfError(error: unknown): EstFailure {
  if (!(error instanceof MusterError)) return failureOf(reasonOf(error), '');
  return failureOf(error.reason, error.message, error.retryAfterSeconds);
}

/** The failure of a reason with its message and, where the error named one, its delay in seconds. */
export function failureOf(reason: ReasonCode, message: string, retryAfterSeconds?: number): EstFailure {
  const { status, text } = EST_ERRORS[reason];
  return {
    reason,
    status,
    text: text === 'message' ? printableText(message, MAX_TEXT) : text.fixed,
    retryAfterSeconds: status === 401 ? undefined : (retryAfterSeconds ?? REASONS[reason].retryAfterSeconds),
  };
}
