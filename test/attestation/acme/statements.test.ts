import { beforeAll, describe, expect, it } from 'vitest';
import type { EvidenceType } from '../../../core/enrollment/attestation-policy.ts';
import { EXTENSIONS } from '../../../core/x509/extensions.ts';
import { acmeVerifier } from '../../../devices/attestation/acme/verifier.ts';
import type { AnchorSettings } from '../../../devices/attestation/anchors.ts';
import type { VerifiedEvidence } from '../../../devices/attestation/verifier.ts';
import { appraisalContext, type ContextOptions, testAnchor } from '../../fakes/appraisal-context.ts';
import {
  androidCertificate,
  androidStatement,
  appleCertificate,
  type AppleDevice,
  type AndroidKey,
  attestationObject,
  AttestationVendor,
  keyDescriptionExtension,
  managedDeviceCertificate,
  rawEcdsa,
  stepStatement,
  yubikeyCertificate,
} from '../../fakes/attestation-objects.ts';
import { type IssuedCertificate, makeKey, type TestAuthority, type TestKeyKind } from '../../support/test-pki.ts';

const TOKEN = 'DGyRejmCefe7v4NfDGDKfA';
const KEY_AUTHORIZATION = `${TOKEN}.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI`;
const NOW = new Date();

let vendor: AttestationVendor;
beforeAll(() => {
  vendor = new AttestationVendor('Example');
});

describe('format step', () => {
  const appraised = (statement: object, options: ContextOptions = {}): Promise<VerifiedEvidence> =>
    appraise('acme-step', statement, { anchors: [testAnchor('attestation-ca', vendor.root.certificate)], ...options });

  it.each<TestKeyKind>(['ec-p256', 'ec-p384', 'rsa-2048', 'ed25519'])(
    'attests the key of a YubiKey (%s)',
    async (kind) => {
      const device = yubikeyCertificate(vendor, 7_890_123, { key: makeKey(kind) });
      const evidence = await appraised(stepStatement(vendor, device, KEY_AUTHORIZATION));
      expect(evidence.attestedPublicKey!.der).toEqual(device.certificate.publicKey.der);
      expect(evidence.identifiers).toEqual({ 'serial-number': '7890123', manufacturer: 'Yubico' });
    },
  );

  it('attests the key of a managed device', async () => {
    const device = managedDeviceCertificate(vendor, 'PF-1234');
    const { identifiers } = await appraised(stepStatement(vendor, device, KEY_AUTHORIZATION));
    expect(identifiers).toEqual({ 'serial-number': 'PF-1234' });
  });

  it.each<[string, (device: IssuedCertificate) => object, string]>([
    [
      'over another key authorization',
      (device) => stepStatement(vendor, device, `${KEY_AUTHORIZATION}x`),
      'acme-signature-invalid',
    ],
    [
      'by another key',
      (device) => stepStatement(vendor, device, KEY_AUTHORIZATION, makeKey()),
      'acme-signature-invalid',
    ],
    [
      'as r and s',
      (device) => ({
        ...stepStatement(vendor, device, KEY_AUTHORIZATION),
        sig: Uint8Array.of(0x58, 64, ...rawEcdsa(device.privateKey, Buffer.from(KEY_AUTHORIZATION))),
      }),
      'acme-signature-invalid',
    ],
    [
      'by an algorithm with SHA-1',
      (device) => ({ ...stepStatement(vendor, device, KEY_AUTHORIZATION), alg: -65535 }),
      'acme-signature-invalid',
    ],
    [
      'that is not wrapped',
      (device) => ({ ...stepStatement(vendor, device, KEY_AUTHORIZATION), sig: new Uint8Array(70) }),
      'acme-object-malformed',
    ],
    ['that is not there', (device) => ({ x5c: vendor.chainOf(device), alg: -7 }), 'acme-object-malformed'],
  ])('is refused with a signature %s', async (_, statementOf, code) => {
    await expect(appraised(statementOf(yubikeyCertificate(vendor, 1)))).rejects.toMatchObject({ code });
  });

  it('is refused where nobody vouches, or nothing names the device', async () => {
    const device = yubikeyCertificate(vendor, 1);
    const statement = stepStatement(vendor, device, KEY_AUTHORIZATION);
    await expect(appraised(statement, { anchors: [] })).rejects.toMatchObject({ code: 'acme-path-invalid' });
    const unnamed = vendor.intermediate.leaf({});
    await expect(appraised(stepStatement(vendor, unnamed, KEY_AUTHORIZATION))).rejects.toMatchObject({
      code: 'acme-identifier-missing',
    });
  });

  it('is judged by the expiry rule of its anchor, and by what was revoked', async () => {
    const device = yubikeyCertificate(vendor, 1, {
      notAfter: new Date(NOW.getTime() - 3_600_000),
      serialNumber: '0a0b',
    });
    const statement = stepStatement(vendor, device, KEY_AUTHORIZATION);
    await expect(appraised(statement)).rejects.toMatchObject({
      code: 'acme-path-invalid',
      detail: expect.stringContaining('expired'),
    });
    const lenient = [testAnchor('attestation-ca', vendor.root.certificate, { expiry: 'ignore-device' })];
    expect((await appraised(statement, { anchors: lenient })).findings).toEqual(['acme-certificate-expired']);
    const revoked = [`${keyIdOf(vendor.intermediate)}/0a0b`];
    await expect(appraised(statement, { anchors: lenient, revoked })).rejects.toMatchObject({ code: 'acme-revoked' });
  });
});

