import { createHmac, hash, randomBytes, timingSafeEqual } from 'node:crypto';

import { NONCE_LIFETIME_SECONDS } from '../../core/enrollment/ports.ts';
import { PeerError } from '../../core/errors/muster-error.ts';
import type { Clock } from '../../core/store/clock.ts';
import type { ShortLived } from '../../core/store/short-lived.ts';

/** Octets of a nonce: what every TPM, PSA and Matter part takes. */
const DEFAULT_OCTETS = 32;
const MAX_OCTETS = 64;
const EXPIRY_OCTETS = 4;
const MAC_OCTETS = 16;
/** A nonce may be a little older than it says when the clocks of two nodes differ. */
const CLOCK_SKEW_SECONDS = 5;

/** What nonces are made and taken with. */
export interface NonceParts {
  /** A key of the installation, 32 octets, that makes nothing else. */
  readonly key: Uint8Array;
  readonly shortLived: Pick<ShortLived, 'takeOnce'>;
  readonly clock: Clock;
}

/**
 * Nonces that evidence is fresh for: random octets, the second they end (big-endian, 4 octets) and a MAC over both, the
 * purpose and the endpoint. Issuing one leaves nothing behind, so strangers may ask for as many as they like; taking one writes
 * its hash, once on any node.
 */
export class AttestationNonces {
  readonly #parts: NonceParts;

  constructor(parts: NonceParts) {
    this.#parts = parts;
  }

  /** @throws PeerError `malformed-request` for a length that is not between 32 and 64 octets. */
  issue(endpoint: string, octets = DEFAULT_OCTETS): Uint8Array {
    if (!Number.isInteger(octets) || octets < DEFAULT_OCTETS || octets > MAX_OCTETS)
      throw new PeerError(
        'malformed-request',
        `a nonce has ${DEFAULT_OCTETS} to ${MAX_OCTETS} octets, asked for ${octets}`,
      );
    const nonce = randomBytes(octets);
    const macAt = octets - MAC_OCTETS;
    nonce.writeUInt32BE(this.#seconds() + NONCE_LIFETIME_SECONDS, macAt - EXPIRY_OCTETS);
    nonce.set(this.#mac(endpoint, nonce.subarray(0, macAt)), macAt);
    return nonce;
  }

  /** True for the first who shows a nonce of this endpoint while it lives. @throws UpstreamError when the store cannot say. */
  async take(endpoint: string, nonce: Uint8Array): Promise<boolean> {
    if (nonce.length < DEFAULT_OCTETS || nonce.length > MAX_OCTETS) return false;
    const octets = Buffer.from(nonce);
    const macAt = octets.length - MAC_OCTETS;
    if (!timingSafeEqual(this.#mac(endpoint, octets.subarray(0, macAt)), octets.subarray(macAt))) return false;
    const left = octets.readUInt32BE(macAt - EXPIRY_OCTETS) - this.#seconds();
    if (left <= 0) return false;
    return this.#parts.shortLived.takeOnce(`attestation-nonce:${hash('sha256', octets)}`, left + CLOCK_SKEW_SECONDS);
  }

  #mac(endpoint: string, octets: Uint8Array): Buffer {
    const mac = createHmac('sha256', this.#parts.key).update(`attestation nonce\0${endpoint}\0`).update(octets);
    return mac.digest().subarray(0, MAC_OCTETS);
  }

  #seconds(): number {
    return Math.floor(this.#parts.clock.now() / 1000);
  }
}
