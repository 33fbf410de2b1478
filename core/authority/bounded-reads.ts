import { UpstreamError } from '../errors/muster-error.ts';

/**
 * Reads that somebody waits for no longer than a while: a database behind a cut line answers nothing, not even that it does
 * not. What is still under way counts, so that a node that is cut off does not pile up questions.
 */
export class BoundedReads {
  readonly #limitMs: number;
  readonly #most: number;
  #underWay = 0;

  /** `limitMs`: how long one may take; `most`: how many may be under way. */
  constructor(limitMs: number, most: number) {
    this.#limitMs = limitMs;
    this.#most = most;
  }

  /** The result of `read`. Rejects with UpstreamError `store-unavailable` when it is late, or too many others are. */
  async run<T>(read: () => Promise<T>): Promise<T> {
    if (this.#underWay >= this.#most) throw new UpstreamError('store-unavailable', 'too many reads have no answer');
    this.#underWay += 1;
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => reject(new UpstreamError('store-unavailable', `the database did not answer within ${this.#limitMs} ms`)),
      this.#limitMs,
    );
    const answer = read().finally(() => (this.#underWay -= 1));
    try {
      return await Promise.race([answer, late]);
    } finally {
      clearTimeout(timer);
      // Whoever is late fails, or succeeds, with nobody waiting for it.
      answer.catch(() => undefined);
    }
  }
}
