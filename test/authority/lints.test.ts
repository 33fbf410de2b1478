import { beforeAll, describe, expect, it } from 'vitest';

import { lintCertificate } from '../../core/authority/lint.ts';
import type { LintRule } from '../../core/authority/lints/rule.ts';
import { LINT_RULES } from '../../core/authority/lints/rules.ts';
import { DEVICE_PROFILE, type ProfileSettings } from '../../core/authority/profile.ts';
import { encodeTbsCertificate, parseTbsCertificate, type TbsCertificateTemplate } from '../../core/x509/certificate.ts';
import { type Extension, EXTENSIONS, rawExtension } from '../../core/x509/extensions.ts';
import type { GeneralName } from '../../core/x509/general-name.ts';
import { EMPTY_NAME, nameFromText } from '../../core/x509/name.ts';
import { EXTENSION, KEY_PURPOSE } from '../../core/x509/oids.ts';
import { keyIdentifier } from '../../core/x509/public-key.ts';
import { parseSerialNumber } from '../../core/x509/serial-number.ts';
import { makeKey, publicKeyOf } from '../support/test-pki.ts';
import { type TestIssuer, testIssuer } from './issuer.ts';

const NOW = Date.UTC(2026, 10, 22);
const DAY_MS = 86_400_000;
const publicKey = publicKeyOf(makeKey());
const rsaKey = publicKeyOf(makeKey('rsa-2048'));

/** Any kind of name may stand in it: what is left to judge is the form of the name. */
const ANY_NAME: ProfileSettings = {
  ...DEVICE_PROFILE,
  subjectAltName: { kinds: [...DEVICE_PROFILE.subjectAltName.kinds, 'x400Address', 'ediPartyName'], max: 4 },
};

let issuer: TestIssuer;

beforeAll(async () => {
  issuer = await testIssuer('ec-p256', { now: NOW });
});

/** What one case makes of a certificate that is right. */
interface Case {
  readonly what: string;
  readonly template?: () => Partial<TbsCertificateTemplate>;
  /** Take the place of the extensions of the same kind, or come after the others. */
  readonly extensions?: () => readonly Extension[];
  readonly without?: readonly string[];
  readonly profile?: ProfileSettings;
  /** A CA certificate, which comes from no profile. */
  readonly isCa?: true;
  readonly issuerNotAfter?: number;
}

const named = (...names: GeneralName[]): readonly Extension[] => [EXTENSIONS.subjectAltName.encode(names)];
const subject = (text: string) => () => ({ subject: nameFromText(text) });

