import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';

import { type CertificateRequest, prepareCertificate, randomSerialNumber } from '../../core/authority/prepare.ts';
import {
  DEFAULT_KEY_RULES,
  DEVICE_PROFILE,
  isAllowedKey,
  type KeyRules,
  type ProfileSettings,
  REGISTRATION_AUTHORITY_PROFILE,
} from '../../core/authority/profile.ts';
import { encodeTbsCertificate, extendedKeyUsage, keyUsage, subjectAltName } from '../../core/x509/certificate.ts';
import { EXTENSIONS, findExtension } from '../../core/x509/extensions.ts';
import { generalNameFromText, generalNameToText } from '../../core/x509/general-name.ts';
import { EMPTY_NAME, nameFromText } from '../../core/x509/name.ts';
import { ATTRIBUTE_TYPE, EXTENSION, KEY_PURPOSE } from '../../core/x509/oids.ts';
import { parseSubjectPublicKeyInfo, type PublicKeyAlgorithm } from '../../core/x509/public-key.ts';
import { serialNumberOctets } from '../../core/x509/serial-number.ts';
import { makeKey, publicKeyOf } from '../support/test-pki.ts';
import { type TestIssuer, testIssuer } from './issuer.ts';

const NOW = Date.UTC(2026, 10, 22, 12);
const publicKey = publicKeyOf(makeKey());
const request: CertificateRequest = {
  subject: nameFromText('CN=router1,O=Example'),
  subjectAltName: [generalNameFromText('dns:router1.example')],
  requestedExtensions: [],
  publicKey,
};

let issuer: TestIssuer;

beforeAll(async () => {
  issuer = await testIssuer('ec-p256', { now: NOW });
});

const prepare = (changes: Partial<CertificateRequest> = {}, profile: ProfileSettings = DEVICE_PROFILE, now = NOW) =>
  prepareCertificate(profile, issuer, { ...request, ...changes }, now).certificate;

const refusal = (reason: string, text = '') =>
  expect.objectContaining({ name: 'PolicyError', reason, message: expect.stringContaining(text) });

describe('prepareCertificate', () => {
  it('writes what profile, issuer and request say, and nothing else', () => {
    const tbs = prepare();
    expect(tbs.extensions.map(({ oid }) => oid)).toEqual([
      EXTENSION.keyUsage,
      EXTENSION.extendedKeyUsage,
      EXTENSION.subjectAltName,
      EXTENSION.subjectKeyIdentifier,
      EXTENSION.authorityKeyIdentifier,
      EXTENSION.authorityInfoAccess,
      EXTENSION.crlDistributionPoints,
    ]);
    expect(extendedKeyUsage(tbs)).toEqual([KEY_PURPOSE.clientAuth, KEY_PURPOSE.serverAuth]);
    expect(
      EXTENSIONS.authorityInfoAccess
        .find(tbs.extensions)!
        .map(({ accessLocation }) => generalNameToText(accessLocation)),
    ).toEqual(['uri:http://muster.example/ocsp/1', 'uri:http://muster.example/ca/1.cer']);
    expect(tbs.notBefore).toEqual(new Date(NOW - 300_000));
    expect(tbs.notAfter).toEqual(new Date(NOW + 365 * 86_400_000));
  });

  it('gives an RSA key the use of encryption, and no other', () => {
    expect([...keyUsage(prepare())!]).toEqual(['digitalSignature']);
    expect([...keyUsage(prepare({ publicKey: publicKeyOf(makeKey('rsa-2048')) }))!]).toEqual([
      'digitalSignature',
      'keyEncipherment',
    ]);
  });

  it('marks the names critical where there is no subject', () => {
    const tbs = prepare({ subject: EMPTY_NAME });
    expect(findExtension(tbs.extensions, EXTENSION.subjectAltName)!.critical).toBe(true);
    expect(findExtension(prepare().extensions, EXTENSION.subjectAltName)!.critical).toBe(false);
  });

  it('writes the policies of the profile', () => {
    const policies = ['1.3.6.1.4.1.99999.1', '1.3.6.1.4.1.99999.2'];
    const tbs = prepare({}, { ...DEVICE_PROFILE, certificatePolicies: policies });
    expect(
      EXTENSIONS.certificatePolicies.find(tbs.extensions)!.map(({ policyIdentifier }) => policyIdentifier),
    ).toEqual(policies);
  });

  it('cuts notAfter to that of the issuer', async () => {
    const dying = await testIssuer('ec-p256', { validitySeconds: 3600, now: NOW });
    const { certificate } = prepareCertificate(DEVICE_PROFILE, dying, request, NOW);
    expect(certificate.notAfter).toEqual(dying.notAfter);
    const afterwards = (): unknown => prepareCertificate(DEVICE_PROFILE, dying, request, NOW + 7_200_000);
    expect(afterwards).toThrow(refusal('lint-failed', 'rfc5280-validity'));
  });

  it('is still right after 2049', () => {
    const tbs = prepare({}, { ...DEVICE_PROFILE, validitySeconds: 86_400 }, Date.UTC(2036, 10, 19));
    expect(tbs.notAfter).toEqual(issuer.notAfter);
    return expect(
      testIssuer('ec-p256', { validitySeconds: 30 * 365 * 86_400, now: NOW }).then((old) =>
        old.notAfter.getUTCFullYear(),
      ),
    ).resolves.toBe(2056);
  });
});

