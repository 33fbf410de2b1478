import { Worker } from 'node:worker_threads';

import { UpstreamError } from '../../core/errors/muster-error.ts';
import { TurnBudget } from '../../core/keys/turn-budget.ts';
import { deriveKey, type IteratedDerivation } from './key-derivation.ts';

/** What goes to the thread. */
export interface DerivationOrder {
  readonly id: number;
  readonly derivation: IteratedDerivation;
  readonly secret: Uint8Array;
}

/** What comes back. */
export interface DerivationAnswer {
  readonly id: number;
  readonly key: Uint8Array;
}

/** Up to so many iterations a key is derived on the spot: less than what handing it over costs twice. */
const ON_THE_SPOT = 5_000;
/** Iterations that may wait, in all: a second or two of work. And derivations that may wait for one reference. */
const BUDGET = { iterations: 1_000_000, perReference: 4 };
const COME_BACK_SECONDS = 2;
/** A thread that had nothing to do for so long is ended. */
const IDLE_MS = 30_000;

interface Waiting {
  readonly reference: string;
  readonly iterations: number;
  resolve(key: Uint8Array): void;
  reject(error: unknown): void;
}

/**
 * Derives keys of MACs. The sender chooses the iterations before it has shown that it knows anything (V30): many of them are
 * counted in a thread of its own, a bounded number at a time, so that neither requests nor signatures wait for them.
 */
export class DerivationThread implements AsyncDisposable {
  #worker: Worker | undefined;
  #idle: NodeJS.Timeout | undefined;
  readonly #waiting = new Map<number, Waiting>();
  readonly #turns = new TurnBudget(() => this.#queue.shift()?.());
  /** Those whose turn in this thread has not come yet. */
  readonly #queue: (() => void)[] = [];
  #lastId = 0;

  /**
   * Derives a key for who names `reference`.
   * @throws UpstreamError `overloaded` when too many wait, of all or of this reference
   */
  async derive(derivation: IteratedDerivation, secret: Uint8Array, reference: string): Promise<Uint8Array> {
    if (derivation.iterations <= ON_THE_SPOT) return this.#deriveHere(derivation, secret);
    this.#requireBudget(derivation.iterations, reference);
    clearTimeout(this.#idle);
    const worker = (this.#worker ??= this.#start());
    const id = ++this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    this.#waiting.set(id, { reference, iterations: derivation.iterations, resolve, reject });
    worker.ref();
    worker.postMessage({ id, derivation, secret } satisfies DerivationOrder);
    return promise;
  }

  /** Ends the thread; what waits is rejected. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#idle);
    const worker = this.#worker;
    this.#fail(new UpstreamError('shutting-down', 'this node is stopping'));
    await worker?.terminate();
  }

  /** In this thread, a little at a time: between two keys the event loop gets its turn. */
  async #deriveHere(derivation: IteratedDerivation, secret: Uint8Array): Promise<Uint8Array> {
    if (this.#turns.spent) await new Promise<void>((resolve) => this.#queue.push(resolve));
    const start = performance.now();
    const key = deriveKey(derivation, secret);
    this.#turns.spend(performance.now() - start);
    if (!this.#turns.spent) this.#queue.shift()?.();
    return key;
  }

  #requireBudget(iterations: number, reference: string): void {
    const waiting = [...this.#waiting.values()];
    const ofReference = waiting.filter((other) => other.reference === reference).length;
    const inAll = waiting.reduce((sum, other) => sum + other.iterations, iterations);
    if (inAll <= BUDGET.iterations && ofReference < BUDGET.perReference) return;
    throw new UpstreamError('overloaded', 'too many keys are being derived', { retryAfterSeconds: COME_BACK_SECONDS });
  }

  #start(): Worker {
    const worker = new Worker(new URL('./derivation-worker.ts', import.meta.url), { name: 'cmp-derivation' });
    worker.on('message', ({ id, key }: DerivationAnswer) => this.#settle(id, key));
    worker.on('error', (cause) => {
      if (this.#worker === worker) this.#fail(new UpstreamError('overloaded', 'no key was derived', { cause }));
    });
    return worker;
  }

  #settle(id: number, key: Uint8Array): void {
    this.#waiting.get(id)?.resolve(key);
    this.#waiting.delete(id);
    if (this.#waiting.size > 0) return;
    this.#worker?.unref();
    this.#idle = setTimeout(() => void this.#rest(), IDLE_MS).unref();
  }

  async #rest(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }

  #fail(error: UpstreamError): void {
    this.#worker = undefined;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