/** For each rule, certificates that break it and no other. */
const BROKEN: Readonly<Record<string, readonly Case[]>> = {
  'rfc5280-serial-number': [
    { what: 'a short serial number', template: () => ({ serialNumber: parseSerialNumber('5a0102030405060708') }) },
  ],
  'rfc5280-validity': [
    {
      what: 'a validity of no time',
      template: () => ({ validity: { notBefore: new Date(NOW), notAfter: new Date(NOW) } }),
    },
    { what: 'a life beyond the issuer’s', issuerNotAfter: NOW + DAY_MS },
  ],
  'rfc5280-issuer-name': [
    { what: 'another issuer', template: () => ({ issuer: nameFromText('CN=Another CA') }) },
    { what: 'an issuer in another encoding', template: () => ({ issuer: nameFromText('CN=TEST CA,O=Muster Test') }) },
    { what: 'an empty issuer', template: () => ({ issuer: EMPTY_NAME }) },
  ],
  'rfc5280-subject-or-alternative': [
    { what: 'no name at all', template: () => ({ subject: EMPTY_NAME }), without: [EXTENSION.subjectAltName] },
    { what: 'no subject and a subjectAltName that is not critical', template: () => ({ subject: EMPTY_NAME }) },
    { what: 'a CA without a subject', template: () => ({ subject: EMPTY_NAME }), isCa: true },
  ],
  'rfc5280-subject-attributes': [
    { what: 'a CN of 65 characters', template: subject(`CN=${'x'.repeat(65)}`) },
    { what: 'a country of one letter', template: subject('C=X,CN=a') },
    { what: 'a country of three letters', template: subject('C=CHE,CN=a') },
    { what: 'an empty CN', template: subject('CN=') },
    { what: 'a line feed in a CN', template: subject('CN=a\\0ab') },
    { what: 'a NUL in a CN', template: subject('CN=a\\00b') },
    { what: 'a street of 1,025 characters', template: subject(`STREET=${'x'.repeat(1025)}`) },
  ],
  'rfc5280-key-identifiers': [
    { what: 'no authorityKeyIdentifier', without: [EXTENSION.authorityKeyIdentifier] },
    {
      what: 'the authorityKeyIdentifier of another key',
      extensions: () => [EXTENSIONS.authorityKeyIdentifier.encode({ keyIdentifier: keyIdentifier(rsaKey) })],
    },
    { what: 'no subjectKeyIdentifier', without: [EXTENSION.subjectKeyIdentifier] },
    {
      what: 'the subjectKeyIdentifier of another key',
      extensions: () => [EXTENSIONS.subjectKeyIdentifier.encode(keyIdentifier(rsaKey))],
    },
  ],
  'rfc5280-basic-constraints': [
    { what: 'a device that is a CA', extensions: () => [EXTENSIONS.basicConstraints.encode({ cA: true })] },
    {
      what: 'a path length without a CA',
      extensions: () => [EXTENSIONS.basicConstraints.encode({ cA: false, pathLenConstraint: 0 })],
    },
    { what: 'a CA without basicConstraints', isCa: true, without: [EXTENSION.basicConstraints] },
    {
      what: 'a CA whose basicConstraints are not critical',
      isCa: true,
      extensions: () => [{ ...EXTENSIONS.basicConstraints.encode({ cA: true }), critical: false }],
    },
  ],
  'rfc5280-key-usage': [
    { what: 'no keyUsage', without: [EXTENSION.keyUsage] },
    { what: 'an empty keyUsage', extensions: () => [EXTENSIONS.keyUsage.encode(new Set())] },
    {
      what: 'a device that signs certificates',
      extensions: () => [EXTENSIONS.keyUsage.encode(new Set(['digitalSignature', 'keyCertSign']))],
    },
    { what: 'a device that signs CRLs', extensions: () => [EXTENSIONS.keyUsage.encode(new Set(['cRLSign']))] },
    {
      what: 'an EC key that enciphers',
      extensions: () => [EXTENSIONS.keyUsage.encode(new Set(['digitalSignature', 'keyEncipherment']))],
    },
    {
      what: 'an RSA key that agrees',
      template: () => ({ publicKey: rsaKey }),
      extensions: () => [
        EXTENSIONS.keyUsage.encode(new Set(['keyAgreement'])),
        EXTENSIONS.subjectKeyIdentifier.encode(keyIdentifier(rsaKey)),
      ],
    },
    {
      what: 'a CA that signs no certificates',
      isCa: true,
      extensions: () => [EXTENSIONS.keyUsage.encode(new Set(['cRLSign']))],
    },
  ],
  'profile-extended-key-usage': [
    { what: 'no purpose', without: [EXTENSION.extendedKeyUsage] },
    {
      what: 'a purpose too few',
      extensions: () => [EXTENSIONS.extendedKeyUsage.encode([KEY_PURPOSE.clientAuth])],
    },
    {
      what: 'a privilege too many',
      extensions: () => [
        EXTENSIONS.extendedKeyUsage.encode([KEY_PURPOSE.clientAuth, KEY_PURPOSE.serverAuth, KEY_PURPOSE.cmcRA]),
      ],
    },
  ],
  'rfc5280-subject-alt-name': [
    { what: 'a host name with a space', extensions: () => named({ kind: 'dnsName', value: 'a b.example' }) },
    {
      what: 'a host name with a label of 64',
      extensions: () => named({ kind: 'dnsName', value: `${'a'.repeat(64)}.x` }),
    },
    { what: 'a host name of 254', extensions: () => named({ kind: 'dnsName', value: `${'a.'.repeat(126)}aa` }) },
    { what: 'a wildcard within a label', extensions: () => named({ kind: 'dnsName', value: 'a*.example' }) },
    { what: 'a host name with a NUL', extensions: () => named({ kind: 'dnsName', value: 'a.example\0.evil' }) },
    { what: 'a URI without a scheme', extensions: () => named({ kind: 'uri', value: '/device/1' }) },
    { what: 'a URI with a NUL', extensions: () => named({ kind: 'uri', value: 'urn:dev:\0' }) },
    { what: 'no mailbox', extensions: () => named({ kind: 'rfc822Name', value: 'nobody' }) },
    { what: 'a mailbox with a NUL', extensions: () => named({ kind: 'rfc822Name', value: 'a\0@b.example' }) },
    { what: 'an address of 8 octets', extensions: () => named({ kind: 'ipAddress', value: new Uint8Array(8) }) },
    {
      what: 'an X.400 address',
      profile: ANY_NAME,
      extensions: () => [
        rawExtension(EXTENSION.subjectAltName, Uint8Array.of(0x30, 0x04, 0xa3, 0x02, 0x30, 0x00), false),
      ],
    },
  ],
  'muster-extension-set': [
    {
      what: 'an extension nobody here writes',
      extensions: () => [rawExtension('1.3.6.1.4.1.311.20.2', Uint8Array.of(0x0c, 0x01, 0x61), false)],
    },
  ],
  'profile-names': [
    { what: 'a subject attribute too many', template: subject('CN=a,O=b'), profile: withSubject(['2.5.4.3'], false) },
    {
      what: 'no subject where one is asked for',
      template: () => ({ subject: EMPTY_NAME }),
      profile: withSubject('any', true),
      extensions: () => [EXTENSIONS.subjectAltName.encode([{ kind: 'dnsName', value: 'a.example' }], true)],
    },
    { what: 'a kind of name too many', profile: { ...DEVICE_PROFILE, subjectAltName: { kinds: ['uri'], max: 4 } } },
    { what: 'a name too many', profile: { ...DEVICE_PROFILE, subjectAltName: { kinds: ['dnsName'], max: 0 } } },
    {
      what: 'a host outside the domains',
      profile: { ...DEVICE_PROFILE, subjectAltName: { kinds: ['dnsName'], max: 1, dnsSuffixes: ['xample'] } },
    },
  ],
  'profile-key': [
    {
      what: 'a curve that is not listed',
      profile: { ...DEVICE_PROFILE, keys: { ec: ['P-384'], edwards: [], mlDsa: [] } },
    },
  ],
  'profile-validity': [{ what: 'a life too long', profile: { ...DEVICE_PROFILE, validitySeconds: 364 * 86_400 } }],
};