describe('what a request may not ask for (V11)', () => {
  it.each(['cmcCA', 'cmcRA', 'cmKGA', 'ocspSigning'] as const)('the privilege %s', (purpose) => {
    const requestedExtensions = [EXTENSIONS.extendedKeyUsage.encode([KEY_PURPOSE.clientAuth, KEY_PURPOSE[purpose]])];
    expect(() => prepare({ requestedExtensions })).toThrow(refusal('template-not-allowed', KEY_PURPOSE[purpose]));
  });

  it('to be a CA', () => {
    const requestedExtensions = [EXTENSIONS.basicConstraints.encode({ cA: true })];
    expect(() => prepare({ requestedExtensions })).toThrow(refusal('template-not-allowed', 'CA'));
  });

  it('but what the profile grants anyway may be asked for, and what is harmless is not copied', () => {
    const cmcRA = [EXTENSIONS.extendedKeyUsage.encode([KEY_PURPOSE.cmcRA])];
    expect(extendedKeyUsage(prepare({ requestedExtensions: cmcRA }, REGISTRATION_AUTHORITY_PROFILE))).toContain(
      KEY_PURPOSE.cmcRA,
    );
    const harmless = [
      EXTENSIONS.basicConstraints.encode({ cA: false }),
      EXTENSIONS.extendedKeyUsage.encode([KEY_PURPOSE.emailProtection]),
      EXTENSIONS.keyUsage.encode(new Set(['keyCertSign'])),
      EXTENSIONS.subjectKeyIdentifier.encode(new Uint8Array(20)),
    ];
    const tbs = prepare({ requestedExtensions: harmless });
    expect(tbs.extensions.map(({ oid }) => oid)).toEqual(prepare().extensions.map(({ oid }) => oid));
    expect(extendedKeyUsage(tbs)).not.toContain(KEY_PURPOSE.emailProtection);
    expect([...keyUsage(tbs)!]).toEqual(['digitalSignature']);
  });

  it('names outside the profile', () => {
    const profile = (subjectAltName: ProfileSettings['subjectAltName'], subjectRules = DEVICE_PROFILE.subject) => ({
      ...DEVICE_PROFILE,
      subjectAltName,
      subject: subjectRules,
    });
    const dns = { kinds: ['dnsName'], max: 2 } as const;
    const within = { ...dns, dnsSuffixes: ['Plant.Example', 'lab'] };
    const names = (...texts: string[]) => ({ subjectAltName: texts.map(generalNameFromText) });
    expect(() => prepare(names('ip:192.0.2.1'), profile(dns))).toThrow(refusal('name-not-allowed', 'ipAddress'));
    expect(() => prepare(names('dns:a', 'dns:b', 'dns:c'), profile(dns))).toThrow(
      refusal('name-not-allowed', '3 names'),
    );
    for (const outside of ['dns:evilplant.example', 'dns:plant.example.evil', 'dns:plant', 'dns:x.labs']) {
      expect(() => prepare(names('dns:a.lab', outside), profile(within))).toThrow(
        refusal('name-not-allowed', 'domains'),
      );
    }
    expect(subjectAltName(prepare(names('dns:a.PLANT.example', 'dns:lab'), profile(within)))).toHaveLength(2);
    const serialOnly = { attributes: [ATTRIBUTE_TYPE.serialNumber], required: true };
    expect(() => prepare({}, profile(dns, serialOnly))).toThrow(refusal('subject-not-allowed', 'attribute'));
    expect(() => prepare({ subject: EMPTY_NAME }, profile(dns, serialOnly))).toThrow(
      refusal('subject-not-allowed', 'asks for a subject'),
    );
  });
});

