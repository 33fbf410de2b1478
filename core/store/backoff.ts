/** How long a failed job waits. */
export interface Backoff {
  /** Upper bound of the wait after the first failure, in milliseconds; it doubles with each further one. */
  readonly firstMs: number;
  /** Upper bound of every wait, in milliseconds. */
  readonly longestMs: number;
}

/**
 * The wait after failed attempt number `attempt` (from 1): anything from nothing to the bound ("full jitter"), so that
 * jobs which failed together do not come back together.
 */
export function backoffMs(backoff: Backoff, attempt: number, random: () => number): number {
  return Math.floor(random() * Math.min(backoff.longestMs, backoff.firstMs * 2 ** Math.min(attempt - 1, 50)));
}
