import type { EvidenceDecision } from '../../core/enrollment/ports.ts';
import type { Rows } from '../../core/store/rows.ts';
import { statement } from '../../core/store/statement.ts';
import type { Store, Unit } from '../../core/store/store.ts';
import type { AttestationTables, EvidenceRow } from './tables.ts';

/** What a list of verdicts may be narrowed by. */
export interface EvidenceFilter {
  readonly before?: string | undefined;
  readonly limit: number;
  readonly verdict?: EvidenceRow['verdict'] | undefined;
  readonly decision?: EvidenceRow['decision'] | undefined;
  readonly type?: string | undefined;
  readonly identity?: string | undefined;
  readonly enrollment?: string | undefined;
}

/** A verdict without the evidence itself. */
export type EvidenceSummary = Omit<EvidenceRow, 'evidence' | 'attested_key'>;

const SUMMARY = [
  'id',
  'tenant',
  'endpoint',
  'type',
  'verdict',
  'findings',
  'detail',
  'identifiers',
  'claims',
  'identity',
  'sha256',
  'octets',
  'attested_key_sha256',
  'requester_proved',
  'keep_until',
  'decision',
  'mode',
  'faults',
  'enrollment',
  'device_name',
  'continuity',
  'expires_at',
  'used_at',
  'created_at',
  'decided_at',
] as const;

/** The verdicts of a tenant, newest first, before `before`. */
export function listEvidence(rows: Rows, tenant: string, filter: EvidenceFilter): Promise<EvidenceSummary[]> {
  const { before, limit, ...equal } = filter;
  let query = rows.forTenant<AttestationTables>(tenant).selectFrom('evidence').select(SUMMARY);
  if (before !== undefined) query = query.where('id', '<', before);
  for (const [column, value] of Object.entries(equal)) {
    if (value !== undefined && value !== null) query = query.where(column as keyof typeof equal, '=', value);
  }
  return query.orderBy('id', 'desc').limit(limit).execute();
}

/** One verdict of a tenant. */
export function findEvidence(rows: Rows, tenant: string, id: string): Promise<EvidenceSummary | undefined> {
  return rows
    .forTenant<AttestationTables>(tenant)
    .selectFrom('evidence')
    .select(SUMMARY)
    .where('id', '=', id)
    .executeTakeFirst();
}

/** The evidence itself, as long as it is kept. */
export async function keptEvidence(rows: Rows, tenant: string, id: string): Promise<Uint8Array | undefined> {
  const row = await rows
    .forTenant<AttestationTables>(tenant)
    .selectFrom('evidence')
    .select('evidence')
    .where('id', '=', id)
    .executeTakeFirst();
  return row?.evidence ?? undefined;
}

/** Stores a verdict; one that stands under its id already takes the newer decision. */
export async function writeEvidence(tx: Unit, row: EvidenceRow): Promise<void> {
  await tx
    .db<AttestationTables>()
    .insertInto('evidence')
    .values(row)
    .onConflict((conflict) =>
      conflict.columns(['tenant', 'id']).doUpdateSet({
        decision: row.decision,
        mode: row.mode,
        faults: row.faults,
        enrollment: row.enrollment,
        device_name: row.device_name,
        decided_at: row.decided_at,
      }),
    )
    .execute();
}

/** Decides about a verdict that was kept for its request; false when it was used by another, or is over. */
export async function decideKept(
  tx: Unit,
  tenant: string,
  id: string,
  { decision, faults, enrollment, name, continuity, at }: EvidenceDecision,
): Promise<boolean> {
  const used = decision === 'refused' ? null : at;
  const parameters = { tenant, id, decision, faults: JSON.stringify(faults), enrollment: enrollment ?? null };
  const more = { name, continuity: continuity ?? null, used, at };
  return (await tx.affected(decideWaiting, { ...parameters, ...more })) === 1;
}

/** A verdict that waits for its request at an endpoint. */
export async function waitingEvidence(
  store: Store,
  { tenant, endpoint, id, now }: { tenant: string; endpoint: string; id: string; now: number },
): Promise<EvidenceRow | undefined> {
  const [row] = await store.query(waitingById, { tenant, endpoint, id, now });
  return row;
}

/**
 * Forgets what is no longer to be kept: the evidence itself past its days, and refused or unused verdicts that were appraised
 * beforehand and never met a request.
 */
export async function forgetEvidence(store: Store, unusedForMs: number): Promise<void> {
  const now = store.clock.now();
  await store.unit(async (tx) => {
    await tx.affected(dropEvidence, { now });
    await tx.affected(dropUnused, { before: now - unusedForMs });
  });
}

const decideWaiting = statement<AttestationTables>()(
  'evidence-decide',
  (
    db,
    p: {
      tenant: string;
      id: string;
      decision: 'admitted' | 'observed' | 'refused';
      faults: string;
      enrollment: string | null;
      name: string;
      continuity: string | null;
      used: number | null;
      at: number;
    },
  ) =>
    db
      .updateTable('evidence')
      .set({
        decision: p.decision,
        faults: p.faults,
        enrollment: p.enrollment,
        device_name: p.name,
        continuity: p.continuity,
        used_at: p.used,
        decided_at: p.at,
      })
      .where('tenant', '=', p.tenant)
      .where('id', '=', p.id)
      .where('used_at', 'is', null)
      .where('expires_at', '>', p.at),
);

const waitingById = statement<AttestationTables>()(
  'evidence-waiting',
  (db, p: { tenant: string; endpoint: string; id: string; now: number }) =>
    db
      .selectFrom('evidence')
      .selectAll()
      .where('tenant', '=', p.tenant)
      .where('id', '=', p.id)
      .where('endpoint', '=', p.endpoint)
      .where('used_at', 'is', null)
      .where('expires_at', '>', p.now),
);

const dropEvidence = statement<AttestationTables>()('evidence-drop', (db, p: { now: number }) =>
  db.updateTable('evidence').set({ evidence: null, keep_until: null }).where('keep_until', '<=', p.now),
);

const dropUnused = statement<AttestationTables>()('evidence-drop-unused', (db, p: { before: number }) =>
  db
    .deleteFrom('evidence')
    .where('expires_at', '<=', p.before)
    .where('used_at', 'is', null)
    .where('decision', 'is', null),
);
