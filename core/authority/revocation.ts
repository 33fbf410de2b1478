import { appendAudit } from '../audit/log.ts';
import type { JsonObject } from '../audit/canonical-json.ts';
import { enqueueJob } from '../store/jobs.ts';
import { statement } from '../store/statement.ts';
import type { Store, Unit } from '../store/store.ts';
import { CRL_REASON, type CrlReason } from '../x509/crl.ts';
import type { SerialNumber } from '../x509/serial-number.ts';
import { changeJobs } from './crl-jobs.ts';
import { crlShard } from './prepare.ts';
import { recordRevocation } from './revocation-records.ts';
import type { AuthorityTables, CertificateRow, RevocationRow } from './tables.ts';

/** The name of a CRLReason (RFC 5280 §5.3.1); `certificateHold` holds, `removeFromCRL` releases what is held. */
export type RevocationReason = CrlReason;

/** Every reason that may be given. */
export const REVOCATION_REASONS = Object.freeze(Object.keys(CRL_REASON)) as readonly RevocationReason[];

/** What every unit that changes a revocation signals: {@link Store.onSignal}. */
export const REVOCATIONS_CHANGED = 'revocations';

/** What became of a certificate. A repeat changes nothing and says how it stands. */
export type RevocationOutcome = 'revoked' | 'already-revoked' | 'on-hold' | 'released' | 'unknown';

/** A wish to revoke, hold or release one certificate. */
export interface RevocationRequest {
  readonly tenant: string;
  readonly certificateId: string;
  readonly reason: RevocationReason;
  /** Who wants it, as audit entries name him. */
  readonly actor: string;
  /** Epoch milliseconds. */
  readonly at: number;
  /** Since when the key must be thought known to others, epoch milliseconds (RFC 5280 §5.3.2). */
  readonly invalidityDate?: number | undefined;
  /** More for the audit entry. */
  readonly details?: JsonObject | undefined;
}

/**
 * The one way to revoke, hold or release: certificate, revocation, audit entry and the jobs that publish CRLs, in the
 * caller's unit; nodes are told when it is durable. Idempotent: what is revoked stays so under its first reason, and only a certificate on hold comes back.
 */
export async function revokeCertificate(tx: Unit, request: RevocationRequest): Promise<RevocationOutcome> {
  const state = stateFor(request.reason);
  const { tenant, certificateId: id, at } = request;
  const reason = CRL_REASON[request.reason];
  const changed = await tx.run(TRANSITIONS[state], { tenant, id, reason, at });
  const [row] = changed;
  if (row === undefined) return standing(tx, request);
  if (row.authority !== null) await listRevocation(tx, { ...row, authority: row.authority }, request, state);
  await appendAudit(tx, {
    tenant,
    at,
    actor: request.actor,
    action: `certificate.${state}`,
    object: `certificate:${id}`,
    outcome: 'success',
    details: {
      ...request.details,
      reason: request.reason,
      serialNumber: row.serial_number,
      authority: row.authority,
      device: row.device,
      ...(request.invalidityDate !== undefined && { invalidityDate: request.invalidityDate }),
    },
  });
  return state === 'held' ? 'on-hold' : state;
}

/** A certificate of ours as revocation, OCSP and SCEP GetCert need it. */
export interface FoundCertificate {
  readonly certificateId: string;
  readonly der: Uint8Array;
  readonly status: CertificateRow['status'];
  readonly notAfter: number;
  readonly device: string | null;
  /** Since when it is revoked or held, epoch milliseconds. */
  readonly revokedAt: number | undefined;
  readonly reason: RevocationReason | undefined;
}

/** The certificate that an authority of this tenant issued under a serial number; `undefined` where there is none. */
export async function findBySerial(
  store: Store,
  tenant: string,
  authority: string,
  serialNumber: SerialNumber,
): Promise<FoundCertificate | undefined> {
  const [row] = await store.query(bySerial, { tenant, authority, serialNumber });
  if (row === undefined) return undefined;
  return {
    certificateId: row.id,
    der: row.der,
    status: row.status,
    notAfter: row.not_after,
    device: row.device,
    revokedAt: row.revoked_at ?? undefined,
    reason: reasonOfCode(row.revocation_reason),
  };
}

/** Whether a certificate may be relied on. */
export type Standing =
  | { readonly kind: 'good' }
  | { readonly kind: 'revoked'; readonly at: number; readonly reason: RevocationReason | undefined }
  | { readonly kind: 'unknown' };

/** How a certificate of an authority stands, by the store alone: `unknown` where the authority issued none such. */
export async function standingOf(
  store: Store,
  tenant: string,
  authority: string,
  serialNumber: SerialNumber,
): Promise<Standing> {
  const [row] = await store.query(standingBySerial, { tenant, authority, serialNumber });
  if (row === undefined) return { kind: 'unknown' };
  if (row.status === 'active') return { kind: 'good' };
  return { kind: 'revoked', at: row.revoked_at ?? 0, reason: reasonOfCode(row.revocation_reason) };
}

const REASON_NAMES: ReadonlyMap<number, RevocationReason> = new Map(
  REVOCATION_REASONS.map((name) => [CRL_REASON[name], name]),
);

