import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

import type { Clock } from '../../core/store/clock.ts';
import type { ShortLived } from '../../core/store/short-lived.ts';

/** A nonce that came back: ours, or not; `take` is for who has verified the rest of the request. */
export type ReturnedNonce = { readonly ours: false } | { readonly ours: true; take(): Promise<boolean> };

const LIFETIME_MS = 3_600_000;
const TIME_OCTETS = 6;
const RANDOM_OCTETS = 10;
const TAG_OCTETS = 16;
const BODY_OCTETS = TIME_OCTETS + RANDOM_OCTETS;

/**
 * Anti-replay nonces (RFC 8555 §6.5) of all nodes: time and randomness under a MAC, so that giving one out costs no store and
 * any node knows its own kind. That it was used is what is kept, once for all nodes (V42).
 */
export class Nonces {
  readonly #key: Uint8Array;
  readonly #shortLived: Pick<ShortLived, 'takeOnce'>;
  readonly #clock: Clock;

  constructor(key: Uint8Array, shortLived: Pick<ShortLived, 'takeOnce'>, clock: Clock) {
    this.#key = key;
    this.#shortLived = shortLived;
    this.#clock = clock;
  }

  /** A new one, base64url, good for an hour. */
  issue(): string {
    const nonce = Buffer.alloc(BODY_OCTETS + TAG_OCTETS);
    nonce.writeUIntBE(this.#clock.now(), 0, TIME_OCTETS);
    randomBytes(RANDOM_OCTETS).copy(nonce, TIME_OCTETS);
    this.#tag(nonce.subarray(0, BODY_OCTETS)).copy(nonce, BODY_OCTETS, 0, TAG_OCTETS);
    return nonce.toString('base64url');
  }

  /** What a nonce is worth. Taking it answers true once, on one node. */
  returned(text: string): ReturnedNonce {
    const nonce = Buffer.from(text, 'base64url');
    const body = nonce.subarray(0, BODY_OCTETS);
    if (nonce.length !== BODY_OCTETS + TAG_OCTETS || nonce.toString('base64url') !== text) return { ours: false };
    if (!timingSafeEqual(nonce.subarray(BODY_OCTETS), this.#tag(body).subarray(0, TAG_OCTETS))) return { ours: false };
    const left = nonce.readUIntBE(0, TIME_OCTETS) + LIFETIME_MS - this.#clock.now();
    if (left <= 0) return { ours: false };
    // Clocks of nodes differ: the mark outlives the nonce.
    const ttlSeconds = Math.ceil(left / 1000) + 60;
    return { ours: true, take: () => this.#shortLived.takeOnce(`acme-nonce:${text}`, ttlSeconds) };
  }

  #tag(body: Uint8Array): Buffer {
    return createHmac('sha256', this.#key).update(body).digest();
  }
}
