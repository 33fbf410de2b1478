import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { insertAuthority, isAuthorityKey, listAuthorities, listTenants } from '../../core/authority/authorities.ts';
import { createIssuing, createRoot } from '../../core/authority/authority-creation.ts';
import { AuthorityDirectory } from '../../core/authority/directory.ts';
import { insertProfile, listProfiles } from '../../core/authority/profiles.ts';
import { DEVICE_PROFILE } from '../../core/authority/profile.ts';
import { issueServiceCertificate } from '../../core/authority/service-certificates.ts';
import type { AuthorityTables } from '../../core/authority/tables.ts';
import { openKeyStore } from '../../core/keys/key-store.ts';
import { basicConstraints, keyUsage, parseCertificate } from '../../core/x509/certificate.ts';
import { generalNameFromText } from '../../core/x509/general-name.ts';
import { nameFromText } from '../../core/x509/name.ts';
import { encodePem } from '../../core/x509/pem.ts';
import { spkiSha256 } from '../../core/x509/public-key.ts';
import { Site, type SiteTenant } from '../enrollment/site.ts';
import { privateSoftHsm } from '../support/softhsm.ts';
import { ENGINES } from '../support/stores.ts';
import { makeKey, publicKeyOf, TestAuthority } from '../support/test-pki.ts';
import { Scratch, tryOpenssl } from '../x509/openssl.ts';
import { issuedBy } from '../enrollment/site.ts';

const hex = (octets: Uint8Array | undefined): string => Buffer.from(octets ?? []).toString('hex');

describe('authorities in a real token', () => {
  it('stand in a hierarchy openssl accepts, and their private keys nowhere but in the token', async () => {
    const softHsm = await privateSoftHsm('authorities');
    await using keys = await openKeyStore([softHsm]);
    using scratch = new Scratch();
    const common = { tenant: 't', token: softHsm.label, crlShards: 2, validitySeconds: 86_400 } as const;
    const now = Date.now();
    const root = await createRoot(
      keys,
      { ...common, name: 'root', subject: nameFromText('CN=root'), keyAlgorithm: 'ec-p384' },
      now,
    );
    const issuing = await createIssuing(
      keys,
      root,
      {
        ...common,
        name: 'issuing',
        subject: nameFromText('CN=issuing'),
        keyAlgorithm: 'rsa-2048',
        validitySeconds: 999 * 86_400,
      },
      now,
    );
    const [top, below] = [root, issuing].map(({ certificate }) => parseCertificate(certificate));
    expect(basicConstraints(top!)).toEqual({ cA: true, pathLenConstraint: 1 });
    expect(basicConstraints(below!)).toEqual({ cA: true, pathLenConstraint: 0 });
    expect([...keyUsage(below!)!]).toEqual(['keyCertSign', 'cRLSign']);
    expect(below!.notAfter).toEqual(top!.notAfter);
    const rootFile = scratch.file('root.pem', encodePem('CERTIFICATE', root.certificate));
    const file = scratch.file('issuing.pem', encodePem('CERTIFICATE', issuing.certificate));
    expect(tryOpenssl(['verify', '-x509_strict', '-check_ss_sig', '-CAfile', rootFile, file]).output).toBe(
      `${file}: OK\n`,
    );
    const held = await keys.list(softHsm.label);
    expect(held.map((key) => key.spkiSha256).sort()).toEqual([root.spki_sha256, issuing.spki_sha256].sort());
    for (const { protection } of held) expect(protection).toMatchObject({ sensitive: true, extractable: false });
    expect(issuing).toMatchObject({ kind: 'issuing', parent: root.id, state: 'active', tenant: 't' });
    await softHsm.remove();
  });
});

