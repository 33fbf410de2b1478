import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { ACME_IDENTIFIERS, OPEN_ACME } from '../../core/enrollment/acme-settings.ts';
import { rawExtension } from '../../core/x509/extensions.ts';
import { generalNameToText } from '../../core/x509/general-name.ts';
import { toHex } from '../../core/x509/octets.ts';
import { parseAccountKey, restoreAccountKey } from '../../protocols/acme/account-key.ts';
import { isProved } from '../../protocols/acme/device-identifier.ts';
import { generalNameOf, parseIdentifiers } from '../../protocols/acme/identifier.ts';
import { parseObject } from '../../protocols/acme/json.ts';
import { carriedKey, parseJws, requireAlgorithm, verifyJws } from '../../protocols/acme/jws.ts';
import { CountedLedger, storedLedger } from '../../protocols/acme/nonce-ledger.ts';
import { Nonces } from '../../protocols/acme/nonces.ts';
import { AcmeUrls, parsePath } from '../../protocols/acme/path.ts';
import { AcmeProblem } from '../../protocols/acme/problem.ts';
import { parseRenewalIdentifier } from '../../protocols/acme/renewal-identifier.ts';
import { reverseName, verifyAlpnCertificate } from '../../protocols/acme/tls-alpn.ts';
import { type AuthorityOptions, TestAuthority } from '../support/test-pki.ts';
import { type ClientAlgorithm, ClientKey, jws } from './acme-client.ts';

const ALGORITHMS: readonly ClientAlgorithm[] = ['ES256', 'ES384', 'ES512', 'RS256', 'EdDSA'];

describe('account keys', () => {
  it.each(ALGORITHMS)('%s: read, kept, restored, known by their thumbprint', (algorithm) => {
    const made = new ClientKey(algorithm);
    const key = parseAccountKey({ ...made.jwk, alg: algorithm, kid: 'ignored' });
    expect(key.thumbprint).toBe(made.thumbprint);
    expect(restoreAccountKey(key.jwk).thumbprint).toBe(made.thumbprint);
  });

  // RFC 7638 §3.1.
  it('has the thumbprint of the example', () => {
    const n =
      '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw';
    expect(parseAccountKey({ kty: 'RSA', n, e: 'AQAB' }).thumbprint).toBe(
      'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs',
    );
  });

  it.each([
    ['a symmetric key', { kty: 'oct', k: 'AAAA' }],
    ['another curve', { ...new ClientKey().jwk, crv: 'secp256k1' }],
    ['a point off the curve', { ...new ClientKey().jwk, x: new ClientKey().jwk['x'] }],
    ['a private key', generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' })],
    ['RSA of 1024 bits', generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' })],
    ['Ed448', generateKeyPairSync('ed448').publicKey.export({ format: 'jwk' })],
    [
      'an RSA exponent of one',
      { ...generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'jwk' }), e: 'AQ' },
    ],
    ['a member too long', { kty: 'RSA', e: 'AQAB', n: 'A'.repeat(4000) }],
  ])('refuses %s', (_what, jwk) => {
    expect(() => parseAccountKey({ crv: '', ...jwk } as Record<string, unknown>)).toThrow(AcmeProblem);
  });
});

describe('a JWS', () => {
  it.each(ALGORITHMS)('of %s verifies, and no other octets do', async (algorithm) => {
    const key = new ClientKey(algorithm);
    const object = jws(key, { alg: algorithm, jwk: key.jwk, url: 'https://x', nonce: 'n' }, { a: 1 });
    const parsed = parseJws(object);
    await verifyJws(parsed, carriedKey(parsed));
    const foreign = parseJws({ ...object, payload: Buffer.from('{"a":2}').toString('base64url') });
    await expect(verifyJws(foreign, carriedKey(foreign))).rejects.toThrow(/does not verify/);
  });

  it('of any octets returns or throws a problem', () => {
    const text = fc.oneof(
      fc.string(),
      fc.base64String(),
      fc.constant(Buffer.from('{"alg":"ES256"}').toString('base64url')),
    );
    const object = fc.record({ protected: text, payload: text, signature: text }, { requiredKeys: [] });
    const property = fc.property(
      fc.oneof(
        object.map((one) => JSON.stringify(one)),
        fc.json(),
        fc.string(),
      ),
      (body) => {
        try {
          const parsed = parseJws(parseObject(Buffer.from(body), 'body'));
          requireAlgorithm(parsed);
          carriedKey(parsed);
        } catch (error) {
          expect(error).toBeInstanceOf(AcmeProblem);
        }
      },
    );
    fc.assert(property, { numRuns: 500 });
  });
});

