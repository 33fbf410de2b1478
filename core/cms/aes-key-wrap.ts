import { createCipheriv, createDecipheriv } from 'node:crypto';
import { hasNoParameters } from './algorithm-identifier.ts';
import type { AlgorithmIdentifier } from './algorithm-identifier.ts';
import { CmsDecryptError, CmsError } from './cms-error.ts';

/** Octets of a key-encryption key. */
export type WrapKeyLength = 16 | 24 | 32;

// RFC 3565 §2.3.2
const OID: Record<WrapKeyLength, string> = {
  16: '2.16.840.1.101.3.4.1.5',
  24: '2.16.840.1.101.3.4.1.25',
  32: '2.16.840.1.101.3.4.1.45',
};
const LENGTH_OF: ReadonlyMap<string, WrapKeyLength> = new Map([
  [OID[16], 16],
  [OID[24], 24],
  [OID[32], 32],
]);
const INITIAL_VALUE = Buffer.alloc(8, 0xa6); // RFC 3394 §2.2.3.1

/** The AlgorithmIdentifier of AES key wrap: RFC 3565 §2.3.2 has its parameters absent. */
export function wrapIdentifier(keyLength: WrapKeyLength): AlgorithmIdentifier {
  return { algorithm: OID[keyLength] };
}

/** The key length of an AES key wrap algorithm. Throws CmsError `unsupported-algorithm` for other algorithms. */
export function wrapKeyLengthOf(identifier: AlgorithmIdentifier): WrapKeyLength {
  const keyLength = LENGTH_OF.get(identifier.algorithm);
  if (keyLength !== undefined && hasNoParameters(identifier)) return keyLength;
  throw new CmsError('unsupported-algorithm', 'AES key wrap', identifier.algorithm);
}

/** Wraps a key (RFC 3394). The key has 16, 24 or 32 octets: DES keys are too short for it. */
export function wrapKey(keyEncryptionKey: Uint8Array, key: Uint8Array): Uint8Array {
  if (key.length < 16 || key.length % 8 !== 0) {
    throw new CmsError('invalid-argument', 'a key of 16, 24 or 32 octets', `${key.length} octets`);
  }
  const cipher = createCipheriv(nativeName(keyEncryptionKey), keyEncryptionKey, INITIAL_VALUE);
  return Buffer.concat([cipher.update(key), cipher.final()]);
}

/** Unwraps a key of `keyLength` octets (RFC 3394). Throws CmsDecryptError. */
export function unwrapKey(keyEncryptionKey: Uint8Array, wrapped: Uint8Array, keyLength: number): Uint8Array {
  if (wrapped.length !== keyLength + 8) throw new CmsDecryptError();
  try {
    const decipher = createDecipheriv(nativeName(keyEncryptionKey), keyEncryptionKey, INITIAL_VALUE);
    return Buffer.concat([decipher.update(wrapped), decipher.final()]);
  } catch {
    throw new CmsDecryptError();
  }
}

function nativeName(key: Uint8Array): string {
  return `id-aes${key.length * 8}-wrap`;
}
