import { StateError } from '../../core/errors/muster-error.ts';

const WINDOW_MS = 60_000;
/** Sources remembered at once; beyond them the oldest is forgotten, which is in its favour. */
const MAX_SOURCES = 10_000;

interface Spent {
  readonly since: number;
  count: number;
}

/**
 * How many messages of one source (an endpoint and an address) may turn out to be unreadable within a minute: each costs the token a decryption and
 * a signature, and who searches for an oracle needs many (V20, V35). Kept by each process for itself.
 */
export class FaultBudget {
  readonly #sources = new Map<string, Spent>();

  /** @throws StateError `quota-exceeded` when the source has no more this minute; `limit` 0 is no limit. */
  requireLeft(source: string, limit: number, now: number): void {
    const spent = this.#current(source, now);
    if (limit === 0 || spent === undefined || spent.count < limit) return;
    const retryAfterSeconds = Math.ceil((spent.since + WINDOW_MS - now) / 1000);
    throw new StateError('quota-exceeded', 'too many unreadable messages from this address', { retryAfterSeconds });
  }

  /** Counts one. */
  spend(source: string, now: number): void {
    const spent = this.#current(source, now);
    if (spent !== undefined) {
      spent.count += 1;
      return;
    }
    this.#sources.delete(source);
    this.#sources.set(source, { since: now, count: 1 });
    if (this.#sources.size <= MAX_SOURCES) return;
    const [oldest] = this.#sources.keys();
    if (oldest !== undefined) this.#sources.delete(oldest);
  }

  #current(source: string, now: number): Spent | undefined {
    const spent = this.#sources.get(source);
    return spent !== undefined && now - spent.since < WINDOW_MS ? spent : undefined;
  }
}
