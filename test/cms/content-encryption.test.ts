import { createCipheriv } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { CmsDecryptError } from '../../core/cms/cms-error.ts';
import { freshContentKey } from '../../core/cms/content-cipher.ts';
import { decryptCbc, encryptCbc } from '../../core/cms/content-encryption.ts';

const key = Buffer.alloc(16, 7);
const iv = Buffer.alloc(16, 9);
const parameters = { cipher: 'aes-128-cbc', iv } as const;

function encryptedBlocks(blocks: Uint8Array): Uint8Array {
  return createCipheriv('aes-128-cbc', key, iv).setAutoPadding(false).update(blocks);
}

/** RFC 5652 §6.3, as plainly as it can be said. */
function unpadded(blocks: Uint8Array): Uint8Array | undefined {
  const count = blocks.at(-1)!;
  const isPadding = count >= 1 && count <= 16 && blocks.subarray(-count).every((octet) => octet === count);
  return isPadding ? blocks.subarray(0, -count) : undefined;
}

describe('decryptCbc', () => {
  it('removes what is padding and nothing else: every count, whole and with one octet wrong', () => {
    for (let count = 0; count < 256; count++) {
      for (let wrong = 0; wrong <= 17; wrong++) {
        const blocks = Buffer.alloc(32, 0xaa);
        blocks.fill(count, 32 - Math.min(count, 32));
        blocks[31] = count;
        if (wrong > 0) blocks[32 - wrong]! ^= 0x40;
        const expected = unpadded(blocks);
        const open = (): Uint8Array => decryptCbc(parameters, key, encryptedBlocks(blocks));
        if (expected === undefined) expect(open).toThrow(CmsDecryptError);
        else expect(Buffer.from(open())).toEqual(Buffer.from(expected));
      }
    }
  });

  it('is DES for a key of eight octets: the vector of FIPS 81', () => {
    const desKey = Buffer.from('0123456789abcdef', 'hex');
    const des = { cipher: 'des-cbc', iv: new Uint8Array(8) } as const;
    const ciphertext = encryptCbc(des, desKey, Buffer.from('Now is t'));
    // One block of CBC with a zero IV is ECB.
    expect(Buffer.from(ciphertext.subarray(0, 8)).toString('hex')).toBe('3fa40e8a984d4815');
    expect(Buffer.from(decryptCbc(des, desKey, ciphertext)).toString()).toBe('Now is t');
  });
});

describe('freshContentKey', () => {
  it('gives DES keys odd parity', () => {
    for (const octet of freshContentKey('des-ede3-cbc')) {
      expect(octet.toString(2).replaceAll('0', '').length % 2).toBe(1);
    }
  });
});
