import { X509Certificate } from 'node:crypto';
import fc from 'fast-check';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';
import { describe, expect, it } from 'vitest';
import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { decode, encode } from '../../core/asn1/codec.ts';
import { any, sequenceOf } from '../../core/asn1/schema.ts';
import {
  assembleSigned,
  authorityKeyIdentifier,
  basicConstraints,
  certificateFingerprint,
  encodeTbsCertificate,
  extendedKeyUsage,
  isSelfIssued,
  keyUsage,
  parseCertificate,
  parseTbsCertificate,
  subjectAltName,
  subjectKeyIdentifier,
} from '../../core/x509/certificate.ts';
import { distributionPointsAt, distributionPointUrls } from '../../core/x509/distribution-points.ts';
import { type Extension, EXTENSIONS, rawExtension } from '../../core/x509/extensions.ts';
import { generalNameToText } from '../../core/x509/general-name.ts';
import { EMPTY_NAME, nameFromText, nameToText } from '../../core/x509/name.ts';
import { ACCESS_METHOD, KEY_PURPOSE } from '../../core/x509/oids.ts';
import { verifySignature } from '../../core/x509/signature-algorithm.ts';
import { makeKey, TestAuthority, type TestKeyKind } from '../support/test-pki.ts';
import { openssl, Scratch } from './openssl.ts';

const config = `
  [req]
  distinguished_name = dn
  prompt = no
  [dn]
  C = DE
  ST = Hesse
  O = Example GmbH
  OU = Netz
  CN = Prüf CA
  [ext]
  basicConstraints = critical, CA:TRUE, pathlen:1
  keyUsage = critical, keyCertSign, cRLSign
  subjectKeyIdentifier = hash
  authorityKeyIdentifier = keyid:always, issuer:always
  extendedKeyUsage = clientAuth, 1.3.6.1.5.5.7.3.28
  subjectAltName = DNS:a.example, IP:192.0.2.1, dirName:dir
  crlDistributionPoints = cdp
  authorityInfoAccess = OCSP;URI:http://o.example/, caIssuers;URI:http://i.example/ca.cer
  certificatePolicies = 1.2.3.4, @pol
  policyMappings = 1.2.3.4:1.2.3.5
  policyConstraints = requireExplicitPolicy:1, inhibitPolicyMapping:0
  inhibitAnyPolicy = 2
  nameConstraints = critical, permitted;DNS:.example, permitted;IP:10.0.0.0/255.0.0.0, excluded;email:bad.example
  freshestCRL = URI:http://d.example/delta.crl
  1.2.3.4.5 = ASN1:UTF8String:hello
  [dir]
  CN = d
  [pol]
  policyIdentifier = 2.23.140.1.2.1
  CPS.1 = http://cps.example/
  [cdp]
  fullname = URI:http://c.example/a.crl
  reasons = keyCompromise, CACompromise
  CRLissuer = dirName:dir`;

/** The same extensions, each decoded and encoded again. */
function recoded(extensions: readonly Extension[]): Extension[] {
  const codecs = Object.values(EXTENSIONS);
  return extensions.map(({ oid, critical, value }) => {
    const codec = codecs.find((one) => one.oid === oid);
    return codec === undefined
      ? rawExtension(oid, value, critical)
      : codec.encode(codec.decode(value) as never, critical);
  });
}

