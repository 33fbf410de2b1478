import { createCipheriv, createDecipheriv } from 'node:crypto';
import { CmsDecryptError } from './cms-error.ts';
import { blockLengthOf } from './content-cipher.ts';
import type { CbcCipher, CbcParameters, GcmParameters } from './content-cipher.ts';

/** A ciphertext with its authentication tag. */
export interface SealedContent {
  readonly ciphertext: Uint8Array;
  readonly tag: Uint8Array;
}

/** Encrypts with the padding of RFC 5652 §6.3. */
export function encryptCbc(parameters: CbcParameters, key: Uint8Array, content: Uint8Array): Uint8Array {
  const cipher = createCipheriv(...nativeCbc(parameters.cipher, key), parameters.iv);
  return Buffer.concat([cipher.update(content), cipher.final()]);
}

/**
 * Decrypts and removes the padding of RFC 5652 §6.3. The work is the same whatever the key and the padding: all of the
 * last block is looked at, without a branch on its contents.
 *
 * @param ciphertext whole blocks, at least one: for the caller to check, before the key was touched
 * @param badPadding what becomes of wrong padding; `kept`: it is left where it is, as if it were content
 * @throws CmsDecryptError
 */
export function decryptCbc(
  parameters: CbcParameters,
  key: Uint8Array,
  ciphertext: Uint8Array,
  badPadding: 'throws' | 'kept' = 'throws',
): Uint8Array {
  const decipher = createDecipheriv(...nativeCbc(parameters.cipher, key), parameters.iv).setAutoPadding(false);
  const padded = Buffer.concat([decipher.update(ciphertext), decipher.final()]);
  const padding = paddingLength(padded, blockLengthOf(parameters.cipher));
  if (padding === 0 && badPadding === 'throws') throw new CmsDecryptError();
  return padded.subarray(0, padded.length - padding);
}

/** Encrypts and authenticates. */
export function sealGcm(
  { cipher: name, nonce, tagLength }: GcmParameters,
  key: Uint8Array,
  content: Uint8Array,
  authenticated: Uint8Array,
): SealedContent {
  const cipher = createCipheriv(name, key, nonce, { authTagLength: tagLength });
  cipher.setAAD(authenticated);
  const ciphertext = Buffer.concat([cipher.update(content), cipher.final()]);
  return { ciphertext, tag: cipher.getAuthTag() };
}

/** Decrypts what is authentic. Throws CmsDecryptError for anything else. */
export function openGcm(
  { cipher: name, nonce, tagLength }: GcmParameters,
  key: Uint8Array,
  { ciphertext, tag }: SealedContent,
  authenticated: Uint8Array,
): Uint8Array {
  const decipher = createDecipheriv(name, key, nonce, { authTagLength: tagLength });
  decipher.setAAD(authenticated);
  decipher.setAuthTag(tag);
  const content = decipher.update(ciphertext);
  try {
    decipher.final();
  } catch {
    content.fill(0);
    throw new CmsDecryptError();
  }
  return content;
}

// OpenSSL 3 has no single DES any more; des-ede3 with three equal keys is single DES.
function nativeCbc(cipher: CbcCipher, key: Uint8Array): [string, Uint8Array] {
  return cipher === 'des-cbc' ? ['des-ede3-cbc', Buffer.concat([key, key, key])] : [cipher, key];
}

/** How many octets of padding end `padded`: 1 to `block`; 0 where it is no padding. No branch on its contents. */
function paddingLength(padded: Uint8Array, block: number): number {
  const last = padded.length - 1;
  const count = padded[last]!;
  // isNegative(x) is 1 below zero and 0 elsewhere, for small integers.
  let faults = isNegative(count - 1) | isNegative(block - count);
  for (let i = 0; i < block; i++) {
    const isPadding = -isNegative(i - count);
    faults |= isPadding & (padded[last - i]! ^ count);
  }
  const isGood = isNegative(faults - 1);
  return count & -isGood;
}

function isNegative(value: number): number {
  return value >>> 31;
}
