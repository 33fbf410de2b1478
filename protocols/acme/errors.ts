import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { MusterError, reasonOf } from '../../core/errors/muster-error.ts';
import { REASONS, type ReasonCode } from '../../core/errors/reasons.ts';
import { AcmeProblem, type ProblemType } from './problem.ts';

/** How ACME answers one reason. */
interface AcmeError {
  readonly type: ProblemType;
  /** Where the usual status of the type does not fit. */
  readonly status?: number;
  /** What the client reads in place of the message. */
  readonly fixed?: string;
}

const malformed = { type: 'malformed' } as const;
const unauthorized = { type: 'unauthorized' } as const;
const badCsr = { type: 'badCSR' } as const;
const rejected = { type: 'rejectedIdentifier' } as const;
const missing = { type: 'malformed', status: 404 } as const;
const badCredential = { type: 'unauthorized', fixed: 'the external account binding is not valid here' } as const;
const unavailable: AcmeError = {
  type: 'serverInternal',
  status: 503,
  fixed: 'the service is not available at the moment; the same request may be sent again',
};

/** Every reason in ACME's vocabulary (RFC 8555 §6.7). */
export const ACME_ERRORS: Readonly<Record<ReasonCode, AcmeError>> = {
  'malformed-request': malformed,
  'bad-encoding': malformed,
  'bad-signature': badCsr,
  'bad-algorithm': { type: 'badSignatureAlgorithm' },
  'bad-time': malformed,
  'bad-channel-binding': malformed,
  'too-large': { type: 'malformed', status: 413 },
  'unsupported-media-type': { type: 'malformed', status: 415 },
  'unsupported-operation': { type: 'malformed', status: 501 },
  'unknown-endpoint': missing,
  'not-found': missing,
  'authentication-required': { type: 'externalAccountRequired' },
  'bad-credential': badCredential,
  'locked-out': { ...badCredential, status: 429 },
  'protocol-not-open': missing,
  'not-authorized': unauthorized,
  'other-tenant': unauthorized,
  'certificate-revoked': { type: 'alreadyRevoked' },
  'certificate-expired': unauthorized,
  'certificate-untrusted': unauthorized,
  'subject-mismatch': badCsr,
  'key-not-allowed': badCsr,
  'key-weak': badCsr,
  'key-reused': badCsr,
  'subject-not-allowed': badCsr,
  'name-not-allowed': rejected,
  'template-not-allowed': badCsr,
  'lint-failed': badCsr,
  'policy-refused': unauthorized,
  'operator-rejected': unauthorized,
  'evidence-required': unauthorized,
  'evidence-refused': { type: 'badAttestationStatement' },
  'device-blocked': unauthorized,
  'enrollment-expired': { type: 'orderNotReady' },
  'transaction-in-use': { type: 'orderNotReady' },
  conflict: { type: 'malformed', status: 409 },
  'quota-exceeded': { type: 'rateLimited' },
  'authority-retired': unavailable,
  'hsm-unavailable': unavailable,
  'hsm-pin-refused': unavailable,
  'store-unavailable': unavailable,
  'decider-unavailable': unavailable,
  overloaded: unavailable,
  'shutting-down': unavailable,
  internal: { type: 'serverInternal', fixed: 'a fault of the server' },
};

/** The problem that any thrown value is to the client; what nobody threw on purpose tells nothing. */
export function problemOf(error: unknown): AcmeProblem {
  if (error instanceof AcmeProblem) return error;
  if (error instanceof Asn1Error) return new AcmeProblem('malformed', error.message);
  const message = error instanceof MusterError ? error.message : '';
  const retryAfter = error instanceof MusterError ? error.retryAfterSeconds : undefined;
  return problemOfReason(reasonOf(error), message, retryAfter);
}

/** The problem of a reason with its message. */
export function problemOfReason(reason: ReasonCode, message: string, retryAfter?: number): AcmeProblem {
  const { type, status, fixed } = ACME_ERRORS[reason];
  const retryAfterSeconds = retryAfter ?? REASONS[reason].retryAfterSeconds;
  return new AcmeProblem(type, fixed ?? message, {
    ...(status !== undefined && { status }),
    ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
  });
}
