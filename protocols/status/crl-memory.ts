import type { CrlPublication } from '../../core/authority/crl-jobs.ts';
import type { Crls } from '../../core/authority/crls.ts';
import { statusLifetimes } from '../../core/authority/status-lifetimes.ts';
import type { CrlRow } from '../../core/authority/tables.ts';
import { UpstreamError } from '../../core/errors/muster-error.ts';
import type { Store } from '../../core/store/store.ts';

/** Shards and deltas fit; a list of a million goes from the store to the socket. */
const LARGEST_KEPT = 4 * 1024 * 1024;
const MAX_BYTES = 64 * 1024 * 1024;
const MAX_LISTS = 4_096;

/** CRLs in memory: their octets, which never change, and which of them was in force when the store last answered. */
export class CrlMemory {
  readonly #store: Store;
  readonly #crls: Pick<Crls, 'inForce' | 'octets'>;
  readonly #maxAges = new Map<string, number>();
  readonly #lists = new Map<string, CrlRow>();
  readonly #octets = new Map<string, Buffer>();
  #bytes = 0;

  constructor(store: Store, crls: Pick<Crls, 'inForce' | 'octets'>) {
    this.#store = store;
    this.#crls = crls;
  }

  /** How long caches may keep the CRLs of an authority. While the store is away, what it said last. */
  async maxAgeSeconds(authority: string): Promise<number> {
    try {
      const { maxAgeSeconds } = await statusLifetimes(this.#store, authority);
      this.#maxAges.set(authority, maxAgeSeconds);
      return maxAgeSeconds;
    } catch (error) {
      const last = this.#maxAges.get(authority);
      if (error instanceof UpstreamError && last !== undefined) return last;
      throw error;
    }
  }

  /** The CRL at a URL. While the store is away, the last one from it: a CRL says itself until when it holds. */
  async inForce(url: string, locate: () => Promise<CrlPublication>): Promise<CrlRow> {
    try {
      const crl = await this.#crls.inForce(await locate());
      if (this.#lists.size >= MAX_LISTS) this.#lists.clear();
      this.#lists.set(url, crl);
      return crl;
    } catch (error) {
      const last = this.#lists.get(url);
      if (error instanceof UpstreamError && last !== undefined) return last;
      throw error;
    }
  }

  /** Whether a CRL is small enough to be kept. */
  keeps({ size }: CrlRow): boolean {
    return size <= LARGEST_KEPT;
  }

  /** The whole of a small CRL. */
  async octets(crl: CrlRow): Promise<Buffer> {
    const known = this.#octets.get(crl.sha256);
    if (known) return known;
    const parts: Uint8Array[] = [];
    for await (const part of this.stream(crl)) parts.push(part);
    const octets = Buffer.concat(parts);
    this.#keep(crl.sha256, octets);
    return octets;
  }

  /**
   * A CRL slice by slice. It ends with an error where it was replaced twice while it was read: a client must not take the half
   * for the whole.
   */
  async *stream(crl: CrlRow): AsyncIterable<Uint8Array> {
    let sent = 0;
    for await (const part of this.#crls.octets(crl)) {
      sent += part.length;
      yield part;
    }
    if (sent !== crl.size) throw new UpstreamError('store-unavailable', 'the CRL was replaced while it was read');
  }

  #keep(key: string, octets: Buffer): void {
    this.#octets.set(key, octets);
    this.#bytes += octets.length;
    for (const [oldest, { length }] of this.#octets) {
      if (this.#bytes <= MAX_BYTES) return;
      this.#octets.delete(oldest);
      this.#bytes -= length;
    }
  }
}
