import { appendAudit } from '../audit/log.ts';
import type { AuditEntry } from '../audit/entry.ts';
import { revokeCertificate } from '../authority/revocation.ts';
import type { ReasonCode } from '../errors/reasons.ts';
import { newId } from '../store/id.ts';
import type { Unit } from '../store/store.ts';
import { generalNameToText } from '../x509/general-name.ts';
import { nameToText } from '../x509/name.ts';
import { spkiSha256 } from '../x509/public-key.ts';
import { deviceName, type Principal } from './accept.ts';
import { excerpt, printable } from './excerpt.ts';
import type { Fact } from './facts.ts';
import type { Refusal } from './refusal.ts';
import type { EnrollmentRequest } from './request.ts';
import { bindSecret, reopenSecret } from './secrets.ts';
import { endEnrollment, insertEnrollment, releaseEndedKey, releaseKey } from './statements.ts';
import type { EnrollmentRow, EnrollmentStatus } from './tables.ts';

/** One enrolment under way: the request, who asks, and the key a repeat is recognised by. */
export interface Asked {
  readonly request: EnrollmentRequest;
  readonly principal: Principal;
  readonly key: string;
}

/** A new row for what was asked, in one of the states a row starts in. */
export function newRow({ request, principal, key }: Asked, status: EnrollmentStatus, now: number): EnrollmentRow {
  const { endpoint } = request;
  return {
    id: newId(now),
    tenant: endpoint.tenant,
    endpoint: endpoint.id,
    endpoint_revision: endpoint.revision,
    protocol: request.protocol,
    status,
    idempotency_key: key,
    principal: principal.description,
    // Admission refuses a name that this changes; the row of the refusal has to stand all the same.
    device_name: printable(deviceName(request)),
    ...namesOf(request),
    spki_sha256: spkiSha256(request.publicKey),
    server_generated: request.proofOfPossession === 'server-generated' ? 1 : 0,
    request: request.der,
    secret: principal.secret?.usage === 'one-time' ? principal.secret.secretId : null,
    authority: endpoint.authority,
    profile: endpoint.profile,
    serial_number: null,
    tbs: null,
    lease_owner: null,
    lease_until: null,
    certificate: null,
    replaces: principal.renews ?? null,
    evidence: null,
    reason: null,
    detail: null,
    decided_by: null,
    source_address: request.sourceAddress,
    created_at: now,
    updated_at: now,
    expires_at: status === 'pending' ? now + endpoint.pendingLifetimeSeconds * 1000 : null,
  };
}

/**
 * Whether a request asks for what an enrolment under its key was opened for. SCEP's key holds the transaction and the public key
 * but not the names; that of every other carrier holds the whole request.
 */
export function asksForSame(row: Pick<EnrollmentRow, 'subject' | 'names'>, request: EnrollmentRequest): boolean {
  if (request.protocol !== 'scep') return true;
  const { subject, names } = namesOf(request);
  return row.subject === subject && row.names === names;
}

/** Whether a request that was read back is what its enrolment was opened for. A key made here is new each time. */
export function isRestored(row: EnrollmentRow, request: EnrollmentRequest): boolean {
  const { subject, names } = namesOf(request);
  const sameKey = row.server_generated === 1 || row.spki_sha256 === spkiSha256(request.publicKey);
  return sameKey && row.subject === subject && row.names === names;
}

/** Subject and names of a request, as its row says them. */
export function namesOf({ subject, subjectAltName }: EnrollmentRequest): Pick<EnrollmentRow, 'subject' | 'names'> {
  return { subject: nameToText(subject), names: JSON.stringify(subjectAltName.map(generalNameToText)) };
}

/**
 * Inserts a row, frees the key of the one it takes the place of and binds the one-time secret, all in the caller's unit.
 * @returns false when another request holds the key: then nothing was inserted.
 */
export async function insertAsked(
  tx: Unit,
  { principal, key }: Asked,
  row: EnrollmentRow,
  supersedes: EnrollmentRow | undefined,
): Promise<boolean> {
  if (supersedes && !(await supersede(tx, supersedes, key, row.created_at))) return false;
  if ((await tx.affected(insertEnrollment, row)) !== 1) return false;
  const { secret } = principal;
  if (secret?.usage === 'one-time')
    await bindSecret(tx, { tenant: row.tenant, id: secret.secretId, key, now: row.created_at });
  return true;
}

