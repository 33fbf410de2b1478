/** For so long after two tenants were there in turn, each must expect the other, milliseconds. */
const SHARED_MS = 10_000;

/**
 * How many operations each tenant has on the token. While one tenant is alone it may have all there are; while others are about, one
 * stays free for whoever has fewer, so that a tenant that asks seldom need not wait for an end among those of one that floods.
 */
export class TenantSlots {
  readonly #running = new Map<string, number>();
  #lastTenant: string | undefined;
  #sharedUntilMs = 0;

  /** Notes that a tenant asked, at `nowMs` of performance.now(). */
  asked(tenant: string, nowMs: number): void {
    if (this.#lastTenant !== undefined && this.#lastTenant !== tenant) this.#sharedUntilMs = nowMs + SHARED_MS;
    this.#lastTenant = tenant;
  }

  /** Whether a tenant may have one more of `slots`. */
  mayStart(tenant: string, slots: number, nowMs: number): boolean {
    const shared = slots > 1 && nowMs < this.#sharedUntilMs;
    return (this.#running.get(tenant) ?? 0) < (shared ? slots - 1 : slots);
  }

  started(tenant: string): void {
    this.#running.set(tenant, (this.#running.get(tenant) ?? 0) + 1);
  }

  ended(tenant: string): void {
    const left = (this.#running.get(tenant) ?? 0) - 1;
    if (left > 0) this.#running.set(tenant, left);
    else this.#running.delete(tenant);
  }
}
