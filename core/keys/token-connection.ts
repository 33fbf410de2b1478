import { FairQueue } from './fair-queue.ts';
import { TokenFault } from './pkcs11/token-fault.ts';
import { backoffMs } from './backoff.ts';
import type { MaybePromise, TokenBackend, TokenFacts } from './token-backend.ts';
import { hsmOverloaded, hsmPinRefused, hsmUnavailable, translateFault } from './token-errors.ts';
import { type OperationOptions, TokenJob } from './token-job.ts';
import { TenantSlots } from './tenant-slots.ts';
import { TurnBudget } from './turn-budget.ts';

/** Bounds of the work on one token. */
export interface ConnectionLimits {
  /** From the request to its answer, waiting included. */
  readonly operationTimeoutMs: number;
  readonly connectTimeoutMs: number;
  /** Operations that may wait, of one tenant and of all. */
  readonly queueLimitPerTenant: number;
  readonly queueLimit: number;
  /** Operations the token works on at once; the token's sessions bound it further. */
  readonly concurrency: number;
}

/** How a token stands: the `state` of TokenHealth, and what operators want to know besides. */
export interface ConnectionHealth {
  readonly state: 'up' | 'down' | 'pin-refused';
  /** Epoch milliseconds of the last change of state. */
  readonly since: number;
  readonly lastError: string | undefined;
  /** Moving average of the time the token takes for an operation, milliseconds. */
  readonly latencyMs: number | undefined;
  readonly waiting: number;
  readonly running: number;
}

type State = 'starting' | 'up' | 'recovering' | 'down' | 'pin-refused' | 'closed';

/** How often deadlines are looked at. */
const WATCH_INTERVAL_MS = 50;
/** A watch that comes this late says that this process stood still, not the token. */
const STALL_MS = 1000;
/** An operation that always fails as if the token were lost must not keep it reconnecting. */
const RECONNECT_INTERVAL_MS = 1000;
/** A remote token that nobody asks anything is asked whether it is there. */
const HEARTBEAT_MS = 5000;
/** Weight of the newest sample in the moving average. */
const LATENCY_WEIGHT = 0.1;

/**
 * Everything between those who sign and one token: a fair queue, a deadline on every operation, and the way back when the
 * token was away. States: *starting* and *recovering* keep what is asked waiting (until its deadline), *down* refuses at once
 * while a probe in the background tries to connect, *pin-refused* is final.
 */
export class TokenConnection {
  readonly #backend: TokenBackend;
  readonly #limits: ConnectionLimits;
  readonly #now: () => number;
  readonly #onChange: (health: ConnectionHealth) => void;
  readonly #queue = new FairQueue<TokenJob>();
  readonly #running = new Set<TokenJob>();
  readonly #slots = new TenantSlots();
  #state: State = 'starting';
  #since: number;
  #lastError: string | undefined;
  #latencyMs: number | undefined;
  #facts: TokenFacts | undefined;
  #connectedAt = 0;
  /** Attempts to connect so far: the number of the last one. */
  #attempt = 0;
  #failures = 0;
  #probe: NodeJS.Timeout | undefined;
  #watch: NodeJS.Timeout | undefined;
  #watchedAt = 0;
  #heartbeat: NodeJS.Timeout | undefined;
  readonly #turn = new TurnBudget(() => this.#pump());

  constructor(
    backend: TokenBackend,
    limits: ConnectionLimits,
    { now, onChange }: { now: () => number; onChange: (health: ConnectionHealth) => void },
  ) {
    this.#backend = backend;
    this.#limits = limits;
    this.#now = now;
    this.#onChange = onChange;
    this.#since = now();
  }

  /** What the token told when it was last connected. */
  get facts(): TokenFacts | undefined {
    return this.#facts;
  }

  health(): ConnectionHealth {
    const state = this.#state === 'pin-refused' || this.#state === 'up' ? this.#state : 'down';
    return {
      state,
      since: this.#since,
      lastError: this.#lastError,
      latencyMs: this.#latencyMs,
      waiting: this.#queue.size,
      running: this.#running.size,
    };
  }

