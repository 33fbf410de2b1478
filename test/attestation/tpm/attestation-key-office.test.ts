import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { publicKeysEqual } from '../../../core/x509/public-key.ts';
import { AttestationKeyOffice } from '../../../devices/attestation/tpm/attestation-key-office.ts';
import { attestationKeyMigrations } from '../../../devices/attestation/tpm/migrations.ts';
import { parseCreationData } from '../../../devices/attestation/tpm/creation-data.ts';
import { qualifiedName } from '../../../devices/attestation/tpm/names.ts';
import { parsePublicArea } from '../../../devices/attestation/tpm/public-area.ts';
import type { AttestationKeyRegistration } from '../../../devices/attestation/tpm/registration.ts';
import type { AttestationKeyTables } from '../../../devices/attestation/tpm/tables.ts';
import { Site, type SiteTenant } from '../../enrollment/site.ts';
import { appraisalContext, testAnchor } from '../../fakes/appraisal-context.ts';
import { creationAttest, nameOf, openCredential, SoftwareAttestationKey } from '../../fakes/software-tpm.ts';
import { TpmManufacturer } from '../../fakes/tpm-manufacturer.ts';
import { OBJECT, ATTESTATION_KEY_ATTRIBUTES } from '../../fakes/tpm-templates.ts';
import { ENGINES } from '../../support/stores.ts';
import { makeKey, publicKeyOf } from '../../support/test-pki.ts';
import { codeOf, FIXTURES, hex } from './tpm-fixtures.ts';

const maker = new TpmManufacturer();
const ekKey = makeKey('rsa-2048');
const ek = publicKeyOf(ekKey);
const endorsementCertificates = [maker.ekCertificate(ek).der, maker.issuer.der];
const context = appraisalContext({ now: new Date(), anchors: [testAnchor('ek', maker.root.certificate)] });
const MINUTE_MS = 60_000;

/** Registers an AK of software as a device with a TPM would. */
function registration(ak: SoftwareAttestationKey, changes: Partial<AttestationKeyRegistration> = {}) {
  return { endorsementCertificates, publicArea: ak.publicArea, ...changes };
}

const creationData = hex(FIXTURES.akCreationData);

/** The Qualified Name of an AK below the parent of the fixtures. */
function qualifiedNameOf(ak: SoftwareAttestationKey): Uint8Array {
  return qualifiedName(parseCreationData(creationData).parentQualifiedName, parsePublicArea(ak.publicArea));
}

/** Its own creation, attested by an AK. */
function withCreation(ak: SoftwareAttestationKey, qualifiedSigner = qualifiedNameOf(ak)): AttestationKeyRegistration {
  const digest = createHash('sha256').update(creationData).digest();
  const { attest, signature } = ak.signed(creationAttest(nameOf(ak.publicArea), digest, { qualifiedSigner }));
  return registration(ak, { creationData, creationAttest: attest, creationSignature: signature });
}

