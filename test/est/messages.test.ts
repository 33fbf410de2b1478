import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { decodeCertsOnly } from '../../core/cms/signed-data.ts';
import { MusterError, PeerError } from '../../core/errors/muster-error.ts';
import { EXTENSIONS } from '../../core/x509/extensions.ts';
import { generalNameToText } from '../../core/x509/general-name.ts';
import { encodePem } from '../../core/x509/pem.ts';
import { KEY_PURPOSE } from '../../core/x509/oids.ts';
import { decodeBody, encodeBase64 } from '../../protocols/est/base64.ts';
import { parseBasicCredentials } from '../../protocols/est/basic-credentials.ts';
import { decodingFault } from '../../protocols/est/decoding-fault.ts';
import { readKeyProtection } from '../../protocols/est/key-protection.ts';
import { decodeEnrollmentMessage, encodeCertificates, encodeKeyAndCertificate } from '../../protocols/est/messages.ts';
import { parsePath } from '../../protocols/est/operation.ts';
import { run } from '../support/est-fixture.ts';
import { makeCsr, TestAuthority } from '../support/test-pki.ts';

const octets = fc.uint8Array({ maxLength: 400 });
const LABELS = ['CERTIFICATE REQUEST'];

describe('base64', () => {
  it('is that of RFC 4648, in one line or in lines of 64', () => {
    fc.assert(
      fc.property(octets, (bytes) => {
        const expected = Buffer.from(bytes).toString('base64');
        const lines = expected.match(/.{1,64}/g)?.map((line) => `${line}\n`) ?? [];
        expect(Buffer.from(encodeBase64(bytes, 'none')).toString()).toBe(expected);
        expect(Buffer.from(encodeBase64(bytes, 'columns-64')).toString()).toBe(lines.join(''));
      }),
    );
  });

  it('comes back from every form a body has', () => {
    const sequence = octets.map((bytes) => Buffer.concat([Buffer.of(0x30, 0x82, 1, 0), bytes]));
    fc.assert(
      fc.property(sequence, (der) => {
        const pem = encodePem('CERTIFICATE REQUEST', der);
        const forms = [
          der,
          encodeBase64(der, 'none'),
          encodeBase64(der, 'columns-64'),
          Buffer.from(pem),
          Buffer.from(`\r\n${pem}`),
        ];
        for (const form of forms) expect(Buffer.from(decodeBody(form, LABELS))).toEqual(der);
      }),
    );
  });

  it('is refused where it is none', () => {
    for (const text of [
      '',
      ' \r\n',
      'MII',
      'MIIB=',
      'MI*B',
      '-----BEGIN CERTIFICATE REQUEST-----',
      encodePem('PRIVATE KEY', Buffer.of(0x30, 0)),
    ]) {
      expect(() => decodeBody(Buffer.from(text), LABELS)).toThrow(PeerError);
    }
  });
});

