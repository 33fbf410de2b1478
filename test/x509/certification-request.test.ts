import 'reflect-metadata';
import * as peculiar from '@peculiar/x509';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { encode } from '../../core/asn1/codec.ts';
import {
  any,
  bmpString,
  ia5String,
  oid as oidSchema,
  sequence,
  sequenceOf,
  setOf,
  smallInteger,
  t61String,
  utf8String,
} from '../../core/asn1/schema.ts';
import { assembleSigned } from '../../core/x509/certificate.ts';
import {
  challengePasswordAttribute,
  encodeCertificationRequestInfo,
  extensionRequestAttribute,
  parseCertificationRequest,
  type RequestAttribute,
  verifyCertificationRequest,
  verifyCertificationRequestAsync,
  requestToKeep,
} from '../../core/x509/certification-request.ts';
import { EXTENSIONS } from '../../core/x509/extensions.ts';
import { generalNameToText } from '../../core/x509/general-name.ts';
import { nameFromText, nameToText } from '../../core/x509/name.ts';
import { REQUEST_ATTRIBUTE } from '../../core/x509/oids.ts';
import { makeCsr, makeKey, publicKeyOf, signWith, type TestKeyKind } from '../support/test-pki.ts';
import { openssl, Scratch, tryOpenssl } from './openssl.ts';

const { challengePassword, extensionRequest, msCertificateExtensions } = REQUEST_ATTRIBUTE;

/** A request with these attributes; for what `makeCsr` would not write. */
function withAttributes(...attributes: RequestAttribute[]): Uint8Array {
  return makeCsr({ attributes }).der;
}

describe('requests of openssl', () => {
  const config = `
    [req]
    distinguished_name = dn
    attributes = attrs
    req_extensions = ext
    prompt = no
    string_mask = utf8only
    [dn]
    C = DE
    O = Example
    serialNumber = FOC2034X0AB
    CN = router1.example
    unstructuredName = router1
    [attrs]
    challengePassword = one time
    [ext]
    subjectAltName = DNS:router1.example, IP:2001:db8::1, URI:urn:x, email:a@b.example, otherName:1.3.6.1.4.1.311.20.2.3;UTF8:u@d
    keyUsage = critical, digitalSignature, keyEncipherment
    extendedKeyUsage = clientAuth`;

  it.each<[TestKeyKind, string[], string]>([
    ['rsa-2048', ['-sha256'], 'sha256WithRSAEncryption'],
    ['rsa-2048', ['-sha512'], 'sha512WithRSAEncryption'],
    ['ec-p256', ['-sha256'], 'ecdsa-with-SHA256'],
    ['ec-p384', ['-sha384'], 'ecdsa-with-SHA384'],
    ['ec-p521', ['-sha512'], 'ecdsa-with-SHA512'],
    ['ed25519', [], 'ed25519'],
    ['ed448', [], 'ed448'],
  ])('%s %j', async (kind, options, algorithm) => {
    using scratch = new Scratch();
    const key = scratch.file('key.pem', makeKey(kind).export({ format: 'pem', type: 'pkcs8' }));
    const file = scratch.file('req.cnf', config);
    const der = openssl(['req', '-new', '-key', key, '-config', file, '-outform', 'DER', ...options]);
    const request = parseCertificationRequest(der);
    expect(request.signatureAlgorithm).toBe(algorithm);
    expect(request.challengePassword).toBe('one time');
    expect(nameToText(request.subject)).toBe(
      'unstructuredName=router1,CN=router1.example,serialNumber=FOC2034X0AB,O=Example,C=DE',
    );
    expect(EXTENSIONS.subjectAltName.find(request.requestedExtensions)!.map(generalNameToText)).toEqual([
      'dns:router1.example',
      'ip:2001:db8::1',
      'uri:urn:x',
      'email:a@b.example',
      'upn:u@d',
    ]);
    expect([...EXTENSIONS.keyUsage.find(request.requestedExtensions)!]).toEqual([
      'digitalSignature',
      'keyEncipherment',
    ]);
    expect(verifyCertificationRequest(request)).toBe(true);
    expect(await verifyCertificationRequestAsync(request)).toBe(true);
    expect([...encodeCertificationRequestInfo(request)]).toEqual([...request.infoDer]);
    expect([...assembleSigned(request.infoDer, request.signatureAlgorithm, request.signature)]).toEqual([...der]);
  });

  it('without the attributes field (-asn1-kludge of old)', () => {
    const privateKey = makeKey();
    const bare = encode(sequence('CRI', { version: smallInteger, subject: any, key: any }), {
      version: 0,
      subject: nameFromText('CN=x').der,
      key: publicKeyOf(privateKey).der,
    });
    const request = parseCertificationRequest(
      assembleSigned(bare, 'ecdsa-with-SHA256', signWith(privateKey, 'ecdsa-with-SHA256', bare)),
    );
    expect(request.attributes).toEqual([]);
    expect(verifyCertificationRequest(request)).toBe(true);
  });
});

