import { describe, expect, test } from 'vitest';
import { EXTENSIONS } from '../../../core/x509/extensions.ts';
import { spkiSha256 } from '../../../core/x509/public-key.ts';
import type { AnchorSettings } from '../../../devices/attestation/anchors.ts';
import { trustedEk } from '../../../devices/attestation/tpm/endorsement.ts';
import { certificateInNv } from '../../../devices/attestation/tpm/nv-certificate.ts';
import type { AppraisalContext } from '../../../devices/attestation/verifier.ts';
import { appraisalContext, testAnchor } from '../../fakes/appraisal-context.ts';
import { joined, u16 } from '../../fakes/tpm-marshal.ts';
import { subjectNamed, type TpmCertificateOptions, TpmManufacturer } from '../../fakes/tpm-manufacturer.ts';
import { makeKey, publicKeyOf } from '../../support/test-pki.ts';
import { codeOf, FIXTURE_TIME, FIXTURES, hex, pemCertificate } from './tpm-fixtures.ts';

const maker = new TpmManufacturer();
const ek = publicKeyOf(makeKey());
const rsaEk = publicKeyOf(makeKey('rsa-2048'));
const DAY_MS = 86_400_000;

function contextWith(settings: Partial<AnchorSettings['ek']> = {}): AppraisalContext {
  return appraisalContext({ now: new Date(), anchors: [testAnchor('ek', maker.root.certificate, settings)] });
}

async function judged(options: TpmCertificateOptions, settings: Partial<AnchorSettings['ek']> = {}, publicKey = ek) {
  const { der } = maker.ekCertificate(publicKey, options);
  return trustedEk({ certificates: [der, maker.issuer.der] }, contextWith(settings));
}

describe('certificates of swtpm_localca', () => {
  const anchors = [testAnchor('ek', pemCertificate(FIXTURES.ekRoot))];
  const issuer = pemCertificate(FIXTURES.ekIssuer).der;

  test.each([
    ['RSA-2048', FIXTURES.ekCertRsa2048, FIXTURES.ekPubArea],
    ['P-384', FIXTURES.ekCertP384, FIXTURES.ekPubAreaP384],
  ])('%s', async (_name, certificate, area) => {
    const context = appraisalContext({ now: FIXTURE_TIME, anchors });
    const trusted = await trustedEk({ certificates: [hex(certificate), issuer], publicArea: hex(area) }, context);
    expect(trusted.identity).toEqual({ manufacturer: '00001014', model: 'swtpm', version: '20191023' });
    expect(trusted.findings).toEqual([]);
  });
});

describe('profile', () => {
  test('one RDN with three attributes names the TPM as three RDNs do (pitfall 7)', async () => {
    const identity = { manufacturer: '53544D20', model: 'ST33', version: '00010101' };
    expect((await judged({ layout: 'three RDNs' })).identity).toEqual(identity);
    expect((await judged({ layout: 'one RDN', manufacturer: '53544d20' })).identity).toEqual(identity);
  });

  test('a subject, or a subjectAltName that is not critical, does no harm', async () => {
    expect((await judged({ subject: subjectNamed('CN=dev-0001') })).identity?.model).toBe('ST33');
  });

  test.each<readonly [string, TpmCertificateOptions, string]>([
    ['no extendedKeyUsage', { omit: ['2.5.29.37'] }, 'ek-purpose'],
    ['the purpose of an AK', { eku: ['2.23.133.8.3'] }, 'ek-purpose'],
    ['keyUsage digitalSignature', { keyUsage: ['digitalSignature'] }, 'ek-profile'],
    ['no subjectAltName', { omit: ['2.5.29.17'], subject: subjectNamed('CN=x') }, 'ek-profile'],
    ['no model', { model: '' }, 'ek-profile'],
    ['a manufacturer that is no id', { manufacturer: 'STM' }, 'ek-profile'],
    ['an expired certificate', { notAfter: new Date(Date.now() - DAY_MS) }, 'ek-expired'],
    ['a certificate of tomorrow', { notBefore: new Date(Date.now() + DAY_MS) }, 'ek-expired'],
    [
      'a malformed extendedKeyUsage',
      { extensions: [{ oid: '2.5.29.37', critical: false, value: hex('0500') }] },
      'ek-malformed',
    ],
    [
      'an unknown critical extension',
      { extensions: [{ oid: '1.2.3', critical: true, value: hex('0500') }] },
      'ek-untrusted',
    ],
  ])('%s is refused', async (_name, options, code) => {
    expect(await codeOf(() => judged(options))).toBe(code);
  });

  test('RSA keys decipher, EC keys agree', async () => {
    expect(await codeOf(() => judged({}, {}, rsaEk))).toBe('accepted');
    expect(await codeOf(() => judged({ keyUsage: ['keyAgreement'] }, {}, rsaEk))).toBe('ek-profile');
    expect(await codeOf(() => judged({ keyUsage: [] }, {}, publicKeyOf(makeKey('ed25519'))))).toBe(
      'ek-key-unsupported',
    );
  });

  test('critical tpmSpecification (SubjectDirectoryAttributes) stands in nobody’s way', async () => {
    const value = hex('3019301706056781050210310e300c0c03322e30020100020200a4');
    expect(await codeOf(() => judged({ extensions: [{ oid: '2.5.29.9', critical: true, value }] }))).toBe('accepted');
  });
});