describe('keys', () => {
  const rsa = (bits: number): PublicKeyAlgorithm => ({ kind: 'rsa', bits, exponent: 65_537 });
  const none: KeyRules = { ec: [], edwards: [], mlDsa: [] };

  it.each<[string, KeyRules, PublicKeyAlgorithm, boolean]>([
    ['RSA 2047', DEFAULT_KEY_RULES, rsa(2047), false],
    ['RSA 2048', DEFAULT_KEY_RULES, rsa(2048), true],
    ['RSA 4096', DEFAULT_KEY_RULES, rsa(4096), true],
    ['RSA 4097', DEFAULT_KEY_RULES, rsa(4097), false],
    ['RSA where there is no rule for it', none, rsa(2048), false],
    ['P-256', DEFAULT_KEY_RULES, { kind: 'ec', curve: 'P-256' }, true],
    ['P-521', DEFAULT_KEY_RULES, { kind: 'ec', curve: 'P-521' }, true],
    ['P-256 where P-384 is listed', { ...none, ec: ['P-384'] }, { kind: 'ec', curve: 'P-256' }, false],
    ['Ed25519', DEFAULT_KEY_RULES, { kind: 'ed25519' }, true],
    ['Ed448', DEFAULT_KEY_RULES, { kind: 'ed448' }, false],
    ['Ed448 where it is listed', { ...none, edwards: ['ed448'] }, { kind: 'ed448' }, true],
    ['ML-DSA-65 in a profile of old (V28)', DEFAULT_KEY_RULES, { kind: 'ml-dsa', parameterSet: 65 }, false],
    ['ML-DSA-65 where it is listed', { ...none, mlDsa: [65] }, { kind: 'ml-dsa', parameterSet: 65 }, true],
    ['ML-DSA-44 where 65 is listed', { ...none, mlDsa: [65] }, { kind: 'ml-dsa', parameterSet: 44 }, false],
  ])('%s', (_, rules, algorithm, allowed) => {
    expect(isAllowedKey(rules, algorithm)).toBe(allowed);
  });

  it('outside the profile are refused by name', () => {
    const key = publicKeyOf(makeKey('ml-dsa-65'));
    expect(() => prepare({ publicKey: key })).toThrow(refusal('key-not-allowed', 'ML-DSA-65'));
    expect(() => prepare({ publicKey: publicKeyOf(makeKey('ed448')) })).toThrow(refusal('key-not-allowed', 'Ed448'));
  });

  it('that are weak are refused by name (V27)', () => {
    // SubjectPublicKeyInfo of an Ed25519 key of order 1.
    const identity = Uint8Array.of(
      0x30,
      0x2a,
      0x30,
      0x05,
      0x06,
      0x03,
      0x2b,
      0x65,
      0x70,
      0x03,
      0x21,
      0x00,
      1,
      ...Array.from<number>({ length: 31 }).fill(0),
    );
    expect(() => prepare({ publicKey: parseSubjectPublicKeyInfo(identity) })).toThrow(refusal('key-weak', 'order'));
    const offCurve = publicKey.der.slice();
    offCurve[offCurve.length - 1]! ^= 1;
    expect(() => prepare({ publicKey: parseSubjectPublicKeyInfo(offCurve) })).toThrow(refusal('key-weak', 'P-256'));
  });
});

