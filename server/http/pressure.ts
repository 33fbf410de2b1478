import { monitorEventLoopDelay } from 'node:perf_hooks';
import { UpstreamError } from '../../core/errors/muster-error.ts';

const resolutionMilliseconds = 20;
const sampleMilliseconds = 500;

/**
 * Watches how late the event loop runs and turns requests away while it is later than it may be: a quick 503 with
 * Retry-After serves a fleet better than answers after its time-outs. One instance serves all listeners.
 */
export class Pressure implements Disposable {
  readonly #limitMilliseconds: number;
  readonly #histogram: ReturnType<typeof monitorEventLoopDelay>;
  readonly #timer: NodeJS.Timeout;
  #delayMilliseconds = 0;

  /** `limitMilliseconds`: mean delay over the last half second beyond which requests are refused; 0 never refuses. */
  constructor(limitMilliseconds: number) {
    this.#limitMilliseconds = limitMilliseconds;
    this.#histogram = monitorEventLoopDelay({ resolution: resolutionMilliseconds });
    this.#histogram.enable();
    this.#timer = setInterval(() => this.#sample(), sampleMilliseconds).unref();
  }

  /** Mean delay of the event loop over the last half second, in milliseconds. */
  get delayMilliseconds(): number {
    return this.#delayMilliseconds;
  }

  /** `overloaded` (503, Retry-After) while the event loop is too late, else undefined. */
  refusal(): UpstreamError | undefined {
    if (this.#limitMilliseconds === 0 || this.#delayMilliseconds <= this.#limitMilliseconds) return undefined;
    return new UpstreamError('overloaded', 'this node has more work than it can do now', { retryAfterSeconds: 5 });
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#histogram.disable();
  }

  #sample(): void {
    // With no tick at all in the interval the mean is NaN: the timer itself ran, so the loop is not stuck now.
    const mean = this.#histogram.mean / 1e6 - resolutionMilliseconds;
    this.#delayMilliseconds = Number.isNaN(mean) ? 0 : Math.max(0, mean);
    this.#histogram.reset();
  }
}
