import { MusterError, reasonOf } from '../../core/errors/muster-error.ts';
import { printableText } from '../../core/errors/printable-text.ts';
import { REASONS, type ReasonCode } from '../../core/errors/reasons.ts';
import type { FailInfo } from './vocabulary.ts';

/** Characters of a text that a device is told. */
const MAX_TEXT = 200;

/** How SCEP answers one reason. */
interface ScepError {
  /** The failInfo of a signed CertRep (RFC 8894 §3.2.1.4); undefined where repeating is safe, and HTTP says so. */
  readonly failInfo: FailInfo | undefined;
  /** The HTTP status where there is no transaction to answer in, or no failInfo. */
  readonly status: number;
  /** What the device reads. `message`: the message of the error, which names the fault. */
  readonly text: 'message' | { readonly fixed: string };
}

const failure = (failInfo: FailInfo, status: number): ScepError => ({ failInfo, status, text: 'message' });
const refused = failure('badRequest', 403);
/** One answer for every challenge that does not serve: nobody learns what was wrong with it, nor of a lock-out. */
const badCredential: ScepError = { ...refused, text: { fixed: 'the credential is not valid here' } };
// S11: a device that reads an HTTP error stops for now and repeats later, which is what is wanted here.
const unavailable: ScepError = {
  failInfo: undefined,
  status: 503,
  text: { fixed: 'the service is not available at the moment; the same request may be sent again' },
};

/** Every reason in SCEP's vocabulary. */
export const SCEP_ERRORS: Readonly<Record<ReasonCode, ScepError>> = {
  'malformed-request': failure('badRequest', 400),
  'bad-encoding': failure('badRequest', 400),
  'bad-signature': failure('badMessageCheck', 400),
  'bad-algorithm': failure('badAlg', 400),
  'bad-time': failure('badTime', 400),
  'bad-channel-binding': failure('badRequest', 400),
  'too-large': failure('badRequest', 413),
  'unsupported-media-type': failure('badRequest', 415),
  'unsupported-operation': failure('badRequest', 400),
  'unknown-endpoint': failure('badRequest', 404),
  'not-found': failure('badCertId', 404),
  'authentication-required': failure('badRequest', 401),
  'bad-credential': badCredential,
  'locked-out': badCredential,
  'protocol-not-open': failure('badRequest', 404),
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
  'enrollment-expired': failure('badRequest', 409),
  'transaction-in-use': failure('badRequest', 409),
  conflict: failure('badRequest', 409),
  'quota-exceeded': { failInfo: undefined, status: 429, text: 'message' },
  'authority-retired': unavailable,
  'hsm-unavailable': unavailable,
  'hsm-pin-refused': unavailable,
  'store-unavailable': unavailable,
  'decider-unavailable': unavailable,
  overloaded: unavailable,
  'shutting-down': unavailable,
  internal: { failInfo: undefined, status: 500, text: { fixed: 'a fault of the server' } },
};

/** What a device is told of a failure: in a CertRep where it has a failInfo and a transaction, else by HTTP. */
export interface ScepFailure {
  readonly reason: ReasonCode;
  readonly failInfo: FailInfo | undefined;
  readonly status: number;
  /** One line of printable text. */
  readonly text: string;
  readonly retryAfterSeconds: number | undefined;
}

/** The failure that any thrown value is to the device; what is not a MusterError is `internal` and tells nothing. */
export function failureOfError(error: unknown): ScepFailure {
  if (!(error instanceof MusterError)) return failureOf(reasonOf(error), '');
  return failureOf(error.reason, error.message, error.retryAfterSeconds);
}

/** The failure of a reason with its message and, where the error named one, its delay in seconds. */
export function failureOf(reason: ReasonCode, message: string, retryAfterSeconds?: number): ScepFailure {
  const { failInfo, status, text } = SCEP_ERRORS[reason];
  return {
    reason,
    failInfo,
    status,
    text: text === 'message' ? printableText(message, MAX_TEXT) : text.fixed,
    retryAfterSeconds: failInfo === undefined ? (retryAfterSeconds ?? REASONS[reason].retryAfterSeconds) : undefined,
  };
}
