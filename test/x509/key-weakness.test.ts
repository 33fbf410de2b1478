import { generatePrimeSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { encode } from '../../core/asn1/codec.ts';
import { any, bitString, integer, oid, sequence } from '../../core/asn1/schema.ts';
import { findKeyWeakness } from '../../core/x509/key-weakness.ts';
import { parseSubjectPublicKeyInfo, type SubjectPublicKeyInfo } from '../../core/x509/public-key.ts';
import { makeKey, publicKeyOf } from '../support/test-pki.ts';

const spki = sequence('SPKI', {
  algorithm: sequence('AlgorithmIdentifier', { algorithm: oid, parameters: any }),
  key: bitString,
});

function rsaKey(modulus: bigint): SubjectPublicKeyInfo {
  const bytes = encode(sequence('RSAPublicKey', { n: integer, e: integer }), { n: modulus, e: 65_537n });
  const algorithm = { algorithm: '1.2.840.113549.1.1.1', parameters: Uint8Array.of(5, 0) };
  return parseSubjectPublicKeyInfo(encode(spki, { algorithm, key: { unusedBits: 0, bytes } }));
}

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  for (let b = base % modulus, e = exponent; e > 0n; e >>= 1n, b = (b * b) % modulus)
    if (e & 1n) result = (result * b) % modulus;
  return result;
}

const primes = [
  2n,
  3n,
  5n,
  7n,
  11n,
  13n,
  17n,
  19n,
  23n,
  29n,
  31n,
  37n,
  41n,
  43n,
  47n,
  53n,
  59n,
  61n,
  67n,
  71n,
  73n,
  79n,
  83n,
  89n,
  97n,
];
const morePrimes = [101n, 103n, 107n, 109n, 113n, 127n, 131n, 137n, 139n, 149n, 151n, 157n, 163n, 167n];
const primorial = [...primes, ...morePrimes].reduce((product, prime) => product * prime, 1n);

/** A number of the form k·M + (65537^a mod M), as the faulty library chose its primes (the structure, not primality). */
function rocaFactor(k: bigint, a: bigint): bigint {
  return k * primorial + power(65_537n, a, primorial);
}

describe('RSA', () => {
  it('finds nothing in keys of OpenSSL', () => {
    for (let i = 0; i < 3; i++) expect(findKeyWeakness(publicKeyOf(makeKey('rsa-2048')))).toBeUndefined();
  });

  it('finds a small factor', () => {
    const big = generatePrimeSync(2038, { bigint: true });
    expect(findKeyWeakness(rsaKey(big * 751n))).toMatchObject({
      kind: 'rsa-small-factor',
      detail: expect.stringContaining('751'),
    });
  });

  it('finds close primes (CVE-2022-26320) and a square', () => {
    const p = generatePrimeSync(1024, { bigint: true });
    let q = p + 2n;
    while (power(2n, q - 1n, q) !== 1n) q += 2n;
    expect(findKeyWeakness(rsaKey(p * q))).toMatchObject({ kind: 'rsa-close-primes' });
    expect(findKeyWeakness(rsaKey(p * p))).toMatchObject({ kind: 'rsa-close-primes' });
  });

  it('finds the ROCA structure (CVE-2017-15361)', () => {
    const modulus = rocaFactor(1n << 800n, 1234n) * rocaFactor(3n << 799n, 98_765n);
    expect(findKeyWeakness(rsaKey(modulus))).toMatchObject({ kind: 'rsa-roca' });
  });

  it('is done within milliseconds for the largest keys', () => {
    const key = rsaKey((1n << 8191n) + BigInt(`0x${'5'.repeat(1000)}`));
    const start = performance.now();
    findKeyWeakness(key);
    expect(performance.now() - start).toBeLessThan(200);
  });
});

describe('elliptic curves', () => {
  it.each(['ec-p256', 'ec-p384', 'ec-p521'] as const)('%s: on the curve and off', (kind) => {
    const key = publicKeyOf(makeKey(kind));
    expect(findKeyWeakness(key)).toBeUndefined();
    const keyBytes = key.keyBytes.with(key.keyBytes.length - 1, key.keyBytes.at(-1)! ^ 1);
    expect(findKeyWeakness({ ...key, keyBytes })).toMatchObject({ kind: 'ec-point-not-on-curve' });
    expect(findKeyWeakness({ ...key, keyBytes: new Uint8Array(keyBytes.length).fill(0xff) })).toBeDefined();
  });

  it('Ed25519: points of small order', () => {
    const key = publicKeyOf(makeKey('ed25519'));
    expect(findKeyWeakness(key)).toBeUndefined();
    const smallOrder = [
      '01'.padEnd(64, '0'),
      ''.padEnd(64, '0'),
      'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    ];
    // Order 8: y satisfies d·y⁴ + 2y² − 1 = 0.
    smallOrder.push('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05');
    smallOrder.push('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a');
    for (const hex of smallOrder) {
      expect(findKeyWeakness({ ...key, keyBytes: Buffer.from(hex, 'hex') })).toMatchObject({
        kind: 'ed25519-small-order',
      });
    }
  });

  it('has no finding for other kinds', () => {
    expect(findKeyWeakness(publicKeyOf(makeKey('ed448')))).toBeUndefined();
    expect(findKeyWeakness(publicKeyOf(makeKey('ml-dsa-44')))).toBeUndefined();
  });
});
