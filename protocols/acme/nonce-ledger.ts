import { randomBytes, randomFillSync } from 'node:crypto';

import type { Clock } from '../../core/store/clock.ts';
import type { ShortLived } from '../../core/store/short-lived.ts';

/** Tells nonces apart and knows which of them came back. */
export interface NonceLedger {
  /** Fills in ten octets that no other nonce has; the nonce ends at `endsAt`, epoch milliseconds. */
  mark(octets: Uint8Array, endsAt: number): void;
  /** True once for octets of {@link mark}; false for whatever this ledger did not fill in. */
  take(octets: Uint8Array, ttlSeconds: number): Promise<boolean>;
}

/** What several nodes share: octets at random, and a row of the store for each that was used. */
export function storedLedger(shortLived: Pick<ShortLived, 'takeOnce'>): NonceLedger {
  return {
    mark: (octets) => void randomFillSync(octets),
    take: (octets, ttlSeconds) =>
      shortLived.takeOnce(`acme-nonce:${Buffer.from(octets).toString('base64url')}`, ttlSeconds),
  };
}

const PROCESS_OCTETS = 4;
const COUNT_OCTETS = 6;
/** Nonces of a page: a bit each. */
const PAGE_NONCES = 65_536;

interface Page {
  readonly used: Uint8Array;
  /** When its last nonce ends. */
  endsAt: number;
}

/**
 * What the only process of an installation needs: nonces are counted, and one bit of memory says which were used. Those of a
 * process that ended are nobody's: their clients are told so and have a fresh one at once.
 */
export class CountedLedger implements NonceLedger {
  readonly #process = randomBytes(PROCESS_OCTETS);
  readonly #pages = new Map<number, Page>();
  readonly #clock: Clock;
  #count = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  mark(octets: Uint8Array, endsAt: number): void {
    const count = this.#count++;
    const number = Math.floor(count / PAGE_NONCES);
    const page = this.#pages.get(number);
    if (page === undefined) this.#openPage(number, endsAt);
    else page.endsAt = endsAt;
    octets.set(this.#process);
    Buffer.from(octets.buffer, octets.byteOffset, octets.length).writeUIntBE(count, PROCESS_OCTETS, COUNT_OCTETS);
  }

  take(octets: Uint8Array): Promise<boolean> {
    return Promise.resolve(this.#take(Buffer.from(octets.buffer, octets.byteOffset, octets.length)));
  }

  #take(octets: Buffer): boolean {
    if (!this.#process.equals(octets.subarray(0, PROCESS_OCTETS))) return false;
    const count = octets.readUIntBE(PROCESS_OCTETS, COUNT_OCTETS);
    const page = this.#pages.get(Math.floor(count / PAGE_NONCES));
    if (page === undefined || count >= this.#count) return false;
    const at = (count % PAGE_NONCES) >> 3;
    const bit = 1 << (count & 7);
    if ((page.used[at]! & bit) !== 0) return false;
    page.used[at]! |= bit;
    return true;
  }

  #openPage(number: number, endsAt: number): void {
    const now = this.#clock.now();
    for (const [old, page] of this.#pages) if (page.endsAt < now) this.#pages.delete(old);
    this.#pages.set(number, { used: new Uint8Array(PAGE_NONCES / 8), endsAt });
  }
}
