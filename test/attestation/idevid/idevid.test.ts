import { generateKeyPairSync } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { encode } from '../../../core/asn1/codec.ts';
import { implicit, octetString, oid, sequence } from '../../../core/asn1/schema.ts';
import { type Certificate, parseCertificate } from '../../../core/x509/certificate.ts';
import { type Extension, EXTENSIONS } from '../../../core/x509/extensions.ts';
import { EXTENSION, OTHER_NAME } from '../../../core/x509/oids.ts';
import { keyIdentifier, spkiSha256 } from '../../../core/x509/public-key.ts';
import {
  type AnchorSettings,
  DEFAULT_ANCHOR_SETTINGS,
  type TrustAnchor,
} from '../../../devices/attestation/anchors.ts';
import { EvidenceFault } from '../../../devices/attestation/findings.ts';
import { verifyIdevid } from '../../../devices/attestation/idevid/verification.ts';
import { appraiseIdevid } from '../../../devices/attestation/idevid/verifier.ts';
import type { VerifiedEvidence } from '../../../devices/attestation/verifier.ts';
import { appraisalContext, testAnchor } from '../../fakes/appraisal-context.ts';
import { type FactoryDevice, rsaManufacturer, TestManufacturer } from '../../fakes/test-manufacturer.ts';
import type { CertificateOptions } from '../../support/test-pki.ts';

const NOW = new Date('2026-11-22T12:00:00Z');
const LONG_AGO = { notBefore: new Date('2001-01-01T00:00:00Z'), notAfter: new Date('2011-01-01T00:00:00Z') };

let maker: TestManufacturer;
beforeAll(() => {
  maker = new TestManufacturer();
});

