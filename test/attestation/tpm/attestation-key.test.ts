import { describe, expect, test } from 'vitest';
import { EXTENSIONS } from '../../../core/x509/extensions.ts';
import { OTHER_NAME } from '../../../core/x509/oids.ts';
import type { Certificate } from '../../../core/x509/certificate.ts';
import { keyIdentifier } from '../../../core/x509/public-key.ts';
import { toHex } from '../../../core/x509/octets.ts';
import { trustedAttestationKey } from '../../../devices/attestation/tpm/attestation-key.ts';
import { ekSha256OfUri, ekUri } from '../../../devices/attestation/tpm/ek-uri.ts';
import type { AppraisalContext, KnownAttestationKey } from '../../../devices/attestation/verifier.ts';
import { appraisalContext, testAnchor } from '../../fakes/appraisal-context.ts';
import {
  hardwareModule,
  named,
  permanentIdentifier,
  subjectNamed,
  type TpmCertificateOptions,
  TpmManufacturer,
} from '../../fakes/tpm-manufacturer.ts';
import { makeKey, publicKeyOf } from '../../support/test-pki.ts';
import { codeOf, FIXTURE_TIME, FIXTURES, hex } from './tpm-fixtures.ts';
import { parseCertificate } from '../../../core/x509/certificate.ts';

const maker = new TpmManufacturer();
const akKey = publicKeyOf(makeKey());
const EK_SHA256 = '11'.repeat(32);
const qualifiedSigner = new Uint8Array(34).fill(7);

function context(known?: KnownAttestationKey): AppraisalContext {
  return {
    ...appraisalContext({
      now: new Date(),
      anchors: [testAnchor('attestation-ca', maker.attestationRoot.certificate)],
    }),
    knownAttestationKey: async (name) => (toHex(name) === toHex(qualifiedSigner) ? known : undefined),
  };
}

function trusted(certificates: readonly Certificate[], known?: KnownAttestationKey) {
  return trustedAttestationKey({ certificates, qualifiedSigner }, context(known));
}