describe.each(ENGINES)('the authorities of an installation on %s', (engine) => {
  let site: Site;
  let acme: SiteTenant;
  let other: SiteTenant;

  beforeAll(async () => {
    site = await Site.open(engine);
    acme = await site.tenant('acme');
    other = await site.tenant('other');
  });
  afterAll(() => site[Symbol.asyncDispose]());

  const directory = () => new AuthorityDirectory(site.store, site.keys, 'http://muster.example');

  it('are listed for their tenant alone', async () => {
    expect((await listTenants(site.store)).map(({ name }) => name)).toEqual(['acme', 'other']);
    expect((await listAuthorities(site.store, acme.id)).map(({ id }) => id)).toEqual([acme.root.id, acme.issuing.id]);
    expect((await listProfiles(site.store, acme.id)).map(({ name }) => name)).toEqual([
      'device',
      'registration-authority',
    ]);
    expect(await listAuthorities(site.store, 'nobody')).toEqual([]);
  });

  it('answer caCertificates from the issuing certificate to the root, to their tenant alone', async () => {
    const chain = await directory().caCertificates(acme.id, acme.issuing.id);
    expect(chain.map(hex)).toEqual([acme.issuing.certificate, acme.root.certificate].map(hex));
    await expect(directory().caCertificates(other.id, acme.issuing.id)).rejects.toMatchObject({
      name: 'InternalError',
    });
    expect(hex(await directory().publicCertificate(acme.issuing.id))).toBe(hex(acme.issuing.certificate));
    expect(await directory().publicCertificate('nobody')).toBeUndefined();
  });

  it('write where relying parties ask into what they issue', async () => {
    const sharded = await directory().issuer(acme.id, acme.issuing.id);
    expect(sharded.urls).toEqual({
      ocsp: `http://muster.example/ocsp/${acme.issuing.id}`,
      caIssuers: `http://muster.example/ca/${acme.issuing.id}.cer`,
      crl: `http://muster.example/crl/${acme.issuing.id}/{shard}.crl`,
    });
    const whole = await directory().issuer(acme.id, acme.root.id);
    expect(whole.urls.crl).toBe(`http://muster.example/crl/${acme.root.id}.crl`);
  });

  it('are found by what they issued: by name and key identifier, within the tenant', async () => {
    const { certificate } = issuedBy(await site.enroll(acme.endpoint));
    const leaf = parseCertificate(certificate);
    expect((await directory().issuerOf(acme.id, leaf))?.id).toBe(acme.issuing.id);
    expect(await directory().issuerOf(other.id, leaf)).toBeUndefined();
    const impostor = TestAuthority.root({ name: parseCertificate(acme.issuing.certificate).subject });
    expect(await directory().issuerOf(acme.id, impostor.leaf().certificate)).toBeUndefined();
  });

  it('made elsewhere are found by a node that is running, and the known ones stay as they are', async () => {
    const running = directory();
    const known = await running.issuer(acme.id, acme.issuing.id);
    const row = await createIssuing(
      site.keys,
      acme.root,
      {
        tenant: acme.id,
        name: `issuing-${engine}-2`,
        subject: nameFromText('CN=second'),
        token: 'fake',
        keyAlgorithm: 'ec-p256',
        validitySeconds: 86_400,
        crlShards: 1,
      },
      Date.now(),
    );
    await site.store.unit((tx) => insertAuthority(tx, row));
    const issuer = await directory().issuer(acme.id, row.id);
    const request = { subject: nameFromText('CN=a'), subjectAltName: [], publicKey: publicKeyOf(makeKey()) };
    const leaf = await issueServiceCertificate(site.store, issuer, {
      ...request,
      purpose: 'test',
      profile: DEVICE_PROFILE,
    });
    expect((await running.issuerOf(acme.id, leaf))?.id).toBe(row.id);
    expect(await running.issuer(acme.id, acme.issuing.id)).toBe(known);
  });

  it('open their key when it is needed, again after a failure, and not when they are retired', async () => {
    const issuer = await directory().issuer(acme.id, acme.issuing.id);
    site.keys.fault = 'away';
    await expect(issuer.caKey()).rejects.toMatchObject({ reason: 'hsm-unavailable' });
    site.keys.fault = undefined;
    const opened = await issuer.caKey();
    expect(await issuer.caKey()).toBe(opened);
    await site.store.unit(async (tx) => {
      const authorities = tx.forTenant<AuthorityTables>(other.id);
      await authorities.updateTable('authorities', { state: 'retired' }).where('id', '=', other.issuing.id).execute();
    });
    const retired = await directory().issuer(other.id, other.issuing.id);
    await expect(retired.caKey()).rejects.toMatchObject({ reason: 'authority-retired' });
  });

  it('tell their keys from those of services', async () => {
    expect(await isAuthorityKey(site.store, acme.issuing.spki_sha256)).toBe(true);
    expect(await isAuthorityKey(site.store, spkiSha256(publicKeyOf(makeKey())))).toBe(false);
  });

  it('certify what Muster needs for itself, with a serial number the store knows before the token', async () => {
    const issuer = await directory().issuer(acme.id, acme.issuing.id);
    const request = {
      purpose: 'tls:node-1:ec',
      profile: DEVICE_PROFILE,
      subject: nameFromText('CN=muster.example'),
      subjectAltName: [generalNameFromText('dns:muster.example')],
      publicKey: publicKeyOf(makeKey()),
    };
    const certificate = await issueServiceCertificate(site.store, issuer, request);
    const identities = () =>
      site.store
        .forTenant<AuthorityTables>(acme.id)
        .selectFrom('service_identities')
        .selectAll()
        .where('purpose', '=', request.purpose)
        .orderBy('id')
        .execute();
    const [identity] = await identities();
    expect(identity!.serial_number).toBe(certificate.serialNumber);
    expect(hex(identity!.tbs)).toBe(hex(certificate.tbsDer));
    expect((await site.certificates(acme.id)).find(({ id }) => id === identity!.certificate)).toMatchObject({
      profile: null,
      device: null,
    });
    expect((await site.audit(acme.id)).at(-1)).toMatchObject({
      action: 'certificate.issued',
      details: { purpose: request.purpose },
    });

    site.keys.fault = 'signed-but-away';
    await expect(issueServiceCertificate(site.store, issuer, request)).rejects.toMatchObject({
      reason: 'hsm-unavailable',
    });
    site.keys.fault = undefined;
    const [, lost] = await identities();
    expect(lost!.certificate).toBeNull();
    expect(hex(site.keys.signed.at(-1))).toBe(hex(lost!.tbs));
  });

  it('have profiles that are read as they stand, by their tenant alone', async () => {
    const profile = await site.profiles.get(acme.id, acme.profile);
    expect(profile).toMatchObject({ name: 'device', revision: 1, ...DEVICE_PROFILE });
    expect(await site.profiles.get(acme.id, acme.profile)).toBe(profile);
    await expect(site.profiles.get(other.id, acme.profile)).rejects.toMatchObject({ name: 'InternalError' });
    const settings = { ...DEVICE_PROFILE, validitySeconds: 60 };
    await site.store.unit(async (tx) => {
      const profiles = tx.forTenant<AuthorityTables>(acme.id);
      await profiles
        .updateTable('profiles', { settings: JSON.stringify(settings), revision: 2 })
        .where('id', '=', acme.profile)
        .execute();
    });
    expect(await site.profiles.get(acme.id, acme.profile)).toMatchObject({ revision: 2, validitySeconds: 60 });
    const twice = site.store.unit((tx) => insertProfile(tx, { id: 'x', tenant: acme.id, name: 'device', settings }, 0));
    await expect(twice).rejects.toMatchObject({ reason: 'conflict' });
  });
});