describe('an IDevID', () => {
  it('names the device, its key and its maker', () => {
    const device = maker.device('FOC2034X0AB');
    expect(verified(device, { manufacturer: 'Example Networks' })).toEqual({
      attestedPublicKey: undefined,
      identifiers: {
        'serial-number': 'FOC2034X0AB',
        'idevid-sha256': spkiSha256(device.idevid.certificate.publicKey),
        manufacturer: 'Example Networks',
      },
      claims: {},
      findings: [],
    });
  });

  it('needs neither keyUsage nor extendedKeyUsage nor basicConstraints (RFC 8995 §2.3)', () => {
    const omit = [EXTENSION.keyUsage, EXTENSION.basicConstraints];
    expect(verified(maker.device('A1', { omit })).identifiers['serial-number']).toBe('A1');
  });

  it('of an unknown maker is nobody, and so is one that only says its name', () => {
    const stranger = new TestManufacturer({ name: 'Other' }).device('A1');
    expect(verifyIdevid(chainOf(stranger), [anchorOf(maker)], NOW)).toBeUndefined();
    const impostor = new TestManufacturer().device('A1');
    expect(refusal(() => verifyIdevid(chainOf(impostor), [anchorOf(maker)], NOW))).toMatchObject({
      code: 'idevid-signature-invalid',
    });
  });

  it.each<[string, CertificateOptions, string]>([
    ['that is a CA', { extensions: [EXTENSIONS.basicConstraints.encode({ cA: true })] }, 'idevid-profile'],
    ['without a subject', { subject: { rdns: [], der: Uint8Array.of(0x30, 0) } }, 'idevid-profile'],
    ['whose key may not sign', { keyUsage: ['keyEncipherment'] }, 'idevid-profile'],
    ['without a serial number', { subject: 'CN=A1' }, 'idevid-serial-number'],
    ['with two serial numbers', { subject: 'serialNumber=A1,serialNumber=A2' }, 'idevid-serial-number'],
    ['with a serial number beyond bounds', { subject: `serialNumber=${'A'.repeat(65)}` }, 'idevid-serial-number'],
    ['that is not valid yet', { notBefore: new Date('2030-01-01T00:00:00Z') }, 'idevid-not-yet-valid'],
    [
      'with an unknown critical extension',
      { extensions: [{ oid: '1.3.6.1.4.1.99999.1', critical: true, value: Uint8Array.of(5, 0) }] },
      'idevid-path-invalid',
    ],
    [
      'with a subjectAltName that is none',
      { extensions: [{ oid: EXTENSION.subjectAltName, critical: false, value: Uint8Array.of(5, 0) }] },
      'idevid-path-invalid',
    ],
  ])('%s is refused', (_, options, code) => {
    expect(refusal(() => verified(maker.device('A1', options)))).toMatchObject({ code });
  });

  it('of RSA is read like any other, and refused where its key is short', () => {
    const legacy = rsaManufacturer();
    const under = (device: FactoryDevice): unknown =>
      verifyIdevid(chainOf(device), [anchorOf(legacy)], NOW)?.evidence.findings;
    expect(under(legacy.device('A1', { key: 'rsa-2048' }))).toEqual([]);
    const short = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey;
    expect(refusal(() => under(legacy.device('A1', { key: short })))).toMatchObject({ code: 'idevid-key-weak' });
  });

  it('comes with at most eight certificates', () => {
    const device = maker.device('A1');
    const many = [...chainOf(device), ...Array.from({ length: 7 }, () => maker.intermediate.certificate)];
    expect(refusal(() => verifyIdevid(many, [anchorOf(maker)], NOW))).toMatchObject({ code: 'idevid-malformed' });
    expect(refusal(() => verifyIdevid([], [anchorOf(maker)], NOW))).toMatchObject({ code: 'idevid-malformed' });
  });

  it('is found under the right one of several anchors', () => {
    const other = new TestManufacturer({ name: 'Other' });
    const namesake = new TestManufacturer();
    const device = maker.device('A1');
    const anchors = [anchorOf(other), anchorOf(namesake), anchorOf(maker, { manufacturer: 'right' })];
    expect(verifyIdevid(chainOf(device), anchors, NOW)?.evidence.identifiers.manufacturer).toBe('right');
  });

  it('tells what TCG policies vouch for', () => {
    const policies = ['2.23.133.11.1.1', '2.23.133.11.1.2', '1.2.3.4'].map((policyIdentifier) => ({
      policyIdentifier,
    }));
    const device = maker.device('A1', { extensions: [EXTENSIONS.certificatePolicies.encode(policies)] });
    expect(verified(device).claims).toEqual({ 'tpm-residency-verified': true, 'tpm-fixed-verified': true });
  });

  it('that was revoked is refused, and so is one below a revoked line', async () => {
    const device = maker.device('A1', { serialNumber: '0a0b' });
    const keyId = (of: Certificate): string => Buffer.from(keyIdentifier(of.publicKey)).toString('hex');
    const appraised = (revoked: readonly string[]): Promise<unknown> =>
      appraiseIdevid(chainOf(device), appraisalContext({ now: NOW, revoked, anchors: [anchorOf(maker)] }));
    await expect(appraised([])).resolves.toMatchObject({ identifiers: { 'serial-number': 'A1' } });
    await expect(appraised([`${keyId(maker.intermediate.certificate)}/0a0b`])).rejects.toMatchObject({
      code: 'idevid-revoked',
    });
    const line = `${keyId(maker.root.certificate)}/${maker.intermediate.certificate.serialNumber}`;
    await expect(appraised([line])).rejects.toMatchObject({ code: 'idevid-revoked' });
  });
});

describe('the end of an IDevID', () => {
  const lastYear = new Date('2025-01-01T00:00:00Z');

  it('never comes at 9999-12-31T23:59:59Z', () => {
    expect(verified(maker.device('A1')).findings).toEqual([]);
  });

  it('is what the anchor makes of it', () => {
    const device = maker.device('A1', { notAfter: lastYear });
    expect(refusal(() => verified(device))).toMatchObject({ code: 'idevid-expired' });
    expect(verified(device, { expiry: 'ignore-device' }).findings).toEqual(['idevid-expired']);
    expect(verified(device, { expiry: 'ignore-all' }).findings).toEqual(['idevid-expired']);
    expect(verified(maker.device('A2'), { expiry: 'ignore-device' }).findings).toEqual([]);
  });

  it('of its line, or its root, is overlooked by ignore-all alone', () => {
    for (const part of ['intermediate', 'root'] as const) {
      const old = new TestManufacturer({ [part]: LONG_AGO });
      const device = old.device('A1');
      const under = (expiry: AnchorSettings['idevid']['expiry']): unknown =>
        verifyIdevid(chainOf(device), [anchorOf(old, { expiry })], NOW)?.evidence.findings;
      expect(refusal(() => under('enforce'))).toMatchObject({ code: 'idevid-expired' });
      expect(refusal(() => under('ignore-device'))).toMatchObject({ code: 'idevid-expired' });
      expect(under('ignore-all')).toEqual(['idevid-expired']);
    }
  });

  it('is overlooked, its beginning is not', () => {
    const device = maker.device('A1', {
      notBefore: new Date('2027-01-01T00:00:00Z'),
      notAfter: new Date('2028-01-01T00:00:00Z'),
    });
    expect(refusal(() => verified(device, { expiry: 'ignore-all' }))).toMatchObject({ code: 'idevid-not-yet-valid' });
  });
});