describe('what Muster writes', () => {
  it.each<TestKeyKind>(['rsa-2048', 'ec-p256', 'ec-p521', 'ed25519'])(
    '%s: openssl verifies it and finds everything',
    (key) => {
      const { der } = makeCsr({ key, subject: 'CN=r1', san: ['dns:r1.example'], challengePassword: 'geheim' });
      const { ok, output } = tryOpenssl(['req', '-inform', 'DER', '-verify', '-noout', '-text'], der);
      expect(ok).toBe(true);
      expect(output).toMatch(/verify OK/);
      expect(output).toMatch(/challengePassword\s*:geheim/);
      expect(output).toMatch(/DNS:r1\.example/);
    },
  );

  it('@peculiar/x509 verifies it', async () => {
    const { der } = makeCsr({ subject: 'CN=r1,O=Example', san: ['dns:r1.example'], challengePassword: 'ünsicher' });
    const request = new peculiar.Pkcs10CertificateRequest(Buffer.from(der));
    expect(await request.verify()).toBe(true);
    expect(request.subject).toBe('O=Example, CN=r1');
    expect((request.extensions[0] as peculiar.SubjectAlternativeNameExtension).names.toJSON()).toEqual([
      { type: 'dns', value: 'r1.example' },
    ]);
  });
});

describe('challengePassword', () => {
  it.each<[string, Uint8Array]>([
    ['UTF8String', encode(utf8String, 'pä$$')],
    ['T61String', encode(t61String, 'pä$$')],
    ['BMPString', encode(bmpString, 'pä$$')],
  ])('as %s', (_kind, value) => {
    expect(
      parseCertificationRequest(withAttributes({ type: challengePassword, values: [value] })).challengePassword,
    ).toBe('pä$$');
  });

  it('as IA5String, and of any length (Intune)', () => {
    const long = `a@b${'x'.repeat(3000)}`;
    const values = [encode(ia5String, long)];
    expect(parseCertificationRequest(withAttributes({ type: challengePassword, values })).challengePassword).toBe(long);
  });

  it('absent', () => {
    expect(parseCertificationRequest(makeCsr().der).challengePassword).toBeUndefined();
  });

  it('is taken out of what is kept, and nothing else is', () => {
    const request = parseCertificationRequest(makeCsr({ san: ['dns:a.example'], challengePassword: 'geheim' }).der);
    const kept = requestToKeep(request);
    expect(Buffer.from(kept).includes('geheim')).toBe(false);
    const { challengePassword: left, attributes, ...rest } = parseCertificationRequest(kept);
    expect(left).toBeUndefined();
    expect(attributes).toEqual(request.attributes.filter(({ type }) => type !== challengePassword));
    expect(rest).toMatchObject({ subject: request.subject, publicKey: request.publicKey });
    expect(rest.requestedExtensions).toEqual(request.requestedExtensions);
    expect(verifyCertificationRequest(parseCertificationRequest(kept))).toBe(false);
    const without = parseCertificationRequest(makeCsr().der);
    expect(requestToKeep(without)).toBe(without.der);
  });
});

