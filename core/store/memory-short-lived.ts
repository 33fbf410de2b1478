import type { Clock } from './clock.ts';
import type { ShortLived } from './short-lived.ts';
import type { TakenKeys } from './taken-keys.ts';

/** What an in-process implementation needs. */
export interface MemoryShortLivedOptions {
  readonly clock: Clock;
  readonly takenKeys: TakenKeys;
  /** Told what a subscriber threw. */
  readonly report: (error: unknown) => void;
}

/** Entries of each map; beyond, the oldest go. Evicting costs a question to the store, or forgets a count. */
const CAPACITY = 100_000;

interface Counter {
  count: number;
  readonly expiresAt: number;
}

/** Short-lived state of a single process, and what a node falls back on when Redis is away. */
export class MemoryShortLived implements ShortLived {
  readonly #clock: Clock;
  readonly #takenKeys: TakenKeys;
  readonly #report: (error: unknown) => void;
  readonly #taken = new Map<string, number>();
  readonly #counters = new Map<string, Counter>();
  readonly #listeners = new Map<string, Set<(message: string) => void>>();

  constructor(options: MemoryShortLivedOptions) {
    this.#clock = options.clock;
    this.#takenKeys = options.takenKeys;
    this.#report = options.report;
  }

  async takeOnce(key: string, ttlSeconds: number): Promise<boolean> {
    const now = this.#clock.now();
    if ((this.#taken.get(key) ?? 0) > now) return false;
    const first = await this.#takenKeys.take(key, ttlSeconds);
    // A key that another process took is not remembered: we do not know until when.
    if (first) remember(this.#taken, key, now + ttlSeconds * 1000);
    return first;
  }

  increment(key: string, windowSeconds: number): Promise<number> {
    const now = this.#clock.now();
    const known = this.#counters.get(key);
    if (known !== undefined && known.expiresAt > now) {
      known.count += 1;
      return Promise.resolve(known.count);
    }
    remember(this.#counters, key, { count: 1, expiresAt: now + windowSeconds * 1000 });
    return Promise.resolve(1);
  }

  publish(channel: string, message: string): Promise<void> {
    for (const listener of this.#listeners.get(channel) ?? []) {
      try {
        listener(message);
      } catch (error) {
        this.#report(error);
      }
    }
    return Promise.resolve();
  }

  subscribe(channel: string, listener: (message: string) => void): Promise<() => Promise<void>> {
    const listeners = this.#listeners.get(channel) ?? new Set();
    this.#listeners.set(channel, listeners.add(listener));
    return Promise.resolve(() => {
      listeners.delete(listener);
      return Promise.resolve();
    });
  }

  close(): Promise<void> {
    this.#listeners.clear();
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Puts an entry last; a Map iterates in that order, so the first one is the oldest. */
function remember<V>(map: Map<string, V>, key: string, value: V): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > CAPACITY) map.delete(map.keys().next().value ?? '');
}
