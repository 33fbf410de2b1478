import { sql, type Kysely, type RawBuilder } from 'kysely';
import { StateError } from '../errors/muster-error.ts';
import { databaseNow } from './database-clock.ts';
import type { JobPayload, JobTables } from './jobs.ts';
import { statement } from './statement.ts';
import type { Engine, Store, Unit } from './store.ts';

/** A job that this process holds until its lease ends. */
export interface LeasedJob {
  readonly id: string;
  readonly kind: string;
  readonly key: string | null;
  readonly payload: JobPayload;
  /** 1 for the first attempt. */
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly fencingToken: number;
}

/** What the rules below need of a lease: who holds it, and since which turn. */
type Held = Pick<LeasedJob, 'id' | 'fencingToken'>;

/**
 * Takes up to `limit` due jobs of the given kinds for `leaseMs` milliseconds by the database's clock: those whose time
 * has come, and those whose holder let the lease end. A job that used up its attempts without an answer (it takes its
 * process down, say) is set aside instead.
 */
export async function leaseDueJobs(
  tx: Unit,
  request: { readonly kinds: readonly string[]; readonly limit: number; readonly leaseMs: number },
): Promise<LeasedJob[]> {
  const db = tx.db<JobTables>();
  await setAsideExhausted(db, tx.engine, request.kinds);
  const now = databaseNow(tx.engine);
  const rows = await db
    .updateTable('jobs')
    .set((row) => ({
      state: 'running',
      attempts: row('attempts', '+', 1),
      fencing_token: row('fencing_token', '+', 1),
      rerun: 0,
      lease_until: sql<number>`${now} + cast(${request.leaseMs} as bigint)`,
    }))
    .where('id', 'in', dueJobs(db, tx.engine, request.kinds).limit(request.limit))
    .returning(['id', 'kind', 'key', 'payload', 'attempts', 'max_attempts', 'fencing_token'])
    .execute();
  return rows.map((row) => ({
    id: row.id,
    kind: row.kind,
    key: row.key,
    payload: JSON.parse(row.payload) as JobPayload,
    attempt: row.attempts,
    maxAttempts: row.max_attempts,
    fencingToken: row.fencing_token,
  }));
}

/** Whether any job of these kinds is due: a read, so that an idle node commits nothing. */
export async function anyDueJob(store: Store, kinds: readonly string[]): Promise<boolean> {
  const row = await dueJobs(store.read<JobTables>(), store.engine, kinds, { lock: false }).limit(1).executeTakeFirst();
  return row !== undefined;
}

/**
 * Extends a lease and proves that it still holds. Inside the unit that records a job's effect it is the fence: when
 * another worker has taken over, that unit is rolled back.
 *
 * @throws StateError conflict when the lease is lost.
 */
export async function confirmLease(tx: Unit, held: Held, leaseMs: number): Promise<void> {
  const extended = await tx.affected(extendLease, {
    id: held.id,
    token: held.fencingToken,
    leaseMs: Math.ceil(leaseMs),
  });
  if (extended !== 1) throw new StateError('conflict', 'another worker has taken this job over');
}

/** Ends a job well: it is gone, or waits once more when it was asked for again meanwhile. False when the lease is lost. */
export async function finishJob(tx: Unit, held: Held): Promise<boolean> {
  const fence = { id: held.id, token: held.fencingToken };
  return (await tx.affected(restartJob, fence)) === 1 || (await tx.affected(deleteJob, fence)) === 1;
}

/**
 * Records a failed attempt: the job waits `delayMs`, or is dead after its last one, unless it was asked for again while
 * it ran: that request has all its attempts before it. Nothing happens when the lease is lost.
 */
export async function failJob(
  tx: Unit,
  job: LeasedJob,
  failure: { readonly error: string; readonly delayMs: number },
): Promise<void> {
  const fence = { id: job.id, token: job.fencingToken, ...failure };
  if ((await tx.affected(delayRequested, fence)) === 1) return;
  if (job.attempt >= job.maxAttempts) await tx.affected(setAside, fence);
  else await tx.affected(delayJob, fence);
}

/** Gives a job back untouched: the process stops, which is not the job's failure. */
export async function returnJob(tx: Unit, held: Held): Promise<void> {
  await tx.affected(returnLease, { id: held.id, token: held.fencingToken });
}

type Fence = { id: string; token: number };
type Failure = Fence & { error: string; delayMs: number };

/** The rows a lease may change: none once another worker has taken over. */
function held(db: Kysely<JobTables>, fence: Fence) {
  return db
    .updateTable('jobs')
    .where('id', '=', fence.id)
    .where('fencing_token', '=', fence.token)
    .where('state', '=', 'running');
}

function later(engine: Engine, ms: number): RawBuilder<number> {
  return sql<number>`${databaseNow(engine)} + cast(${ms} as bigint)`;
}

const extendLease = statement<JobTables>()('job-lease-extend', (db, p: Fence & { leaseMs: number }, engine) =>
  held(db, p).set({ lease_until: later(engine, p.leaseMs) }),
);

const restartJob = statement<JobTables>()('job-restart', (db, p: Fence) =>
  held(db, p)
    .set({ state: 'ready', attempts: 0, rerun: 0, run_at: 0, lease_until: null, last_error: null })
    .where('rerun', '=', 1),
);

const deleteJob = statement<JobTables>()('job-delete', (db, p: Fence) =>
  db.deleteFrom('jobs').where('id', '=', p.id).where('fencing_token', '=', p.token).where('state', '=', 'running'),
);

const delayJob = statement<JobTables>()('job-delay', (db, p: Failure, engine) =>
  held(db, p).set({ state: 'ready', lease_until: null, last_error: p.error, run_at: later(engine, p.delayMs) }),
);

const delayRequested = statement<JobTables>()('job-delay-requested', (db, p: Failure, engine) =>
  held(db, p)
    .set({
      state: 'ready',
      attempts: 0,
      rerun: 0,
      lease_until: null,
      last_error: p.error,
      run_at: later(engine, p.delayMs),
    })
    .where('rerun', '=', 1),
);

const setAside = statement<JobTables>()('job-set-aside', (db, p: Failure) =>
  held(db, p).set({ state: 'dead', live_key: null, lease_until: null, last_error: p.error }),
);

const returnLease = statement<JobTables>()('job-return', (db, p: Fence) =>
  held(db, p).set((row) => ({ state: 'ready', attempts: row('attempts', '-', 1), rerun: 0, lease_until: null })),
);

function dueJobs(db: Kysely<JobTables>, engine: Engine, kinds: readonly string[], { lock = true } = {}) {
  const now = databaseNow(engine);
  const due = db
    .selectFrom('jobs')
    .select('id')
    .where('kind', 'in', kinds)
    .where((row) =>
      row.or([
        row.and([row('state', '=', 'ready'), row('run_at', '<=', now)]),
        row.and([row('state', '=', 'running'), row('lease_until', '<=', now)]),
      ]),
    )
    .orderBy('run_at')
    .orderBy('id');
  // Several nodes ask at once: each passes over what another is taking. SQLite has one writer.
  return lock && engine === 'postgres' ? due.forUpdate().skipLocked() : due;
}

async function setAsideExhausted(db: Kysely<JobTables>, engine: Engine, kinds: readonly string[]): Promise<void> {
  await db
    .updateTable('jobs')
    .set({ state: 'dead', live_key: null, lease_until: null, last_error: 'its last lease ended without an answer' })
    .where('kind', 'in', kinds)
    .where('state', '=', 'running')
    .where('lease_until', '<=', databaseNow(engine))
    .whereRef('attempts', '>=', 'max_attempts')
    .execute();
}
