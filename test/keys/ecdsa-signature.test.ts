import { createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto';
import * as asn1js from 'asn1js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeEcdsaSignature } from '../../core/keys/ecdsa-signature.ts';

describe('Ecdsa-Sig-Value', () => {
  it('is what node:crypto verifies', () => {
    for (const namedCurve of ['P-256', 'P-384', 'P-521']) {
      const { privateKey } = generateKeyPairSync('ec', { namedCurve });
      for (let i = 0; i < 50; i++) {
        const raw = sign('sha256', Buffer.of(i), { key: privateKey, dsaEncoding: 'ieee-p1363' });
        expect(verify('sha256', Buffer.of(i), createPublicKey(privateKey), encodeEcdsaSignature(raw))).toBe(true);
      }
    }
  });

  it('is DER of two positive numbers, whatever they are', () => {
    const number = fc.oneof(
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      fc.constantFrom(new Uint8Array(32), new Uint8Array(32).fill(0xff)),
    );
    fc.assert(
      fc.property(number, fc.nat(31), number, (r, leadingZeros, s) => {
        r.fill(0, 0, leadingZeros);
        const der = encodeEcdsaSignature(Buffer.concat([r, s]));
        const parsed = asn1js.fromBER(der).result as asn1js.Sequence;
        const values = parsed.valueBlock.value.map((integer) => (integer as asn1js.Integer).toBigInt());
        expect(values).toEqual([r, s].map((octets) => BigInt(`0x${Buffer.from(octets).toString('hex')}`)));
      }),
    );
  });
});