describe.each(['in the store', 'in memory'])('nonces, %s', (where) => {
  const taken = new Set<string>();
  const shortLived = { takeOnce: (key: string) => Promise.resolve(!taken.has(key) && taken.add(key) !== undefined) };
  let now = 1_000_000;
  const clock = { now: () => now };
  const ledger = where === 'in memory' ? new CountedLedger(clock) : storedLedger(shortLived);
  const nonces = (fill = 1): Nonces => new Nonces(Buffer.alloc(32, fill), ledger, clock);

  it('are good once, for an hour, under their key', async () => {
    const text = nonces().issue();
    const returned = nonces().returned(text);
    expect(returned.ours && (await returned.take())).toBe(true);
    expect(returned.ours && (await returned.take())).toBe(false);
    expect(nonces(2).returned(text).ours).toBe(false);
    now += 3_600_000;
    expect(nonces().returned(text).ours).toBe(false);
  });

  it('are none of ours with any octet changed', () => {
    const nonce = Buffer.from(nonces().issue(), 'base64url');
    for (let at = 0; at < nonce.length; at += 1) {
      const other = Buffer.from(nonce);
      other[at]! ^= 1;
      expect(nonces().returned(other.toString('base64url')).ours).toBe(false);
    }
    expect(nonces().returned(`${nonce.toString('base64url')}=`).ours).toBe(false);
  });
});

describe('a ledger in memory', () => {
  let now = 0;
  const issue = (ledger: CountedLedger, endsAt: number): Uint8Array => {
    const octets = new Uint8Array(10);
    ledger.mark(octets, endsAt);
    return octets;
  };

  it('takes each of many once, over several pages, and forgets pages that ended', async () => {
    const ledger = new CountedLedger({ now: () => now });
    const marks = Array.from({ length: 70_000 }, () => issue(ledger, 1000));
    for (const at of [0, 7, 65_535, 65_536, 69_999]) {
      expect(await ledger.take(marks[at]!)).toBe(true);
      expect(await ledger.take(marks[at]!)).toBe(false);
    }
    expect(await ledger.take(marks[1]!)).toBe(true);
    now = 2000;
    for (let count = 0; count < 65_536; count += 1) issue(ledger, 3000);
    expect(await ledger.take(marks[2]!)).toBe(false);
  });

  it('knows none of another process, and none that it has not given out', async () => {
    const ledger = new CountedLedger({ now: () => now });
    const mark = issue(ledger, 5000);
    expect(await new CountedLedger({ now: () => now }).take(mark)).toBe(false);
    mark[9]! += 1;
    expect(await ledger.take(mark)).toBe(false);
  });
});

describe('the certificate of tls-alpn-01 (RFC 8737 §3)', () => {
  const digest = Buffer.alloc(32, 7);
  const identifierOf = (value: Uint8Array, critical = true) => rawExtension('1.3.6.1.5.5.7.1.31', value, critical);
  const right = Uint8Array.from([4, 32, ...digest]);
  const selfSigned = (options: AuthorityOptions = {}): Uint8Array =>
    TestAuthority.root({ name: 'CN=challenge', san: ['dns:r1.example'], extensions: [identifierOf(right)], ...options })
      .der;
  const verify = (der: Uint8Array, value = 'r1.example'): void =>
    verifyAlpnCertificate(der, { type: 'dns', value }, digest);

  it('is self-signed, has the one name, and the digest in a critical extension', () => {
    expect(() => verify(selfSigned())).not.toThrow();
  });

  it.each<readonly [string, () => Uint8Array]>([
    ['octets that are none', () => Buffer.from('none')],
    ['no name', () => TestAuthority.root({ name: 'CN=challenge', extensions: [identifierOf(right)] }).der],
    ['another name', () => selfSigned({ san: ['dns:r2.example'] })],
    ['two names', () => selfSigned({ san: ['dns:r1.example', 'dns:r2.example'] })],
    ['no extension', () => selfSigned({ extensions: [] })],
    ['an extension that is not critical', () => selfSigned({ extensions: [identifierOf(right, false)] })],
    [
      'an extension that is no OCTET STRING',
      () => selfSigned({ extensions: [identifierOf(Uint8Array.from([2, 1, 5]))] }),
    ],
    ['another digest', () => selfSigned({ extensions: [identifierOf(Uint8Array.from([4, 32, ...Buffer.alloc(32)]))] })],
    [
      'an issuer',
      () =>
        TestAuthority.root({ name: 'CN=issuer' }).leaf({
          subject: 'CN=challenge',
          san: ['dns:r1.example'],
          extensions: [identifierOf(right)],
        }).der,
    ],
  ])('refuses one with %s', (_what, make) => {
    expect(() => verify(make())).toThrow(AcmeProblem);
  });
});

