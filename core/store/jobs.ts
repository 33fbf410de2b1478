import { sql } from 'kysely';
import { InternalError, StateError } from '../errors/muster-error.ts';
import { databaseNow } from './database-clock.ts';
import { newId } from './id.ts';
import { statement } from './statement.ts';
import type { Store, Unit } from './store.ts';

/** What a job is told; it goes through JSON. */
export type JobPayload = Readonly<Record<string, unknown>>;

/** A job to be done once, after the unit that asks for it has committed. */
export interface NewJob {
  /** Names the handler. */
  readonly kind: string;
  /**
   * Of several jobs of one kind with the same key, one waits: the newest payload counts. When one is running, it runs
   * once more afterwards, because what it has read may be older than this request.
   */
  readonly key?: string;
  readonly payload: JobPayload;
  /** Not before this, epoch milliseconds; at once by default. */
  readonly runAt?: number;
  /** Attempts before the job is set aside as dead; 10 by default. */
  readonly maxAttempts?: number;
}

/** Waiting for its time, held by a worker, or set aside after its last attempt. */
export type JobState = 'ready' | 'running' | 'dead';

/** A job as operators see it. */
export interface JobRecord {
  readonly id: string;
  readonly kind: string;
  readonly key: string | null;
  readonly payload: JobPayload;
  readonly state: JobState;
  readonly runAt: number;
  readonly attempts: number;
  readonly maxAttempts: number;
  readonly lastError: string | null;
  readonly createdAt: number;
}

/** Which jobs to list, oldest first. */
export interface JobFilter {
  readonly state?: JobState;
  readonly kind?: string;
  /** Page on after this identifier. */
  readonly after?: string;
  /** At most this many; 100 by default. */
  readonly limit?: number;
}

/** The durable queue of a store. Who works on it is a `JobRunner`. */
export interface Jobs {
  /** Asks for a job inside the unit that makes it necessary: both commit, or neither. */
  enqueue(tx: Unit, job: NewJob): Promise<void>;
  list(filter?: JobFilter): Promise<JobRecord[]>;
  /** One job; undefined when it is done or never was. */
  find(id: string): Promise<JobRecord | undefined>;
  /**
   * Gives a dead job its attempts back.
   * @throws StateError conflict when it is not dead, or another with its key waits already.
   */
  retry(id: string): Promise<void>;
  /** Drops a dead job. @throws StateError conflict when it is not dead. */
  discard(id: string): Promise<void>;
  /** Calls `listener` when this process has committed a job; returns what stops that. */
  onEnqueued(listener: () => void): () => void;
}

/** The tables of this file's rules. */
export interface JobTables {
  jobs: {
    id: string;
    kind: string;
    key: string | null;
    /** Kind and key of a job that is not dead: unique. */
    live_key: string | null;
    payload: string;
    state: JobState;
    run_at: number;
    attempts: number;
    max_attempts: number;
    /** 1 when it was asked for again while it ran. */
    rerun: number;
    /** Grows with each lease: what a late worker writes under an older one is refused. */
    fencing_token: number;
    lease_until: number | null;
    last_error: string | null;
    created_at: number;
  };
  job_schedules: { name: string; next_at: number };
}

const DEFAULT_ATTEMPTS = 10;
/** What units with a job signal. */
const ENQUEUED = 'jobs';

interface InsertedJob extends Record<string, string | number | null> {
  id: string;
  kind: string;
  key: string | null;
  liveKey: string | null;
  payload: string;
  runAt: number;
  maxAttempts: number;
}

const insertJob = statement<JobTables>()('job-insert', (db, p: InsertedJob, engine) =>
  db
    .insertInto('jobs')
    .values({
      id: p.id,
      kind: p.kind,
      key: p.key,
      live_key: p.liveKey,
      payload: p.payload,
      state: 'ready',
      run_at: p.runAt,
      attempts: 0,
      max_attempts: p.maxAttempts,
      rerun: 0,
      fencing_token: 0,
      lease_until: null,
      last_error: null,
      created_at: databaseNow(engine),
    })
    .onConflict((conflict) =>
      conflict.column('live_key').doUpdateSet({
        payload: sql`excluded.payload`,
        // A job that waits out its backoff keeps waiting: asking again is no reason to hammer what just failed.
        run_at: sql`case when jobs.state = 'ready' and jobs.attempts = 0 and excluded.run_at < jobs.run_at
          then excluded.run_at else jobs.run_at end`,
        rerun: sql`case when jobs.state = 'running' then 1 else 0 end`,
      }),
    ),
);

