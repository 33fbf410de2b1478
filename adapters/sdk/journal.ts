import { appendAudit } from '../../core/audit/log.ts';
import { revokeCertificate } from '../../core/authority/revocation.ts';
import { PeerError } from '../../core/errors/muster-error.ts';
import { newId } from '../../core/store/id.ts';
import { enqueueJob } from '../../core/store/jobs.ts';
import { durableRows, type Rows } from '../../core/store/rows.ts';
import type { Store, Unit } from '../../core/store/store.ts';
import type { DeviceFailure } from './failure.ts';
import type { Plan } from './plan.ts';
import type { Values } from './render.ts';
import type { AdapterTables, PlanRow, PlanState, PlanStepRow, StepState, TranscriptRow } from './tables.ts';

/** Kinds of the jobs that work on plans. */
export const RUN_PLAN = 'run-plan';
export const RETIRE_PLAN = 'retire-plan';

/** Attempts of a job: every crash of a server costs one, and so does every look after an operator's approval. */
const MAX_ATTEMPTS = 10_000;

/** A plan as it stands. */
export interface StoredPlan {
  readonly row: PlanRow;
  readonly plan: Plan;
  /** In order. */
  readonly steps: readonly PlanStepRow[];
}

/** Opens a plan: it takes hold of the device, and a job begins it. @throws StateError `conflict` while another one does. */
export async function openPlan(
  tx: Unit,
  draft: Pick<PlanRow, 'id' | 'tenant' | 'device' | 'device_name' | 'created_by'>,
  plan: Plan,
  now: number,
): Promise<void> {
  const none = { failure: null, failure_step: null, detail: null };
  const times = { created_at: now, updated_at: now };
  const row: PlanRow = {
    ...draft,
    ...none,
    ...times,
    state: 'running',
    holds: draft.device,
    document: JSON.stringify(plan),
  };
  await tx.db<AdapterTables>().insertInto('plans').values(row).execute();
  const steps = plan.steps.map(({ id, phase, service }, position) => ({
    plan: draft.id,
    tenant: draft.tenant,
    position,
    id,
    phase,
    service,
    state: 'waiting' as const,
    attempts: 0,
    found: '{}',
    failure: null,
    detail: null,
    started_at: null,
    ended_at: null,
  }));
  await tx.db<AdapterTables>().insertInto('plan_steps').values(steps).execute();
  await enqueueJob(tx, {
    kind: RUN_PLAN,
    key: draft.id,
    payload: { tenant: draft.tenant, plan: draft.id },
    maxAttempts: MAX_ATTEMPTS,
  });
  await auditPlan(tx, row, 'plan.started', draft.created_by, now);
}

/** One plan of a tenant. */
export function findPlan(rows: Rows, tenant: string, id: string): Promise<PlanRow | undefined> {
  return rows.forTenant<AdapterTables>(tenant).selectFrom('plans').selectAll().where('id', '=', id).executeTakeFirst();
}

/** The plans of a tenant in order of id, after `after`. */
export function listPlans(
  rows: Rows,
  tenant: string,
  { after, limit, device }: { readonly after?: string | undefined; readonly limit: number; readonly device?: string },
): Promise<PlanRow[]> {
  let query = rows.forTenant<AdapterTables>(tenant).selectFrom('plans').selectAll();
  if (after !== undefined) query = query.where('id', '>', after);
  if (device !== undefined) query = query.where('device', '=', device);
  return query.orderBy('id').limit(limit).execute();
}

/** The steps of a plan, in order. */
export function stepsOf(rows: Rows, tenant: string, plan: string): Promise<PlanStepRow[]> {
  return rows
    .forTenant<AdapterTables>(tenant)
    .selectFrom('plan_steps')
    .selectAll()
    .where('plan', '=', plan)
    .orderBy('position')
    .execute();
}

/** What was said with the device, in order. */
export function transcriptOf(
  rows: Rows,
  tenant: string,
  plan: string,
  { after, limit }: { readonly after?: string | undefined; readonly limit: number },
): Promise<TranscriptRow[]> {
  let query = rows.forTenant<AdapterTables>(tenant).selectFrom('transcripts').selectAll().where('plan', '=', plan);
  if (after !== undefined) query = query.where('id', '>', after);
  return query.orderBy('id').limit(limit).execute();
}