describe('what an anchor decides', () => {
  test('manufacturer ids it speaks for', async () => {
    expect(await codeOf(() => judged({}, { manufacturers: ['53544d20'] }))).toBe('accepted');
    expect(await codeOf(() => judged({}, { manufacturers: ['49465800'] }))).toBe('ek-manufacturer');
  });

  test('certificates without a purpose: by opt-out, and never another purpose (pitfall 6)', async () => {
    expect(await codeOf(() => judged({ omit: ['2.5.29.37'] }, { requireKeyPurpose: false }))).toBe('accepted');
    expect(await codeOf(() => judged({ eku: ['2.23.133.8.3'] }, { requireKeyPurpose: false }))).toBe('ek-purpose');
  });

  test('expiry (pitfall 6)', async () => {
    const expired = { notBefore: new Date(Date.now() - 20 * 3_600_000), notAfter: new Date(Date.now() - 3_600_000) };
    expect((await judged(expired, { expiry: 'ignore-device' })).findings).toEqual(['ek-expiry-tolerated']);
    const old = maker.root.intermediate({ name: 'CN=Old EK CA', notAfter: expired.notAfter });
    const under = Object.create(maker, { issuer: { value: old } }) as TpmManufacturer;
    const certificates = [under.ekCertificate(ek, expired).der, old.der];
    const by = (expiry: 'ignore-device' | 'ignore-all') => trustedEk({ certificates }, contextWith({ expiry }));
    expect(await codeOf(() => by('ignore-device'))).toBe('ek-expired');
    expect((await by('ignore-all')).findings).toEqual(['ek-expiry-tolerated']);
    const future = { notBefore: new Date(Date.now() + DAY_MS) };
    expect(await codeOf(() => judged(future, { expiry: 'ignore-all' }))).toBe('ek-expired');
  });

  test('no anchor of the purpose, another anchor, a missing intermediate', async () => {
    const { der } = maker.ekCertificate(ek);
    const other = new TpmManufacturer().root.certificate;
    expect(await codeOf(() => trustedEk({ certificates: [der, maker.issuer.der] }, appraisalContext()))).toBe(
      'ek-untrusted',
    );
    const foreign = appraisalContext({ now: new Date(), anchors: [testAnchor('ek', other)] });
    expect(await codeOf(() => trustedEk({ certificates: [der, maker.issuer.der] }, foreign))).toBe('ek-untrusted');
    expect(await codeOf(() => trustedEk({ certificates: [der] }, contextWith()))).toBe('ek-untrusted');
    const asAk = appraisalContext({ now: new Date(), anchors: [testAnchor('attestation-ca', maker.root.certificate)] });
    expect(await codeOf(() => trustedEk({ certificates: [der, maker.issuer.der] }, asAk))).toBe('ek-untrusted');
  });

  test('of several anchors, the refusal that got furthest is told', async () => {
    const { der } = maker.ekCertificate(ek, { notAfter: new Date(Date.now() - 1000) });
    const other = testAnchor('ek', new TpmManufacturer().attestationRoot.certificate);
    const anchors = [testAnchor('ek', maker.root.certificate), other];
    for (const order of [anchors, anchors.toReversed()]) {
      const at = appraisalContext({ now: new Date(), anchors: order });
      expect(await codeOf(() => trustedEk({ certificates: [der, maker.issuer.der] }, at))).toBe('ek-expired');
    }
  });

  test('SHA-1 by opt-in', async () => {
    const sha1 = { signatureAlgorithm: 'ecdsa-with-SHA1' } as const;
    expect(await codeOf(() => judged(sha1))).toBe('ek-sha1');
    expect(await codeOf(() => judged(sha1, { allowSha1: true }))).toBe('accepted');
  });

  test('revoked certificates, of the EK and of its CA', async () => {
    const { certificate } = maker.issuer;
    const identifier = (of: typeof certificate) =>
      Buffer.from(EXTENSIONS.authorityKeyIdentifier.find(of.extensions)!.keyIdentifier!).toString('hex');
    const leaf = maker.ekCertificate(ek);
    for (const of of [leaf, certificate]) {
      const revoked = [`${identifier(of)}/${of.serialNumber}`];
      const context = { ...contextWith(), isRevoked: appraisalContext({ revoked }).isRevoked };
      expect(await codeOf(() => trustedEk({ certificates: [leaf.der, certificate.der] }, context))).toBe('ek-revoked');
    }
  });
});