/** Inserts a rejected row, for the operator; false when an enrolment that still counts holds its key. */
export async function insertRejected(tx: Unit, row: EnrollmentRow): Promise<boolean> {
  await tx.affected(releaseEndedKey, { endpoint: row.endpoint, key: row.idempotency_key ?? '', now: row.created_at });
  return (await tx.affected(insertEnrollment, row)) === 1;
}

/** How an enrolment ends without a certificate. */
export interface Ending {
  readonly from: 'pending' | 'approved' | 'signing';
  readonly to: 'rejected' | 'expired';
  readonly reason: ReasonCode;
  readonly detail: string;
  readonly decidedBy: string;
  readonly now: number;
}

/** Ends an enrolment by compare-and-set, with its audit entry; false when it is no longer in `from`. */
export async function endAsked(tx: Unit, row: EnrollmentRow, ending: Ending): Promise<boolean> {
  const { tenant, id } = row;
  if ((await tx.affected(endEnrollment, { tenant, id, ...ending })) !== 1) return false;
  const { reason, detail, to, decidedBy, now } = ending;
  await recordEnrollmentEvent(tx, row, {
    actor: decidedBy,
    action: `enrollment.${to}`,
    outcome: 'refused',
    details: { reason, detail },
    at: now,
  });
  return true;
}

/** A pending enrolment whose operator never came. */
export function pendingTooLong(now: number): Ending {
  return {
    from: 'pending',
    to: 'expired',
    reason: 'enrollment-expired',
    detail: 'no operator decided in time',
    decidedBy: 'system:hall',
    now,
  };
}

/** One audit entry about an enrolment. */
export function recordEnrollmentEvent(
  tx: Unit,
  row: EnrollmentRow,
  event: Pick<AuditEntry, 'action' | 'outcome' | 'details' | 'at'> & { readonly actor?: string },
): Promise<void> {
  const { tenant, id, endpoint, protocol, subject, device_name: device, source_address: source } = row;
  return appendAudit(tx, {
    tenant,
    actor: `device:${row.principal}`,
    object: `enrollment:${id}`,
    ...event,
    details: { ...event.details, endpoint, protocol, subject: excerpt(subject), device: excerpt(device), source },
  });
}

/** One audit entry about a request whose credential was genuine and may not do what it asked: no enrolment was opened. */
export function recordTurnedAway(
  tx: Unit,
  { endpoint, protocol, subject, facts, sourceAddress: source }: EnrollmentRequest,
  { reason, message }: Refusal,
  at: number,
): Promise<void> {
  return appendAudit(tx, {
    tenant: endpoint.tenant,
    at,
    actor: `device:${facts.map(describeFact).join(' and ')}`,
    action: 'enrollment.refused',
    object: `endpoint:${endpoint.id}`,
    outcome: 'refused',
    details: { reason, message, protocol, subject: excerpt(nameToText(subject)), source },
  });
}

function describeFact(fact: Fact): string {
  switch (fact.kind) {
    case 'tls-certificate':
    case 'signed-by':
      return `certificate ${fact.certificate.serialNumber}`;
    case 'password':
      return `password ${fact.secretId}`;
    case 'mac':
      return `mac ${fact.secretId}`;
    case 'external-decision':
      return `decision of ${fact.decider}`;
    case 'acme-order':
      return `acme-account ${fact.accountId}`;
    case 'evidence':
      return `evidence ${fact.appraisal.evidenceId}`;
    case 'batch':
      return `batch ${fact.batchId}`;
    case 'plan':
      return `plan ${fact.planId}`;
  }
}

/**
 * Frees the key of the earlier enrolment; false when it has lost it already, so that of two nodes one supersedes. A
 * certificate over a key made here and never confirmed is revoked with it, and the secret it took may be used once more.
 */
async function supersede(tx: Unit, earlier: EnrollmentRow, key: string, now: number): Promise<boolean> {
  const { tenant, id, certificate, secret } = earlier;
  if ((await tx.affected(releaseKey, { tenant, id, key, now })) !== 1) return false;
  if (earlier.server_generated === 0 || certificate === null) return true;
  if (secret !== null) await reopenSecret(tx, tenant, secret, key);
  await revokeCertificate(tx, {
    tenant,
    certificateId: certificate,
    reason: 'superseded',
    actor: `device:${earlier.principal}`,
    at: now,
  });
  await recordEnrollmentEvent(tx, earlier, {
    action: 'certificate.revoked',
    outcome: 'success',
    details: { certificate, reason: 'superseded' },
    at: now,
  });
  return true;
}
