/**
 * One deadline after the other. Units follow each other a hundred thousand times a second and almost none is late, so
 * the timer is rearmed in place instead of made anew.
 */
export class Deadline {
  #timer: NodeJS.Timeout | undefined;
  #armedMs = 0;
  #passed: (() => void) | undefined;

  /** Calls `passed` after `ms` milliseconds unless stopped before. Takes the place of an earlier one. */
  start(ms: number, passed: () => void): void {
    this.#passed = passed;
    if (this.#timer !== undefined && this.#armedMs === ms) {
      this.#timer.refresh();
      this.#timer.ref();
      return;
    }
    this.close();
    this.#passed = passed;
    this.#armedMs = ms;
    this.#timer = setTimeout(() => this.#passed?.(), ms);
  }

  /** Nothing is waited for; the timer stays, but holds no process open. */
  stop(): void {
    this.#passed = undefined;
    this.#timer?.unref();
  }

  /** Gives the timer up. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#passed = undefined;
  }
}