describe('certificates of openssl', () => {
  it.each<[TestKeyKind, string[]]>([
    ['rsa-2048', ['-sha256']],
    ['rsa-2048', ['-sha384', '-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:-1']],
    ['ec-p256', ['-sha256', '-set_serial', '0x00ff']],
    ['ec-p384', ['-sha384', '-days', '9000']],
    ['ec-p521', ['-sha512']],
    ['ed25519', []],
    ['ed448', []],
  ])('%s %j: every octet comes back', (kind, options) => {
    using scratch = new Scratch();
    const key = scratch.file('key.pem', makeKey(kind).export({ format: 'pem', type: 'pkcs8' }));
    const file = scratch.file('ca.cnf', config);
    const args = [
      'req',
      '-x509',
      '-new',
      '-key',
      key,
      '-config',
      file,
      '-extensions',
      'ext',
      '-utf8',
      '-outform',
      'DER',
    ];
    const der = openssl([...args, ...options]);
    const certificate = parseCertificate(der);
    const { notBefore, notAfter } = certificate;
    const tbs = encodeTbsCertificate({
      ...certificate,
      validity: { notBefore, notAfter },
      extensions: recoded(certificate.extensions),
    });
    expect(Buffer.from(tbs).toString('hex')).toBe(Buffer.from(certificate.tbsDer).toString('hex'));
    const whole = assembleSigned(tbs, certificate.signatureAlgorithm, certificate.signature);
    expect(Buffer.from(whole).equals(der)).toBe(true);
    expect(verifySignature(certificate.publicKey, certificate.signatureAlgorithm, tbs, certificate.signature)).toBe(
      true,
    );
    agreesWithNode(der);
  });

  it('of version 1', () => {
    using scratch = new Scratch();
    const key = scratch.file('key.pem', makeKey().export({ format: 'pem', type: 'pkcs8' }));
    const request = scratch.path('v1.csr');
    openssl(['req', '-new', '-key', key, '-subj', '/CN=v1', '-out', request]);
    const der = openssl(['x509', '-req', '-in', request, '-signkey', key, '-outform', 'DER']);
    const certificate = parseCertificate(der);
    const { notBefore, notAfter } = certificate;
    expect(certificate.version).toBe(1);
    expect(certificate.extensions).toEqual([]);
    expect([...encodeTbsCertificate({ ...certificate, validity: { notBefore, notAfter } })]).toEqual([
      ...certificate.tbsDer,
    ]);
  });

  it('with a negative serial number', () => {
    using scratch = new Scratch();
    const key = scratch.file('key.pem', makeKey().export({ format: 'pem', type: 'pkcs8' }));
    const der = openssl([
      'req',
      '-x509',
      '-new',
      '-key',
      key,
      '-subj',
      '/CN=x',
      '-set_serial',
      '-129',
      '-outform',
      'DER',
    ]);
    const certificate = parseCertificate(der);
    expect(certificate.serialNumber).toBe('-81');
    expect([...certificate.serialNumberOctets]).toEqual([0xff, 0x7f]);
  });

  it('decodes every extension', () => {
    using scratch = new Scratch();
    const key = scratch.file('key.pem', makeKey().export({ format: 'pem', type: 'pkcs8' }));
    const file = scratch.file('ca.cnf', config);
    const args = [
      'req',
      '-x509',
      '-new',
      '-key',
      key,
      '-config',
      file,
      '-extensions',
      'ext',
      '-utf8',
      '-outform',
      'DER',
    ];
    const certificate = parseCertificate(openssl(args));
    const { extensions } = certificate;
    expect(nameToText(certificate.subject)).toBe('CN=Prüf CA,OU=Netz,O=Example GmbH,ST=Hesse,C=DE');
    expect(isSelfIssued(certificate)).toBe(true);
    expect(basicConstraints(certificate)).toEqual({ cA: true, pathLenConstraint: 1 });
    expect([...keyUsage(certificate)!]).toEqual(['keyCertSign', 'cRLSign']);
    expect(extendedKeyUsage(certificate)).toEqual([KEY_PURPOSE.clientAuth, KEY_PURPOSE.cmcRA]);
    expect(subjectAltName(certificate).map(generalNameToText)).toEqual([
      'dns:a.example',
      'ip:192.0.2.1',
      'dirname:CN=d',
    ]);
    expect(authorityKeyIdentifier(certificate)).toEqual(subjectKeyIdentifier(certificate));
    const [point] = EXTENSIONS.crlDistributionPoints.find(extensions)!;
    expect([...point!.reasons!]).toEqual(['keyCompromise', 'cACompromise']);
    expect(point!.cRLIssuer!.map(generalNameToText)).toEqual(['dirname:CN=d']);
    expect(distributionPointUrls(EXTENSIONS.freshestCRL.find(extensions)!)).toEqual(['http://d.example/delta.crl']);
    expect(EXTENSIONS.authorityInfoAccess.find(extensions)!.map(({ accessMethod }) => accessMethod)).toEqual([
      ACCESS_METHOD.ocsp,
      ACCESS_METHOD.caIssuers,
    ]);
    expect(EXTENSIONS.certificatePolicies.find(extensions)!.map((one) => one.policyIdentifier)).toEqual([
      '1.2.3.4',
      '2.23.140.1.2.1',
    ]);
    expect(EXTENSIONS.policyMappings.find(extensions)).toEqual([
      { issuerDomainPolicy: '1.2.3.4', subjectDomainPolicy: '1.2.3.5' },
    ]);
    expect(EXTENSIONS.policyConstraints.find(extensions)).toEqual({
      requireExplicitPolicy: 1,
      inhibitPolicyMapping: 0,
    });
    expect(EXTENSIONS.inhibitAnyPolicy.find(extensions)).toBe(2);
    const { permittedSubtrees, excludedSubtrees } = EXTENSIONS.nameConstraints.find(extensions)!;
    expect(permittedSubtrees!.map(({ base }) => generalNameToText(base))).toEqual([
      'dns:.example',
      'ip:10.0.0.0/255.0.0.0',
    ]);
    expect(excludedSubtrees!.map(({ base }) => generalNameToText(base))).toEqual(['email:bad.example']);
  });
});