describe('certificate', () => {
  test('of the fixtures: identifiers, and the chip as claims', async () => {
    const { akCert, attestationCaRoot } = FIXTURES.acme;
    const root = parseCertificate(hex(attestationCaRoot));
    const at = appraisalContext({ now: FIXTURE_TIME, anchors: [testAnchor('attestation-ca', root)] });
    const found = await trustedAttestationKey({ certificates: [parseCertificate(hex(akCert))], qualifiedSigner }, at);
    expect(found.identifiers).toEqual({
      'permanent-identifier': 'DEV-0001',
      'hardware-module': `2.23.133.1.2;${Buffer.from('DEV-0001').toString('hex')}`,
    });
    expect(found.claims).toMatchObject({ 'tpm-manufacturer': '49424D00', 'tpm-vendor': 'IBM', 'tpm-model': 'SW  TPM' });
  });

  test('names its EK by URI', async () => {
    const certificate = maker.akCertificate(akKey, { names: [named(`uri:${ekUri(EK_SHA256)}`)] });
    expect((await trusted([certificate])).identifiers).toEqual({ 'ek-sha256': EK_SHA256 });
    expect(ekSha256OfUri('urn:ek:sha256:AAAA')).toBeUndefined();
    expect(ekSha256OfUri('urn:other')).toBeUndefined();
  });

  test.each<readonly [string, TpmCertificateOptions, string]>([
    ['a subject', { subject: subjectNamed('CN=ak') }, 'ak-profile'],
    ['no extendedKeyUsage', { omit: ['2.5.29.37'] }, 'ak-purpose'],
    ['the purpose of an EK', { eku: ['2.23.133.8.1'] }, 'ak-purpose'],
    ['a CA', { extensions: [EXTENSIONS.basicConstraints.encode({ cA: true })] }, 'ak-purpose'],
    ['no model', { model: '' }, 'ak-profile'],
    ['keyUsage keyEncipherment', { keyUsage: ['keyEncipherment'] }, 'ak-profile'],
    ['an expired one', { notAfter: new Date(Date.now() - 1000) }, 'ak-expired'],
    [
      'a malformed keyUsage',
      { extensions: [{ oid: '2.5.29.15', critical: true, value: hex('0500') }] },
      'ak-malformed',
    ],
    ['SHA-1', { signatureAlgorithm: 'ecdsa-with-SHA1' }, 'ak-untrusted'],
  ])('%s is refused', async (_name, options, code) => {
    expect(await codeOf(() => trusted([maker.akCertificate(akKey, options)]))).toBe(code);
  });

  test('an IAK has a subject and names its TPM by hwType', async () => {
    const policies = EXTENSIONS.certificatePolicies.encode([
      { policyIdentifier: '2.23.133.11.1.3', policyQualifiers: undefined },
    ]);
    const iak = (names: TpmCertificateOptions['names']) =>
      maker.akCertificate(akKey, {
        subject: subjectNamed('serialNumber=SN-1'),
        extensions: [policies, EXTENSIONS.subjectAltName.encode(names!)],
      });
    const found = await trusted([iak([hardwareModule('2.23.133.1.2', 'SN-1')])]);
    expect(found.identifiers).toEqual({ 'hardware-module': '2.23.133.1.2;534e2d31' });
    expect(await codeOf(() => trusted([iak([hardwareModule('1.2.3', 'SN-1')])]))).toBe('ak-profile');
  });

  test('hwSerialNum as OCTET STRING and as [4] (pitfall 8)', async () => {
    const value = (tag: string) => hex(`300e06056781050102${tag}0553 4e2d31 30`.replaceAll(' ', ''));
    for (const tag of ['04', '84']) {
      const module = {
        kind: 'otherName',
        value: { typeId: OTHER_NAME.hardwareModuleName, value: value(tag) },
      } as const;
      const { identifiers } = await trusted([maker.akCertificate(akKey, { names: [module] })]);
      expect(identifiers).toEqual({ 'hardware-module': '2.23.133.1.2;534e2d3130' });
    }
  });

  test('the one among unordered others', async () => {
    const certificate = maker.akCertificate(akKey);
    const found = await trusted([maker.attestationRoot.certificate, maker.issuer.certificate, certificate]);
    expect(toHex(found.publicKey.der)).toBe(toHex(akKey.der));
    expect(await codeOf(() => trusted([certificate, maker.akCertificate(publicKeyOf(makeKey()))]))).toBe('ak-purpose');
    expect(await codeOf(() => trusted([maker.attestationRoot.certificate]))).toBe('ak-purpose');
  });

  test('under another CA, and revoked', async () => {
    const foreign = new TpmManufacturer().akCertificate(akKey);
    expect(await codeOf(() => trusted([foreign]))).toBe('ak-untrusted');
    const certificate = maker.akCertificate(akKey);
    const issuer = toHex(keyIdentifier(maker.attestationRoot.certificate.publicKey));
    const revoked = appraisalContext({ revoked: [`${issuer}/${certificate.serialNumber}`] });
    const withRevoked = { ...context(), isRevoked: revoked.isRevoked };
    const judged = () => trustedAttestationKey({ certificates: [certificate], qualifiedSigner }, withRevoked);
    expect(await codeOf(judged)).toBe('ak-revoked');
  });
});

describe('activated here', () => {
  const known: KnownAttestationKey = {
    publicKey: akKey,
    identifiers: { 'ek-sha256': EK_SHA256 },
    claims: { 'tpm-model': 'ST33' },
    revocable: [],
  };

  test('needs no certificate, and its own may be of any CA', async () => {
    const { revocable: _none, ...said } = known;
    expect(await trusted([], known)).toEqual({ ...said, findings: [] });
    const own = new TpmManufacturer().akCertificate(akKey, { names: [permanentIdentifier('x')] });
    expect((await trusted([own], known)).identifiers).toEqual({ 'ek-sha256': EK_SHA256 });
  });

  test('is not believed of a certificate over another key', async () => {
    const other = new TpmManufacturer().akCertificate(publicKeyOf(makeKey()));
    expect(await codeOf(() => trusted([other], known))).toBe('ak-untrusted');
  });

  test('falls with the certificate of its EK', async () => {
    const revocable = [{ issuerKeyId: 'aa', serialNumber: '01' }];
    const at = { ...context({ ...known, revocable }), isRevoked: appraisalContext({ revoked: ['aa/01'] }).isRevoked };
    expect(await codeOf(() => trustedAttestationKey({ certificates: [], qualifiedSigner }, at))).toBe('ek-revoked');
  });

  test('a bare key proves nothing', async () => {
    expect(await codeOf(() => trusted([]))).toBe('ak-unknown');
  });
});
