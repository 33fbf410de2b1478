import { UpstreamError } from '../errors/muster-error.ts';
import { FairQueue } from '../keys/fair-queue.ts';
import type { Clock } from '../store/clock.ts';

/** How many enrolments are under way at once: enough to fill a commit. */
const AT_ONCE = 64;
/** How many of one tenant while another is there, too: what is under way stands before a newcomer in every later queue. */
const OF_ONE_TENANT = 4;
/** How long after its last request a tenant counts as being there. */
const PRESENCE_MS = 10_000;
/** Enrolments of one tenant that may wait; beyond, its devices are told to come back. */
const WAITING_PER_TENANT = 1024;
const COME_BACK_SECONDS = 2;

interface Waiting {
  readonly tenant: string;
  readonly letIn: () => void;
}

/**
 * Lets enrolments into the hall, tenant by tenant in turn. A tenant alone fills the hall; where there are several, each has
 * a few places, so that who floods waits behind his own requests and not others behind him.
 */
export class Turnstile {
  readonly #clock: Clock;
  readonly #waiting = new FairQueue<Waiting>();
  readonly #inside = new Map<string, number>();
  readonly #lastSeen = new Map<string, number>();
  #total = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Runs `work` when its tenant's turn has come.
   * @throws UpstreamError `overloaded` when too much of this tenant waits; and whatever `work` throws.
   */
  async pass<T>(tenant: string, work: () => Promise<T>): Promise<T> {
    if (this.#waiting.sizeOf(tenant) >= WAITING_PER_TENANT) {
      throw new UpstreamError('overloaded', 'too many requests of this tenant are waiting', {
        retryAfterSeconds: COME_BACK_SECONDS,
      });
    }
    await this.#enter(tenant);
    try {
      return await work();
    } finally {
      this.#leave(tenant);
    }
  }

  /** Runs `work` while another has the caller's place, for what only waits; call it inside {@link pass}. */
  async stepOutside<T>(tenant: string, work: () => Promise<T>): Promise<T> {
    this.#leave(tenant);
    try {
      return await work();
    } finally {
      await this.#enter(tenant);
    }
  }

  async #enter(tenant: string): Promise<void> {
    this.#lastSeen.set(tenant, this.#clock.now());
    if (this.#hasPlaceFor(tenant)) this.#count(tenant, 1);
    else await new Promise<void>((letIn) => this.#waiting.add(tenant, { tenant, letIn }));
  }

  /** Who leaves hands his place on: to the next tenant in turn that has not its share already. */
  #leave(tenant: string): void {
    this.#count(tenant, -1);
    for (;;) {
      const next = this.#waiting.take((candidate) => this.#hasPlaceFor(candidate));
      if (!next) return;
      this.#count(next.tenant, 1);
      next.letIn();
    }
  }

  #hasPlaceFor(tenant: string): boolean {
    if (this.#total >= AT_ONCE) return false;
    return (this.#inside.get(tenant) ?? 0) < (this.#isAlone(tenant) ? AT_ONCE : OF_ONE_TENANT);
  }

  #isAlone(tenant: string): boolean {
    const since = this.#clock.now() - PRESENCE_MS;
    for (const [other, seen] of this.#lastSeen) {
      if (seen < since && !this.#inside.has(other)) this.#lastSeen.delete(other);
      else if (other !== tenant) return false;
    }
    return true;
  }

  #count(tenant: string, change: 1 | -1): void {
    this.#total += change;
    const inside = (this.#inside.get(tenant) ?? 0) + change;
    if (inside === 0) this.#inside.delete(tenant);
    else this.#inside.set(tenant, inside);
  }
}
