import { MusterError } from '../../core/errors/muster-error.ts';
import { printableText } from '../../core/errors/printable-text.ts';
import type { ReasonCode } from '../../core/errors/reasons.ts';
import type { Identifier } from './identifier.ts';

/** Characters of a detail. */
const MAX_DETAIL = 400;

interface ProblemEntry {
  readonly status: number;
  readonly reason: ReasonCode;
}

/** The error types of RFC 8555 §6.7 and of its extensions, each with its HTTP status and the reason it is logged under. */
export const PROBLEMS = {
  accountDoesNotExist: { status: 400, reason: 'not-found' },
  /** RFC 9773 §7.4. */
  alreadyReplaced: { status: 409, reason: 'conflict' },
  alreadyRevoked: { status: 400, reason: 'certificate-revoked' },
  /** draft-ietf-acme-device-attest §7. */
  badAttestationStatement: { status: 400, reason: 'evidence-refused' },
  badCSR: { status: 400, reason: 'subject-mismatch' },
  badNonce: { status: 400, reason: 'malformed-request' },
  badPublicKey: { status: 400, reason: 'key-not-allowed' },
  badRevocationReason: { status: 400, reason: 'malformed-request' },
  badSignatureAlgorithm: { status: 400, reason: 'bad-algorithm' },
  caa: { status: 403, reason: 'policy-refused' },
  compound: { status: 400, reason: 'malformed-request' },
  connection: { status: 400, reason: 'policy-refused' },
  dns: { status: 400, reason: 'policy-refused' },
  externalAccountRequired: { status: 403, reason: 'authentication-required' },
  incorrectResponse: { status: 403, reason: 'policy-refused' },
  invalidContact: { status: 400, reason: 'malformed-request' },
  /** draft-ietf-acme-profiles §5. */
  invalidProfile: { status: 400, reason: 'malformed-request' },
  malformed: { status: 400, reason: 'malformed-request' },
  orderNotReady: { status: 403, reason: 'conflict' },
  rateLimited: { status: 429, reason: 'quota-exceeded' },
  rejectedIdentifier: { status: 400, reason: 'name-not-allowed' },
  serverInternal: { status: 500, reason: 'internal' },
  tls: { status: 400, reason: 'policy-refused' },
  unauthorized: { status: 403, reason: 'not-authorized' },
  unsupportedContact: { status: 400, reason: 'malformed-request' },
  unsupportedIdentifier: { status: 400, reason: 'malformed-request' },
  userActionRequired: { status: 403, reason: 'policy-refused' },
} as const satisfies Record<string, ProblemEntry>;
export type ProblemType = keyof typeof PROBLEMS;

const PREFIX = 'urn:ietf:params:acme:error:';

/** A fault of one identifier among several (RFC 8555 §6.7.1). */
export interface Subproblem {
  readonly type: ProblemType;
  readonly detail: string;
  readonly identifier: Identifier;
}

/** What a problem may say besides its type. */
export interface ProblemDetails {
  /** Where the usual status of its type does not fit. */
  readonly status?: number;
  readonly subproblems?: readonly Subproblem[];
  readonly retryAfterSeconds?: number;
  /** Header fields of the answer. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Members of the document besides the standard ones: `algorithms` (RFC 8555 §6.2). */
  readonly members?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/** A refusal in ACME's own vocabulary. The message goes to the client. */
export class AcmeProblem extends MusterError {
  readonly type: ProblemType;
  readonly details: ProblemDetails;

  constructor(type: ProblemType, message: string, details: ProblemDetails = {}) {
    const { cause, retryAfterSeconds } = details;
    super(PROBLEMS[type].reason, message, {
      ...(cause !== undefined && { cause }),
      ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
    });
    this.type = type;
    this.details = details;
  }

  get status(): number {
    return this.details.status ?? PROBLEMS[this.type].status;
  }
}

/** A problem document (RFC 7807) as it goes over the wire, and into orders and challenges that failed. */
export interface ProblemDocument {
  readonly type: string;
  readonly detail: string;
  readonly status: number;
  readonly subproblems?: readonly object[];
}

/** The document of a problem. */
export function problemDocument({ type, message, status, details }: AcmeProblem): ProblemDocument {
  const { subproblems, members } = details;
  return {
    type: `${PREFIX}${type}`,
    detail: printableText(message, MAX_DETAIL),
    status,
    ...members,
    ...(subproblems !== undefined && {
      subproblems: subproblems.map((one) => ({
        ...one,
        type: `${PREFIX}${one.type}`,
        detail: printableText(one.detail, MAX_DETAIL),
      })),
    }),
  };
}
