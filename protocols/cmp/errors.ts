import { MusterError, PeerError, reasonOf } from '../../core/errors/muster-error.ts';
import { printableText } from '../../core/errors/printable-text.ts';
import type { ReasonCode, ReasonCodeBlaming } from '../../core/errors/reasons.ts';
import type { FailureBit } from './pki-status.ts';

/** Characters of a text that a device is told. */
const MAX_TEXT = 300;

/** How CMP answers one reason: a bit of PKIFailureInfo and what goes into statusString. */
interface CmpError {
  readonly failInfo: FailureBit;
  /** `message`: that of the error, which names the fault. */
  readonly text: 'message' | { readonly fixed: string };
}

const said = (failInfo: FailureBit): CmpError => ({ failInfo, text: 'message' });
/** One answer for every secret that does not serve: nobody learns which part of it was wrong, nor of a lock-out. */
const notGenuine: CmpError = {
  failInfo: 'badMessageCheck',
  text: { fixed: 'the protection of the message is not valid here' },
};
const unavailable: CmpError = {
  failInfo: 'systemUnavail',
  text: { fixed: 'the service is not available at the moment; the same request may be sent again' },
};

/** Every reason in CMP's vocabulary (RFC 9810 §5.2.3). */
export const CMP_ERRORS: Readonly<Record<ReasonCode, CmpError>> = {
  'malformed-request': said('badDataFormat'),
  'bad-encoding': said('badDataFormat'),
  'bad-signature': said('badPOP'),
  'bad-algorithm': said('badAlg'),
  'bad-time': said('badTime'),
  'bad-channel-binding': said('badMessageCheck'),
  'too-large': said('badRequest'),
  'unsupported-media-type': said('badRequest'),
  'unsupported-operation': said('badRequest'),
  'unknown-endpoint': said('badRequest'),
  'not-found': said('badCertId'),
  'authentication-required': said('badMessageCheck'),
  'bad-credential': notGenuine,
  'locked-out': notGenuine,
  'protocol-not-open': said('badRequest'),
  'not-authorized': said('notAuthorized'),
  'other-tenant': said('notAuthorized'),
  'certificate-revoked': said('certRevoked'),
  'certificate-expired': said('signerNotTrusted'),
  'certificate-untrusted': said('signerNotTrusted'),
  'subject-mismatch': said('badCertTemplate'),
  'key-not-allowed': said('badCertTemplate'),
  'key-weak': said('badCertTemplate'),
  'key-reused': said('duplicateCertReq'),
  'subject-not-allowed': said('badCertTemplate'),
  'name-not-allowed': said('badCertTemplate'),
  'template-not-allowed': said('badCertTemplate'),
  'lint-failed': said('badCertTemplate'),
  'policy-refused': said('notAuthorized'),
  'operator-rejected': said('notAuthorized'),
  'evidence-required': said('notAuthorized'),
  'evidence-refused': said('notAuthorized'),
  'device-blocked': said('notAuthorized'),
  'enrollment-expired': said('badRequest'),
  'transaction-in-use': said('transactionIdInUse'),
  conflict: said('badRequest'),
  'quota-exceeded': said('systemUnavail'),
  'authority-retired': unavailable,
  'hsm-unavailable': unavailable,
  'hsm-pin-refused': unavailable,
  'store-unavailable': unavailable,
  overloaded: unavailable,
  'shutting-down': unavailable,
  'decider-unavailable': unavailable,
  internal: { failInfo: 'systemFailure', text: { fixed: 'a fault of the server' } },
};

/** A fault for which PKIFailureInfo has a finer word than the table of reasons. */
export class CmpFault extends PeerError {
  readonly failInfo: FailureBit;

  constructor(failInfo: FailureBit, message: string, reason: ReasonCodeBlaming<'peer'> = 'malformed-request') {
    super(reason, message);
    this.failInfo = failInfo;
  }
}

/** What a device is told of a failure. */
export interface CmpFailure {
  readonly reason: ReasonCode;
  readonly failInfo: FailureBit;
  /** One line of printable text. */
  readonly text: string;
}

/** The failure that any thrown value is to the device; what is not a MusterError is `internal` and tells nothing. */
export function failureOfError(error: unknown): CmpFailure {
  if (!(error instanceof MusterError)) return failureOf(reasonOf(error), '');
  const failure = failureOf(error.reason, error.message);
  return error instanceof CmpFault
    ? { ...failure, failInfo: error.failInfo, text: printableText(error.message, MAX_TEXT) }
    : failure;
}

/** The failure of a reason with its message. */
export function failureOf(reason: ReasonCode, message: string): CmpFailure {
  const { failInfo, text } = CMP_ERRORS[reason];
  return { reason, failInfo, text: text === 'message' ? printableText(message, MAX_TEXT) : text.fixed };
}