/** {@link Jobs.enqueue} for who has the unit alone. */
export async function enqueueJob(tx: Unit, job: NewJob): Promise<void> {
  await tx.affected(insertJob, insertedJob(job));
  tx.signal(ENQUEUED);
}

/** The jobs of a store. */
export function jobsOf(store: Pick<Store, 'read' | 'unit' | 'onSignal'>): Jobs {
  return {
    enqueue: enqueueJob,
    list: (filter = {}) => listJobs(store, filter),
    async find(id) {
      const row = await store.read<JobTables>().selectFrom('jobs').selectAll().where('id', '=', id).executeTakeFirst();
      return row && recordOf(row);
    },
    retry: (id) => store.unit((tx) => reviveJob(tx, id)),
    discard: (id) => store.unit((tx) => discardJob(tx, id)),
    onEnqueued: (listener) => store.onSignal(ENQUEUED, listener),
  };
}

function liveKey(kind: string, key: string | null): string | null {
  return key === null ? null : `${kind}/${key}`;
}

function insertedJob(job: NewJob): InsertedJob {
  if (!/^[a-z0-9-]+$/.test(job.kind)) throw new InternalError(`a kind of job is kebab-case, got "${job.kind}"`);
  const key = job.key ?? null;
  return {
    id: newId(),
    kind: job.kind,
    key,
    liveKey: liveKey(job.kind, key),
    payload: JSON.stringify(job.payload),
    runAt: job.runAt ?? 0,
    maxAttempts: job.maxAttempts ?? DEFAULT_ATTEMPTS,
  };
}

async function listJobs(store: Pick<Store, 'read'>, filter: JobFilter): Promise<JobRecord[]> {
  const { state, kind, after, limit = 100 } = filter;
  const rows = await store
    .read<JobTables>()
    .selectFrom('jobs')
    .selectAll()
    .$if(state !== undefined, (query) => query.where('state', '=', state!))
    .$if(kind !== undefined, (query) => query.where('kind', '=', kind!))
    .$if(after !== undefined, (query) => query.where('id', '>', after!))
    .orderBy('id')
    .limit(limit)
    .execute();
  return rows.map(recordOf);
}

function recordOf(row: JobTables['jobs']): JobRecord {
  return {
    id: row.id,
    kind: row.kind,
    key: row.key,
    payload: JSON.parse(row.payload) as JobPayload,
    state: row.state,
    runAt: row.run_at,
    attempts: row.attempts,
    maxAttempts: row.max_attempts,
    lastError: row.last_error,
    createdAt: row.created_at,
  };
}

async function reviveJob(tx: Unit, id: string): Promise<void> {
  const db = tx.db<JobTables>();
  const dead = await db
    .selectFrom('jobs')
    .select(['kind', 'key'])
    .where('id', '=', id)
    .where('state', '=', 'dead')
    .executeTakeFirst();
  if (dead === undefined) throw new StateError('conflict', 'only a dead job can be retried');
  await db
    .updateTable('jobs')
    .set({ state: 'ready', attempts: 0, run_at: 0, rerun: 0, live_key: liveKey(dead.kind, dead.key) })
    .where('id', '=', id)
    .execute();
}

async function discardJob(tx: Unit, id: string): Promise<void> {
  const { numDeletedRows } = await tx
    .db<JobTables>()
    .deleteFrom('jobs')
    .where('id', '=', id)
    .where('state', '=', 'dead')
    .executeTakeFirstOrThrow();
  if (numDeletedRows === 0n) throw new StateError('conflict', 'only a dead job can be discarded');
}