  /** Connects for the first time; resolves also when that fails: the probe goes on. */
  async start(): Promise<void> {
    await this.#connect();
    if (this.#backend.remote && this.#state !== 'closed') this.#startHeartbeat();
  }

  /**
   * Runs an operation when its tenant's turn comes: at once when it need not wait. Throws or rejects with MusterError
   * only, or with the reason of the caller's signal.
   */
  submit<T>(
    run: (backend: TokenBackend) => MaybePromise<T>,
    options: OperationOptions,
    timeoutMs = this.#limits.operationTimeoutMs,
  ): Promise<T> {
    options.signal?.throwIfAborted();
    this.#refuseUnlessServing();
    const job = new TokenJob(run, timeoutMs, options);
    this.#slots.asked(job.tenant, performance.now());
    if (this.#queue.size === 0 && this.#mayStart() && this.#mayTenantStart(job.tenant)) {
      this.#begin(job);
    } else {
      this.#enqueue(job);
      this.#pump(); // those who wait may have had their share
    }
    return job.promise;
  }

  async close(): Promise<void> {
    this.#enter('closed', undefined);
    this.#attempt++;
    clearInterval(this.#heartbeat);
    clearTimeout(this.#probe);
    clearInterval(this.#watch);
    this.#rejectAll(hsmUnavailable());
    await this.#backend.close();
  }

  #refuseUnlessServing(): void {
    switch (this.#state) {
      case 'up':
      case 'starting':
      case 'recovering':
        return;
      case 'down':
      case 'closed':
        throw hsmUnavailable(this.#lastError);
      case 'pin-refused':
        throw hsmPinRefused(this.#lastError);
    }
  }

  #mayStart(): boolean {
    return this.#state === 'up' && this.#running.size < this.#concurrency() && !this.#turn.spent;
  }

  #mayTenantStart(tenant: string): boolean {
    return this.#slots.mayStart(tenant, this.#concurrency(), performance.now());
  }

  #concurrency(): number {
    return Math.min(this.#limits.concurrency, this.#facts?.sessions ?? 1);
  }

  #enqueue<T>(job: TokenJob<T>): void {
    const queued = job as TokenJob;
    if (this.#queue.sizeOf(job.tenant) >= this.#limits.queueLimitPerTenant) {
      throw hsmOverloaded('too many operations of this tenant wait for the signing service');
    }
    if (this.#queue.size >= this.#limits.queueLimit)
      throw hsmOverloaded('too many operations wait for the signing service');
    this.#queue.add(job.tenant, queued);
    job.onAbort((reason) => {
      if (this.#queue.remove(job.tenant, queued)) job.reject(reason);
    });
    this.#startWatch();
  }

  #pump(): void {
    while (this.#mayStart()) {
      const job = this.#queue.take((tenant) => this.#mayTenantStart(tenant));
      if (job === undefined) return;
      this.#begin(job);
    }
  }

  #begin<T>(job: TokenJob<T>): void {
    job.startedAt = performance.now();
    let outcome: MaybePromise<T>;
    try {
      outcome = job.run(this.#backend);
    } catch (error) {
      this.#spendTurn(job);
      this.#failed(job, error);
      return;
    }
    if (outcome instanceof Promise) return this.#await(job, outcome);
    this.#spendTurn(job);
    job.resolve(outcome);
  }

  #await<T>(job: TokenJob<T>, outcome: Promise<T>): void {
    const running = job as TokenJob;
    this.#running.add(running);
    this.#slots.started(job.tenant);
    this.#startWatch();
    outcome.then(
      (value) => {
        this.#slots.ended(job.tenant);
        if (!this.#running.delete(running)) return; // given up meanwhile
        this.#measure(performance.now() - job.startedAt);
        job.resolve(value);
        this.#pump();
      },
      (error: unknown) => {
        this.#slots.ended(job.tenant);
        if (!this.#running.delete(running)) return;
        this.#failed(job, error);
        this.#pump();
      },
    );
  }

  /** Work in this thread comes out of the turn's budget; what is left waits for the next turn of the event loop. */
  #spendTurn(job: { readonly startedAt: number }): void {
    const spentMs = performance.now() - job.startedAt;
    this.#turn.spend(spentMs);
    this.#measure(spentMs);
  }

  #measure(elapsedMs: number): void {
    this.#latencyMs = (this.#latencyMs ?? elapsedMs) * (1 - LATENCY_WEIGHT) + elapsedMs * LATENCY_WEIGHT;
  }

  #failed<T>(job: TokenJob<T>, error: unknown): void {
    const fault = TokenFault.from(error);
    if (fault.kind === 'pin-refused') {
      job.reject(hsmPinRefused(fault));
      this.#refusePin(fault);
    } else if (fault.kind === 'lost' && !job.retried && (this.#state === 'up' || this.#state === 'recovering')) {
      job.retried = true;
      this.#queue.add(job.tenant, job as TokenJob);
      this.#startWatch();
      this.#recover(fault);
    } else {
      job.reject(translateFault(fault));
    }
  }

  #recover(fault: TokenFault): void {
    if (this.#state !== 'up') return;
    this.#enter('recovering', fault.message);
    const ageMs = performance.now() - this.#connectedAt;
    this.#probe = setTimeout(() => void this.#connect(), Math.max(0, RECONNECT_INTERVAL_MS - ageMs));
  }

  /** Never rejects: a failure is a state. An attempt that a later one overtook says nothing any more. */
  async #connect(): Promise<void> {
    const attempt = ++this.#attempt;
    try {
      const facts = await this.#withinConnectTimeout(this.#backend.connect());
      if (attempt === this.#attempt) this.#connected(facts);
    } catch (error) {
      if (attempt !== this.#attempt) return;
      const fault = TokenFault.from(error);
      if (fault.kind === 'pin-refused') this.#refusePin(fault);
      else this.#goDown(fault);
    }
  }

  #connected(facts: TokenFacts): void {
    this.#facts = facts;
    this.#connectedAt = performance.now();
    this.#failures = 0;
    this.#enter('up', undefined);
    this.#pump();
  }

  #withinConnectTimeout<T>(connecting: Promise<T>): Promise<T> {
    const { promise, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      this.#backend.abandon();
      reject(new TokenFault('lost', `the token did not connect within ${this.#limits.connectTimeoutMs} ms`));
    }, this.#limits.connectTimeoutMs);
    return Promise.race([connecting, promise]).finally(() => clearTimeout(timer));
  }

  #refusePin(fault: TokenFault): void {
    this.#enter('pin-refused', fault.message);
    this.#rejectAll(hsmPinRefused(fault));
  }