describe('SHA-1', () => {
  it('counts where the anchor says so, and nowhere else', () => {
    const legacy = new TestManufacturer({
      root: { key: 'rsa-2048' },
      intermediate: { key: 'rsa-2048', signatureAlgorithm: 'sha1WithRSAEncryption' },
    });
    const device = legacy.device('A1', { key: 'rsa-2048', signatureAlgorithm: 'sha1WithRSAEncryption' });
    expect(refusal(() => verifyIdevid(chainOf(device), [anchorOf(legacy)], NOW))).toMatchObject({
      code: 'idevid-signature-weak',
    });
    expect(verifyIdevid(chainOf(device), [anchorOf(legacy, { allowSha1: true })], NOW)).toBeDefined();
  });
});

describe('the serial number', () => {
  const hwModule = (text: string): CertificateOptions => ({ san: [`hwmodule:${text}`] });

  it.each<[string, AnchorSettings['idevid']['serialExtractor'], CertificateOptions, object]>([
    ['in the subject', { kind: 'subject-serial-number' }, {}, { 'serial-number': 'A1' }],
    [
      'behind a prefix in the CN',
      { kind: 'common-name-prefix', prefix: 'AP-' },
      { subject: 'CN=AP-00:11:22,O=x' },
      { 'serial-number': '00:11:22' },
    ],
    [
      'in the one CN with the prefix',
      { kind: 'common-name-prefix', prefix: 'SN=' },
      { subject: 'CN=SN\\=77,CN=router' },
      { 'serial-number': '77' },
    ],
    [
      'of Cisco, with the model',
      { kind: 'pid-sn' },
      { subject: 'serialNumber=PID:C9300-48U SN:FCW2233G0AB,CN=C9300' },
      { 'serial-number': 'FCW2233G0AB', model: 'C9300-48U' },
    ],
    [
      'of the hardware module, as text',
      { kind: 'hardware-module-name' },
      hwModule('1.3.6.1.4.1.99999.7;53 4e 31'.replaceAll(' ', '')),
      { 'serial-number': 'SN1', 'hardware-module': '1.3.6.1.4.1.99999.7;534e31' },
    ],
    [
      'of the hardware module, as hex',
      { kind: 'hardware-module-name' },
      hwModule('2.23.133.1.2;00ff'),
      { 'serial-number': '00ff', 'hardware-module': '2.23.133.1.2;00ff' },
    ],
    [
      'beside other names',
      { kind: 'subject-serial-number' },
      { san: ['hwmodule:1.2.3.4;0a', 'permanentid:urn:x;1.2.3'] },
      { 'hardware-module': '1.2.3.4;0a', 'permanent-identifier': 'urn:x/1.2.3' },
    ],
  ])('is found %s', (_, serialExtractor, options, identifiers) => {
    expect(verified(maker.device('A1', options), { serialExtractor }).identifiers).toMatchObject(identifiers);
  });

  it.each<[string, AnchorSettings['idevid']['serialExtractor'], CertificateOptions]>([
    ['without the prefix', { kind: 'common-name-prefix', prefix: 'AP-' }, { subject: 'CN=XX-1' }],
    ['with nothing behind it', { kind: 'common-name-prefix', prefix: 'AP-' }, { subject: 'CN=AP-' }],
    ['with the prefix twice', { kind: 'common-name-prefix', prefix: 'AP-' }, { subject: 'CN=AP-1,CN=AP-2' }],
    ['without SN', { kind: 'pid-sn' }, { subject: 'serialNumber=PID:C9300-48U' }],
    ['with something before PID', { kind: 'pid-sn' }, { subject: 'serialNumber=x PID:C9300-48U SN:FCW' }],
    ['without a hardware module', { kind: 'hardware-module-name' }, {}],
    [
      'with two hardware modules',
      { kind: 'hardware-module-name' },
      { san: ['hwmodule:1.2.3;0a', 'hwmodule:1.2.3;0b'] },
    ],
  ])('is missed %s', (_, serialExtractor, options) => {
    expect(refusal(() => verified(maker.device('A1', options), { serialExtractor }))).toMatchObject({
      code: 'idevid-serial-number',
    });
  });

  it('of a hardware module is read as OCTET STRING (04) and as [4] (84), as a Go library writes it', () => {
    const tagged = sequence('HardwareModuleName', { hwType: oid, hwSerialNum: implicit(4, octetString) });
    const value = encode(tagged, { hwType: '2.23.133.1.2', hwSerialNum: Buffer.from('SN84') });
    expect(value.includes(0x84)).toBe(true);
    const san: Extension = EXTENSIONS.subjectAltName.encode([
      { kind: 'otherName', value: { typeId: OTHER_NAME.hardwareModuleName, value } },
    ]);
    const settings = { serialExtractor: { kind: 'hardware-module-name' } } as const;
    expect(verified(maker.device('A1', { extensions: [san] }), settings).identifiers['serial-number']).toBe('SN84');
    expect(verified(maker.device('A1', hwModule('2.23.133.1.2;534e3034')), settings).identifiers['serial-number']).toBe(
      'SN04',
    );
  });

  it('of a hardware module counts for the kinds of hardware that the anchor speaks for', () => {
    const device = maker.device('A1', hwModule('1.3.6.1.4.1.99999.7;0a'));
    expect(verified(device, { hardwareTypes: ['1.3.6.1.4.1.99999'] }).findings).toEqual([]);
    expect(verified(device, { hardwareTypes: ['1.3.6.1.4.1.99999.7'] }).findings).toEqual([]);
    expect(refusal(() => verified(device, { hardwareTypes: ['1.3.6.1.4.1.9999'] }))).toMatchObject({
      code: 'idevid-hardware-type',
    });
  });
});

