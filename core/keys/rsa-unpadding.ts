import { hash } from 'node:crypto';
import { constantTimeSelect, isZero, mask } from './constant-time.ts';
import type { RsaPadding } from './token-backend.ts';

/**
 * Removal of RSA encryption padding that takes the same steps whatever the block holds, so that neither time nor errors tell a
 * sender of chosen ciphertexts what his block looked like (Bleichenbacher 1998, Manger 2001). Two things make it simple:
 * the length of the message is known beforehand (a content-encryption key has the length of its cipher), so every octet
 * has its place; and nothing is refused: a block that is not as it should be yields `fallback` (implicit rejection).
 *
 * `block` is the result of the RSA operation, as long as the modulus; `fallback` is as long as the message must be. Only
 * lengths, which are public, are looked at with branches. Throws RangeError when the message cannot fit.
 */
export function unpadRsa(padding: RsaPadding, block: Uint8Array, fallback: Uint8Array): Uint8Array {
  return padding === 'pkcs1' ? unpadPkcs1(block, fallback) : unpadOaep(OAEP_HASH[padding], block, fallback);
}

const OAEP_HASH = {
  'oaep-sha1': 'sha1',
  'oaep-sha256': 'sha256',
  'oaep-sha384': 'sha384',
  'oaep-sha512': 'sha512',
} as const satisfies Record<Exclude<RsaPadding, 'pkcs1'>, string>;

type OaepHash = (typeof OAEP_HASH)[keyof typeof OAEP_HASH];

/** RFC 8017 §7.2.2: EM = 0x00 ‖ 0x02 ‖ PS ‖ 0x00 ‖ M, with at least eight non-zero octets in PS. */
function unpadPkcs1(block: Uint8Array, fallback: Uint8Array): Uint8Array {
  const separator = block.length - fallback.length - 1;
  if (separator < 10) throw new RangeError(`a message of ${fallback.length} octets does not fit a PKCS #1 v1.5 block`);
  let wrong = block[0]! | (block[1]! ^ 0x02) | block[separator]!;
  let zeros = 0;
  for (let at = 2; at < separator; at++) zeros |= isZero(block[at]!);
  wrong |= zeros;
  return constantTimeSelect(mask(isZero(wrong)), block.subarray(separator + 1), fallback);
}

/**
 * RFC 8017 §7.1.2: EM = 0x00 ‖ maskedSeed ‖ maskedDB, and DB = lHash ‖ PS ‖ 0x01 ‖ M, with an empty label and MGF1 over the
 * same hash.
 */
function unpadOaep(hashName: OaepHash, block: Uint8Array, fallback: Uint8Array): Uint8Array {
  const lHash = hash(hashName, new Uint8Array(0), 'buffer');
  const octets = lHash.length;
  const separator = block.length - 1 - octets - fallback.length - 1;
  if (separator < octets) throw new RangeError(`a message of ${fallback.length} octets does not fit an OAEP block`);
  const maskedDb = block.subarray(1 + octets);
  const seed = xor(block.subarray(1, 1 + octets), mgf1(hashName, maskedDb, octets));
  const db = xor(maskedDb, mgf1(hashName, seed, maskedDb.length));
  let wrong = block[0]! | (db[separator]! ^ 0x01);
  for (let at = 0; at < octets; at++) wrong |= db[at]! ^ lHash[at]!;
  for (let at = octets; at < separator; at++) wrong |= db[at]!;
  return constantTimeSelect(mask(isZero(wrong)), db.subarray(separator + 1), fallback);
}

/** RFC 8017 appendix B.2.1. */
function mgf1(hashName: OaepHash, seed: Uint8Array, length: number): Uint8Array {
  const output = new Uint8Array(length);
  const input = Buffer.alloc(seed.length + 4);
  input.set(seed);
  for (let counter = 0, at = 0; at < length; counter++) {
    input.writeUInt32BE(counter, seed.length);
    const digest = hash(hashName, input, 'buffer');
    output.set(digest.subarray(0, length - at), at);
    at += digest.length;
  }
  return output;
}

function xor(a: Uint8Array, b: Uint8Array): Uint8Array {
  const output = new Uint8Array(a.length);
  for (let at = 0; at < a.length; at++) output[at] = a[at]! ^ b[at]!;
  return output;
}
