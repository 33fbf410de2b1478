import { Asn1Error } from '../asn1/asn1-error.ts';
import { PeerError, PolicyError } from '../errors/muster-error.ts';
import type { ReasonCode } from '../errors/reasons.ts';
import type { Principal } from './accept.ts';
import type { Outcome } from './outcome.ts';
import type { EnrollmentRow } from './tables.ts';

/** Why an enrolment ends without a certificate. */
export interface Refusal {
  readonly reason: ReasonCode;
  /** Lower case, free of secrets and internals: it may reach the device. */
  readonly message: string;
}

/** What of a thrown value is an answer to the peer; `undefined` for what decided nothing and must be repeated. */
export function refusalOf(error: unknown): Refusal | undefined {
  if (error instanceof PolicyError || error instanceof PeerError)
    return { reason: error.reason, message: error.message };
  if (error instanceof Asn1Error) return { reason: 'malformed-request', message: error.message };
  return undefined;
}

/**
 * Whether a stored rejection still answers its request. An operator's is final; another one holds for the revision of the
 * endpoint that pronounced it and for who was refused (by SCEP another credential may ask the same), unless it hung on the
 * inventory, which changes by itself.
 */
export function rejectionHolds(row: EnrollmentRow, revision: number, principal: Principal): boolean {
  if (row.reason === 'operator-rejected') return true;
  const samePrincipal = row.principal === principal.description;
  return samePrincipal && row.endpoint_revision === revision && row.reason !== 'device-blocked';
}

/** The answer a stored rejection gives. */
export function rejectionOf(row: EnrollmentRow): Outcome {
  return rejected(row.id, { reason: row.reason ?? 'policy-refused', message: row.detail ?? 'rejected' });
}

/** A rejection; without an id where no row was made for it. */
export function rejected(enrollmentId: string | undefined, refusal: Refusal): Outcome {
  return { kind: 'rejected', enrollmentId, ...refusal };
}