describe('serial numbers and CRL shards (V53)', () => {
  it('have 20 octets, are positive, and none comes twice', () => {
    const serials = Array.from({ length: 5000 }, randomSerialNumber);
    expect(new Set(serials).size).toBe(serials.length);
    const octets = serials.map(serialNumberOctets);
    expect(octets.every((serial) => serial.length === 20 && (serial[0]! & 0xc0) === 0x40)).toBe(true);
    // Every bit but the two fixed ones takes both values: a pool that repeats or is not filled would show here.
    for (let bit = 2; bit < 160; bit++) {
      const ones = octets.filter((serial) => (serial[bit >> 3]! >> (7 - (bit & 7))) & 1).length;
      expect(Math.abs(ones - 2500), `bit ${bit}`).toBeLessThan(300);
    }
  });

  it('spread certificates over all shards, and each has one', () => {
    const counts = new Map<string, number>();
    for (let round = 0; round < 400; round++) {
      const [point, ...others] = EXTENSIONS.crlDistributionPoints.find(prepare().extensions)!;
      expect(others).toEqual([]);
      const { distributionPoint } = point!;
      if (distributionPoint?.kind !== 'fullName') throw new RangeError('expected a full name');
      const url = generalNameToText(distributionPoint.value[0]!);
      expect(url).toMatch(/^uri:http:\/\/muster\.example\/crl\/1\/[0-3]\.crl$/);
      counts.set(url, (counts.get(url) ?? 0) + 1);
    }
    expect(counts.size).toBe(4);
    for (const count of counts.values()) expect(count).toBeGreaterThan(50);
  });
});

describe('properties', () => {
  const keys = (['ec-p256', 'ec-p384', 'ec-p521', 'rsa-2048', 'ed25519'] as const).map((kind) =>
    publicKeyOf(makeKey(kind)),
  );
  const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);
  const name = fc.oneof(
    fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => `dns:${labels.join('.')}`),
    fc.ipV4().map((address) => `ip:${address}`),
    fc.ipV6().map((address) => `ip:${address}`),
    fc.uuid().map((id) => `uri:urn:uuid:${id}`),
    label.map((local) => `email:${local}@plant.example`),
  );
  const commonName = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 16 })
    .filter((text) => !/[\p{Cc}\p{Cs}]/u.test(text) && text.trim() !== '');

  it('what is decoded encodes to the same octets', () => {
    fc.assert(
      fc.property(commonName, fc.uniqueArray(name, { maxLength: 8 }), fc.constantFrom(...keys), (cn, names, key) => {
        const subject = nameFromText(`CN=#0c${Buffer.from(lengthPrefixed(cn)).toString('hex')}`);
        const tbs = prepare({ subject, subjectAltName: names.map(generalNameFromText), publicKey: key });
        const { notBefore, notAfter } = tbs;
        expect(encodeTbsCertificate({ ...tbs, validity: { notBefore, notAfter } })).toEqual(tbs.tbsDer);
        expect(tbs.subject.der).toEqual(subject.der);
        expect(subjectAltName(tbs)).toEqual(names.map(generalNameFromText));
      }),
      { numRuns: 200 },
    );
  });
});

function lengthPrefixed(text: string): Uint8Array {
  const octets = Buffer.from(text, 'utf8');
  return Uint8Array.of(octets.length, ...octets);
}
