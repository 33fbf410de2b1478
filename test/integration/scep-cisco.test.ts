import { X509Certificate } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { insertAuthority } from '../../core/authority/authorities.ts';
import { createIssuing } from '../../core/authority/authority-creation.ts';
import type { AuthorityRow, AuthorityTables } from '../../core/authority/tables.ts';
import { revokeCertificate } from '../../core/authority/revocation.ts';
import { nameFromText } from '../../core/x509/name.ts';
import type { ProvisionedTenant } from '../../server/installation/first-start.ts';
import { CiscoRouter } from '../fakes/scep-cisco-router.ts';
import { contentOctets } from '../fakes/scep-cisco-messages.ts';
import { latin1 } from '../fakes/scep-cisco-asn1.ts';
import type { CiscoCertificate } from '../fakes/scep-cisco-certificate.ts';
import { ComposedServer } from '../support/composed-server.ts';
import { api } from '../support/installation.ts';
import { ScepServer } from './scep-clients.ts';
import { addScepEndpoint, challenge, enrollmentsOf, scepUrl } from './scep-installation.ts';

/** MD5 and single DES, for as long as this test runs. */
const LEGACY = { legacy: { until: '2099-01-01T00:00:00Z' } };

const DAY_MS = 86_400_000;

const MODERN = { digest: 'sha256', cipher: 'aes128' } as const;

const x509 = (certificate: CiscoCertificate): X509Certificate => new X509Certificate(latin1(certificate.der));

