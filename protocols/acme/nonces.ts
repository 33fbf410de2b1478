import { createHmac, timingSafeEqual } from 'node:crypto';

import type { Clock } from '../../core/store/clock.ts';
import type { NonceLedger } from './nonce-ledger.ts';

/** A nonce that came back: ours, or not; `take` is for who has verified the rest of the request. */
export type ReturnedNonce = { readonly ours: false } | { readonly ours: true; take(): Promise<boolean> };

const LIFETIME_MS = 3_600_000;
const TIME_OCTETS = 6;
const MARK_OCTETS = 10;
const TAG_OCTETS = 16;
const BODY_OCTETS = TIME_OCTETS + MARK_OCTETS;

/**
 * Anti-replay nonces (RFC 8555 §6.5): time and the ledger's mark under a MAC, so that giving one out costs no store and any node
 * knows its own kind. That it was used is the ledger's to know (V42).
 */
export class Nonces {
  readonly #key: Uint8Array;
  readonly #ledger: NonceLedger;
  readonly #clock: Clock;

  /** `key` is the same on all nodes. */
  constructor(key: Uint8Array, ledger: NonceLedger, clock: Clock) {
    this.#key = key;
    this.#ledger = ledger;
    this.#clock = clock;
  }

  /** A new one, base64url, good for an hour. */
  issue(): string {
    const nonce = Buffer.allocUnsafe(BODY_OCTETS + TAG_OCTETS);
    const now = this.#clock.now();
    nonce.writeUIntBE(now, 0, TIME_OCTETS);
    this.#ledger.mark(nonce.subarray(TIME_OCTETS, BODY_OCTETS), now + LIFETIME_MS);
    this.#tag(nonce.subarray(0, BODY_OCTETS)).copy(nonce, BODY_OCTETS, 0, TAG_OCTETS);
    return nonce.toString('base64url');
  }

  /** What a nonce is worth. Taking it answers true once, on one node. */
  returned(text: string): ReturnedNonce {
    const nonce = Buffer.from(text, 'base64url');
    const body = nonce.subarray(0, BODY_OCTETS);
    if (nonce.length !== BODY_OCTETS + TAG_OCTETS || nonce.toString('base64url') !== text) return { ours: false };
    if (!timingSafeEqual(nonce.subarray(BODY_OCTETS), this.#tag(body).subarray(0, TAG_OCTETS))) return { ours: false };
    const endsAt = nonce.readUIntBE(0, TIME_OCTETS) + LIFETIME_MS;
    const left = endsAt - this.#clock.now();
    if (left <= 0) return { ours: false };
    // Clocks of nodes differ: the mark outlives the nonce.
    const ttlSeconds = Math.ceil(left / 1000) + 60;
    return { ours: true, take: () => this.#ledger.take(body.subarray(TIME_OCTETS), ttlSeconds) };
  }

  #tag(body: Uint8Array): Buffer {
    return createHmac('sha256', this.#key).update(body).digest();
  }
}
