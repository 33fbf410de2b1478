import { execFileSync } from 'node:child_process';
import { createHmac, pbkdf2Sync } from 'node:crypto';

import { afterAll, describe, expect, it } from 'vitest';

import { decode, encode } from '../../core/asn1/codec.ts';
import { octetString, optional, sequence, smallInteger } from '../../core/asn1/schema.ts';
import { type AlgorithmIdentifier, algorithmIdentifierSchema } from '../../core/cms/algorithm-identifier.ts';
import { CMP_MACS } from '../../core/enrollment/cmp-settings.ts';
import { CmpFault } from '../../protocols/cmp/errors.ts';
import { deriveKey } from '../../protocols/cmp/key-derivation.ts';
import { computeMac, macFunctionOf } from '../../protocols/cmp/mac-function.ts';
import {
  answeringScheme,
  defaultMacScheme,
  type MacBounds,
  type MacScheme,
  macSchemeOf,
} from '../../protocols/cmp/mac-scheme.ts';
import { parsePkiMessage } from '../../protocols/cmp/pki-message.ts';
import { OpensslConversations } from './openssl-messages.ts';

const BOUNDS: MacBounds = { macs: CMP_MACS, iterations: { min: 100, max: 100_000 } };
const SECRET = Buffer.from('secret-1');
const DATA = Buffer.from('a protected part');

const OID = {
  pbm: '1.2.840.113533.7.66.13',
  pbmac1: '1.2.840.113549.1.5.14',
  pbkdf2: '1.2.840.113549.1.5.12',
  sha256: '2.16.840.1.101.3.4.2.1',
  sha512: '2.16.840.1.101.3.4.2.3',
  hmacSha256: '1.2.840.113549.2.9',
  kmac128: '2.16.840.1.101.3.4.2.19',
  kmac256: '2.16.840.1.101.3.4.2.20',
  gmac128: '2.16.840.1.101.3.4.1.9',
  gmac256: '2.16.840.1.101.3.4.1.49',
} as const;

const openssl = new OpensslConversations();
afterAll(() => openssl[Symbol.dispose]());

/** The schemas of the parameters once more, written down by themselves. */
const pbmParameters = sequence('PBM', {
  salt: octetString,
  owf: algorithmIdentifierSchema,
  iterations: smallInteger,
  mac: algorithmIdentifierSchema,
});
const pbkdf2Parameters = sequence('PBKDF2', {
  salt: octetString,
  iterations: smallInteger,
  prf: algorithmIdentifierSchema,
});
const pbmac1Parameters = sequence('PBMAC1', { kdf: algorithmIdentifierSchema, mac: algorithmIdentifierSchema });
const gmacParameters = sequence('GMAC', { nonce: octetString, length: smallInteger });
const kmacParameters = sequence('KMAC', { length: optional(smallInteger), customization: optional(octetString) });

const HMAC_SHA256: AlgorithmIdentifier = { algorithm: OID.hmacSha256 };
const SALT = Buffer.alloc(16, 7);

function pbm(
  changes: { salt?: Uint8Array; owf?: AlgorithmIdentifier; iterations?: number; mac?: AlgorithmIdentifier } = {},
) {
  const value = { salt: SALT, owf: { algorithm: OID.sha256 }, iterations: 500, mac: HMAC_SHA256, ...changes };
  return { algorithm: OID.pbm, parameters: encode(pbmParameters, value) };
}

function pbmac1(iterations = 1000, mac = HMAC_SHA256, prf = HMAC_SHA256): AlgorithmIdentifier {
  const kdf = { algorithm: OID.pbkdf2, parameters: encode(pbkdf2Parameters, { salt: SALT, iterations, prf }) };
  return { algorithm: OID.pbmac1, parameters: encode(pbmac1Parameters, { kdf, mac }) };
}

function gmac(algorithm: string, nonceOctets = 12, length = 16): AlgorithmIdentifier {
  return { algorithm, parameters: encode(gmacParameters, { nonce: Buffer.alloc(nonceOctets, 9), length }) };
}

function kmac(algorithm: string, length: number | undefined, customization?: string): AlgorithmIdentifier {
  const value = { length, customization: customization === undefined ? undefined : Buffer.from(customization) };
  return { algorithm, parameters: encode(kmacParameters, value) };
}

function schemeOf(identifier: AlgorithmIdentifier, bounds = BOUNDS): MacScheme | undefined {
  return macSchemeOf(identifier, encode(algorithmIdentifierSchema, identifier), bounds);
}