describe('the request of an enrolment', () => {
  const csr = makeCsr({
    subject: 'CN=r1',
    san: ['dns:r1.example', 'ip:192.0.2.1'],
    extensions: [EXTENSIONS.extendedKeyUsage.encode([KEY_PURPOSE.clientAuth])],
  });

  it('is read with its names apart from its other extensions', () => {
    const { request, subjectAltName, otherExtensions } = decodeEnrollmentMessage(csr.der);
    expect(request.der).toEqual(csr.der);
    expect(subjectAltName.map(generalNameToText)).toEqual(['dns:r1.example', 'ip:192.0.2.1']);
    expect(otherExtensions.map(({ oid }) => oid)).toEqual([EXTENSIONS.extendedKeyUsage.oid]);
  });

  it('is read or refused by a typed error, whatever the octets', () => {
    const mutated = fc
      .tuple(fc.nat(csr.der.length - 1), fc.integer({ min: 1, max: 255 }))
      .map(([at, mask]) => Buffer.from(csr.der).fill(csr.der[at]! ^ mask, at, at + 1));
    fc.assert(
      fc.property(fc.oneof(octets, mutated), (bytes) => {
        try {
          readKeyProtection(decodeEnrollmentMessage(bytes).request.attributes);
        } catch (error) {
          if (!(error instanceof PeerError)) throw error;
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('is refused with the field at fault and its cause', () => {
    const der = Buffer.from(csr.der);
    der[der.indexOf('0603550403', 0, 'hex')] = 0x05; // the type of the first name is no OID
    expect(() => decodeEnrollmentMessage(der)).toThrow(
      expect.objectContaining({
        name: 'PeerError',
        reason: 'malformed-request',
        message: expect.stringContaining('certificationRequestInfo.subject[0][0].type') as string,
        cause: expect.objectContaining({ expected: 'OBJECT IDENTIFIER', found: 'NULL' }) as object,
      }),
    );
  });

  it('is refused beyond 64 kB before it is read', () => {
    expect(() => decodeEnrollmentMessage(new Uint8Array(64 * 1024 + 1))).toThrow(/65536/);
  });
});

describe('the protection of a key made here (RFC 7030 §4.4.1)', () => {
  const keyIdentifier = Uint8Array.of(1, 2, 3);
  const asymmetric = { type: '1.2.840.113549.1.9.16.2.54', values: [Uint8Array.of(4, 3, 1, 2, 3)] };
  const symmetric = { type: '1.2.840.113549.1.9.16.2.37', values: [Uint8Array.of(4, 1, 9)] };

  it('is what the attributes ask for', () => {
    expect(readKeyProtection([])).toEqual({ kind: 'none' });
    expect(readKeyProtection([symmetric])).toEqual({ kind: 'symmetric' });
    expect(readKeyProtection([asymmetric, symmetric])).toEqual({ kind: 'symmetric' });
    expect(readKeyProtection([asymmetric])).toEqual({ kind: 'asymmetric', keyIdentifier, capabilities: [] });
  });

  it.each([
    ['two values', [{ ...asymmetric, values: [...asymmetric.values, ...asymmetric.values] }]],
    ['the attribute twice', [asymmetric, asymmetric]],
    ['the symmetric one twice', [symmetric, symmetric]],
  ])('is refused with %s: one of them would be chosen by chance', (_, attributes) => {
    const type = attributes[0]!.type;
    expect(() => readKeyProtection(attributes)).toThrow(
      expect.objectContaining({
        reason: 'malformed-request',
        cause: expect.objectContaining({
          path: 'CertificationRequestInfo.attributes',
          expected: `a single value of ${type}`,
          found: 'several',
        }) as object,
      }),
    );
  });

  it('is refused where the key is named by something else than octets', () => {
    expect(() => readKeyProtection([{ ...asymmetric, values: [Uint8Array.of(2, 1, 1)] }])).toThrow(
      expect.objectContaining({
        reason: 'malformed-request',
        cause: expect.objectContaining({ expected: 'OCTET STRING', found: 'INTEGER' }) as object,
      }),
    );
  });
});

it('faults that are not the device’s pass unchanged through the decoders', () => {
  const ours = new TypeError('not the device’s');
  expect(decodingFault(ours, 'malformed-request')).toBe(ours);
  const theirs = new Asn1Error('INTEGER', 'NULL', 3);
  expect(decodingFault(theirs, 'bad-encoding')).toMatchObject({
    name: 'PeerError',
    reason: 'bad-encoding',
    cause: theirs,
  });
});

describe('answers', () => {
  const root = TestAuthority.root();

  it('are certs-only messages that openssl reads', async () => {
    const base64 = encodeCertificates([root.der], 'none');
    expect(decodeCertsOnly(Buffer.from(Buffer.from(base64).toString(), 'base64')).certificates).toHaveLength(1);
    const der = Buffer.from(Buffer.from(base64).toString(), 'base64');
    const printed = await run('openssl', ['pkcs7', '-inform', 'DER', '-print_certs'], der);
    expect(printed.stdout.toString()).toContain('Test Root');
  });

  it('hold a key and its certificate in lines as asked', () => {
    const der = new Uint8Array(100).fill(1);
    const text = Buffer.from(encodeKeyAndCertificate({ kind: 'enveloped', der }, root.der, 'columns-64')).toString();
    expect(text).toContain('application/pkcs7-mime; smime-type=server-generated-key\r\n');
    expect(text.indexOf('server-generated-key')).toBeLessThan(text.indexOf('certs-only'));
    expect(text).toContain(`\r\n\r\n${Buffer.from(encodeBase64(der, 'columns-64')).toString()}\r\n--`);
  });
});

describe('paths', () => {
  it.each([
    ['cacerts', { label: undefined, operation: 'cacerts' }],
    ['r/serverkeygen', { label: 'r', operation: 'serverkeygen' }],
    ['cacerts/csrattrs', { label: 'cacerts', operation: 'csrattrs' }],
    [`${'a'.repeat(63)}/cacerts`, { label: 'a'.repeat(63), operation: 'cacerts' }],
    [`${'a'.repeat(64)}/cacerts`, undefined],
    ['A/cacerts', undefined],
    ['/cacerts', undefined],
    ['cacerts/x', undefined],
    ['toString', undefined],
    ['__proto__/cacerts', undefined],
    ['a/b/cacerts', undefined],
    ['', undefined],
  ])('%s', (path, route) => {
    expect(parsePath(path)).toEqual(route);
  });
});

describe('the Authorization header', () => {
  const encode = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;

  it('gives back name and password, colons and UTF-8 included', () => {
    const printable = fc.string({ unit: 'grapheme', maxLength: 40 }).filter((text) => !/\p{Cc}/u.test(text));
    fc.assert(
      fc.property(
        printable.filter((name) => !name.includes(':')),
        printable,
        (name, password) => {
          const credentials = parseBasicCredentials(encode(`${name}:${password}`));
          expect(credentials?.username).toBe(name);
          expect(credentials?.password.reveal()).toBe(password);
        },
      ),
    );
  });

  it.each([undefined, '', 'Digest username="x"', 'Bearer abc', 'Basic', 'Basically x'])(
    'is no credential: %s',
    (header) => {
      expect(parseBasicCredentials(header)).toBeUndefined();
    },
  );

  it.each(['Basic ', 'Basic *', encode('nocolon'), encode('a:b\n'), `Basic ${'A'.repeat(1028)}`, 'Basic /w=='])(
    'is refused: %s',
    (header) => {
      expect(() => parseBasicCredentials(header)).toThrow(expect.objectContaining({ reason: 'bad-credential' }));
    },
  );

  it('is read or refused by a typed error, whatever it is', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 60 }), (text) => {
        try {
          parseBasicCredentials(`Basic ${text}`);
        } catch (error) {
          if (!(error instanceof MusterError)) throw error;
        }
      }),
    );
  });
});