describe('format apple', () => {
  const appraised = (device: AppleDevice, options: ContextOptions = {}): Promise<VerifiedEvidence> =>
    appraise(
      'acme-apple',
      { x5c: vendor.chainOf(appleCertificate(vendor, device)) },
      { anchors: [testAnchor('apple', vendor.root.certificate)], ...options },
    );

  it.each([false, true])('attests a key fresh for the token (values wrapped: %s)', async (wrapped) => {
    const evidence = await appraised({ serialNumber: 'C02ABC', udid: '00008110-001', token: TOKEN, wrapped });
    expect(evidence.identifiers).toEqual({
      manufacturer: 'Apple',
      'serial-number': 'C02ABC',
      'permanent-identifier': '00008110-001',
    });
    expect(evidence.claims).toEqual({ 'os-version': '18.1' });
    expect(evidence.attestedPublicKey!.algorithm).toEqual({ kind: 'ec', curve: 'P-384' });
  });

  it('does with a serial number alone', async () => {
    expect((await appraised({ serialNumber: 'C02ABC', token: TOKEN })).identifiers).toEqual({
      manufacturer: 'Apple',
      'serial-number': 'C02ABC',
    });
  });

  it('is refused without the freshness extension, or with that of another challenge', async () => {
    await expect(appraised({ serialNumber: 'C02ABC' })).rejects.toMatchObject({ code: 'nonce-missing' });
    await expect(appraised({ serialNumber: 'C02ABC', token: 'other' })).rejects.toMatchObject({
      code: 'nonce-mismatch',
    });
    await expect(appraised({ serialNumber: 'C02ABC', token: KEY_AUTHORIZATION })).rejects.toMatchObject({
      code: 'nonce-mismatch',
    });
  });

  it('is refused where it names no device (User Enrollment), or by octets that are no text', async () => {
    await expect(appraised({ token: TOKEN })).rejects.toMatchObject({ code: 'acme-identifier-missing' });
    await expect(appraised({ serialNumber: 'C02\u0000', token: TOKEN })).rejects.toMatchObject({
      code: 'acme-object-malformed',
    });
  });

  it('is refused where Apple does not vouch', async () => {
    const anchors = [testAnchor('apple', new AttestationVendor('Other').root.certificate)];
    await expect(appraised({ serialNumber: 'C02ABC', token: TOKEN }, { anchors })).rejects.toMatchObject({
      code: 'acme-path-invalid',
    });
    const elsewhere = [testAnchor('android', vendor.root.certificate)];
    await expect(appraised({ serialNumber: 'C02ABC', token: TOKEN }, { anchors: elsewhere })).rejects.toMatchObject({
      code: 'acme-path-invalid',
    });
  });
});

