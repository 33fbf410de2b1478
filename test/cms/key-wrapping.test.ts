import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { unwrapKey, wrapKey } from '../../core/cms/aes-key-wrap.ts';
import { CmsDecryptError, CmsError } from '../../core/cms/cms-error.ts';
import { freshCbcParameters, keyLengthOf } from '../../core/cms/content-cipher.ts';
import { unwrapWithPasswordKey, wrapWithPasswordKey } from '../../core/cms/pwri-kek.ts';

const keyLength = fc.constantFrom(16, 24, 32);

function hexOf(octets: Uint8Array): string {
  return Buffer.from(octets).toString('hex');
}

describe('AES key wrap', () => {
  it('is that of RFC 3394 §4.1', () => {
    const keyEncryptionKey = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex');
    const key = Buffer.from('00112233445566778899aabbccddeeff', 'hex');
    const wrapped = wrapKey(keyEncryptionKey, key);
    expect(hexOf(wrapped)).toBe('1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5');
    expect(hexOf(unwrapKey(keyEncryptionKey, wrapped, 16))).toBe(hexOf(key));
  });

  it('refuses a wrong key, a changed bit, another length, and keys too short to be wrapped', () => {
    const [keyEncryptionKey, key] = [randomBytes(32), randomBytes(16)];
    const wrapped = wrapKey(keyEncryptionKey, key);
    expect(() => unwrapKey(randomBytes(32), wrapped, 16)).toThrow(CmsDecryptError);
    expect(() => unwrapKey(keyEncryptionKey, wrapped.fill(0, 8, 9), 16)).toThrow(CmsDecryptError);
    expect(() => unwrapKey(keyEncryptionKey, wrapKey(keyEncryptionKey, key), 24)).toThrow(CmsDecryptError);
    expect(() => wrapKey(keyEncryptionKey, randomBytes(8))).toThrow(CmsError);
  });
});

describe('PWRI-KEK', () => {
  const cipher = fc.constantFrom('aes-128-cbc', 'aes-192-cbc', 'aes-256-cbc', 'des-ede3-cbc');

  it('unwraps what it wrapped, in whole blocks, at least two', () => {
    fc.assert(
      fc.property(cipher, keyLength, (name, length) => {
        const parameters = freshCbcParameters(name);
        const [keyEncryptionKey, key] = [randomBytes(keyLengthOf(name)), randomBytes(length)];
        const wrapped = wrapWithPasswordKey(parameters, keyEncryptionKey, key);
        expect(wrapped.length % parameters.iv.length).toBe(0);
        expect(wrapped.length).toBeGreaterThanOrEqual(2 * parameters.iv.length);
        expect(hexOf(unwrapWithPasswordKey(parameters, keyEncryptionKey, wrapped, length))).toBe(hexOf(key));
      }),
    );
  });

  it('knows a wrong password before the content is touched, by the check octets', () => {
    const parameters = freshCbcParameters('aes-256-cbc');
    const wrapped = wrapWithPasswordKey(parameters, randomBytes(32), randomBytes(16));
    for (let i = 0; i < 100; i++) {
      expect(() => unwrapWithPasswordKey(parameters, randomBytes(32), wrapped, 16)).toThrow(CmsDecryptError);
    }
  });

  it('refuses a key of another length than the cipher needs', () => {
    const parameters = freshCbcParameters('aes-128-cbc');
    const keyEncryptionKey = randomBytes(16);
    const wrapped = wrapWithPasswordKey(parameters, keyEncryptionKey, randomBytes(24));
    expect(() => unwrapWithPasswordKey(parameters, keyEncryptionKey, wrapped, 16)).toThrow(CmsDecryptError);
  });
});
