import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { OPEN_ACME } from '../../core/enrollment/acme-settings.ts';
import { parseAccountKey, restoreAccountKey } from '../../protocols/acme/account-key.ts';
import { parseIdentifiers } from '../../protocols/acme/identifier.ts';
import { parseObject } from '../../protocols/acme/json.ts';
import { carriedKey, parseJws, requireAlgorithm, verifyJws } from '../../protocols/acme/jws.ts';
import { CountedLedger, storedLedger } from '../../protocols/acme/nonce-ledger.ts';
import { Nonces } from '../../protocols/acme/nonces.ts';
import { AcmeUrls, parsePath } from '../../protocols/acme/path.ts';
import { AcmeProblem } from '../../protocols/acme/problem.ts';
import { reverseName } from '../../protocols/acme/tls-alpn.ts';
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
