import { InternalError, MusterError, StateError } from '../errors/muster-error.ts';
import { backoffMs, type Backoff } from './backoff.ts';
import type { JobPayload } from './jobs.ts';
import { anyDueJob, confirmLease, failJob, finishJob, leaseDueJobs, returnJob, type LeasedJob } from './lease.ts';
import { declareSchedules, enqueueScheduled, type Schedule } from './schedule.ts';
import type { Store, Unit } from './store.ts';

/** What a handler learns about its turn. */
export interface JobTurn {
  /** Aborted when the lease is lost or the runner stops: leave without recording anything. */
  readonly signal: AbortSignal;
  /** 1 for the first attempt. */
  readonly attempt: number;
  /** Grows with each turn of the job: store it beside an effect to refuse what an earlier turn still tries. */
  readonly fencingToken: number;
  /**
   * Call it first in the unit that records the job's effect: a worker that was overtaken is rolled back.
   * @throws StateError conflict when another worker has the job.
   */
  confirm(tx: Unit): Promise<void>;
}

/**
 * Does one job. It may run more than once (a crash after its effect), so it must be idempotent. Throwing is a failure; an
 * error with `retryAfterSeconds` waits that long instead of the backoff.
 */
export type JobHandler = (payload: JobPayload, turn: JobTurn) => Promise<void>;

/** How a runner works. Milliseconds everywhere. */
export interface JobRunnerOptions {
  readonly schedules?: readonly Schedule[];
  /** Jobs at once; 4 by default. */
  readonly concurrency?: number;
  /** How long a job is held without a sign of life of this process; 30 s by default. */
  readonly leaseMs?: number;
  /** How often to look for jobs of other nodes and for due times; 500 by default. Own jobs are taken at once. */
  readonly pollMs?: number;
  /** 1 s doubling up to 1 h by default. */
  readonly backoff?: Backoff;
  /** Randomness of the jitter, 0 to 1; tests fix it. */
  readonly random?: () => number;
  /** Told of every failed attempt, and of a store that did not answer. */
  readonly report: (error: unknown, job?: LeasedJob) => void;
}

const DEFAULTS = { concurrency: 4, leaseMs: 30_000, pollMs: 500, random: Math.random };
const DEFAULT_BACKOFF: Backoff = { firstMs: 1000, longestMs: 3_600_000 };
const MAX_ERROR_CHARACTERS = 2000;

/** Works on the jobs of a store until it is stopped. Any number of nodes may; each job is held by one at a time. */
export class JobRunner {
  readonly #store: Store;
  readonly #handlers: ReadonlyMap<string, JobHandler>;
  readonly #options: JobRunnerOptions & typeof DEFAULTS;
  readonly #running = new Set<Promise<void>>();
  readonly #stopping = new AbortController();
  #wake: () => void = () => undefined;
  #loop: Promise<void> | undefined;

  constructor(store: Store, handlers: Readonly<Record<string, JobHandler>>, options: JobRunnerOptions) {
    this.#store = store;
    this.#handlers = new Map(Object.entries(handlers));
    this.#options = { ...DEFAULTS, ...options };
    for (const { kind, name } of options.schedules ?? []) {
      if (!this.#handlers.has(kind))
        throw new InternalError(`schedule "${name}" asks for "${kind}", which nobody handles`);
    }
  }

  /** Starts working. */
  start(): void {
    this.#loop ??= this.#work();
  }

  /** Takes no more jobs, tells running ones to leave, and returns when they have. What they left goes back. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake();
    await this.#loop;
    await Promise.all(this.#running);
  }

  async #work(): Promise<void> {
    const unsubscribe = this.#store.jobs.onEnqueued(() => this.#wake());
    let declared = false;
    while (!this.#stopping.signal.aborted) {
      const rested = this.#rest();
      try {
        if (!declared) await declareSchedules(this.#store, this.#options.schedules ?? []);
        declared = true;
        await enqueueScheduled(this.#store, this.#options.schedules ?? []);
        await this.#takeJobs();
      } catch (error) {
        this.#options.report(error);
      }
      await rested.over;
    }
    unsubscribe();
  }

  /** The pause after a look for jobs, begun before it: what is enqueued during the look ends the pause. */
  #rest(): { readonly over: Promise<void> } {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, this.#options.pollMs);
    this.#wake = () => {
      clearTimeout(timer);
      resolve();
    };
    return { over: promise };
  }

  async #takeJobs(): Promise<void> {
    const free = this.#options.concurrency - this.#running.size;
    const kinds = [...this.#handlers.keys()];
    if (free <= 0 || kinds.length === 0 || !(await anyDueJob(this.#store, kinds))) return;
    const request = { kinds, limit: free, leaseMs: this.#options.leaseMs };
    for (const job of await this.#store.unit((tx) => leaseDueJobs(tx, request))) {
      const running = this.#run(job).finally(() => {
        this.#running.delete(running);
        this.#wake();
      });
      this.#running.add(running);
    }
  }

  async #run(job: LeasedJob): Promise<void> {
    const lost = new AbortController();
    const heartbeat = setInterval(() => void this.#extend(job, lost), this.#options.leaseMs / 3);
    const turn: JobTurn = {
      signal: AbortSignal.any([lost.signal, this.#stopping.signal]),
      attempt: job.attempt,
      fencingToken: job.fencingToken,
      confirm: (tx) => confirmLease(tx, job, this.#options.leaseMs),
    };
    try {
      await this.#handlers.get(job.kind)?.(job.payload, turn);
      await this.#store.unit((tx) => finishJob(tx, job));
    } catch (error) {
      await this.#fail(job, error);
    } finally {
      clearInterval(heartbeat);
    }
  }

  async #extend(job: LeasedJob, lost: AbortController): Promise<void> {
    try {
      await this.#store.unit((tx) => confirmLease(tx, job, this.#options.leaseMs));
    } catch (error) {
      // A store that does not answer now may answer before the lease ends; a lost lease stays lost.
      if (error instanceof StateError) lost.abort(error);
      else this.#options.report(error, job);
    }
  }

  async #fail(job: LeasedJob, error: unknown): Promise<void> {
    const { backoff = DEFAULT_BACKOFF, random } = this.#options;
    const failure = {
      error: describe(error),
      delayMs: requestedDelayMs(error) ?? backoffMs(backoff, job.attempt, random),
    };
    const stopping = this.#stopping.signal.aborted;
    if (!stopping) this.#options.report(error, job);
    try {
      await this.#store.unit((tx) => (stopping ? returnJob(tx, job) : failJob(tx, job, failure)));
    } catch (unrecorded) {
      // The lease ends by itself, and the job is taken again.
      this.#options.report(unrecorded, job);
    }
  }
}

/** An error that says when to come back is believed: whoever threw it knows what is away. */
function requestedDelayMs(error: unknown): number | undefined {
  const seconds = error instanceof MusterError ? error.retryAfterSeconds : undefined;
  return seconds === undefined ? undefined : seconds * 1000;
}

function describe(error: unknown): string {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return text.replaceAll('\0', '').toWellFormed().slice(0, MAX_ERROR_CHARACTERS).toWellFormed();
}
