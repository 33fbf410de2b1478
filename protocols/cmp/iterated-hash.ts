import { hash } from 'node:crypto';

import type { MacHash } from './mac-function.ts';

/**
 * The hash of a hash of a hash …, `times` over: what PBM makes its key by (RFC 9810 §5.1.3.1). SHA-256, which OpenSSL's
 * client uses unless told otherwise, is computed here: a call into OpenSSL costs several times its one block of work.
 */
export function hashAgain(name: MacHash, digest: Uint8Array, times: number): Uint8Array {
  if (name === 'sha256') return sha256Again(digest, times);
  let octets = digest;
  for (let done = 0; done < times; done++) octets = hash(name, octets, 'buffer');
  return octets;
}

/** FIPS 180-4 §4.2.2, §5.3.3: the first 32 bits of the fractional parts of cube and square roots of primes. */
const K = rootFractions(64, 1 / 3);
const INITIAL = rootFractions(8, 1 / 2);

function sha256Again(digest: Uint8Array, times: number): Uint8Array {
  const state = new Int32Array(8);
  const view = new DataView(digest.buffer, digest.byteOffset, digest.byteLength);
  for (let i = 0; i < 8; i++) state[i] = view.getInt32(4 * i);
  const words = new Int32Array(64);
  for (let done = 0; done < times; done++) compress(state, words);
  words.fill(0);
  const result = new Uint8Array(32);
  const target = new DataView(result.buffer);
  for (let i = 0; i < 8; i++) target.setInt32(4 * i, state[i]!);
  return result;
}

/** FIPS 180-4 §6.2.2 for a message of 32 octets, which is one block: its words, a one bit, zeros, its length. */
function compress(state: Int32Array, words: Int32Array): void {
  words.set(state);
  words[8] = 0x80000000;
  words.fill(0, 9, 15);
  words[15] = 256;
  for (let t = 16; t < 64; t++) {
    const x = words[t - 15]!;
    const y = words[t - 2]!;
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    words[t] = (words[t - 16]! + s0 + words[t - 7]! + s1) | 0;
  }
  let a = INITIAL[0]!;
  let b = INITIAL[1]!;
  let c = INITIAL[2]!;
  let d = INITIAL[3]!;
  let e = INITIAL[4]!;
  let f = INITIAL[5]!;
  let g = INITIAL[6]!;
  let h = INITIAL[7]!;
  for (let t = 0; t < 64; t++) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[t]! + words[t]!) | 0;
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + t1) | 0;
    d = c;
    c = b;
    b = a;
    a = (t1 + t2) | 0;
  }
  state[0] = (INITIAL[0]! + a) | 0;
  state[1] = (INITIAL[1]! + b) | 0;
  state[2] = (INITIAL[2]! + c) | 0;
  state[3] = (INITIAL[3]! + d) | 0;
  state[4] = (INITIAL[4]! + e) | 0;
  state[5] = (INITIAL[5]! + f) | 0;
  state[6] = (INITIAL[6]! + g) | 0;
  state[7] = (INITIAL[7]! + h) | 0;
}

function rootFractions(count: number, exponent: number): Int32Array {
  const primes: number[] = [];
  for (let candidate = 2; primes.length < count; candidate++) {
    if (primes.every((prime) => candidate % prime !== 0)) primes.push(candidate);
  }
  return Int32Array.from(primes, (prime) => (prime ** exponent % 1) * 2 ** 32);
}
