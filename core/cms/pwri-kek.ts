import { createCipheriv, createDecipheriv, randomBytes, timingSafeEqual } from 'node:crypto';
import { CmsDecryptError } from './cms-error.ts';
import { blockLengthOf } from './content-cipher.ts';
import type { CbcParameters } from './content-cipher.ts';

/** The key check: the first three octets of the key, complemented. */
const CHECK_OCTETS = 3;
const HEADER_OCTETS = 1 + CHECK_OCTETS;

/** Wraps a content-encryption key with a key made from a password (RFC 3211 §2.3.1). */
export function wrapWithPasswordKey(
  parameters: CbcParameters,
  keyEncryptionKey: Uint8Array,
  key: Uint8Array,
): Uint8Array {
  const block = blockLengthOf(parameters.cipher);
  const length = Math.max(2, Math.ceil((HEADER_OCTETS + key.length) / block)) * block;
  const formatted = randomBytes(length);
  formatted[0] = key.length;
  for (let i = 0; i < CHECK_OCTETS; i++) formatted[1 + i] = key[i]! ^ 0xff;
  formatted.set(key, HEADER_OCTETS);
  const once = encryptBlocks(parameters, keyEncryptionKey, parameters.iv, formatted);
  return encryptBlocks(parameters, keyEncryptionKey, once.subarray(-block), once);
}

/**
 * Unwraps a content-encryption key of `keyLength` octets (RFC 3211 §2.3.2).
 *
 * @throws CmsDecryptError whatever does not fit
 */
export function unwrapWithPasswordKey(
  parameters: CbcParameters,
  keyEncryptionKey: Uint8Array,
  wrapped: Uint8Array,
  keyLength: number,
): Uint8Array {
  const block = blockLengthOf(parameters.cipher);
  if (wrapped.length < 2 * block || wrapped.length % block !== 0 || wrapped.length < HEADER_OCTETS + keyLength) {
    throw new CmsDecryptError();
  }
  // The last block, decrypted under the one before it, is the IV that the second pass began with.
  const before = wrapped.subarray(-2 * block, -block);
  const iv = decryptBlocks(parameters, keyEncryptionKey, before, wrapped.subarray(-block));
  const once = decryptBlocks(parameters, keyEncryptionKey, iv, wrapped);
  const formatted = decryptBlocks(parameters, keyEncryptionKey, parameters.iv, once);
  const key = formatted.subarray(HEADER_OCTETS, HEADER_OCTETS + keyLength);
  const header = Uint8Array.of(keyLength, ...key.subarray(0, CHECK_OCTETS).map((octet) => octet ^ 0xff));
  if (!timingSafeEqual(header, formatted.subarray(0, HEADER_OCTETS))) throw new CmsDecryptError();
  return key;
}

function encryptBlocks({ cipher }: CbcParameters, key: Uint8Array, iv: Uint8Array, blocks: Uint8Array): Uint8Array {
  return createCipheriv(cipher, key, iv).setAutoPadding(false).update(blocks);
}

function decryptBlocks({ cipher }: CbcParameters, key: Uint8Array, iv: Uint8Array, blocks: Uint8Array): Uint8Array {
  return createDecipheriv(cipher, key, iv).setAutoPadding(false).update(blocks);
}