describe('names of certificates in renewal information (RFC 9773 §4.1)', () => {
  it('reads the example', () => {
    const read = parseRenewalIdentifier('aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE')!;
    expect(toHex(read.keyIdentifier)).toBe('69885b6b87464041e1b37b847ba0ae2cde01c8d4');
    expect(read.serialNumber).toBe('87654321');
  });

  it.each([
    '',
    'AAAA',
    'AAAA.',
    '.AIdlQyE',
    'AAAA.AIdlQyE.AA',
    'AAAA.!',
    'AAAA.AA',
    'AAAA._w',
    `AAAA.${'B'.repeat(40)}`,
    `${'A'.repeat(100)}.AIdlQyE`,
    'AAAA.AAEC',
    'A.AIdlQyE',
  ])('refuses %j', (text) => {
    expect(parseRenewalIdentifier(text)).toBeUndefined();
  });

  it('of any text is one or is none', () => {
    const property = fc.property(
      fc.oneof(
        fc.string(),
        fc.base64String().map((text) => `${text}.${text}`),
      ),
      (text) => {
        const read = parseRenewalIdentifier(text);
        if (read !== undefined) expect(read.serialNumber).toMatch(/^[0-9a-f]+$/);
      },
    );
    fc.assert(property, { numRuns: 500 });
  });
});

describe('identifiers of devices', () => {
  it.each(['permanentid:4711;1.2.3', 'hwmodule:1.2.3;4711'])('are otherNames: %s', (text) => {
    const [type, value] = text.startsWith('p')
      ? ['permanent-identifier', '4711/1.2.3']
      : ['hardware-module', '4711/1.2.3'];
    const [identifier] = parseIdentifiers([{ type, value }], { ...OPEN_ACME, identifiers: ACME_IDENTIFIERS });
    expect(generalNameToText(generalNameOf(identifier!))).toBe(text);
  });

  it.each<readonly [string, 'permanent-identifier' | 'hardware-module', string, Record<string, string>, boolean]>([
    ['itself', 'permanent-identifier', 'SN1', { 'permanent-identifier': 'SN1' }, true],
    ['a serial number', 'permanent-identifier', 'SN1', { 'serial-number': 'SN1' }, true],
    ['a serial number, of an assigner', 'permanent-identifier', 'SN1/1.2', { 'serial-number': 'SN1' }, false],
    ['other case', 'permanent-identifier', 'sn1', { 'permanent-identifier': 'SN1' }, false],
    ['nothing', 'permanent-identifier', 'SN1', {}, false],
    ['the module', 'hardware-module', '4711/1.2', { 'hardware-module': '1.2;4711' }, true],
    ['another type of module', 'hardware-module', '4711/1.2', { 'hardware-module': '1.3;4711' }, false],
    ['no module', 'hardware-module', '4711/1.2', { 'serial-number': '4711' }, false],
  ])('are proved by evidence for %s: %s %s', (_what, type, value, proved, expected) => {
    expect(isProved(type, value, proved)).toBe(expected);
  });
});

describe('names and paths', () => {
  it('identifiers are in lower case, each once', () => {
    const list = ['R1.example', 'r1.EXAMPLE'].map((value) => ({ type: 'dns', value }));
    expect(parseIdentifiers(list, OPEN_ACME)).toEqual([{ type: 'dns', value: 'r1.example' }]);
  });

  it('any identifier is normal, or refused', () => {
    const value = fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6(), fc.string({ maxLength: 300 }));
    const property = fc.property(fc.constantFrom('dns', 'ip', 'x'), value, (type, text) => {
      try {
        const read = parseIdentifiers([{ type, value: text }], OPEN_ACME);
        expect(parseIdentifiers(read, OPEN_ACME)).toEqual(read);
      } catch (error) {
        expect(error).toBeInstanceOf(AcmeProblem);
      }
    });
    fc.assert(property, { numRuns: 500 });
  });

  it('a URL we make is a path we read', () => {
    const id = fc.stringMatching(/^[A-Za-z0-9._-]{1,40}$/);
    const property = fc.property(fc.stringMatching(/^[a-z0-9-]{1,63}$/), id, id, (label, first, second) => {
      const url = new AcmeUrls('https://h', label).of('challenge', first, second);
      expect(parsePath(url.slice('https://h/acme/'.length))).toEqual({
        label,
        resource: 'challenge',
        ids: [first, second],
      });
    });
    fc.assert(property, { numRuns: 100 });
  });

  // RFC 8738 §6.
  it('reverse names', () => {
    expect(reverseName('192.0.2.1')).toBe('1.2.0.192.in-addr.arpa');
    expect(reverseName('2001:db8::1')).toBe('1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa');
  });
});
