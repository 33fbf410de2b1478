import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { encode } from '../../core/asn1/codec.ts';
import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { any, bitString, oid, optional, sequence, serialInteger } from '../../core/asn1/schema.ts';
import { keyIdentifier, parseSubjectPublicKeyInfo, rsaModulus, spkiSha256 } from '../../core/x509/public-key.ts';
import { makeKey, publicKeyOf, type TestKeyKind } from '../support/test-pki.ts';
import { openssl } from './openssl.ts';

const spki = sequence('SPKI', {
  algorithm: sequence('AlgorithmIdentifier', { algorithm: oid, parameters: optional(any) }),
  subjectPublicKey: bitString,
});
const rsaKey = sequence('RSAPublicKey', { n: serialInteger, e: serialInteger });

const RSA = '1.2.840.113549.1.1.1';
const EC = '1.2.840.10045.2.1';
const P256 = encode(oid, '1.2.840.10045.3.1.7');
const NULL = Uint8Array.of(5, 0);

function build(algorithm: string, parameters: Uint8Array | undefined, bytes: Uint8Array, unusedBits = 0): Uint8Array {
  return encode(spki, { algorithm: { algorithm, parameters }, subjectPublicKey: { unusedBits, bytes } });
}

function rsa(modulus: Uint8Array, exponent: Uint8Array): Uint8Array {
  return build(RSA, NULL, encode(rsaKey, { n: modulus, e: exponent }));
}

const modulus = Uint8Array.of(0, 0xc1, ...new Uint8Array(255).fill(0x35));
const E = Uint8Array.of(1, 0, 1);

describe('kinds', () => {
  it.each<[TestKeyKind, object]>([
    ['rsa-2048', { kind: 'rsa', bits: 2048, exponent: 65_537 }],
    ['ec-p256', { kind: 'ec', curve: 'P-256' }],
    ['ec-p384', { kind: 'ec', curve: 'P-384' }],
    ['ec-p521', { kind: 'ec', curve: 'P-521' }],
    ['ed25519', { kind: 'ed25519' }],
    ['ed448', { kind: 'ed448' }],
    ['ml-dsa-44', { kind: 'ml-dsa', parameterSet: 44 }],
    ['ml-dsa-65', { kind: 'ml-dsa', parameterSet: 65 }],
    ['ml-dsa-87', { kind: 'ml-dsa', parameterSet: 87 }],
  ])('reads %s', (kind, algorithm) => {
    expect(publicKeyOf(makeKey(kind)).algorithm).toEqual(algorithm);
  });

  it('counts the bits of a modulus whose top octet is small', () => {
    const odd = Uint8Array.of(0x05, ...new Uint8Array(255).fill(0x35));
    expect(parseSubjectPublicKeyInfo(rsa(odd, E)).algorithm).toMatchObject({ bits: 2043 });
    expect(rsaModulus(parseSubjectPublicKeyInfo(rsa(modulus, E)))).toEqual(modulus.subarray(1));
  });
});

describe('refusals', () => {
  const { publicKey: ec } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const point = publicKeyOf(makeKey()).keyBytes;
  const compressed = Uint8Array.of(2 + (point[64]! & 1), ...point.subarray(1, 33));

  it.each<[string, Uint8Array, RegExp]>([
    ['a compressed point', build(EC, P256, compressed), /compressed/],
    ['a hybrid point', build(EC, P256, Uint8Array.of(6, ...point.subarray(1))), /uncompressed/],
    ['a short point', build(EC, P256, point.subarray(0, 64)), /65 octets/],
    ['another curve', build(EC, encode(oid, '1.3.132.0.10'), point), /P-256, P-384 or P-521/],
    ['an implicit curve', build(EC, NULL, point), /named curve/],
    ['no curve', build(EC, undefined, point), /named curve/],
    ['another algorithm', build('1.2.840.10040.4.1', NULL, point), /1\.2\.840\.10040\.4\.1/],
    ['RSA without NULL', build(RSA, undefined, encode(rsaKey, { n: modulus, e: E })), /NULL/],
    ['an even exponent', rsa(modulus, Uint8Array.of(4)), /odd number/],
    ['exponent 1', rsa(modulus, Uint8Array.of(1)), /odd number/],
    ['a huge exponent', rsa(modulus, new Uint8Array(33).fill(1)), /odd number/],
    ['a negative exponent', rsa(modulus, Uint8Array.of(0x83)), /positive/],
    ['an even modulus', rsa(Uint8Array.of(...modulus.subarray(0, 256), 0x34), E), /odd/],
    ['a negative modulus', rsa(modulus.subarray(1), E), /positive/],
    ['a modulus of 512 bits', rsa(modulus.subarray(0, 65), E), /512 bits/],
    ['modulus 0', rsa(Uint8Array.of(0), E), /bits/],
    [
      'octets after RSAPublicKey',
      build(RSA, NULL, Uint8Array.of(...encode(rsaKey, { n: modulus, e: E }), 0)),
      /more octets/,
    ],
    ['Ed25519 with parameters', build('1.3.101.112', NULL, new Uint8Array(32)), /no parameters/],
    ['a short Ed25519 key', build('1.3.101.112', undefined, new Uint8Array(31)), /32 octets/],
    ['a short ML-DSA key', build('2.16.840.1.101.3.4.3.17', undefined, new Uint8Array(32)), /1312 octets/],
    ['unused bits', build('1.3.101.112', undefined, new Uint8Array(32), 1), /unused bits/],
  ])('%s', (_name, der, message) => {
    expect(() => parseSubjectPublicKeyInfo(der)).toThrow(message);
    expect(() => parseSubjectPublicKeyInfo(der)).toThrow(Asn1Error);
  });

  it('explicit parameters, as openssl writes them (CVE-2022-0778)', () => {
    const pem = ec.export({ format: 'pem', type: 'spki' });
    const der = openssl(['ec', '-pubin', '-param_enc', 'explicit', '-outform', 'DER'], pem);
    expect(() => parseSubjectPublicKeyInfo(der)).toThrow(/named curve/);
  });

  it('compressed points, as openssl writes them', () => {
    const pem = ec.export({ format: 'pem', type: 'spki' });
    const der = openssl(['ec', '-pubin', '-conv_form', 'compressed', '-outform', 'DER'], pem);
    expect(() => parseSubjectPublicKeyInfo(der)).toThrow(/compressed/);
  });
});

it('key identifiers are those of openssl', () => {
  const key = publicKeyOf(makeKey('rsa-2048'));
  const pem = createPublicKey({ key: Buffer.from(key.der), format: 'der', type: 'spki' }).export({
    format: 'pem',
    type: 'pkcs1',
  });
  const pkcs1 = Buffer.from(pem.toString().replaceAll(/-----.*-----|\n/g, ''), 'base64');
  expect(Buffer.from(keyIdentifier(key)).toString('hex')).toBe(openssl(['sha1', '-r'], pkcs1).toString().slice(0, 40));
  expect(spkiSha256(key)).toBe(openssl(['sha256', '-r'], key.der).toString().slice(0, 64));
});
