/**
 * State that nodes share for a while: nonces, counters of rate limits, hints to drop a cache. Nothing here is the only
 * record of anything, and nothing becomes allowed because a part of it failed.
 */
export interface ShortLived extends AsyncDisposable {
  /**
   * True for the first caller with this key on any node, false for every later one until `ttlSeconds` have passed since.
   * The key's row in the store decides; memory and Redis only refuse repeats without asking it.
   *
   * @throws UpstreamError store-unavailable when the store cannot say. It never answers true in doubt.
   */
  takeOnce(key: string, ttlSeconds: number): Promise<boolean>;
  /**
   * Counts one more and returns the count since the first in a window of `windowSeconds`. With Redis down, a node goes on
   * with its own count: a limit then holds for each node.
   */
  increment(key: string, windowSeconds: number): Promise<number>;
  /** Tells subscribers on all nodes, at most once each: a hint, lost without an error when Redis is down. */
  publish(channel: string, message: string): Promise<void>;
  /** Calls `listener` for each message on a channel; returns what stops that. */
  subscribe(channel: string, listener: (message: string) => void): Promise<() => Promise<void>>;
  close(): Promise<void>;
}
