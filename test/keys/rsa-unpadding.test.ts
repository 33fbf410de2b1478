import { constants, generateKeyPairSync, privateDecrypt, publicEncrypt, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { unpadRsa } from '../../core/keys/rsa-unpadding.ts';
import type { RsaPadding } from '../../core/keys/token-backend.ts';

const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const OCTETS = 256;
const OAEP_HASHES = ['sha1', 'sha256', 'sha384', 'sha512'] as const;

/** The bare RSA operation. */
function block(ciphertext: Uint8Array): Buffer {
  return privateDecrypt({ key: privateKey, padding: constants.RSA_NO_PADDING }, ciphertext);
}

/** A well-formed PKCS #1 v1.5 block around a message. */
function pkcs1Block(message: Uint8Array): Buffer {
  const padding = Buffer.alloc(OCTETS - 3 - message.length, 0xaa);
  return Buffer.concat([Buffer.of(0, 2), padding, Buffer.of(0), message]);
}

const message = Buffer.from('0123456789abcdef');
const fallback = Buffer.alloc(16, 0xfb);
const unpadded = (padding: RsaPadding, input: Uint8Array): Buffer => Buffer.from(unpadRsa(padding, input, fallback));

describe('PKCS #1 v1.5 unpadding', () => {
  it('finds what OpenSSL encrypted, of every length that fits', () => {
    for (const length of [0, 1, 8, 16, 24, 32, 48, 64, 244, 245]) {
      const sent = randomBytes(length);
      const ciphertext = publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_PADDING }, sent);
      expect(Buffer.from(unpadRsa('pkcs1', block(ciphertext), new Uint8Array(length)))).toEqual(sent);
    }
  });

  it('yields the fallback for every octet of the frame that is wrong, with every wrong value', () => {
    const right = pkcs1Block(message);
    const separator = OCTETS - 17;
    for (let at = 0; at <= separator; at++) {
      for (let value = 0; value < 256; value++) {
        const changed = Buffer.from(right);
        changed[at] = value;
        const valid = at === 0 ? value === 0 : at === 1 ? value === 2 : at === separator ? value === 0 : value !== 0;
        expect(unpadded('pkcs1', changed).equals(valid ? message : fallback), `octet ${at} = ${value}`).toBe(true);
      }
    }
  });

  it('yields the fallback for messages of any other length', () => {
    for (let length = 0; length <= 245; length++) {
      if (length === 16) continue;
      expect(unpadded('pkcs1', pkcs1Block(Buffer.alloc(length, 0x55))).equals(fallback), `${length} octets`).toBe(true);
    }
  });

  it('returns the octets of the message whatever they are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (octets) =>
        unpadded('pkcs1', pkcs1Block(octets)).equals(octets),
      ),
    );
  });

  it('refuses lengths that can never fit', () => {
    expect(() => unpadRsa('pkcs1', new Uint8Array(OCTETS), new Uint8Array(246))).toThrow(RangeError);
  });
});

describe.each(OAEP_HASHES)('OAEP unpadding with %s', (oaepHash) => {
  const padding: RsaPadding = `oaep-${oaepHash}`;
  const encrypt = (sent: Uint8Array, label?: Buffer): Buffer =>
    publicEncrypt(
      { key: publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash, ...(label ? { oaepLabel: label } : {}) },
      sent,
    );

  it('finds what OpenSSL encrypted, of every length that fits', () => {
    const hashOctets = { sha1: 20, sha256: 32, sha384: 48, sha512: 64 }[oaepHash];
    for (const length of [0, 1, 16, 32, OCTETS - 2 * hashOctets - 2]) {
      const sent = randomBytes(length);
      expect(Buffer.from(unpadRsa(padding, block(encrypt(sent)), new Uint8Array(length)))).toEqual(sent);
    }
    expect(() => unpadRsa(padding, new Uint8Array(OCTETS), new Uint8Array(OCTETS - 2 * hashOctets - 1))).toThrow(
      RangeError,
    );
  });

  it('yields the fallback for every single bit that is wrong', () => {
    const right = block(encrypt(message));
    for (let bit = 0; bit < 8 * OCTETS; bit++) {
      const changed = Buffer.from(right);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      const result = unpadded(padding, changed);
      // A bit of the masked message itself changes the seed, and with it everything.
      expect(result.equals(fallback), `bit ${bit}`).toBe(true);
    }
  });

  it('yields the fallback for another label, hash, length and padding', () => {
    const others = [
      encrypt(message, Buffer.from('label')),
      encrypt(randomBytes(15)),
      encrypt(randomBytes(17)),
      publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_PADDING }, message),
      ...OAEP_HASHES.filter((other) => other !== oaepHash).map((other) =>
        publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: other }, message),
      ),
    ];
    for (const ciphertext of others) expect(unpadded(padding, block(ciphertext))).toEqual(fallback);
  });
});

it('takes any block', () => {
  const paddings = fc.constantFrom<RsaPadding>('pkcs1', 'oaep-sha1', 'oaep-sha256', 'oaep-sha384', 'oaep-sha512');
  fc.assert(
    fc.property(paddings, fc.uint8Array({ minLength: OCTETS, maxLength: OCTETS }), (padding, octets) =>
      unpadded(padding, octets).equals(fallback),
    ),
  );
});