/** The MAC of a scheme under the secret. */
function macOf(scheme: MacScheme, data: Uint8Array, secret: Uint8Array = SECRET): Buffer {
  const key = scheme.derivation.kind === 'none' ? secret : deriveKey(scheme.derivation, secret);
  return Buffer.from(computeMac(scheme.mac, key, data));
}

/** `openssl mac`: the second opinion. */
function opensslMac(name: string, options: readonly string[]): string {
  const args = ['mac', ...options, '-in', '-', name];
  return execFileSync('openssl', args, { input: DATA, stdio: ['pipe', 'pipe', 'pipe'] })
    .toString()
    .trim()
    .toLowerCase();
}

describe('PBM', () => {
  it.each([
    ['sha1', 'hmacWithSHA1'],
    ['sha256', 'hmacWithSHA256'],
    ['sha512', 'hmacWithSHA512'],
  ])('is what openssl computes with %s and %s', async (digest, mac) => {
    const args = ['-cmd', 'ir', '-subject', '/CN=a', '-digest', digest, '-mac', mac];
    const { requests, output } = await openssl.run('mac', args, 2);
    for (const der of requests) {
      const { header, protection, protectedPart } = parsePkiMessage(der);
      const scheme = schemeOf(header.protectionAlg!.value)!;
      expect(scheme.name, output).toBe('pbm');
      expect(macOf(scheme, protectedPart).equals(protection!)).toBe(true);
      expect(macOf(scheme, protectedPart, Buffer.from('secret-2')).equals(protection!)).toBe(false);
    }
  });

  it('gives AES-GMAC as much key as its cipher takes', () => {
    const scheme = schemeOf(pbm({ mac: gmac(OID.gmac128) }))!;
    expect(scheme.derivation).toMatchObject({ kind: 'pbm', octets: 16 });
    expect(macOf(scheme, DATA)).toHaveLength(16);
  });
});

describe('PBMAC1', () => {
  it('is PBKDF2 and HMAC', () => {
    const key = pbkdf2Sync(SECRET, SALT, 1000, 32, 'sha256');
    const expected = createHmac('sha256', key).update(DATA).digest();
    expect(macOf(schemeOf(pbmac1())!, DATA)).toEqual(expected);
  });

  it('takes another kind of MAC, too', () => {
    const key = pbkdf2Sync(SECRET, SALT, 1000, 32, 'sha256').toString('hex');
    const expected = opensslMac('KMAC-256', ['-macopt', `hexkey:${key}`, '-macopt', 'size:64']);
    expect(macOf(schemeOf(pbmac1(1000, { algorithm: OID.kmac256 }))!, DATA).toString('hex')).toBe(expected);
  });
});

describe('a MAC with the secret itself as key', () => {
  const key = Buffer.from('0123456789abcdef0123456789abcdef');
  const hexKey = ['-macopt', `hexkey:${key.toString('hex')}`];

  it.each([
    ['1.3.6.1.5.5.8.1.2', 'SHA1'],
    ['1.2.840.113549.2.7', 'SHA1'],
    ['1.2.840.113549.2.8', 'SHA224'],
    ['1.2.840.113549.2.9', 'SHA256'],
    ['1.2.840.113549.2.10', 'SHA384'],
    ['1.2.840.113549.2.11', 'SHA512'],
    ['2.16.840.1.101.3.4.2.13', 'SHA3-224'],
    ['2.16.840.1.101.3.4.2.14', 'SHA3-256'],
    ['2.16.840.1.101.3.4.2.15', 'SHA3-384'],
    ['2.16.840.1.101.3.4.2.16', 'SHA3-512'],
  ])('HMAC %s is that of openssl with %s', (algorithm, digest) => {
    const scheme = schemeOf({ algorithm, parameters: Uint8Array.of(5, 0) })!;
    expect(scheme.name).toBe('hmac');
    expect(macOf(scheme, DATA, key).toString('hex')).toBe(opensslMac('HMAC', ['-digest', digest, ...hexKey]));
  });

  it.each([
    [{ algorithm: OID.kmac128 }, 'KMAC-128', ['-macopt', 'size:32']],
    [{ algorithm: OID.kmac256 }, 'KMAC-256', ['-macopt', 'size:64']],
    [kmac(OID.kmac128, 512), 'KMAC-128', ['-macopt', 'size:64']],
    [kmac(OID.kmac256, 256, 'Muster'), 'KMAC-256', ['-macopt', 'size:32', '-macopt', 'custom:Muster']],
  ])('KMAC %# is that of openssl', (identifier, name, options) => {
    expect(macOf(schemeOf(identifier)!, DATA, key).toString('hex')).toBe(opensslMac(name, [...hexKey, ...options]));
  });

  it.each([
    [OID.gmac128, 'AES-128-GCM', key.subarray(0, 16)],
    ['2.16.840.1.101.3.4.1.29', 'AES-192-GCM', key.subarray(0, 24)],
    [OID.gmac256, 'AES-256-GCM', key],
  ])('GMAC %s is that of openssl', (algorithm, cipher, gmacKey) => {
    const options = [
      '-cipher',
      cipher,
      '-macopt',
      `hexkey:${gmacKey.toString('hex')}`,
      '-macopt',
      `hexiv:${'09'.repeat(12)}`,
    ];
    expect(macOf(schemeOf(gmac(algorithm))!, DATA, gmacKey).toString('hex')).toBe(opensslMac('GMAC', options));
  });
});

