/** What units tell this process once they are durable, by topic. Nothing but speed hangs on it: other processes hear nothing. */
export class Signals {
  readonly #listeners = new Map<string, Set<() => void>>();

  /** Calls `listener` for each unit that signalled a topic; returns what stops that. */
  on(topic: string, listener: () => void): () => void {
    const listeners = this.#listeners.get(topic) ?? new Set();
    this.#listeners.set(topic, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  emit(topic: string): void {
    for (const listener of this.#listeners.get(topic) ?? []) listener();
  }
}