/** A plan with its steps. @throws PeerError `not-found` */
export async function loadPlan(store: Store, tenant: string, id: string): Promise<StoredPlan> {
  const rows = durableRows(store);
  const row = await findPlan(rows, tenant, id);
  if (row === undefined) throw new PeerError('not-found', 'no such plan');
  return { row, plan: JSON.parse(row.document) as Plan, steps: await stepsOf(rows, tenant, id) };
}

/** What a step became. */
export interface StepChange {
  readonly state: StepState;
  readonly attempts?: number;
  readonly found?: Values;
  readonly failure?: DeviceFailure | undefined;
  readonly startedAt?: number;
  readonly endedAt?: number;
}

/** Writes what a step became. */
export async function noteStep(
  tx: Unit,
  { row }: Pick<StoredPlan, 'row'>,
  position: number,
  change: StepChange,
): Promise<void> {
  const { state, attempts, found, failure, startedAt, endedAt } = change;
  await tx
    .forTenant<AdapterTables>(row.tenant)
    .updateTable('plan_steps', {
      state,
      ...(attempts !== undefined && { attempts }),
      ...(found !== undefined && { found: JSON.stringify(found) }),
      ...(failure && { failure: failure.code, detail: failure.detail }),
      ...(startedAt !== undefined && { started_at: startedAt }),
      ...(endedAt !== undefined && { ended_at: endedAt }),
    })
    .where('plan', '=', row.id)
    .where('position', '=', position)
    .execute();
}

/** Keeps what was said in a step. */
export async function noteTranscript(
  tx: Unit,
  { row }: Pick<StoredPlan, 'row'>,
  said: Pick<TranscriptRow, 'step' | 'way' | 'at' | 'text'>,
): Promise<void> {
  if (said.text === '') return;
  const entry = { ...said, id: newId(said.at), tenant: row.tenant, plan: row.id };
  await tx.db<AdapterTables>().insertInto('transcripts').values(entry).execute();
}

/** From here on everything is undone; why stands in the plan. */
export async function beginRollback(
  tx: Unit,
  { row }: Pick<StoredPlan, 'row'>,
  because: { readonly step: string; readonly failure: DeviceFailure; readonly at: number },
): Promise<void> {
  const { step, failure, at } = because;
  await tx
    .forTenant<AdapterTables>(row.tenant)
    .updateTable('plans', {
      state: 'rolling-back',
      failure: failure.code,
      failure_step: step,
      detail: failure.detail,
      updated_at: at,
    })
    .where('id', '=', row.id)
    .execute();
  await auditPlan(tx, row, 'plan.rolling-back', 'system:adapters', at, { step, failure: failure.code });
}

/** An end: the device is free for another plan, and what was issued for nothing is revoked. */
export async function endPlan(
  tx: Unit,
  { row, steps }: StoredPlan,
  end: { readonly state: Exclude<PlanState, 'running' | 'rolling-back'>; readonly at: number; readonly holdMs: number },
): Promise<void> {
  const { state, at, holdMs } = end;
  const { tenant, id } = row;
  await tx
    .forTenant<AdapterTables>(tenant)
    .updateTable('plans', { state, holds: null, updated_at: at })
    .where('id', '=', id)
    .execute();
  if (state === 'done') {
    const payload = { tenant, plan: id };
    await enqueueJob(tx, { kind: RETIRE_PLAN, key: id, payload, runAt: at + holdMs, maxAttempts: 20 });
  }
  if (state === 'rolled-back') await revokeUnused(tx, steps, { tenant, plan: id, at });
  await auditPlan(tx, row, `plan.${state}`, 'system:adapters', at);
}

async function revokeUnused(
  tx: Unit,
  steps: readonly PlanStepRow[],
  { tenant, plan, at }: { readonly tenant: string; readonly plan: string; readonly at: number },
): Promise<void> {
  for (const { found } of steps) {
    const { certificateId } = JSON.parse(found) as Values;
    if (certificateId === undefined) continue;
    const why = { reason: 'cessationOfOperation', actor: 'system:adapters', details: { plan } } as const;
    await revokeCertificate(tx, { tenant, certificateId, at, ...why });
  }
}

function auditPlan(
  tx: Unit,
  { tenant, id, device }: Pick<PlanRow, 'tenant' | 'id' | 'device'>,
  action: string,
  actor: string,
  at: number,
  details: Readonly<Record<string, string>> = {},
): Promise<void> {
  const outcome = action === 'plan.needs-human' ? 'failed' : 'success';
  return appendAudit(tx, { tenant, at, actor, action, object: `plan:${id}`, outcome, details: { device, ...details } });
}