/** The name of a stored CRLReason code; `undefined` for none. */
export function reasonOfCode(code: number | null): RevocationReason | undefined {
  return code === null ? undefined : REASON_NAMES.get(code);
}

function stateFor(reason: RevocationReason): RevocationRow['state'] {
  if (reason === 'certificateHold') return 'held';
  return reason === 'removeFromCRL' ? 'released' : 'revoked';
}

/** Nothing changed: how does the certificate stand? */
async function standing(tx: Unit, { tenant, certificateId: id }: RevocationRequest): Promise<RevocationOutcome> {
  const [row] = await tx.run(statusById, { tenant, id });
  if (row === undefined) return 'unknown';
  if (row.status === 'active') return 'released';
  return row.revocation_reason === CRL_REASON.certificateHold ? 'on-hold' : 'already-revoked';
}

interface ChangedCertificate {
  readonly id: string;
  readonly authority: string;
  readonly serial_number: string;
  readonly not_after: number;
  readonly revoked_at: number | null;
}

async function listRevocation(
  tx: Unit,
  { id, authority, serial_number: serialNumber, not_after: notAfter, revoked_at: revokedAt }: ChangedCertificate,
  { tenant, at, reason, invalidityDate }: RevocationRequest,
  state: RevocationRow['state'],
): Promise<void> {
  const [issuer] = await tx.run(shardsOf, { tenant, authority });
  const shards = issuer?.crl_shards ?? 1;
  const shard = crlShard(serialNumber, shards);
  await recordRevocation(tx, {
    tenant,
    authority,
    serialNumber,
    certificate: id,
    shard,
    state,
    reason: CRL_REASON[reason],
    revokedAt: revokedAt ?? at,
    invalidityDate: invalidityDate ?? null,
    notAfter,
  });
  for (const job of changeJobs({ tenant, authority, shards }, shard)) await enqueueJob(tx, job);
  tx.signal(REVOCATIONS_CHANGED);
}

type Transition = { tenant: string; id: string; reason: number; at: number };

const HOLD = CRL_REASON.certificateHold;
const CHANGED = ['id', 'authority', 'serial_number', 'not_after', 'device', 'revoked_at'] as const;

/** Compare-and-set on the status: of two that revoke at once, one does. */
const TRANSITIONS = {
  revoked: statement<AuthorityTables>()('certificate-revoke', (db, p: Transition) =>
    db
      .updateTable('certificates')
      // What was on hold was not to be relied on since then.
      .set((row) => ({
        status: 'revoked',
        revocation_reason: p.reason,
        revoked_at: row.fn.coalesce('revoked_at', row.cast<number>(row.val(p.at), 'bigint')),
      }))
      .where('tenant', '=', p.tenant)
      .where('id', '=', p.id)
      .where((row) => row.or([row('status', '=', 'active'), row('revocation_reason', '=', HOLD)]))
      .returning(CHANGED),
  ),
  held: statement<AuthorityTables>()('certificate-hold', (db, p: Transition) =>
    db
      .updateTable('certificates')
      .set({ status: 'revoked', revocation_reason: p.reason, revoked_at: p.at })
      .where('tenant', '=', p.tenant)
      .where('id', '=', p.id)
      .where('status', '=', 'active')
      .returning(CHANGED),
  ),
  released: statement<AuthorityTables>()('certificate-release', (db, p: Transition) =>
    db
      .updateTable('certificates')
      .set({ status: 'active', revocation_reason: null, revoked_at: null })
      .where('tenant', '=', p.tenant)
      .where('id', '=', p.id)
      .where('status', '=', 'revoked')
      .where('revocation_reason', '=', HOLD)
      .returning(CHANGED),
  ),
};

const statusById = statement<AuthorityTables>()('certificate-status-by-id', (db, p: { tenant: string; id: string }) =>
  db
    .selectFrom('certificates')
    .select(['status', 'revocation_reason'])
    .where('tenant', '=', p.tenant)
    .where('id', '=', p.id),
);

const shardsOf = statement<AuthorityTables>()('authority-shards', (db, p: { tenant: string; authority: string }) =>
  db.selectFrom('authorities').select('crl_shards').where('tenant', '=', p.tenant).where('id', '=', p.authority),
);

const standingBySerial = statement<AuthorityTables>()(
  'certificate-standing',
  (db, p: { tenant: string; authority: string; serialNumber: string }) =>
    db
      .selectFrom('certificates')
      .select(['status', 'revoked_at', 'revocation_reason'])
      .where('authority', '=', p.authority)
      .where('serial_number', '=', p.serialNumber)
      .where('tenant', '=', p.tenant),
);

const bySerial = statement<AuthorityTables>()(
  'certificate-by-serial',
  (db, p: { tenant: string; authority: string; serialNumber: string }) =>
    db
      .selectFrom('certificates')
      .select(['id', 'der', 'status', 'not_after', 'device', 'revoked_at', 'revocation_reason'])
      .where('authority', '=', p.authority)
      .where('serial_number', '=', p.serialNumber)
      .where('tenant', '=', p.tenant),
);