describe('before anything is derived', () => {
  const refused: readonly (readonly [string, AlgorithmIdentifier])[] = [
    ['too few iterations of PBM', pbm({ iterations: 99 })],
    ['too many iterations of PBM', pbm({ iterations: 100_001 })],
    ['none at all', pbm({ iterations: 0 })],
    ['a negative number of them', pbm({ iterations: -1 })],
    ['too many iterations of PBKDF2', pbmac1(2 ** 31 - 1)],
    ['a salt that is too short', pbm({ salt: Buffer.alloc(7) })],
    ['a salt that is too long', pbm({ salt: Buffer.alloc(65) })],
    ['a one-way function nobody knows', pbm({ owf: { algorithm: '1.2.3' } })],
    ['a MAC nobody knows', pbm({ mac: { algorithm: '1.2.3' } })],
    ['PBM in PBM', pbm({ mac: pbm() })],
    ['PBM without parameters', { algorithm: OID.pbm }],
    ['PBMAC1 without parameters', { algorithm: OID.pbmac1 }],
    ['a pseudo-random function nobody knows', pbmac1(1000, HMAC_SHA256, { algorithm: '1.2.3' })],
    ['GMAC without a nonce', { algorithm: OID.gmac128 }],
    ['GMAC with a nonce of another length', gmac(OID.gmac128, 16)],
    ['GMAC with a tag that is too short', gmac(OID.gmac128, 12, 8)],
    ['GMAC of 256 bits from SHA-1', pbm({ owf: { algorithm: '1.3.14.3.2.26' }, mac: gmac(OID.gmac256) })],
    ['KMAC of half an octet', kmac(OID.kmac128, 260)],
    ['KMAC that is too short', kmac(OID.kmac128, 64)],
    ['KMAC that is too long', kmac(OID.kmac128, 8192)],
    ['HMAC with parameters', { algorithm: OID.hmacSha256, parameters: Uint8Array.of(4, 0) }],
  ];

  it.each(refused)('refuses %s', (_name, identifier) => {
    expect(() => schemeOf(identifier)).toThrow(expect.objectContaining({ failInfo: 'badAlg' }) as CmpFault);
  });

  it('refuses what the endpoint does not take', () => {
    expect(() => schemeOf(pbm(), { ...BOUNDS, macs: ['pbmac1'] })).toThrow(CmpFault);
  });

  it('knows a signature algorithm for none of its own', () => {
    expect(schemeOf({ algorithm: '1.2.840.10045.4.3.2' })).toBeUndefined();
    expect(macFunctionOf({ algorithm: '1.2.840.10045.4.3.2' })).toBeUndefined();
  });
});

describe('the scheme of an answer', () => {
  it('is that of the request, so that no key is derived again', () => {
    const scheme = schemeOf(pbm())!;
    expect(answeringScheme(scheme)).toBe(scheme);
  });

  it.each([
    ['GMAC', gmac(OID.gmac128)],
    ['PBM with GMAC', pbm({ mac: gmac(OID.gmac256) })],
    ['PBMAC1 with GMAC', pbmac1(1000, gmac(OID.gmac128))],
  ])('has a nonce of its own: %s', (_name, identifier) => {
    const scheme = schemeOf(identifier)!;
    const answer = answeringScheme(scheme);
    const read = schemeOf(decode(algorithmIdentifierSchema, answer.der))!;
    expect(read.name).toBe(scheme.name);
    expect(read.derivation).toEqual(scheme.derivation);
    expect(answer.der).not.toEqual(scheme.der);
    const secret = Buffer.alloc(16, 1);
    expect(macOf(read, DATA, secret)).toEqual(macOf(answer, DATA, secret));
  });

  it('is one of our own where that of the request is out of bounds', () => {
    const scheme = defaultMacScheme();
    const read = schemeOf(decode(algorithmIdentifierSchema, scheme.der))!;
    expect(macOf(read, DATA)).toEqual(macOf(scheme, DATA));
    expect(defaultMacScheme().der).not.toEqual(scheme.der);
  });
});