describe.each(ENGINES)('activation of attestation keys on %s', (engine) => {
  let site: Site;
  let tenant: SiteTenant;
  let office: AttestationKeyOffice;
  let scope: { tenant: string; endpoint: string };

  beforeAll(async () => {
    site = await Site.open(engine, attestationKeyMigrations);
    tenant = await site.tenant('acme');
    office = new AttestationKeyOffice(site.store);
    scope = { tenant: tenant.id, endpoint: 'endpoint-1' };
  });
  afterAll(() => site[Symbol.asyncDispose]());

  const begun = async (ak: SoftwareAttestationKey, changes: Partial<AttestationKeyRegistration> = {}) =>
    openCredential(await office.begin(scope, registration(ak, changes), context), ekKey, nameOf(ak.publicArea));

  test('whoever brings the secret back holds the key; it is then known by its Name', async () => {
    const ak = new SoftwareAttestationKey();
    const name = nameOf(ak.publicArea);
    const secret = await begun(ak);
    expect(secret).toHaveLength(32);
    expect(await office.find(tenant.id, name)).toBeUndefined();
    const activated = await office.activate(scope, secret);
    expect(publicKeysEqual(activated!.publicKey, ak.publicKey)).toBe(true);
    expect(activated).toMatchObject({
      identifiers: { 'permanent-identifier': expect.stringMatching(/^urn:ek:sha256:[A-Za-z0-9+/]{43}=$/) },
      claims: { 'tpm-manufacturer': '53544D20', 'tpm-model': 'ST33', 'ek-certified': true },
    });
    expect(await office.find(tenant.id, name)).toEqual(activated);
  });

  test('also by its Qualified Name, where its creation was attested; a later activation without that keeps it', async () => {
    const ak = new SoftwareAttestationKey();
    const wrapped = await office.begin(scope, withCreation(ak), context);
    await office.activate(scope, openCredential(wrapped, ekKey, nameOf(ak.publicArea)));
    expect(await office.find(tenant.id, qualifiedNameOf(ak))).toBeDefined();
    await office.activate(scope, await begun(ak));
    expect(await office.find(tenant.id, qualifiedNameOf(ak))).toBeDefined();
  });

  test('a secret works once, whoever is first', async () => {
    const secret = await begun(new SoftwareAttestationKey());
    const all = await Promise.all(Array.from({ length: 8 }, () => office.activate(scope, secret)));
    expect(all.filter((one) => one !== undefined)).toHaveLength(1);
    expect(await office.activate(scope, secret)).toBeUndefined();
  });

  test('at its endpoint and tenant alone', async () => {
    const other = await site.tenant('other');
    const secret = await begun(new SoftwareAttestationKey());
    expect(await office.activate({ ...scope, endpoint: 'endpoint-2' }, secret)).toBeUndefined();
    expect(await office.activate({ ...scope, tenant: other.id }, secret)).toBeUndefined();
    const activated = await office.activate(scope, secret);
    expect(activated).toBeDefined();
  });

  test('within five minutes; what is over is swept by the next', async () => {
    const secret = await begun(new SoftwareAttestationKey());
    site.clock.ahead += 5 * MINUTE_MS;
    expect(await office.activate(scope, secret)).toBeUndefined();
    await begun(new SoftwareAttestationKey());
    const rows = await site.store
      .forTenant<AttestationKeyTables>(tenant.id)
      .selectFrom('attestation_key_activations')
      .select('expires_at')
      .execute();
    expect(rows).toHaveLength(1);
  });

  test('a wrong secret, and none', async () => {
    await begun(new SoftwareAttestationKey());
    expect(await office.activate(scope, new Uint8Array(32))).toBeUndefined();
    expect(await office.activate(scope, new Uint8Array())).toBeUndefined();
  });

  test('no more than ten thousand wait for a tenant', async () => {
    const crowded = await site.tenant('crowded');
    const row = {
      endpoint: 'endpoint-1',
      name: '00',
      qualified_name: null,
      public_key: ek.der,
      ek_sha256: '00',
      identifiers: '{}',
      claims: '{}',
      revocable: '[]',
      expires_at: site.clock.now() + MINUTE_MS,
    };
    for (let from = 0; from < 10_000; from += 1000) {
      const rows = Array.from({ length: 1000 }, (_, index) => ({ ...row, secret_sha256: `${from + index}` }));
      await site.store.unit((tx) =>
        tx.forTenant<AttestationKeyTables>(crowded.id).insertInto('attestation_key_activations', rows).execute(),
      );
    }
    const begin = () =>
      office.begin({ tenant: crowded.id, endpoint: 'endpoint-1' }, registration(new SoftwareAttestationKey()), context);
    await expect(begin()).rejects.toMatchObject({ reason: 'quota-exceeded' });
    site.clock.ahead += MINUTE_MS;
    expect(await codeOf(begin)).toBe('accepted');
  });

  test('no secret in the database', async () => {
    const secret = Buffer.from(await begun(new SoftwareAttestationKey()));
    const rows = await site.store
      .forTenant<AttestationKeyTables>(tenant.id)
      .selectFrom('attestation_key_activations')
      .selectAll()
      .execute();
    expect(JSON.stringify(rows)).not.toContain(secret.toString('hex'));
  });

  test.each<readonly [string, () => AttestationKeyRegistration, string]>([
    [
      'an unrestricted AK',
      () =>
        registration(
          new SoftwareAttestationKey(makeKey(), { attributes: ATTESTATION_KEY_ATTRIBUTES & ~OBJECT.restricted }),
        ),
      'ak-not-restricted',
    ],
    [
      'an EK of nobody',
      () =>
        registration(new SoftwareAttestationKey(), {
          endorsementCertificates: [new TpmManufacturer().ekCertificate(ek).der],
        }),
      'ek-untrusted',
    ],
    [
      'an EK without certificate',
      () => registration(new SoftwareAttestationKey(), { endorsementKey: ek.der, endorsementCertificates: [] }),
      'ek-not-allowed',
    ],
    [
      'an AK that does not decode',
      () => registration(new SoftwareAttestationKey(), { publicArea: hex('0023') }),
      'tpm-malformed',
    ],
    ['half of a creation', () => registration(new SoftwareAttestationKey(), { creationData }), 'tpm-creation-mismatch'],
    [
      'a creation below another parent',
      () => withCreation(new SoftwareAttestationKey(), new Uint8Array(34)),
      'tpm-creation-mismatch',
    ],
    [
      'a creation by another key',
      () => ({ ...withCreation(new SoftwareAttestationKey()), publicArea: new SoftwareAttestationKey().publicArea }),
      'tpm-signature',
    ],
  ])('%s gets no credential', async (_name, asked, code) => {
    expect(await codeOf(() => office.begin(scope, asked(), context))).toBe(code);
  });
});
