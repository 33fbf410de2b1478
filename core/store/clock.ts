/** Wall-clock time, passed in so that rules never read it by themselves. */
export interface Clock {
  /** Epoch milliseconds. */
  now(): number;
}

/** The clock of this machine. */
export const systemClock: Clock = { now: () => Date.now() };
