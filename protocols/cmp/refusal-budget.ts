import type { Clock } from '../../core/store/clock.ts';

/** Signed refusals of one source, and of all, in a second: ample for devices that err, little for a token. */
const PER_SECOND = { ofOne: 50, ofAll: 200 };
const SECOND_MS = 1000;

/**
 * Counts refusals that are to be signed for senders nobody knows: each would cost the token a signature, so a flood of them is
 * answered without (V35).
 */
export class RefusalBudget {
  readonly #clock: Clock;
  readonly #ofSource = new Map<string, number>();
  #ofAll = 0;
  #since = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether one more may be signed for a source. */
  take(source: string): boolean {
    const now = this.#clock.now();
    if (now - this.#since >= SECOND_MS || now < this.#since) {
      this.#since = now;
      this.#ofAll = 0;
      this.#ofSource.clear();
    }
    const ofSource = (this.#ofSource.get(source) ?? 0) + 1;
    if (ofSource > PER_SECOND.ofOne || this.#ofAll >= PER_SECOND.ofAll) return false;
    this.#ofSource.set(source, ofSource);
    this.#ofAll += 1;
    return true;
  }
}