describe('attributes', () => {
  const san = extensionRequestAttribute([EXTENSIONS.subjectAltName.encode([{ kind: 'dnsName', value: 'a' }])]);

  it('keeps the unknown ones', () => {
    const unknown = { type: '1.2.3.4', values: [encode(utf8String, 'a'), encode(utf8String, 'b')] };
    const found = parseCertificationRequest(withAttributes(unknown)).attributes.find(({ type }) => type === '1.2.3.4');
    expect(found!.values.map((value) => Buffer.from(value).toString('hex'))).toEqual(['0c0161', '0c0162']);
  });

  it("reads Microsoft's older attribute for extensions", () => {
    const request = parseCertificationRequest(withAttributes({ ...san, type: msCertificateExtensions }));
    expect(EXTENSIONS.subjectAltName.find(request.requestedExtensions)).toEqual([{ kind: 'dnsName', value: 'a' }]);
  });

  it('accepts attributes that are not sorted', () => {
    const privateKey = makeKey();
    const attribute = sequence('Attribute', { type: any, values: setOf(any) });
    const entries = [extensionRequest, challengePassword].map(
      (type) => [type, type === challengePassword ? challengePasswordAttribute('x') : san] as const,
    );
    const encoded = entries.map(([, { type, values }]) => encode(attribute, { type: encode(oidSchema, type), values }));
    // [0] holds extensionRequest before challengePassword: descending order.
    const contents = Buffer.concat(encoded);
    const field = Buffer.concat([Uint8Array.of(0xa0, contents.length), contents]);
    const info = encode(sequence('CRI', { version: smallInteger, subject: any, key: any, attributes: any }), {
      version: 0,
      subject: nameFromText('CN=x').der,
      key: publicKeyOf(privateKey).der,
      attributes: field,
    });
    const request = parseCertificationRequest(
      assembleSigned(info, 'ecdsa-with-SHA256', signWith(privateKey, 'ecdsa-with-SHA256', info)),
    );
    expect(request.challengePassword).toBe('x');
    expect(request.requestedExtensions).toHaveLength(1);
  });

  it.each<[string, RequestAttribute[]]>([
    [
      'extensionRequest twice',
      [san, extensionRequestAttribute([EXTENSIONS.keyUsage.encode(new Set(['keyCertSign']))])],
    ],
    [
      'extensionRequest with two values',
      [{ type: extensionRequest, values: [...san.values, encode(utf8String, 'x')] }],
    ],
    ['challengePassword twice', [challengePasswordAttribute('a'), challengePasswordAttribute('b')]],
    ['challengePassword as a number', [{ type: challengePassword, values: [Uint8Array.of(2, 1, 1)] }]],
    ['an attribute without value', [{ type: '1.2.3', values: [] }]],
    ['extensions that are none', [{ type: extensionRequest, values: [Uint8Array.of(4, 0)] }]],
  ])('refuses %s', (_name, attributes) => {
    expect(() => parseCertificationRequest(withAttributes(...attributes))).toThrow(Asn1Error);
  });

  it('refuses an extension asked for twice', () => {
    // Extension { extnID keyUsage, extnValue 03 02 07 80 }
    const one = Buffer.from('300b0603551d0f040403020780', 'hex');
    const twice = encode(sequenceOf(any), [one, one]);
    expect(() => parseCertificationRequest(withAttributes({ type: extensionRequest, values: [twice] }))).toThrow(
      /each extension once/,
    );
  });
});

describe('says where a request is wrong', () => {
  const ec = makeCsr({ subject: 'CN=x' }).der;
  const rsa = makeCsr({ key: 'rsa-2048' }).der;

  /** The request with one octet changed: the first of `octets` found, plus `offset`. */
  function changed(der: Uint8Array, octets: string, offset: number, to: number): Uint8Array {
    return der.with(Buffer.from(der).indexOf(Buffer.from(octets, 'hex')) + offset, to);
  }

  it.each<[string, Uint8Array]>([
    ['CertificationRequest.certificationRequestInfo.subject[0][0].type', changed(ec, '0603550403', 0, 5)],
    [
      'CertificationRequest.certificationRequestInfo.subjectPKInfo.algorithm.ECParameters',
      changed(ec, '06082a8648ce3d0301', 9, 1),
    ],
    [
      'CertificationRequest.certificationRequestInfo.subjectPKInfo.subjectPublicKey.ECPoint',
      changed(ec, '03420004', 3, 2),
    ],
    [
      'CertificationRequest.certificationRequestInfo.subjectPKInfo.subjectPublicKey.RSAPublicKey.publicExponent',
      changed(rsa, '0203010001', 4, 0),
    ],
    [
      'CertificationRequest.certificationRequestInfo.subjectPKInfo.subjectPublicKey.RSAPublicKey.modulus',
      changed(rsa, '0282010100', 0, 4),
    ],
    ['CertificationRequest.signatureAlgorithm', changed(ec, '06082a8648ce3d040302', 9, 9)],
  ])('%s', (path, der) => {
    expect(() => parseCertificationRequest(der)).toThrow(expect.objectContaining({ path }));
  });
});

it('on any octets, returns or throws a typed error', () => {
  const { der } = makeCsr({ subject: 'CN=x,O=y', san: ['dns:a.example', 'ip:10.0.0.1'], challengePassword: 'z' });
  const mutated = fc
    .array(fc.tuple(fc.nat(der.length - 1), fc.nat(255)), { minLength: 1, maxLength: 3 })
    .map((changes) => changes.reduce<Uint8Array>((bytes, [at, octet]) => bytes.with(at, octet), der));
  const cut = fc.nat(der.length - 1).map((length) => der.subarray(0, length));
  fc.assert(
    fc.property(fc.oneof({ weight: 8, arbitrary: mutated }, cut, fc.uint8Array({ maxLength: 300 })), (bytes) => {
      try {
        const request = parseCertificationRequest(bytes);
        expect(request.der).toBe(bytes);
        verifyCertificationRequest(request);
      } catch (error) {
        expect(error).toBeInstanceOf(Asn1Error);
      }
    }),
    { numRuns: 2000 },
  );
});
