import { constants, sign } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { parseCertificationRequest, verifyCertificationRequest } from '../../core/x509/certification-request.ts';
import {
  algorithmIdentifier,
  defaultSignatureAlgorithm,
  keyFitsSignatureAlgorithm,
  parseSignatureAlgorithm,
  SIGNATURE_ALGORITHMS,
  type SignatureAlgorithm,
  verifySignature,
  verifySignatureAsync,
} from '../../core/x509/signature-algorithm.ts';
import { X509Error } from '../../core/x509/x509-error.ts';
import { makeKey, publicKeyOf, signWith, type TestKeyKind } from '../support/test-pki.ts';
import { openssl, Scratch } from './openssl.ts';

const names = Object.keys(SIGNATURE_ALGORITHMS) as SignatureAlgorithm[];
const kinds: readonly TestKeyKind[] = [
  'rsa-2048',
  'ec-p256',
  'ec-p384',
  'ec-p521',
  'ed25519',
  'ed448',
  'ml-dsa-44',
  'ml-dsa-65',
  'ml-dsa-87',
];
const keys = kinds.map((kind) => {
  const privateKey = makeKey(kind);
  return { privateKey, publicKey: publicKeyOf(privateKey) };
});
const data = new Uint8Array(100).fill(1);

describe.each(names)('%s', (name) => {
  const allowSha1 = name.includes('sha1') || name.includes('SHA1');
  const fitting = keys.filter(({ publicKey }) => keyFitsSignatureAlgorithm(publicKey.algorithm, name));

  it('has an AlgorithmIdentifier of its own', () => {
    expect(parseSignatureAlgorithm(algorithmIdentifier(name))).toBe(name);
  });

  it('verifies what node:crypto signs, in both ways, and nothing else', async () => {
    expect(fitting.length).toBeGreaterThan(0);
    for (const { privateKey, publicKey } of fitting) {
      const signature = signWith(privateKey, name, data);
      const broken = signature.with(signature.length - 1, signature.at(-1)! ^ 1);
      for (const [bytes, expected] of [
        [signature, true],
        [broken, false],
        [new Uint8Array(), false],
        [new Uint8Array(70), false],
      ] as const) {
        expect(verifySignature(publicKey, name, data, bytes, { allowSha1 })).toBe(expected);
        expect(await verifySignatureAsync(publicKey, name, data, bytes, { allowSha1 })).toBe(expected);
      }
      expect(verifySignature(publicKey, name, data.with(0, 2), signature, { allowSha1 })).toBe(false);
    }
  });

  it('is false for keys of another kind', () => {
    for (const { publicKey } of keys.filter((key) => !fitting.includes(key))) {
      expect(verifySignature(publicKey, name, data, new Uint8Array(64), { allowSha1 })).toBe(false);
    }
  });
});

it('does not verify SHA-1 unless asked to', async () => {
  const [{ privateKey, publicKey }] = keys as [(typeof keys)[0]];
  const signature = signWith(privateKey, 'sha1WithRSAEncryption', data);
  expect(verifySignature(publicKey, 'sha1WithRSAEncryption', data, signature)).toBe(false);
  expect(await verifySignatureAsync(publicKey, 'sha1WithRSAEncryption', data, signature)).toBe(false);
});

it('a key that OpenSSL refuses verifies nothing', async () => {
  const { publicKey } = keys[1]!;
  const off = { ...publicKey, der: publicKey.der.with(publicKey.der.length - 1, publicKey.der.at(-1)! ^ 1) };
  expect(verifySignature(off, 'ecdsa-with-SHA256', data, new Uint8Array(70))).toBe(false);
  expect(await verifySignatureAsync(off, 'ecdsa-with-SHA256', data, new Uint8Array(70))).toBe(false);
});

it('refuses a PSS salt of another length', () => {
  const { privateKey, publicKey } = keys[0]!;
  const key = { key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 20 };
  expect(verifySignature(publicKey, 'rsassa-pss-sha256', data, sign('sha256', data, key))).toBe(false);
});

describe('AlgorithmIdentifier', () => {
  it.each([
    ['RSA without NULL', '300b06092a864886f70d01010b', 'sha256WithRSAEncryption'],
    [
      'PSS whose hashes have no parameters',
      '303d06092a864886f70d01010a3030a00d300b0609608648016503040201a11a301806092a864886f70d010108300b0609608648016503040201a203020120',
      'rsassa-pss-sha256',
    ],
  ])('reads %s (RFC 4055)', (_name, hex, expected) => {
    expect(parseSignatureAlgorithm(Buffer.from(hex, 'hex'))).toBe(expected);
  });

  it.each([
    ['md5WithRSAEncryption', '300d06092a864886f70d0101040500'],
    ['ECDSA with parameters', '300c06082a8648ce3d0403020500'],
    ['PSS with defaults (SHA-1)', '300d06092a864886f70d01010a3000'],
    ['nothing', ''],
  ])('refuses %s', (_name, hex) => {
    expect(() => parseSignatureAlgorithm(Buffer.from(hex, 'hex'))).toThrow(X509Error);
  });

  it.each(['sha256', 'sha384', 'sha512'])('reads and verifies PSS with %s as openssl writes it', (hash) => {
    using scratch = new Scratch();
    const key = scratch.file('key.pem', keys[0]!.privateKey.export({ format: 'pem', type: 'pkcs8' }));
    const options = ['-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:-1'];
    const request = parseCertificationRequest(
      openssl(['req', '-new', '-key', key, '-subj', '/CN=x', `-${hash}`, '-outform', 'DER', ...options]),
    );
    expect(request.signatureAlgorithm).toBe(`rsassa-pss-${hash}`);
    expect(verifyCertificationRequest(request)).toBe(true);
  });
});

it('chooses an algorithm that the key can sign with', () => {
  expect(keys.map(({ publicKey }) => defaultSignatureAlgorithm(publicKey.algorithm))).toEqual([
    'sha256WithRSAEncryption',
    'ecdsa-with-SHA256',
    'ecdsa-with-SHA384',
    'ecdsa-with-SHA512',
    'ed25519',
    'ed448',
    'ml-dsa-44',
    'ml-dsa-65',
    'ml-dsa-87',
  ]);
  expect(defaultSignatureAlgorithm({ kind: 'rsa', bits: 4096, exponent: 65_537 })).toBe('sha384WithRSAEncryption');
});
