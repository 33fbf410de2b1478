/** Longer than an answer can take from the look at the store to its signature. Milliseconds. */
const KEPT_MS = 120_000;

/**
 * Which certificates changed lately: an answer that was being signed when its certificate was revoked must not be kept, because
 * the order to forget it came before it was there.
 */
export class RecentChanges {
  readonly #changedAt = new Map<string, number>();
  #everythingAt = -Infinity;

  /** Notes changes at this moment; `undefined`: everything may have changed. */
  note(keys: readonly string[] | undefined): void {
    const now = performance.now();
    if (keys === undefined) this.#everythingAt = now;
    for (const key of keys ?? []) {
      // To the end: the oldest stand first.
      this.#changedAt.delete(key);
      this.#changedAt.set(key, now);
    }
    for (const [key, at] of this.#changedAt) {
      if (now - at < KEPT_MS) return;
      this.#changedAt.delete(key);
    }
  }

  /** Whether a certificate changed at or after `at` (`performance.now()`). */
  since(key: string, at: number): boolean {
    return this.#everythingAt >= at || (this.#changedAt.get(key) ?? -Infinity) >= at;
  }
}
