import { hash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeAttestationBundle } from '../../../core/x509/attestation-bundle.ts';
import type { EvidenceType } from '../../../core/enrollment/attestation-policy.ts';
import { parseCertificationRequest, verifyCertificationRequest } from '../../../core/x509/certification-request.ts';
import { toHex } from '../../../core/x509/octets.ts';
import { publicKeysEqual, spkiSha256 } from '../../../core/x509/public-key.ts';
import { acmeVerifier } from '../../../devices/attestation/acme/verifier.ts';
import { AttestationKeyOffice } from '../../../devices/attestation/tpm/attestation-key-office.ts';
import { attestationKeyMigrations } from '../../../devices/attestation/tpm/migrations.ts';
import { objectName, qualifiedName } from '../../../devices/attestation/tpm/names.ts';
import { pcrDigest, policyPcrDigest } from '../../../devices/attestation/tpm/pcr-policy.ts';
import { tpmVerifier } from '../../../devices/attestation/tpm/tpm-verifier.ts';
import { makeCredential } from '../../../devices/attestation/tpm/make-credential.ts';
import { ekAlgorithms } from '../../../devices/attestation/tpm/ek-template.ts';
import type { AppraisalContext, ReferenceValues } from '../../../devices/attestation/verifier.ts';
import { parseAttest } from '../../../devices/attestation/tpm/attest.ts';
import { parseCreationData } from '../../../devices/attestation/tpm/creation-data.ts';
import { Site, type SiteTenant } from '../../enrollment/site.ts';
import { appraisalContext, testAnchor } from '../../fakes/appraisal-context.ts';
import { SwtpmDevice, type TpmKey } from '../../fakes/swtpm-device.ts';
import {
  akRegistration,
  tpmAttestationObject,
  tpmBundle,
  type TpmEvidenceParts,
  tpmRequest,
} from '../../fakes/tpm-evidence.ts';
import { joined } from '../../fakes/tpm-marshal.ts';
import { permanentIdentifier, TpmManufacturer } from '../../fakes/tpm-manufacturer.ts';
import { APPLICATION_KEY_ATTRIBUTES, type EndorsementKeyKind, OBJECT, pcrs } from '../../fakes/tpm-templates.ts';
import { codeOf, hex } from './tpm-fixtures.ts';

const maker = new TpmManufacturer();
const anchors = [testAnchor('ek', maker.root.certificate)];
const TPM_RC_INTEGRITY = 0x1df;

let site: Site;
let tenant: SiteTenant;
let office: AttestationKeyOffice;
let device: SwtpmDevice;
let references: ReferenceValues[] = [];

beforeAll(async () => {
  site = await Site.open('sqlite', attestationKeyMigrations);
  tenant = await site.tenant('acme');
  office = new AttestationKeyOffice(site.store);
  device = await SwtpmDevice.start();
});
afterAll(async () => {
  await device[Symbol.asyncDispose]();
  await site[Symbol.asyncDispose]();
});

function context(type: EvidenceType, nonce?: Uint8Array, required = false): AppraisalContext {
  const policy = { referenceValues: required ? ('required' as const) : ('optional' as const) };
  return {
    ...appraisalContext({ type, now: new Date(), anchors, policy, ...(nonce && { nonce }) }),
    referenceValues: () => references,
    expectedModel: async () => 'EdgeRouter',
    knownAttestationKey: (name) => office.find(tenant.id, name),
    activatedKey: (secret) => office.activate({ tenant: tenant.id, endpoint: 'e' }, secret),
  };
}

/** From the certificate in NV to a known attestation key. */
async function activated(kind: EndorsementKeyKind, ak: TpmKey) {
  const ek = await device.createEndorsementKey(kind);
  await device.storeEkCertificate(kind, maker.ekCertificate(ek.publicKey).der);
  const certificates = [await device.readEkCertificate(kind), maker.issuer.der];
  const registration = await akRegistration(device, ek, ak, certificates);
  const scope = { tenant: tenant.id, endpoint: 'e' };
  const wrapped = await office.begin(scope, registration, context('tpm-activation'));
  const secret = await device.activateCredential(ak, ek, wrapped);
  return { ek, verified: await tpmVerifier().appraise(secret, context('tpm-activation')) };
}

/** The Qualified Name of an object that is known by its SHA-256 Name. */
function nameBelow(parent: Uint8Array, name: Uint8Array): Uint8Array {
  return joined(name.subarray(0, 2), hash('sha256', joined(parent, name), 'buffer'));
}