describe('a device that issues its own', () => {
  it('stands below its maker by the CA certificate that the maker gave it', () => {
    const own = maker.root.intermediate({ name: 'CN=Embedded CA of A1,serialNumber=A1' });
    const alias = own.leaf({ subject: 'serialNumber=A1,CN=alias' });
    const chain = [alias.certificate, own.certificate];
    expect(verifyIdevid(chain, [anchorOf(maker)], NOW)?.evidence.identifiers['serial-number']).toBe('A1');
  });

  it('cannot below a line that may not have CAs below it', () => {
    const own = maker.intermediate.intermediate({ name: 'CN=Rogue' });
    const chain = [
      own.leaf({ subject: 'serialNumber=A1' }).certificate,
      own.certificate,
      maker.intermediate.certificate,
    ];
    expect(refusal(() => verifyIdevid(chain, [anchorOf(maker)], NOW))).toMatchObject({
      code: 'idevid-path-invalid',
      detail: expect.stringContaining('path-length'),
    });
  });
});

function anchorOf(of: TestManufacturer, settings: Partial<AnchorSettings['idevid']> = {}): TrustAnchor<'idevid'> {
  return testAnchor('idevid', of.root.certificate, {
    ...DEFAULT_ANCHOR_SETTINGS.idevid,
    ...settings,
  }) as TrustAnchor<'idevid'>;
}

function chainOf(device: FactoryDevice): readonly Certificate[] {
  return device.chain.map((der) => parseCertificate(der));
}

function verified(device: FactoryDevice, settings: Partial<AnchorSettings['idevid']> = {}): VerifiedEvidence {
  return verifyIdevid(chainOf(device), [anchorOf(maker, settings)], NOW)!.evidence;
}

function refusal(verify: () => unknown): EvidenceFault {
  try {
    verify();
  } catch (error) {
    if (error instanceof EvidenceFault) return error;
    throw error;
  }
  return expect.fail('the certificate was accepted');
}