describe('what Muster writes', () => {
  const root = TestAuthority.root({ pathLength: 2 });
  const point = distributionPointsAt(['http://c.example/1.crl', 'http://c.example/2.crl']);

  it.each<TestKeyKind>(['rsa-2048', 'ec-p256', 'ec-p384', 'ed25519', 'ml-dsa-44', 'ml-dsa-65'])(
    'node:crypto agrees: %s',
    (key) => {
      const { der } = root.leaf({
        key,
        subject: 'CN=r1,serialNumber=F1,O=Example',
        san: ['dns:r1.example', 'ip:2001:db8::1', 'email:a@b.example'],
        eku: [KEY_PURPOSE.clientAuth],
        extensions: [EXTENSIONS.crlDistributionPoints.encode(point)],
      });
      agreesWithNode(der);
      expect(new X509Certificate(der).verify(new X509Certificate(root.der).publicKey)).toBe(true);
      expect(certificateFingerprint(der)).toBe(
        new X509Certificate(der).fingerprint256.replaceAll(':', '').toLowerCase(),
      );
    },
  );

  it('pkijs reads it', () => {
    const { der, certificate } = root.leaf({ san: ['dns:r1.example'], notAfter: new Date('9999-12-31T23:59:59Z') });
    const read = new pkijs.Certificate({ schema: asn1js.fromBER(der.slice().buffer).result });
    expect(read.notAfter.value).toEqual(new Date('9999-12-31T23:59:59Z'));
    expect(read.extensions!.map(({ extnID, critical }) => [extnID, critical])).toEqual(
      certificate.extensions.map(({ oid, critical }) => [oid, critical]),
    );
    expect(Buffer.from(read.toSchema(false).toBER()).equals(Buffer.from(der))).toBe(true);
  });

  it('openssl shows an empty subject and a critical subjectAltName', () => {
    const san = EXTENSIONS.subjectAltName.encode([{ kind: 'dnsName', value: 'r1.example' }], true);
    const { der } = root.leaf({ subject: EMPTY_NAME, extensions: [san] });
    const text = openssl(['x509', '-inform', 'DER', '-noout', '-text'], der).toString();
    expect(text).toMatch(/Subject: ?\n/);
    expect(text).toMatch(/Subject Alternative Name: critical\s+DNS:r1\.example/);
  });

  it('writes UTCTime through 2049 and GeneralizedTime after, without fractions', () => {
    const notAfter = new Date('2049-12-31T23:59:59.999Z');
    const { certificate } = root.leaf({ notBefore: new Date('2026-01-01T00:00:00.5Z'), notAfter });
    expect(certificate.notBefore).toEqual(new Date('2026-01-01T00:00:00Z'));
    expect(certificate.notAfter).toEqual(new Date('2049-12-31T23:59:59Z'));
    const later = root.leaf({ notAfter: new Date('2050-01-01T00:00:00Z') });
    expect(Buffer.from(later.der).includes('20500101000000Z')).toBe(true);
  });

  it('a TBSCertificate alone reads like the one in the certificate', () => {
    const { certificate } = root.leaf();
    const { der, signature, ...fields } = certificate;
    expect(der.length).toBeGreaterThan(signature.length);
    expect(parseTbsCertificate(certificate.tbsDer.slice())).toEqual(fields);
  });

  it('refuses an extension twice, and a serial number without octets', () => {
    const { certificate } = root.leaf();
    const { notBefore, notAfter, extensions } = certificate;
    const template = { ...certificate, validity: { notBefore, notAfter } };
    expect(() => encodeTbsCertificate({ ...template, extensions: [...extensions, extensions[0]!] })).toThrow(
      /each extension once/,
    );
  });
});

it('the URLs of distribution points are those of full names alone', () => {
  const { subject } = TestAuthority.root().certificate;
  const urls = distributionPointUrls([
    ...distributionPointsAt(['http://a.example/1.crl', 'ldap://b.example/']),
    { distributionPoint: { kind: 'fullName', value: [{ kind: 'directoryName', value: subject }] } },
    { distributionPoint: { kind: 'nameRelativeToCRLIssuer', value: subject.rdns[0]! } },
    { cRLIssuer: [{ kind: 'directoryName', value: subject }] },
  ]);
  expect(urls).toEqual(['http://a.example/1.crl', 'ldap://b.example/']);
});

