import { statement } from '../store/statement.ts';
import type { EnrollmentRow, EnrollmentTables } from './tables.ts';

/** The hot statements of the hall: each is compiled once and prepared once a connection. */

/** The enrolment that holds this key at this endpoint. */
export const enrollmentByKey = statement<EnrollmentTables>()(
  'enrollment-by-key',
  (db, p: { endpoint: string; key: string }) =>
    db.selectFrom('enrollments').selectAll().where('endpoint', '=', p.endpoint).where('idempotency_key', '=', p.key),
);

/** One enrolment of a tenant. */
export const enrollmentById = statement<EnrollmentTables>()(
  'enrollment-by-id',
  (db, p: { tenant: string; id: string }) =>
    db.selectFrom('enrollments').selectAll().where('tenant', '=', p.tenant).where('id', '=', p.id),
);

/** Inserts an enrolment; no row is inserted when another holds its key. */
export const insertEnrollment = statement<EnrollmentTables>()(
  'enrollment-insert',
  (db, p: { [K in keyof EnrollmentRow]: EnrollmentRow[K] }) =>
    db
      .insertInto('enrollments')
      .values({
        id: p.id,
        tenant: p.tenant,
        endpoint: p.endpoint,
        endpoint_revision: p.endpoint_revision,
        protocol: p.protocol,
        status: p.status,
        idempotency_key: p.idempotency_key,
        principal: p.principal,
        device_name: p.device_name,
        subject: p.subject,
        names: p.names,
        spki_sha256: p.spki_sha256,
        server_generated: p.server_generated,
        request: p.request,
        secret: p.secret,
        authority: p.authority,
        profile: p.profile,
        serial_number: p.serial_number,
        tbs: p.tbs,
        lease_owner: p.lease_owner,
        lease_until: p.lease_until,
        certificate: p.certificate,
        replaces: p.replaces,
        evidence: p.evidence,
        reason: p.reason,
        detail: p.detail,
        decided_by: p.decided_by,
        source_address: p.source_address,
        created_at: p.created_at,
        updated_at: p.updated_at,
        expires_at: p.expires_at,
      })
      .onConflict((conflict) => conflict.columns(['endpoint', 'idempotency_key']).doNothing()),
);

/** An approved enrolment starts to sign: its serial and TBSCertificate become durable. */
export const beginSigning = statement<EnrollmentTables>()(
  'enrollment-begin-signing',
  (
    db,
    p: {
      tenant: string;
      id: string;
      /** Of the endpoint as it is now: it may have moved to another since the request came. */
      authority: string;
      serialNumber: string;
      tbs: Uint8Array;
      spkiSha256: string;
      owner: string;
      leaseUntil: number;
      now: number;
    },
  ) =>
    db
      .updateTable('enrollments')
      .set({
        status: 'signing',
        authority: p.authority,
        serial_number: p.serialNumber,
        tbs: p.tbs,
        spki_sha256: p.spkiSha256,
        lease_owner: p.owner,
        lease_until: p.leaseUntil,
        updated_at: p.now,
      })
      .where('tenant', '=', p.tenant)
      .where('id', '=', p.id)
      .where('status', '=', 'approved'),
);

/** Takes over the signing of an enrolment whose lease ended, or that this node holds itself. */
export const takeLease = statement<EnrollmentTables>()(
  'enrollment-take-lease',
  (db, p: { tenant: string; id: string; owner: string; leaseUntil: number; endedBefore: number; now: number }) =>
    db
      .updateTable('enrollments')
      .set({ lease_owner: p.owner, lease_until: p.leaseUntil, updated_at: p.now })
      .where('tenant', '=', p.tenant)
      .where('id', '=', p.id)
      .where('status', '=', 'signing')
      .where((eb) => eb.or([eb('lease_owner', '=', p.owner), eb('lease_until', '<=', p.endedBefore)])),
);

/** Unit 2's compare-and-set: only one signer turns `signing` into `issued`. */
export const markIssued = statement<EnrollmentTables>()(
  'enrollment-mark-issued',
  (db, p: { tenant: string; id: string; certificate: string; now: number }) =>
    db
      .updateTable('enrollments')
      .set({
        status: 'issued',
        certificate: p.certificate,
        tbs: null,
        lease_owner: null,
        lease_until: null,
        updated_at: p.now,
      })
      .where('tenant', '=', p.tenant)
      .where('id', '=', p.id)
      .where('status', '=', 'signing'),
);

/** Frees the key of an enrolment that is answered no more, so that the same request may be asked anew: once. */
export const releaseKey = statement<EnrollmentTables>()(
  'enrollment-release-key',
  (db, p: { tenant: string; id: string; key: string; now: number }) =>
    db
      .updateTable('enrollments')
      .set({ idempotency_key: null, updated_at: p.now })
      .where('tenant', '=', p.tenant)
      .where('id', '=', p.id)
      .where('idempotency_key', '=', p.key),
);

/** Frees a key that only ended enrolments hold. */
export const releaseEndedKey = statement<EnrollmentTables>()(
  'enrollment-release-ended-key',
  (db, p: { endpoint: string; key: string; now: number }) =>
    db
      .updateTable('enrollments')
      .set({ idempotency_key: null, updated_at: p.now })
      .where('endpoint', '=', p.endpoint)
      .where('idempotency_key', '=', p.key)
      .where('status', 'in', ['rejected', 'expired']),
);

/** Ends an enrolment that is still in `from`. */
export const endEnrollment = statement<EnrollmentTables>()(
  'enrollment-end',
  (
    db,
    p: {
      tenant: string;
      id: string;
      from: 'pending' | 'approved' | 'signing';
      to: 'rejected' | 'expired';
      reason: string | null;
      detail: string | null;
      decidedBy: string | null;
      now: number;
    },
  ) =>
    db
      .updateTable('enrollments')
      .set({
        status: p.to,
        reason: p.reason as EnrollmentRow['reason'],
        detail: p.detail,
        decided_by: p.decidedBy,
        tbs: null,
        updated_at: p.now,
      })
      .where('tenant', '=', p.tenant)
      .where('id', '=', p.id)
      .where('status', '=', p.from),
);

/** An operator lets a waiting enrolment pass. */
export const approveEnrollment = statement<EnrollmentTables>()(
  'enrollment-approve',
  (db, p: { tenant: string; id: string; actor: string; comment: string; now: number }) =>
    db
      .updateTable('enrollments')
      .set({ status: 'approved', decided_by: p.actor, detail: p.comment, updated_at: p.now })
      .where('tenant', '=', p.tenant)
      .where('id', '=', p.id)
      .where('status', '=', 'pending'),
);
