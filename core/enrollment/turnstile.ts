import { UpstreamError } from '../errors/muster-error.ts';
import { FairQueue } from '../keys/fair-queue.ts';

/** How many enrolments are under way at once: enough to fill a commit, few enough that a newcomer's turn comes soon. */
const AT_ONCE = 64;
/** Enrolments of one tenant that may wait; beyond, its devices are told to come back. */
const WAITING_PER_TENANT = 1024;
const COME_BACK_SECONDS = 2;

/**
 * Lets enrolments into the hall, tenant by tenant in turn: who floods waits behind his own requests, and a quiet tenant's
 * next one is let in next.
 */
export class Turnstile {
  readonly #waiting = new FairQueue<{ readonly letIn: () => void }>();
  #inside = 0;

  /**
   * Runs `work` when its tenant's turn has come.
   * @throws UpstreamError `overloaded` when too much of this tenant waits; and whatever `work` throws.
   */
  async pass<T>(tenant: string, work: () => Promise<T>): Promise<T> {
    await this.#enter(tenant);
    try {
      return await work();
    } finally {
      this.#leave();
    }
  }

  /** Runs `work` while another has the caller's place, for what only waits; call it inside {@link pass}. */
  async stepOutside<T>(tenant: string, work: () => Promise<T>): Promise<T> {
    this.#leave();
    try {
      return await work();
    } finally {
      await this.#queueUp(tenant);
    }
  }

  async #enter(tenant: string): Promise<void> {
    if (this.#waiting.sizeOf(tenant) >= WAITING_PER_TENANT) {
      throw new UpstreamError('overloaded', 'too many requests of this tenant are waiting', {
        retryAfterSeconds: COME_BACK_SECONDS,
      });
    }
    await this.#queueUp(tenant);
  }

  async #queueUp(tenant: string): Promise<void> {
    if (this.#inside < AT_ONCE) this.#inside += 1;
    else await new Promise<void>((letIn) => this.#waiting.add(tenant, { letIn }));
  }

  /** Who leaves hands his place to the next. */
  #leave(): void {
    const next = this.#waiting.take();
    if (next) next.letIn();
    else this.#inside -= 1;
  }
}
