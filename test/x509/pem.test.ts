import fc from 'fast-check';
import { X509Certificate } from 'node:crypto';
import { expect, it } from 'vitest';
import { decodePem, encodePem } from '../../core/x509/pem.ts';
import { X509Error } from '../../core/x509/x509-error.ts';
import { TestAuthority } from '../support/test-pki.ts';

it('writes what node:crypto writes', () => {
  const { der } = TestAuthority.root();
  expect(encodePem('CERTIFICATE', der)).toBe(new X509Certificate(der).toString());
});

it('gives every block back, among other text', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { minLength: 1, maxLength: 4 }), (blocks) => {
      const text = blocks.map((der, i) => `# block ${i}\r\n${encodePem('X509 CRL', der)}`).join('\n');
      expect(decodePem(text).map(({ label, der }) => [label, [...der]])).toEqual(
        blocks.map((der) => ['X509 CRL', [...der]]),
      );
    }),
  );
});

it.each([
  ['no block', 'hello'],
  ['no end', '-----BEGIN X-----\nAA==\n'],
  ['another label at the end', '-----BEGIN X-----\nAA==\n-----END Y-----'],
  ['a block inside a block', '-----BEGIN X-----\n-----BEGIN X-----\nAA==\n-----END X-----'],
  ['characters outside base64', '-----BEGIN X-----\nA_==\n-----END X-----'],
  ['missing padding', '-----BEGIN X-----\nAA\n-----END X-----'],
  ['RFC 1421 headers', '-----BEGIN X-----\nProc-Type: 4,ENCRYPTED\n\nAA==\n-----END X-----'],
])('refuses %s', (_name, text) => {
  expect(() => decodePem(text)).toThrow(X509Error);
});

it('refuses a text that is too long before it looks at it', () => {
  const limit = 16 * 1024 * 1024;
  const started = performance.now();
  expect(() => decodePem('-----BEGIN '.padEnd(limit + 1, '-'))).toThrow(
    expect.objectContaining({ path: 'PEM', expected: `at most ${limit} characters`, found: `${limit + 1} characters` }),
  );
  expect(performance.now() - started).toBeLessThan(1000);
});

it('accepts base64 on one line and CRLF', () => {
  const der = new Uint8Array(100).fill(7);
  const base64 = Buffer.from(der).toString('base64');
  expect(decodePem(`-----BEGIN CERTIFICATE-----\r\n${base64}\r\n-----END CERTIFICATE-----\r\n`)[0]!.der).toEqual(der);
});
