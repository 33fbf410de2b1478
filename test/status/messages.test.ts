import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';

import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { MusterError } from '../../core/errors/muster-error.ts';
import { encodePem } from '../../core/x509/pem.ts';
import { X509Error } from '../../core/x509/x509-error.ts';
import { isIssuer, knownIssuer } from '../../protocols/status/authority.ts';
import { failureOf, OCSP_ERRORS } from '../../protocols/status/errors.ts';
import { REASON_CODES } from '../../core/errors/reasons.ts';
import {
  decodeOcspRequest,
  encodeFailure,
  encodeResponseData,
  type OcspRequest,
} from '../../protocols/status/messages.ts';
import { decodeGetRequest, parseStatusPath } from '../../protocols/status/request-path.ts';
import { TestAuthority } from '../support/test-pki.ts';
import { Scratch } from '../x509/openssl.ts';
import { ocspRequest, readOcspResponse } from './ocsp-messages.ts';

const authority = TestAuthority.root();
const issuer = authority.certificate;
const statusOf = (decode: () => unknown): string => {
  try {
    decode();
  } catch (error) {
    return failureOf(error);
  }
  return 'taken';
};

describe('an OCSP request', () => {
  it.each(['sha1', 'sha256'] as const)('of pkijs with %s names certificate and issuer', (hash) => {
    const { certIds, isPlain, nonce } = decodeOcspRequest(ocspRequest(issuer, ['0a', 'ff01'], { hash }));
    expect(certIds.map(({ serialNumber }) => serialNumber)).toEqual(['0a', 'ff01']);
    expect(certIds.every((id) => isIssuer(knownIssuer(issuer), id))).toBe(true);
    expect(isIssuer(knownIssuer(TestAuthority.root().certificate), certIds[0]!)).toBe(false);
    expect({ isPlain, nonce }).toEqual({ isPlain: false, nonce: undefined });
    expect(decodeOcspRequest(ocspRequest(issuer, ['0a'], { hash })).isPlain).toBe(true);
  });

  it('with a hash that is not understood names no issuer', () => {
    const { certIds } = decodeOcspRequest(ocspRequest(issuer, ['0a'], { hash: 'sha512' }));
    expect(isIssuer(knownIssuer(issuer), certIds[0]!)).toBe(false);
  });

  it.each([
    [0, 'malformedRequest'],
    [1, 'taken'],
    [32, 'taken'],
    [128, 'taken'],
    [129, 'malformedRequest'],
  ])('with a nonce of %i octets is %s (RFC 9654)', (length, expected) => {
    const request = ocspRequest(issuer, ['0a'], { nonce: new Uint8Array(length).fill(7) });
    expect(statusOf(() => decodeOcspRequest(request))).toBe(expected);
  });

  it.each<[string, () => Buffer, string]>([
    [
      'with a nonce that is no OCTET STRING',
      () => ocspRequest(issuer, ['0a'], { nonce: { raw: Uint8Array.of(1, 2, 3) } }),
      'malformedRequest',
    ],
    [
      'with an unknown critical extension',
      () => ocspRequest(issuer, ['0a'], { extensions: [{ oid: '1.2.3', critical: true, value: Uint8Array.of(5, 0) }] }),
      'malformedRequest',
    ],
    [
      'with an unknown extension',
      () => ocspRequest(issuer, ['0a'], { extensions: [{ oid: '1.2.3', value: Uint8Array.of(5, 0) }] }),
      'taken',
    ],
    ['about 32 certificates', () => ocspRequest(issuer, serials(32)), 'taken'],
    ['about 33 certificates', () => ocspRequest(issuer, serials(33)), 'malformedRequest'],
    ['about none', () => ocspRequest(issuer, []), 'malformedRequest'],
    ['with octets after it', () => Buffer.concat([ocspRequest(issuer, ['0a']), Buffer.from([0])]), 'malformedRequest'],
    ['of 17 kB', () => Buffer.alloc(17_000, 0x30), 'malformedRequest'],
    ['of no octets', () => Buffer.alloc(0), 'malformedRequest'],
  ])('%s', (_, request, expected) => {
    expect(statusOf(() => decodeOcspRequest(request()))).toBe(expected);
  });

  it('of any octets is taken or refused with a typed error', () => {
    const whole = ocspRequest(issuer, ['0a', '0b'], { nonce: new Uint8Array(16) });
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 4 }), (changes) => {
        const octets = Buffer.from(whole);
        for (const [at, value] of changes) octets[at] = value;
        try {
          decodeOcspRequest(octets);
        } catch (error) {
          expect(error instanceof Asn1Error || error instanceof X509Error || error instanceof MusterError).toBe(true);
        }
      }),
    );
  });

  describe('of openssl', () => {
    const scratch = new Scratch();
    afterAll(() => scratch[Symbol.dispose]());

    it('with and without nonce is understood', () => {
      const ca = scratch.file('ca.pem', encodePem('CERTIFICATE', issuer.der));
      const out = scratch.path('request.der');
      execFileSync('openssl', ['ocsp', '-issuer', ca, '-serial', '0x0FEDCBA987654321', '-reqout', out], {
        stdio: 'ignore',
      });
      const { certIds, nonce } = decodeOcspRequest(readFileSync(out));
      expect(certIds[0]!.serialNumber).toBe('0fedcba987654321');
      expect(isIssuer(knownIssuer(issuer), certIds[0]!)).toBe(true);
      expect(nonce).toBeDefined();
    });
  });
});