function appraised(parts: TpmEvidenceParts, nonce: Uint8Array, type: EvidenceType = 'tpm-certify', required = false) {
  return tpmVerifier().appraise(encodeAttestationBundle(tpmBundle(parts)), context(type, nonce, required));
}

describe('a real TPM', () => {
  test.each<EndorsementKeyKind>(['rsa-2048', 'ec-p256', 'ec-p384'])(
    'activates an AK beside an EK of %s',
    async (kind) => {
      const ak = await device.createAttestationKey();
      const { ek, verified } = await activated(kind, ak);
      expect(publicKeysEqual(verified.attestedPublicKey!, ak.publicKey)).toBe(true);
      expect(verified.identifiers['ek-sha256']).toBe(spkiSha256(ek.publicKey));
      expect(verified.claims).toMatchObject({ 'tpm-model': 'ST33', 'ek-certified': true });
    },
  );

  test('opens no credential that is for another AK', async () => {
    const ek = await device.createEndorsementKey('ec-p256');
    const [one, other] = [await device.createAttestationKey(), await device.createAttestationKey()];
    const algorithms = ekAlgorithms(ek.publicKey)!;
    const wrapped = makeCredential(
      { ek: ek.publicKey, algorithms, keyName: objectName(one.area) },
      randomBytes(32),
      randomBytes,
    );
    await expect(device.activateCredential(other, ek, wrapped)).rejects.toMatchObject({ code: TPM_RC_INTEGRITY });
  });

  test('its Qualified Names are ours', async () => {
    const ak = await device.createAttestationKey();
    const { parentName, parentQualifiedName } = parseCreationData(ak.creationData);
    expect(toHex(parentQualifiedName)).toBe(toHex(nameBelow(hex('40000001'), parentName)));
    const { qualifiedSigner } = parseAttest((await device.certifyCreation(ak, ak, new Uint8Array())).attest);
    expect(toHex(qualifiedSigner)).toBe(toHex(qualifiedName(parentQualifiedName, ak.area)));
  });
});