describe('SCEP with a router of the shape of Cisco IOS', () => {
  let server: ComposedServer;
  let old: string;
  let modern: string;
  let manual: string;
  /** Another tenant's. */
  let foreign: string;
  let tenant: ProvisionedTenant;

  beforeAll(async () => {
    server = await ComposedServer.start();
    old = await addScepEndpoint(server, 'old', LEGACY);
    modern = await addScepEndpoint(server, 'modern');
    manual = await addScepEndpoint(server, 'manual', LEGACY, { approval: 'manual' });
    tenant = await server.addTenant('acme');
    foreign = scepUrl(server, 'acme');
  });
  afterEach(() => void (server.clock.ahead = 0));
  afterAll(async () => server[Symbol.asyncDispose]());

  async function router(url: string, hostname: string, algorithms: object = {}): Promise<CiscoRouter> {
    const device = await CiscoRouter.create({ url, hostname, commonName: hostname, ...algorithms });
    await device.authenticate();
    return device;
  }

  it('speaks HTTP/1.0 without Host, and reads literal content types', async () => {
    const device = await CiscoRouter.create({ url: `${modern}/`, hostname: 'r0' });
    const capabilities = await device.capabilities();
    expect(capabilities).toEqual(expect.arrayContaining(['AES', 'DES3', 'SHA-256', 'POSTPKIOperation', 'Renewal']));
    expect(capabilities.filter((line) => line.trim() === '')).toEqual([]);
    const answer = await device.get('operation=GetCACaps');
    expect(answer.headers.get('Content-Type')).toBe('text/plain');
    expect(answer.headers.get('Content-Length')).toBe(String(answer.body.length));
    expect(answer.headers.has('Transfer-Encoding')).toBe(false);
  });

  it('enrols with MD5 and DES where they are allowed, and is answered in kind', async () => {
    const device = await router(old, 'r1');
    const reply = await device.enroll(await challenge(server, 'old'));
    expect(reply).toMatchObject({ status: 'granted' });
    const certificate = x509(device.certificate!);
    expect(certificate.subject).toContain('CN=r1');
    expect(certificate.verify(new X509Certificate(server.ca).publicKey)).toBe(false);
    // CSCuw41120: the serial number of its own certificate was negative, and the reply named it octet by octet.
    expect(contentOctets(device.signers[0]!.serialNumber).charCodeAt(0)).toBe(0x96);
  });

  it.each([
    ['sha1', '3des', 16],
    ['sha256', 'aes128', 16],
    ['sha512', 'aes256', 8],
    ['sha384', 'aes192', 16],
  ] as const)('enrols with %s, %s and a nonce of %i octets', async (digest, cipher, nonceOctets) => {
    const device = await router(modern, `r-${digest}`, { digest, cipher, nonceOctets });
    expect(await device.enroll(await challenge(server, 'modern'))).toMatchObject({ status: 'granted' });
  });

  it.each([
    ['md5', 'aes128'],
    ['sha256', 'des'],
    ['md5', 'des'],
  ] as const)(
    'is refused with badAlg and a reason for %s and %s where they are not allowed',
    async (digest, cipher) => {
      const hostname = `refused-${digest}-${cipher}`;
      const device = await router(modern, hostname, { digest, cipher });
      const reply = await device.enroll(await challenge(server, 'modern'));
      expect(reply).toMatchObject({ status: 'rejected', failInfo: '0', failInfoText: expect.stringMatching(/\S/) });
      // Nothing that is refused is signed with what is refused.
      expect(reply).not.toMatchObject({ digest: 'md5' });
      expect(await enrollmentsOf(server, 'modern', hostname)).toEqual([]);
    },
  );

  it('is refused with a wrong challenge, without one, and with one that was used', async () => {
    const secret = await challenge(server, 'old');
    expect(await (await router(old, 'first')).enroll(secret)).toMatchObject({ status: 'granted' });
    for (const wrong of ['wrong', undefined, secret]) {
      const reply = await (await router(old, 'second')).enroll(wrong);
      expect(reply, wrong).toMatchObject({ status: 'rejected', failInfo: '2' });
    }
    expect((await enrollmentsOf(server, 'old', 'second')).filter(({ status }) => status === 'issued')).toEqual([]);
  });

  describe('while an operator decides', () => {
    async function waiting(hostname: string): Promise<{ device: CiscoRouter; id: string }> {
      const device = await router(manual, hostname);
      expect(await device.enroll(await challenge(server, 'manual'))).toEqual({ status: 'pending' });
      const [enrollment] = await enrollmentsOf(server, 'manual', hostname);
      return { device, id: enrollment!.id };
    }

    it('polls with a new certificate each time, and resends its request, until it is approved', async () => {
      const { device, id } = await waiting('polls');
      expect(await device.poll()).toEqual({ status: 'pending' });
      expect(await device.enroll()).toEqual({ status: 'pending' });
      await api(server, 'POST', `/enrollments/${id}/approve`, {});
      expect(await device.poll()).toMatchObject({ status: 'granted' });
      const first = x509(device.certificate!);
      expect(new Set(device.signers.map(({ serialNumber }) => serialNumber)).size).toBe(device.signers.length);
      // Asked again, by request or by poll, there is still one certificate.
      for (const again of [() => device.enroll(), () => device.poll()]) {
        expect(await again()).toMatchObject({ status: 'granted' });
        expect(x509(device.certificate!).serialNumber).toBe(first.serialNumber);
      }
      expect(await server.certificatesOf('polls')).toHaveLength(1);
    });

    it('is told of a rejection when it polls', async () => {
      const { device, id } = await waiting('unwanted');
      await api(server, 'POST', `/enrollments/${id}/reject`, { comment: 'not ours' });
      expect(await device.poll()).toMatchObject({ status: 'rejected', failInfo: '2' });
    });

    it('learns nothing of a transaction that belongs to another key', async () => {
      const { device, id } = await waiting('victim');
      const thief = await router(manual, 'victim');
      thief.transactionId = device.transactionId;
      expect(await thief.poll()).toMatchObject({ status: 'rejected', failInfo: '4' });
      expect(await thief.enroll('wrong')).toMatchObject({ status: 'rejected', failInfo: '2' });
      await api(server, 'POST', `/enrollments/${id}/approve`, {});
      expect(await thief.poll()).toMatchObject({ status: 'rejected', failInfo: '4' });
      expect(await device.poll()).toMatchObject({ status: 'granted' });
      expect(await server.certificatesOf('victim')).toHaveLength(1);
    });

    it('is told badCertId when it polls for nothing', async () => {
      expect(await (await router(manual, 'nothing')).poll()).toMatchObject({ status: 'rejected', failInfo: '4' });
    });
  });

  it.each(['17', '19'] as const)(
    'renews with messageType %s, a new key and its old certificate',
    async (messageType) => {
      const hostname = `renews-${messageType}`;
      const device = await router(old, hostname);
      await device.enroll(await challenge(server, 'old'));
      const before = x509(device.certificate!);
      expect(await device.renew(messageType)).toMatchObject({ status: 'granted' });
      const after = x509(device.certificate!);
      expect(after.subject).toBe(before.subject);
      expect(after.serialNumber).not.toBe(before.serialNumber);
      expect(after.publicKey.equals(before.publicKey)).toBe(false);
      const [first, second] = await server.certificatesOf(hostname);
      expect(first).toMatchObject({ replaced_by: second!.id });
    },
  );

  it('cannot renew at another tenant, nor anything with a certificate it made itself', async () => {
    const device = await router(old, 'stays');
    await device.enroll(await challenge(server, 'old'));
    const abroad = await router(foreign, 'stays', MODERN);
    abroad.adopt(device);
    expect(await abroad.renew()).toMatchObject({ status: 'rejected', failInfo: '2' });
    const stranger = await router(old, 'stays');
    await stranger.poll();
    stranger.certificate = stranger.signers[0];
    expect(await stranger.renew()).toMatchObject({ status: 'rejected' });
    const all = await server.certificatesOf('stays');
    expect(all.map((row) => row.replaced_by)).toEqual([null]);
  });

  it.each(['17', '19'] as const)(
    'cannot renew with messageType %s what is revoked, nor what has expired',
    async (messageType) => {
      const hostname = `ends-${messageType}`;
      const device = await router(modern, hostname, MODERN);
      await device.enroll(await challenge(server, 'modern'));
      server.clock.ahead = 400 * DAY_MS;
      expect(await device.renew(messageType)).toMatchObject({ status: 'rejected' });
      server.clock.ahead = 0;
      const [row] = await server.certificatesOf(hostname);
      const { store } = server.server.kernel;
      const revocation = {
        tenant: row!.tenant,
        certificateId: row!.id,
        reason: 'keyCompromise',
        actor: 'test',
      } as const;
      await store.unit((tx) => revokeCertificate(tx, { ...revocation, at: store.clock.now() }));
      const reply = await device.renew(messageType);
      expect(reply).toMatchObject({
        status: 'rejected',
        failInfo: '2',
        failInfoText: expect.stringContaining('revoked'),
      });
      expect(await server.certificatesOf(hostname)).toHaveLength(1);
    },
  );

  it('is refused MD5 and DES from the moment at which the switch ends', async () => {
    const until = new Date(Date.now() + 3_600_000).toISOString();
    const url = await addScepEndpoint(server, 'lapses', { legacy: { until } });
    const device = await router(url, 'lapses');
    const secret = await challenge(server, 'lapses');
    server.clock.ahead = 3_700_000;
    expect(await device.enroll(secret)).toMatchObject({ status: 'rejected', failInfo: '0' });
    server.clock.ahead = 0;
    expect(await device.enroll(secret)).toMatchObject({ status: 'granted' });
  });

  it('takes the next CA from GetNextCACert once there is one, signed by the RA it knows', async () => {
    const device = await router(foreign, 'rolls', MODERN);
    await expect(device.nextCa()).rejects.toThrow(/HTTP\/1\.[01] [45]/);
    expect(await device.capabilities()).not.toContain('GetNextCACert');
    const successor = await succeed(server, tenant);
    expect(await device.capabilities()).toContain('GetNextCACert');
    const [next, ...chain] = await device.nextCa();
    expect(x509(next!).raw.equals(Buffer.from(successor.certificate))).toBe(true);
    expect(x509(next!).verify(x509(chain.at(-1)!).publicKey)).toBe(true);
    expect(await device.enroll(await server.password('acme'))).toMatchObject({ status: 'granted' });
  });

  it('is told of its certificate by GetCert, and of nobody else’s', async () => {
    const device = await router(old, 'looks');
    await device.enroll(await challenge(server, 'old'));
    const reply = await device.getCertificate();
    expect(reply).toMatchObject({ status: 'granted' });
    const [found] = reply.status === 'granted' ? reply.certificates : [];
    expect(found!.der).toBe(device.certificate!.der);
  });

  it('gets the CRL of its issuer', async () => {
    const device = await router(old, 'revocations');
    await device.enroll(await challenge(server, 'old'));
    const reply = await device.getCrl();
    expect(reply).toMatchObject({ status: 'granted', certificates: [] });
    expect(reply.status === 'granted' && reply.crls.length).toBe(1);
  });

  it('is refused a messageType that is on no list (CVE-2026-30836)', async () => {
    const device = await router(old, 'update');
    await device.enroll(await challenge(server, 'old'));
    for (const messageType of ['18', '3', '1', '99']) {
      const reply = await device.send(messageType);
      expect(reply, messageType).toMatchObject({ status: 'rejected', failInfo: '2' });
    }
    expect(await server.certificatesOf('update')).toHaveLength(1);
  });
});

