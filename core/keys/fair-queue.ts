/**
 * A queue that serves tenants in turn: whoever asks for much waits behind his own requests, not others behind him. Taking,
 * adding and removing cost the same however long it is.
 */
export class FairQueue<T extends object> {
  /** In the order of turns: the tenant at the front is served next, then goes to the back. No tenant has an empty set. */
  readonly #tenants = new Map<string, Set<T>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** How many entries of one tenant wait. */
  sizeOf(tenant: string): number {
    return this.#tenants.get(tenant)?.size ?? 0;
  }

  add(tenant: string, entry: T): void {
    const entries = this.#tenants.get(tenant);
    if (entries === undefined) this.#tenants.set(tenant, new Set([entry]));
    else entries.add(entry);
    this.#size++;
  }

  /** The next entry: the oldest of the first tenant in turn that `mayStart` admits. */
  take(mayStart: (tenant: string) => boolean = () => true): T | undefined {
    for (const [tenant, entries] of this.#tenants) {
      if (!mayStart(tenant)) continue;
      const [entry] = entries;
      this.#tenants.delete(tenant);
      entries.delete(entry!);
      if (entries.size > 0) this.#tenants.set(tenant, entries);
      this.#size--;
      return entry;
    }
    return undefined;
  }

  /** Takes an entry out before its turn; false when it is not waiting. */
  remove(tenant: string, entry: T): boolean {
    const entries = this.#tenants.get(tenant);
    if (entries === undefined || !entries.delete(entry)) return false;
    if (entries.size === 0) this.#tenants.delete(tenant);
    this.#size--;
    return true;
  }

  /** Takes out all entries that a test is true of, and hands each to `removed`. */
  removeWhere(test: (entry: T) => boolean, removed: (entry: T) => void): void {
    for (const [tenant, entries] of this.#tenants) {
      for (const entry of entries) {
        if (test(entry) && this.remove(tenant, entry)) removed(entry);
      }
    }
  }

  /** Empties it: all entries, in the order in which they would have been served. */
  drain(): T[] {
    const entries: T[] = [];
    for (let entry = this.take(); entry !== undefined; entry = this.take()) entries.push(entry);
    return entries;
  }
}
