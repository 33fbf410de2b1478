/** Work done in this thread before the event loop gets its turn, milliseconds. */
const BUDGET_MS = 0.5;

/** Counts the work done in this thread since the event loop last turned. */
export class TurnBudget {
  readonly #onTurn: () => void;
  #spentMs = 0;

  /** `onTurn` is called after each turn of the event loop in which something was spent. */
  constructor(onTurn: () => void) {
    this.#onTurn = onTurn;
  }

  /** Whether the rest must wait for the next turn. */
  get spent(): boolean {
    return this.#spentMs >= BUDGET_MS;
  }

  spend(ms: number): void {
    if (this.#spentMs === 0) setImmediate(() => this.#turn());
    this.#spentMs += ms;
  }

  #turn(): void {
    this.#spentMs = 0;
    this.#onTurn();
  }
}