describe('format android-key', () => {
  const challenge = Buffer.from(KEY_AUTHORIZATION);
  const right: AndroidKey = { challenge, serialNumber: 'R58M1' };
  const appraised = (
    key: AndroidKey,
    settings: Partial<AnchorSettings['android']> = {},
    options: ContextOptions = {},
  ): Promise<VerifiedEvidence> =>
    appraise('acme-android-key', androidStatement(vendor, androidCertificate(vendor, key), KEY_AUTHORIZATION), {
      anchors: [testAnchor('android', vendor.root.certificate, settings)],
      ...options,
    });

  it('attests a key of the hardware', async () => {
    const { identifiers, claims } = await appraised(right);
    expect(identifiers).toEqual({
      'serial-number': 'R58M1',
      manufacturer: 'Example',
      model: 'Phone 1',
    });
    expect(claims).toEqual({
      'security-level': 'trusted-environment',
      'os-version': 150_000,
      'os-patch-level': 202_611,
    });
  });

  it.each<[string, Partial<AndroidKey>, string]>([
    ['another challenge', { challenge: Buffer.from(TOKEN) }, 'nonce-mismatch'],
    ['an attestation by software', { securityLevel: 0 }, 'android-security-level'],
    ['a key in software', { keyMintSecurityLevel: 0 }, 'android-security-level'],
    ['an unknown level', { securityLevel: 7 }, 'android-security-level'],
    ['a key that was imported', { origin: 2 }, 'android-key-imported'],
    ['an unlocked device', { locked: false }, 'android-boot-unverified'],
    ['a system that was not verified', { bootState: 2 }, 'android-boot-unverified'],
    ['no serial number', { serialNumber: undefined }, 'acme-identifier-missing'],
    ['a serial number that software says', { inSoftware: true }, 'acme-identifier-missing'],
  ])('is refused with %s', async (_, change, code) => {
    await expect(appraised({ ...right, ...change })).rejects.toMatchObject({ code });
  });

  it('is as strict as its anchor', async () => {
    await expect(appraised(right, { minimumSecurityLevel: 'strongbox' })).rejects.toMatchObject({
      code: 'android-security-level',
    });
    await expect(
      appraised({ ...right, securityLevel: 2 }, { minimumSecurityLevel: 'strongbox' }),
    ).resolves.toBeDefined();
    await expect(appraised({ ...right, locked: false }, { requireVerifiedBoot: false })).resolves.toBeDefined();
  });

  it('is refused where an attested key attests another: the description nearest the root counts', async () => {
    const attested = vendor.intermediate.intermediate({
      name: 'CN=Android Keystore Key',
      extensions: [keyDescriptionExtension(right)],
    });
    const forged = attested.leaf({ extensions: [keyDescriptionExtension({ ...right, serialNumber: 'FORGED' })] });
    const statement = {
      ...androidStatement(vendor, forged, KEY_AUTHORIZATION),
      x5c: [forged.der, attested.der, vendor.intermediate.der],
    };
    const anchors = [testAnchor('android', vendor.root.certificate)];
    await expect(appraise('acme-android-key', statement, { anchors })).rejects.toMatchObject({
      code: 'android-chain-extended',
    });
  });

  it("is refused where Google's list, imported for use without a network, names any of its certificates", async () => {
    const device = androidCertificate(vendor, right, { serialNumber: '0c0d' });
    const statement = androidStatement(vendor, device, KEY_AUTHORIZATION);
    const anchors = [testAnchor('android', vendor.root.certificate)];
    await expect(
      appraise('acme-android-key', statement, { anchors, revoked: ['android/0e0f'] }),
    ).resolves.toBeDefined();
    for (const serialNumber of ['0c0d', vendor.intermediate.certificate.serialNumber]) {
      const revoked = [`android/${serialNumber}`];
      await expect(appraise('acme-android-key', statement, { anchors, revoked })).rejects.toMatchObject({
        code: 'acme-revoked',
      });
    }
  });

  it('is refused without a description, or with one that is none', async () => {
    const anchors = [testAnchor('android', vendor.root.certificate)];
    const statementOf = (device: IssuedCertificate): object => androidStatement(vendor, device, KEY_AUTHORIZATION);
    await expect(
      appraise('acme-android-key', statementOf(vendor.intermediate.leaf({})), { anchors }),
    ).rejects.toMatchObject({ code: 'android-description-missing' });
    const broken = { ...keyDescriptionExtension(right), value: Uint8Array.of(0x30, 0) };
    const device = vendor.intermediate.leaf({ extensions: [broken] });
    await expect(appraise('acme-android-key', statementOf(device), { anchors })).rejects.toMatchObject({
      code: 'acme-object-malformed',
    });
  });
});

function appraise(type: EvidenceType, statement: object, options: ContextOptions): Promise<VerifiedEvidence> {
  const bytes = attestationObject(type.slice('acme-'.length), statement as Readonly<Record<string, unknown>>);
  return acmeVerifier().appraise(
    bytes,
    appraisalContext({ type, now: NOW, nonce: Buffer.from(KEY_AUTHORIZATION), ...options }),
  );
}

function keyIdOf(authority: TestAuthority): string {
  return Buffer.from(EXTENSIONS.subjectKeyIdentifier.find(authority.certificate.extensions)!).toString('hex');
}