function withSubject(attributes: 'any' | readonly string[], required: boolean): ProfileSettings {
  return { ...DEVICE_PROFILE, subject: { attributes, required } };
}

function template(of: Case): TbsCertificateTemplate {
  const changes = of.template?.() ?? {};
  const key = changes.publicKey ?? publicKey;
  const extensions = of.extensions?.() ?? [];
  const replaced = new Set([...(of.without ?? []), ...extensions.map(({ oid }) => oid)]);
  const own = [
    ...(of.isCa ? caExtensions() : deviceExtensions()),
    EXTENSIONS.subjectKeyIdentifier.encode(keyIdentifier(key)),
    EXTENSIONS.authorityKeyIdentifier.encode({ keyIdentifier: keyIdentifier(issuer.publicKey) }),
  ];
  return {
    serialNumber: parseSerialNumber('5a000102030405060708090a0b0c0d0e0f101112'),
    signatureAlgorithm: 'ecdsa-with-SHA256',
    issuer: issuer.subject,
    validity: { notBefore: new Date(NOW), notAfter: new Date(NOW + 365 * DAY_MS) },
    subject: nameFromText('CN=router1'),
    publicKey: key,
    ...changes,
    extensions: [...own.filter(({ oid }) => !replaced.has(oid)), ...extensions],
  };
}

function deviceExtensions(): readonly Extension[] {
  return [
    EXTENSIONS.keyUsage.encode(new Set(['digitalSignature'])),
    EXTENSIONS.extendedKeyUsage.encode([KEY_PURPOSE.clientAuth, KEY_PURPOSE.serverAuth]),
    ...named({ kind: 'dnsName', value: 'router1.example' }),
  ];
}

function caExtensions(): readonly Extension[] {
  return [
    EXTENSIONS.basicConstraints.encode({ cA: true }),
    EXTENSIONS.keyUsage.encode(new Set(['keyCertSign', 'cRLSign'])),
  ];
}

function lint(of: Case) {
  const der = encodeTbsCertificate(template(of));
  const notAfter = new Date(of.issuerNotAfter ?? issuer.notAfter);
  const profile = of.isCa ? undefined : (of.profile ?? DEVICE_PROFILE);
  const names = { subjectDer: issuer.subject.der, keyIdentifier: keyIdentifier(issuer.publicKey), notAfter };
  const subjectOfLint = { tbs: parseTbsCertificate(der), issuer: names, profile };
  return {
    findings: LINT_RULES.filter((rule) => rule.check(subjectOfLint) !== undefined).map(({ id }) => id),
    run: () => lintCertificate(der, { ...issuer, notAfter }, profile),
  };
}

describe('the rules of lint', () => {
  it('each have a case here, an id of their own and a source', () => {
    const ids = LINT_RULES.map(({ id }: LintRule) => id);
    expect(Object.keys(BROKEN).sort()).toEqual(ids.toSorted());
    expect(new Set(ids).size).toBe(ids.length);
    for (const { source } of LINT_RULES) expect(source).toMatch(/^(RFC \d+|profile: )/);
  });

  it.each<Case>([
    { what: 'a device' },
    { what: 'a CA', isCa: true },
    {
      what: 'a device with a critical subjectAltName and no subject',
      template: () => ({ subject: EMPTY_NAME }),
      extensions: () => [EXTENSIONS.subjectAltName.encode([{ kind: 'dnsName', value: '*.example' }], true)],
    },
    { what: 'a device that says it is no CA', extensions: () => [EXTENSIONS.basicConstraints.encode({ cA: false })] },
    { what: 'a country of two letters', template: subject('C=CH,CN=a') },
    { what: 'a CN of 64 characters', template: subject(`CN=${'x'.repeat(64)}`) },
  ])('find nothing wrong with $what', (of) => {
    const { findings, run } = lint(of);
    expect(findings).toEqual([]);
    expect(run().certificate.subject).toBeDefined();
  });

  const cases = Object.entries(BROKEN).flatMap(([rule, list]) => list.map((of) => ({ rule, ...of })));

  it.each(cases)('$rule alone finds $what', ({ rule, ...of }) => {
    const { findings, run } = lint(of);
    expect(findings).toEqual([rule]);
    expect(run).toThrow(expect.objectContaining({ reason: 'lint-failed', message: expect.stringContaining(rule) }));
  });
});
