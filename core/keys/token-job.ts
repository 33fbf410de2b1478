import type { MaybePromise, TokenBackend } from './token-backend.ts';

/** On whose account an operation runs, and what ends it early. */
export interface OperationOptions {
  readonly tenant: string;
  /** Takes the operation out of the queue; one that the token works on already runs to its end. */
  readonly signal?: AbortSignal;
}

/** One operation of a token on its way: waiting, running, or waiting again for the token to come back. */
export class TokenJob<T = unknown> {
  readonly promise: Promise<T>;
  readonly tenant: string;
  readonly timeoutMs: number;
  readonly run: (backend: TokenBackend) => MaybePromise<T>;
  /** Milliseconds of performance.now() at which whoever asked has waited long enough. */
  readonly deadline: number;
  /** Milliseconds of performance.now() at which the token got it; zero while it waits. */
  startedAt = 0;
  /** Whether a connection was lost under it: it is tried once more, not for ever. */
  retried = false;
  readonly #signal: AbortSignal | undefined;
  readonly #resolve: (value: T) => void;
  readonly #reject: (error: unknown) => void;
  #onAbort: (() => void) | undefined;

  constructor(
    run: (backend: TokenBackend) => MaybePromise<T>,
    timeoutMs: number,
    { tenant, signal }: OperationOptions,
  ) {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.promise = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    this.run = run;
    this.tenant = tenant;
    this.timeoutMs = timeoutMs;
    this.deadline = performance.now() + timeoutMs;
    this.#signal = signal;
  }

  /** Calls back when the signal fires before the job is settled. */
  onAbort(abort: (reason: unknown) => void): void {
    if (this.#signal === undefined) return;
    this.#onAbort = () => abort(this.#signal?.reason);
    this.#signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  resolve(value: T): void {
    this.#settle();
    this.#resolve(value);
  }

  reject(error: unknown): void {
    this.#settle();
    this.#reject(error);
  }

  #settle(): void {
    if (this.#onAbort !== undefined) this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#onAbort = undefined;
  }
}