  #goDown(fault: TokenFault): void {
    const delayMs = backoffMs(this.#failures++);
    clearTimeout(this.#probe);
    this.#enter('down', fault.message);
    this.#rejectAll(hsmUnavailable(fault));
    this.#probe = setTimeout(() => void this.#connect(), delayMs);
  }

  #rejectAll(error: Error): void {
    const jobs = [...this.#running, ...this.#queue.drain()];
    this.#running.clear();
    for (const job of jobs) job.reject(error);
  }

  #enter(state: State, lastError: string | undefined): void {
    const before = this.health().state;
    this.#state = state;
    this.#lastError = lastError;
    if (this.health().state === before) return;
    this.#since = this.#now();
    if (state !== 'closed') this.#onChange(this.health());
  }

  #startWatch(): void {
    if (this.#watch !== undefined) return;
    this.#watchedAt = performance.now();
    this.#watch = setInterval(() => this.#look(), WATCH_INTERVAL_MS);
  }

  #look(): void {
    const now = performance.now();
    const stalled = now - this.#watchedAt > STALL_MS;
    this.#watchedAt = now;
    if (stalled) return; // what arrived while we stood still is read first
    if (this.#queue.size === 0 && this.#running.size === 0) {
      clearInterval(this.#watch);
      this.#watch = undefined;
      return;
    }
    // A token that serves its sessions one after the other is not hung while it makes a key: who waits is told that it is busy.
    const patienceMs = Math.max(0, ...[...this.#running].map(({ timeoutMs }) => timeoutMs));
    for (const job of this.#running) {
      if (now - job.startedAt > patienceMs) return this.#giveUp();
      if (now > job.deadline) job.reject(hsmOverloaded('the signing service is busy'));
    }
    this.#queue.removeWhere(
      (job) => now > job.deadline,
      (job) =>
        job.reject(
          this.#state === 'up' ? hsmOverloaded('the signing service is busy') : hsmUnavailable(this.#lastError),
        ),
    );
  }

  /** The token hangs: whatever it works on is lost, and it must be started anew. */
  #giveUp(): void {
    this.#attempt++;
    this.#backend.abandon();
    this.#goDown(new TokenFault('lost', `the token did not answer within ${this.#limits.operationTimeoutMs} ms`));
  }

  #startHeartbeat(): void {
    this.#heartbeat = setInterval(() => {
      if (this.#state !== 'up' || this.#running.size > 0) return;
      const job = new TokenJob<void>((backend) => backend.ping(), this.#limits.operationTimeoutMs, { tenant: '' });
      job.promise.catch(() => undefined); // the state says it
      this.#begin(job);
    }, HEARTBEAT_MS).unref();
  }
}