describe('evidence of a real TPM', () => {
  const nonce = randomBytes(32);
  let ak: TpmKey;

  beforeAll(async () => {
    ak = await device.createAttestationKey();
    await activated('ec-p384', ak);
  });

  test.each(['ec-p256', 'ec-p384', 'rsa-2048'] as const)(
    'certifies a key of %s, which signs its request',
    async (kind) => {
      const key = await device.createApplicationKey({ kind });
      const certify = { publicArea: key.publicArea, ...(await device.certify(key, ak, nonce)) };
      const bundle = tpmBundle({ certify });
      const request = parseCertificationRequest(await tpmRequest(device, key, { bundle, subject: 'CN=dev-1' }));
      expect(verifyCertificationRequest(request)).toBe(true);
      const verified = await appraised({ certify }, nonce);
      expect(publicKeysEqual(verified.attestedPublicKey!, request.publicKey)).toBe(true);
      // A TPM that counts failures locks itself when a test ends without a shutdown (pitfall 11).
      expect(verified.claims['key-no-da']).toBe(true);
    },
  );

  test.each([false, true])('by an RSA attestation key, PSS: %s', async (pss) => {
    const rsaAk = await device.createAttestationKey({ kind: 'rsa-2048', pss });
    await activated('ec-p256', rsaAk);
    const key = await device.createApplicationKey();
    const certify = { publicArea: key.publicArea, ...(await device.certify(key, rsaAk, nonce)) };
    expect(await codeOf(() => appraised({ certify }, nonce))).toBe('accepted');
  });

  test('is the attestation object of ACME’s device-attest-01', async () => {
    const key = await device.createApplicationKey();
    const keyAuthorization = 'token.thumbprint';
    const statement = await device.certify(key, ak, hash('sha256', keyAuthorization, 'buffer'));
    const certificate = maker.akCertificate(ak.publicKey, { names: [permanentIdentifier('DEV-1')] });
    const foreign = testAnchor('attestation-ca', maker.attestationRoot.certificate);
    const at = (text: string) =>
      appraisalContext({ type: 'acme-tpm', now: new Date(), anchors: [foreign], nonce: Buffer.from(text) });
    const object = tpmAttestationObject(statement, key, [certificate]);
    const verified = await acmeVerifier().appraise(object, at(keyAuthorization));
    expect(verified.identifiers['permanent-identifier']).toBe('DEV-1');
    expect(publicKeysEqual(verified.attestedPublicKey!, key.publicKey)).toBe(true);
    expect(await codeOf(() => acmeVerifier().appraise(object, at('token2.thumbprint')))).toBe('nonce-mismatch');
  });

  test('certifies the creation of a key', async () => {
    const key = await device.createApplicationKey();
    const certify = { publicArea: key.publicArea, ...(await device.certifyCreation(key, ak, nonce)) };
    const verified = await appraised({ certify }, nonce);
    expect(publicKeysEqual(verified.attestedPublicKey!, key.publicKey)).toBe(true);
  });

  test('an AK nobody activated, an old nonce, an AK as key, an exportable key', async () => {
    const key = await device.createApplicationKey();
    const stranger = await device.createAttestationKey();
    const by = async (signer: TpmKey, of = key) => ({
      certify: { publicArea: of.publicArea, ...(await device.certify(of, signer, nonce)) },
    });
    // A stranger's Qualified Name is another: neither known nor certified.
    expect(await codeOf(async () => appraised(await by(stranger), nonce))).toBe('ak-unknown');
    expect(await codeOf(async () => appraised(await by(ak), randomBytes(32)))).toBe('nonce-mismatch');
    expect(await codeOf(async () => appraised(await by(ak, stranger), nonce))).toBe('key-restricted');
    const exportable = await device.createApplicationKey({
      attributes: APPLICATION_KEY_ATTRIBUTES & ~(OBJECT.fixedTPM | OBJECT.fixedParent),
    });
    expect(await codeOf(async () => appraised(await by(ak, exportable), nonce))).toBe('key-exportable');
  });

  test('an unrestricted key becomes no AK', async () => {
    const unrestricted = await device.createAttestationKey({ attributes: APPLICATION_KEY_ATTRIBUTES });
    expect(await codeOf(() => activated('ec-p256', unrestricted))).toBe('ak-not-restricted');
  });

  describe('measurements', () => {
    const measured = pcrs([0, 7]);

    beforeAll(async () => {
      await device.extendPcr(7, randomBytes(32));
      const values = await device.readPcrs(measured);
      references = [
        {
          id: 'ref-1',
          model: 'EdgeRouter',
          firmware: '1.0',
          pcrs: { sha256: { 0: [toHex(values[0]!)], 7: [toHex(values[1]!)] } },
          claims: {},
        },
      ];
    });

    const quote = async (selection = measured) => ({
      quote: { ...(await device.quote(ak, selection, nonce)), pcrValues: await valuesOf(selection) },
    });
    const valuesOf = (selection = measured) => (selection[0]!.pcrs.length === 0 ? [] : device.readPcrs(selection));

    test('a quote of the right PCRs', async () => {
      const verified = await appraised(await quote(), nonce, 'tpm-quote', true);
      expect(verified.claims).toMatchObject({ firmware: '1.0', pcrs: 'sha256:0,7' });
      expect(publicKeysEqual(verified.attestedPublicKey!, ak.publicKey)).toBe(true);
    });

    test('over no PCRs, over another selection, over SHA-1 (pitfall 3)', async () => {
      const refused = async (selection = measured) =>
        codeOf(async () => appraised(await quote(selection), nonce, 'tpm-quote'));
      expect(await refused(pcrs([]))).toBe('quote-no-pcrs');
      expect(await refused(pcrs([1, 2]))).toBe('quote-selection');
    });

    test('a key bound to PCRs by its policy needs no quote, until they change', async () => {
      const digest = pcrDigest('sha256', await device.readPcrs(measured));
      const key = await device.createApplicationKey({
        attributes: APPLICATION_KEY_ATTRIBUTES & ~OBJECT.userWithAuth,
        authPolicy: policyPcrDigest('sha256', measured, digest),
      });
      const certify = { publicArea: key.publicArea, ...(await device.certify(key, ak, nonce)) };
      const verified = await appraised({ certify }, nonce, 'tpm-certify', true);
      expect(verified.claims).toMatchObject({ 'key-bound-to-firmware': '1.0' });
      await device.extendPcr(7, randomBytes(32));
      expect(await codeOf(async () => appraised(await quote(), nonce, 'tpm-quote', true))).toBe('quote-not-reference');
    });
  });
});