describe('the router itself', () => {
  it('is understood by a server that nobody here wrote, and understands it', async () => {
    await using micromdm = await ScepServer.start('not a secret');
    const device = await CiscoRouter.create({
      url: micromdm.url,
      hostname: 'r1',
      commonName: 'r1',
      program: '',
      digest: 'sha1',
      cipher: 'des',
    });
    await device.authenticate();
    expect(await device.enroll('wrong')).toMatchObject({ status: 'rejected', failInfo: '2' });
    expect(await device.enroll('not a secret')).toMatchObject({ status: 'granted' });
    expect(await device.renew('17', 'not a secret')).toMatchObject({ status: 'granted' });
    expect(x509(device.certificate!).subject).toContain('CN=r1');
  });
});

/** Makes another issuing authority below the tenant's root, and has the first one retire. */
async function succeed(server: ComposedServer, { tenant, root, issuing }: ProvisionedTenant): Promise<AuthorityRow> {
  const { kernel, keys } = server.server;
  const { store } = kernel;
  const specification = {
    tenant: tenant.id,
    name: 'issuing-2',
    subject: nameFromText('CN=acme issuing CA 2,O=Muster'),
    token: keys.health()[0]!.label,
    keyAlgorithm: 'ec-p256',
    validitySeconds: 86_400 * 365,
    crlShards: 1,
  } as const;
  const row = await createIssuing(keys, root, specification, store.clock.now());
  await store.unit(async (tx) => {
    await insertAuthority(tx, row);
    await tx
      .forTenant<AuthorityTables>(tenant.id)
      .updateTable('authorities', { state: 'retiring' })
      .where('id', '=', issuing.id)
      .execute();
  });
  return row;
}