describe('the path of a GET', () => {
  const id = '0190b2a4-0000-7000-8000-000000000001';

  it('names the authority, however it is written', () => {
    for (const path of [`/ocsp/${id}/MA==`, `//ocsp//${id}//MA==`, `/ocsp/${id}/MA==?x=1`])
      expect(parseStatusPath(path)).toEqual({ authority: id, encoded: 'MA==' });
    expect(parseStatusPath(`/ocsp/${id}`)).toEqual({ authority: id, encoded: '' });
    expect(parseStatusPath('/ocsp/nobody/MA==')).toBeUndefined();
  });

  it('holds the request escaped, bare, without padding, and with spaces', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 19 }), (octets) => {
        const serial = `40${Buffer.from(octets).toString('hex')}`;
        const text = ocspRequest(issuer, [serial]).toString('base64');
        for (const spelling of [encodeURIComponent(text), text, text.replace(/=+$/, ''), text.replaceAll('+', ' ')])
          expect(serialsOf(decodeGetRequest(spelling))).toEqual([serial]);
      }),
    );
  });

  it('holds the request after a proxy made one slash of two', () => {
    let merged = 0;
    for (let i = 0; i < 4096; i++) {
      const serial = `40${i.toString(16).padStart(4, '0')}ffff0f`;
      const text = ocspRequest(issuer, [serial]).toString('base64');
      if (!/^[^/]*(\/[^/]+)*\/\/([^/]+\/)*[^/]*$/.test(text)) continue;
      expect(serialsOf(decodeGetRequest(text.replace('//', '/')))).toContain(serial);
      merged += 1;
    }
    expect(merged).toBeGreaterThan(10);
  });

  it.each(['', '%', '%zz', '&&&&', 'MA', 'A'.repeat(40_000), '////', 'M///'.repeat(200)])(
    'that holds none is malformed: %#',
    (encoded) => {
      expect(statusOf(() => decodeGetRequest(encoded))).toBe('malformedRequest');
    },
  );
});

describe('an OCSP response', () => {
  it.each([
    ['malformedRequest', 1],
    ['internalError', 2],
    ['tryLater', 3],
    ['unauthorized', 6],
  ] as const)('%s holds nothing but its status', (status, number) => {
    expect(Buffer.from(encodeFailure(status)).toString('hex')).toBe(`30030a010${number}`);
    expect(readOcspResponse(encodeFailure(status))).toMatchObject({ status: number, basic: undefined });
  });

  it('leaves out the reason unspecified and the nonce that nobody sent', () => {
    const at = new Date(1_700_000_000_000);
    const [certId] = decodeOcspRequest(ocspRequest(issuer, ['0a'])).certIds;
    const data = (reason: 'unspecified' | 'keyCompromise'): number =>
      encodeResponseData({
        responderKeyHash: new Uint8Array(20),
        producedAt: at,
        responses: [{ certId: certId!.der, status: { kind: 'revoked', at, reason }, thisUpdate: at, nextUpdate: at }],
        nonce: undefined,
      }).length;
    expect(data('keyCompromise') - data('unspecified')).toBe(5);
  });

  it('has a status for every reason', () => {
    expect(Object.keys(OCSP_ERRORS).toSorted()).toEqual(REASON_CODES.toSorted());
    expect(failureOf(new RangeError('bug'))).toBe('internalError');
  });
});

function serials(count: number): string[] {
  return Array.from({ length: count }, (_, index) => (index + 1).toString(16).padStart(2, '0'));
}

function serialsOf(meanings: readonly OcspRequest[]): string[] {
  return meanings.flatMap(({ certIds }) => certIds.map(({ serialNumber }) => serialNumber));
}
