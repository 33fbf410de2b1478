import { constants, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { revokeCertificate } from '../../core/authority/revocation.ts';
import { ServiceIdentities, type ServicePurpose } from '../../core/authority/service-identities.ts';
import type { AuthorityTables } from '../../core/authority/tables.ts';
import { InternalError, UpstreamError } from '../../core/errors/muster-error.ts';
import type { ServiceKey } from '../../core/keys/service-key.ts';
import type { Certificate } from '../../core/x509/certificate.ts';
import { verifySignature } from '../../core/x509/signature-algorithm.ts';
import { encodePem } from '../../core/x509/pem.ts';
import { Site, type SiteTenant } from '../enrollment/site.ts';
import { ENGINES } from '../support/stores.ts';
import { Scratch, tryOpenssl } from '../x509/openssl.ts';

const DAY_MS = 86_400_000;

/** What openssl prints of each purpose. */
const SHOWN: Readonly<Record<ServicePurpose, readonly string[]>> = {
  'scep-ra': ['Public-Key: (2048 bit)', 'Digital Signature, Key Encipherment\n', 'CN = SCEP registration authority'],
  'scep-ra-signing': ['Public-Key: (2048 bit)', 'Digital Signature\n'],
  'scep-ra-encryption': ['Public-Key: (2048 bit)', ' Key Encipherment\n'],
  cmp: [
    'ASN1 OID: prime256v1',
    'Digital Signature\n',
    'CMC Certificate Authority',
    'Certificate Management Key Generation Authority',
  ],
  ocsp: ['ASN1 OID: prime256v1', 'Digital Signature\n', 'OCSP Signing', 'OCSP No Check'],
  'key-generation': ['ASN1 OID: prime256v1', 'Digital Signature\n', 'Certificate Management Key Generation Authority'],
};
const PURPOSES = Object.keys(SHOWN) as ServicePurpose[];

const hex = (octets: Uint8Array): string => Buffer.from(octets).toString('hex');

/** Signs, or opens what was encrypted to it. */
async function expectToWork(purpose: ServicePurpose, key: ServiceKey, { publicKey }: Certificate): Promise<void> {
  const data = randomBytes(16);
  if (purpose !== 'scep-ra-encryption') {
    const signature = await key.sign(data, { tenant: 't' });
    expect(verifySignature(publicKey, key.signatureAlgorithm, data, signature)).toBe(true);
  }
  if (purpose === 'scep-ra' || purpose === 'scep-ra-encryption') {
    const padding = constants.RSA_PKCS1_PADDING;
    const spki = createPublicKey({ key: Buffer.from(publicKey.der), format: 'der', type: 'spki' });
    const ciphertext = publicEncrypt({ key: spki, padding }, data);
    expect(hex(await key.decryptRsa('pkcs1', ciphertext, { tenant: 't', length: 16 }))).toBe(hex(data));
  }
}

describe.each(ENGINES)('service identities on %s', (engine) => {
  let site: Site;
  let acme: SiteTenant;
  beforeAll(async () => {
    site = await Site.open(engine);
    acme = await site.tenant('acme');
  });
  afterEach(() => {
    site.clock.ahead = 0;
    site.keys.fault = undefined;
  });
  afterAll(() => site[Symbol.asyncDispose]());

  const node = (): ServiceIdentities => new ServiceIdentities(site);
  const rows = (tenant: SiteTenant) =>
    site.store
      .forTenant<AuthorityTables>(tenant.id)
      .selectFrom('service_identities')
      .selectAll()
      .orderBy('generation')
      .execute();
  const current = (of: ServiceIdentities, tenant: SiteTenant, purpose: ServicePurpose) =>
    of.current(tenant.id, tenant.issuing.id, purpose);
  const valid = (of: ServiceIdentities, tenant: SiteTenant, purpose: ServicePurpose) =>
    of.valid(tenant.id, tenant.issuing.id, purpose);

  it.each(PURPOSES)('%s: openssl sees the usages of its purpose, and accepts its path', async (purpose) => {
    const { certificate, chain, key } = await current(node(), acme, purpose);
    using scratch = new Scratch();
    const file = scratch.file('identity.pem', encodePem('CERTIFICATE', certificate.der));
    const text = tryOpenssl(['x509', '-in', file, '-noout', '-text']).output;
    for (const part of SHOWN[purpose]) expect(text).toContain(part);
    expect(text).not.toMatch(/TLS Web|CA:TRUE/);
    expect(chain.map(hex)).toEqual([hex(acme.issuing.certificate), hex(acme.root.certificate)]);
    const root = scratch.file('root.pem', encodePem('CERTIFICATE', chain[1]!));
    const issuing = scratch.file('issuing.pem', encodePem('CERTIFICATE', chain[0]!));
    expect(tryOpenssl(['verify', '-CAfile', root, '-untrusted', issuing, file]).output).toBe(`${file}: OK\n`);
    await expectToWork(purpose, key, certificate);
  });

  it('are made once, whichever of several nodes asks first', async () => {
    const tenant = await site.tenant();
    const made = await Promise.all([0, 1, 2].map(() => current(node(), tenant, 'cmp')));
    expect(new Set(made.map(({ certificate }) => certificate.serialNumber)).size).toBe(1);
    const [row, ...others] = await rows(tenant);
    expect(others).toEqual([]);
    expect(row).toMatchObject({ purpose: 'cmp', generation: 1 });
    expect(await site.certificates(tenant.id)).toHaveLength(1);
    const [entry] = await site.audit(tenant.id);
    expect(entry).toMatchObject({ action: 'certificate.issued', details: { purpose: 'cmp', generation: 1 } });
  });

  it('are answered from memory, while the token is away', async () => {
    const tenant = await site.tenant();
    const identities = node();
    const { certificate } = await current(identities, tenant, 'scep-ra');
    site.keys.fault = 'away';
    site.clock.ahead = 3_600_000;
    expect((await current(identities, tenant, 'scep-ra')).certificate.der).toEqual(certificate.der);
    await expect(current(node(), tenant, 'scep-ra')).rejects.toThrow(UpstreamError);
  });

  it('belong to the tenant of their authority', async () => {
    await expect(node().current((await site.tenant()).id, acme.issuing.id, 'cmp')).rejects.toThrow(InternalError);
  });

  it('an interrupted making is finished by whoever comes next, with the serial number it had', async () => {
    const tenant = await site.tenant();
    site.keys.fault = 'signed-but-away';
    await expect(current(node(), tenant, 'cmp')).rejects.toThrow(UpstreamError);
    site.keys.fault = undefined;
    const [prepared] = await rows(tenant);
    expect(prepared!.certificate).toBeNull();
    const { certificate } = await current(node(), tenant, 'cmp');
    expect(certificate.serialNumber).toBe(prepared!.serial_number);
    expect(await rows(tenant)).toHaveLength(1);
  });

  it('one that was given up is not signed any more: the next number is', async () => {
    const tenant = await site.tenant();
    site.keys.fault = 'signed-but-away';
    await expect(current(node(), tenant, 'cmp')).rejects.toThrow(UpstreamError);
    site.keys.fault = undefined;
    site.clock.ahead = 2 * 3_600_000;
    const { certificate } = await current(node(), tenant, 'cmp');
    const [, second] = await rows(tenant);
    expect(second).toMatchObject({ generation: 2, serial_number: certificate.serialNumber });
  });

  it('are renewed when due, and the one before still decrypts', async () => {
    const tenant = await site.tenant();
    const identities = node();
    const before = await current(identities, tenant, 'scep-ra');
    expect(await node().renewDue()).toBe(0);
    site.clock.ahead = before.certificate.notAfter.getTime() - Date.now() - 100 * DAY_MS;
    expect(await identities.renewDue()).toBeGreaterThan(0);
    expect(await node().renewDue()).toBe(0);
    for (const at of [identities, node()]) {
      const [newest, earlier, ...others] = await valid(at, tenant, 'scep-ra');
      expect(newest!.certificate.notAfter > before.certificate.notAfter).toBe(true);
      expect(earlier!.certificate.der).toEqual(before.certificate.der);
      expect(others).toEqual([]);
    }
    site.clock.ahead += 101 * DAY_MS;
    expect(await valid(identities, tenant, 'scep-ra')).toHaveLength(1);
  });

  it('that expired or were revoked are replaced at once', async () => {
    const tenant = await site.tenant();
    const first = await current(node(), tenant, 'ocsp');
    site.clock.ahead = 15 * DAY_MS;
    const second = await current(node(), tenant, 'ocsp');
    expect(second.certificate.serialNumber).not.toBe(first.certificate.serialNumber);
    const [, row] = await rows(tenant);
    await site.store.unit((tx) =>
      revokeCertificate(tx, {
        tenant: tenant.id,
        certificateId: row!.certificate!,
        reason: 'keyCompromise',
        actor: 'user:test',
        at: site.clock.now(),
      }),
    );
    const third = await valid(node(), tenant, 'ocsp');
    expect(third).toHaveLength(1);
    expect(third[0]!.certificate.serialNumber).not.toBe(second.certificate.serialNumber);
  });

  it('end with their authority: none is renewed that could not last longer', async () => {
    const tenant = await site.tenant();
    site.clock.ahead = 10 * 365 * DAY_MS - 3 * DAY_MS;
    const { certificate } = await current(node(), tenant, 'cmp');
    expect(certificate.notAfter).toEqual((await site.authorities.issuer(tenant.id, tenant.issuing.id)).notAfter);
    await node().renewDue();
    expect(await rows(tenant)).toHaveLength(1);
  });
});