describe('NV contents (pitfall 6)', () => {
  const { der } = maker.ekCertificate(ek);

  test.each([
    ['as it is', der],
    ['with the header of PC Client', joined(hex('100100'), u16(der.length), der)],
    ['with octets behind', joined(der, new Uint8Array(400).fill(0xff))],
    ['with both', joined(hex('100100'), u16(der.length), der, new Uint8Array(7))],
  ])('%s', async (_name, contents) => {
    expect(Buffer.from(certificateInNv(contents))).toEqual(Buffer.from(der));
    expect(await codeOf(() => trustedEk({ certificates: [contents, maker.issuer.der] }, contextWith()))).toBe(
      'accepted',
    );
  });

  test.each([
    ['nothing', new Uint8Array()],
    ['an empty index', new Uint8Array(1000).fill(0xff)],
    ['less than the certificate says', der.subarray(0, -1)],
    ['a header with nothing behind it', hex('1001000010')],
    ['more than any index holds', new Uint8Array(16_385).fill(0x30)],
  ])('%s is refused', async (_name, contents) => {
    expect(await codeOf(() => certificateInNv(contents))).toBe('ek-malformed');
  });
});

describe('which key it is', () => {
  test('the manifest vouches for a key without certificate, and for one whose certificate does not convince', async () => {
    const listed = { ...contextWith(), isAllowedKey: async (_kind: 'ek', sha256: string) => sha256 === spkiSha256(ek) };
    expect(await trustedEk({ publicKey: ek.der, certificates: [] }, listed)).toMatchObject({
      identity: undefined,
      findings: [],
    });
    const expired = maker.ekCertificate(ek, { notAfter: new Date(Date.now() - 1000) }).der;
    const trusted = await trustedEk({ certificates: [expired, maker.issuer.der] }, listed);
    expect(trusted).toMatchObject({ identity: undefined, findings: ['ek-expired'] });
    expect(await codeOf(() => trustedEk({ publicKey: rsaEk.der, certificates: [] }, listed))).toBe('ek-not-allowed');
  });

  test('key, certificate and public area are of one EK', async () => {
    const { der } = maker.ekCertificate(ek);
    const mixed = { publicKey: rsaEk.der, certificates: [der, maker.issuer.der] };
    expect(await codeOf(() => trustedEk(mixed, contextWith()))).toBe('ek-key-mismatch');
    const area = { certificates: [der, maker.issuer.der], publicArea: hex(FIXTURES.ekPubArea) };
    expect(await codeOf(() => trustedEk(area, contextWith()))).toBe('ek-key-mismatch');
    expect(await codeOf(() => trustedEk({ certificates: [] }, contextWith()))).toBe('ek-missing');
    expect(await codeOf(() => trustedEk({ publicKey: hex('3000'), certificates: [] }, contextWith()))).toBe(
      'ek-malformed',
    );
    const offCurve = ek.der.map((octet, index) => (index === ek.der.length - 1 ? octet ^ 1 : octet));
    expect(await codeOf(() => trustedEk({ publicKey: offCurve, certificates: [] }, contextWith()))).toBe('ek-key-weak');
    const many = Array.from({ length: 17 }, () => der);
    expect(await codeOf(() => trustedEk({ certificates: many }, contextWith()))).toBe('ek-malformed');
  });

  test('of several EK certificates, the one of the key counts', async () => {
    const certificates = [maker.ekCertificate(rsaEk).der, maker.ekCertificate(ek).der, maker.issuer.der];
    const trusted = await trustedEk({ publicKey: ek.der, certificates }, contextWith());
    expect(trusted.sha256).toBe(spkiSha256(ek));
  });
});