describe('refusals', () => {
  const { certificate } = TestAuthority.root().leaf({ subject: 'CN=x' });
  const { der, tbsDer, signature } = certificate;

  it('two signature algorithms', () => {
    expect(() => parseCertificate(assembleSigned(tbsDer, 'ecdsa-with-SHA384', signature))).toThrow(
      /signatureAlgorithm/,
    );
  });

  it.each([
    ['version 2 with extensions', 1, /v3 where there are extensions/],
    ['version 4', 3, /v1, v2 or v3/],
  ])('%s', (_name, version, message) => {
    const at = Buffer.from(der).indexOf(Buffer.from('a003020102', 'hex')) + 4;
    expect(() => parseCertificate(der.with(at, version))).toThrow(message);
  });

  it('version 1 with a unique identifier (RFC 5280 §4.1.2.8)', () => {
    const omit = ['basicConstraints', 'keyUsage', 'subjectKeyIdentifier', 'authorityKeyIdentifier'] as const;
    const old = TestAuthority.root({ omit: omit.map((name) => EXTENSIONS[name].oid) }).certificate;
    expect(old.version).toBe(1);
    const fields = decode(sequenceOf(any), old.tbsDer);
    for (const tag of [0x81, 0x82]) {
      const tbs = encode(sequenceOf(any), [...fields, Uint8Array.of(tag, 2, 0, 1)]);
      expect(() => parseCertificate(assembleSigned(tbs, old.signatureAlgorithm, old.signature))).toThrow(
        expect.objectContaining({
          path: 'TBSCertificate.version',
          expected: 'v2 or v3 where there are unique identifiers',
          found: 'v1',
        }),
      );
    }
  });

  it('octets after the certificate', () => {
    expect(() => parseCertificate(Uint8Array.of(...der, 0))).toThrow(Asn1Error);
  });

  it('an extension value that is not DER, when it is asked for', () => {
    const value = Uint8Array.of(0x30, 0x03, 0x01, 0x01, 0x01);
    expect(() => EXTENSIONS.basicConstraints.decode(value)).toThrow(Asn1Error);
    expect(() =>
      EXTENSIONS.basicConstraints.decode(Uint8Array.of(0x30, 0x06, 0x01, 0x01, 0xff, 0x02, 0x01, 0xff)),
    ).toThrow(/zero or more/);
    expect(() => EXTENSIONS.subjectAltName.decode(Uint8Array.of(0x30, 0))).toThrow(Asn1Error);
    expect(() => rawExtension('1.2.3', Uint8Array.of(1, 2), false)).toThrow(Asn1Error);
  });

  it('on any octets, returns or throws a typed error', () => {
    const leaf = TestAuthority.root().leaf({
      san: ['dns:a', 'ip:10.0.0.1', 'dirname:CN=a', 'upn:a'],
      eku: [KEY_PURPOSE.clientAuth],
    });
    const change = fc.tuple(fc.nat(leaf.der.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
        const bytes = changes.reduce<Uint8Array>((all, [at, octet]) => all.with(at, octet), leaf.der);
        try {
          const parsed = parseCertificate(bytes);
          Object.values(EXTENSIONS).forEach((codec) => codec.find(parsed.extensions));
          nameToText(parsed.subject);
        } catch (error) {
          expect(error).toBeInstanceOf(Asn1Error);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

it('any template comes back', () => {
  const { certificate } = TestAuthority.root().leaf();
  const seconds = fc.integer({ min: 0, max: 4_000_000_000 }).map((s) => new Date(s * 1000));
  const extension = fc.record({
    oid: fc.nat(60).map((n) => `1.2.${n}`),
    critical: fc.boolean(),
    value: fc.uint8Array({ maxLength: 40 }),
  });
  fc.assert(
    fc.property(
      seconds,
      seconds,
      fc.uniqueArray(extension, { selector: ({ oid }) => oid, maxLength: 5 }),
      fc.string(),
      (notBefore, notAfter, extensions, cn) => {
        const subject = nameFromText(`CN=x${Buffer.from(cn).toString('hex')}`);
        const tbs = encodeTbsCertificate({ ...certificate, subject, validity: { notBefore, notAfter }, extensions });
        const read = parseTbsCertificate(tbs);
        expect(read.extensions).toEqual(extensions);
        expect([read.notBefore, read.notAfter]).toEqual([notBefore, notAfter]);
        expect(read.subject.der).toEqual(subject.der);
        expect(read.serialNumber).toBe(certificate.serialNumber);
      },
    ),
  );
});

function agreesWithNode(der: Uint8Array): void {
  const ours = parseCertificate(der);
  const theirs = new X509Certificate(der);
  expect(ours.serialNumber).toBe(theirs.serialNumber.toLowerCase());
  expect(ours.notBefore).toEqual(theirs.validFromDate);
  expect(ours.notAfter).toEqual(theirs.validToDate);
  expect(basicConstraints(ours)?.cA ?? false).toBe(theirs.ca);
  expect(Buffer.from(ours.publicKey.der).equals(theirs.publicKey.export({ format: 'der', type: 'spki' }))).toBe(true);
  expect(extendedKeyUsage(ours)).toEqual(theirs.keyUsage);
}
