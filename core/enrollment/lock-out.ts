import { PolicyError } from '../errors/muster-error.ts';
import type { Clock } from '../store/clock.ts';
import type { ShortLived } from '../store/short-lived.ts';

/** Wrong credentials under one name before further ones are refused as such, and for how long. */
const LOCK_OUT = { attempts: 10, windowSeconds: 300 };
/** Names remembered as locked by one process. */
const MAX_LOCKED = 10_000;

/**
 * Counts wrong credentials by a name (endpoint and source, and the reference where there is one), on all nodes together. The
 * count decides; that a name is locked a node remembers from its own last count.
 */
export class LockOut {
  readonly #shortLived: ShortLived;
  readonly #clock: Clock;
  /** When each locked name is free again, in the order they were locked. */
  readonly #locked = new Map<string, number>();

  constructor(shortLived: ShortLived, clock: Clock) {
    this.#shortLived = shortLived;
    this.#clock = clock;
  }

  /** Whether a credential under this name is not even to be compared. */
  isLocked(name: string): boolean {
    return (this.#locked.get(name) ?? 0) > this.#clock.now();
  }

  /**
   * Counts one more wrong credential.
   * @throws PolicyError `locked-out` when there were too many.
   */
  async failed(name: string, what: string): Promise<void> {
    const failures = await this.#shortLived.increment(name, LOCK_OUT.windowSeconds);
    if (failures <= LOCK_OUT.attempts) return;
    if (failures === LOCK_OUT.attempts + 1 || !this.isLocked(name)) this.#lock(name);
    throw lockedOut(what);
  }

  #lock(name: string): void {
    this.#locked.delete(name);
    const [oldest] = this.#locked.keys();
    if (this.#locked.size >= MAX_LOCKED && oldest !== undefined) this.#locked.delete(oldest);
    this.#locked.set(name, this.#clock.now() + LOCK_OUT.windowSeconds * 1000);
  }
}

/** What is answered under a name that is locked: `what` says which kind of credential came too often. */
export function lockedOut(what: string): PolicyError {
  return new PolicyError('locked-out', `too many wrong ${what} from this address`, {
    retryAfterSeconds: LOCK_OUT.windowSeconds,
  });
}
