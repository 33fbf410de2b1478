import { isPointOnCurve } from './ec-curve.ts';
import type { SubjectPublicKeyInfo } from './public-key.ts';
import { findRsaWeakness } from './rsa-weakness.ts';
import { toHex } from './octets.ts';

/** What is wrong with a public key whose form is correct: whoever looks can compute the private key, or part of it. */
export type KeyWeakness =
  | { readonly kind: 'rsa-small-factor'; readonly detail: string }
  | { readonly kind: 'rsa-close-primes'; readonly detail: string }
  | { readonly kind: 'rsa-roca'; readonly detail: string }
  | { readonly kind: 'ec-point-not-on-curve'; readonly detail: string }
  | { readonly kind: 'ed25519-small-order'; readonly detail: string };

/**
 * Looks for the known weaknesses of a key in a request: RSA with a small factor, close primes (Fermat, CVE-2022-26320) or the
 * ROCA structure (CVE-2017-15361), an EC point off its curve, an Ed25519 point of small order. Bounded work: below a
 * millisecond for RSA-4096. Debian's keys of 2008 (CVE-2008-0166) need a list and are not looked for.
 */
export function findKeyWeakness(publicKey: SubjectPublicKeyInfo): KeyWeakness | undefined {
  const { algorithm, keyBytes } = publicKey;
  switch (algorithm.kind) {
    case 'rsa':
      return findRsaWeakness(publicKey);
    case 'ec':
      if (isPointOnCurve(algorithm.curve, keyBytes)) return undefined;
      return { kind: 'ec-point-not-on-curve', detail: `the point does not lie on ${algorithm.curve}` };
    case 'ed25519':
      if (!ED25519_SMALL_ORDER.has(toHex(keyBytes))) return undefined;
      return { kind: 'ed25519-small-order', detail: 'the point has order 1, 2, 4 or 8' };
    case 'ed448':
    case 'ml-dsa':
      return undefined;
  }
}

/** The encodings of the eight points of small order, canonical and not (RFC 8032 §5.1.3; the list libsodium refuses). */
const ED25519_SMALL_ORDER: ReadonlySet<string> = new Set(smallOrderEncodings());

function smallOrderEncodings(): string[] {
  const p = (1n << 255n) - 19n;
  const order8 = BigInt('0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7');
  const ys = [0n, 1n, p - 1n, order8, p - order8, p, p + 1n];
  return ys.flatMap((y) => [y, y | (1n << 255n)]).map(littleEndianHex);
}

function littleEndianHex(value: bigint): string {
  return toHex(Buffer.from(value.toString(16).padStart(64, '0'), 'hex').reverse());
}
