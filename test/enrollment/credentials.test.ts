import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { revokeCertificate } from '../../core/authority/revocation.ts';
import type { EnrollmentTables, TrustAnchorRow } from '../../core/enrollment/tables.ts';
import { Secret } from '../../core/keys/secret.ts';
import { newId } from '../../core/store/id.ts';
import { parseCertificate } from '../../core/x509/certificate.ts';
import { KEY_PURPOSE } from '../../core/x509/oids.ts';
import { ENGINES } from '../support/stores.ts';
import { makeCsr, TestAuthority } from '../support/test-pki.ts';
import { issuedBy, OPEN_ENDPOINT, Site, type SiteTenant } from './site.ts';

const DAY_MS = 86_400_000;

describe.each(ENGINES)('credentials on %s', (engine) => {
  let site: Site;
  let acme: SiteTenant;
  let other: SiteTenant;

  beforeAll(async () => {
    site = await Site.open(engine);
    acme = await site.tenant('acme');
    other = await site.tenant('other');
  });
  afterEach(() => {
    site.clock.ahead = 0;
  });
  afterAll(() => site[Symbol.asyncDispose]());

  const verify = (chain: readonly Uint8Array[], { endpoint } = acme) =>
    site.credentials.tlsCertificate(endpoint, chain);
  const issue = async (endpoint = acme.endpoint, subject = 'CN=r1') =>
    issuedBy(await site.enroll(endpoint, { names: { subject } })).certificate;

  async function anchor(
    tenant: SiteTenant,
    authority: TestAuthority,
    purpose: TrustAnchorRow['purpose'],
  ): Promise<void> {
    await site.store.unit(async (tx) => {
      const row = { id: newId(), purpose, name: 'anchor', certificate: authority.der, created_at: 0 };
      await tx.forTenant<EnrollmentTables>(tenant.id).insertInto('trust_anchors', row).execute();
    });
  }

  describe('a certificate of ours', () => {
    it('is known with what it was issued for', async () => {
      const der = await issue();
      const [row] = (await site.certificates(acme.id)).slice(-1);
      expect(await verify([der])).toMatchObject({
        kind: 'tls-certificate',
        origin: 'own',
        certificateId: row!.id,
        deviceId: row!.device,
        profile: acme.profile,
        fingerprint: row!.fingerprint,
        registrationAuthority: false,
      });
      // The rest of the chain is ours to know: what a device sends with it changes nothing.
      expect((await verify([der, acme.issuing.certificate, TestAuthority.root().der])).origin).toBe('own');
    });

    it('is refused from the moment it is revoked (V4)', async () => {
      const der = await issue();
      const [row] = (await site.certificates(acme.id)).slice(-1);
      await verify([der]);
      await site.store.unit((tx) =>
        revokeCertificate(tx, {
          tenant: acme.id,
          certificateId: row!.id,
          reason: 'keyCompromise',
          actor: 'test',
          at: site.clock.now(),
        }),
      );
      await expect(verify([der])).rejects.toMatchObject({ reason: 'certificate-revoked' });
    });

    it('is refused when it has expired', async () => {
      const der = await issue();
      site.clock.ahead = 366 * DAY_MS;
      await expect(verify([der])).rejects.toMatchObject({ reason: 'certificate-expired' });
    });

    it('of another tenant is nothing here (V6)', async () => {
      const der = await issue(other.endpoint);
      await expect(verify([der])).rejects.toMatchObject({ reason: 'certificate-untrusted' });
      expect((await verify([der], other)).origin).toBe('own');
    });

    it('that we signed and do not know is refused: the store has the last word', async () => {
      const der = await issue();
      const { serialNumber } = parseCertificate(der);
      await site.store.unit(async (tx) => {
        const rows = tx.forTenant<{ certificates: { tenant: string; serial_number: string } }>(acme.id);
        await rows
          .updateTable('certificates', { serial_number: 'elsewhere' })
          .where('serial_number', '=', serialNumber)
          .execute();
      });
      await expect(verify([der])).rejects.toMatchObject({ reason: 'certificate-untrusted' });
    });

    it('that another CA of the same name signed is refused', async () => {
      const name = parseCertificate(acme.issuing.certificate).subject;
      const impostor = TestAuthority.root({ name });
      await expect(verify([impostor.leaf({ subject: 'CN=r1' }).der, impostor.der])).rejects.toMatchObject({
        reason: 'certificate-untrusted',
      });
    });

    it('that is a CA’s own is no client certificate', async () => {
      for (const { certificate } of [acme.issuing, acme.root]) {
        await expect(verify([certificate])).rejects.toMatchObject({ reason: 'certificate-untrusted' });
      }
    });
  });

  describe('the signer of a message', () => {
    const sign = (chain: readonly Uint8Array[], { endpoint } = acme) => site.credentials.signer(endpoint, chain);

    it('is known as one shown to TLS is, and renews as that does', async () => {
      const csr = makeCsr({ subject: 'CN=signer' }).der;
      const first = issuedBy(await site.enroll(acme.endpoint, { csr }));
      const fact = await sign([first.certificate]);
      expect(fact).toMatchObject({
        kind: 'signed-by',
        origin: 'own',
        certificateId: first.certificateId,
        profile: acme.profile,
      });
      const renewed = issuedBy(
        await site.hall.enroll(
          site.request(acme.endpoint, [fact], { csr: makeCsr({ subject: 'CN=signer' }).der, operation: 'renew' }),
        ),
      );
      const [old] = (await site.certificates(acme.id)).filter(({ id }) => id === first.certificateId);
      expect(old!.replaced_by).toBe(renewed.certificateId);
      const other = site.request(acme.endpoint, [fact], {
        csr: makeCsr({ subject: 'CN=another' }).der,
        operation: 'renew',
      });
      expect(await site.hall.enroll(other)).toMatchObject({ kind: 'rejected', reason: 'subject-mismatch' });
    });

    it('is refused when revoked, expired, unknown here, or another tenant’s', async () => {
      const der = await issue();
      await expect(sign([der], other)).rejects.toMatchObject({ reason: 'certificate-untrusted' });
      await expect(sign([])).rejects.toMatchObject({ reason: 'certificate-untrusted' });
      const [row] = (await site.certificates(acme.id)).slice(-1);
      const revocation = { tenant: acme.id, certificateId: row!.id, reason: 'superseded', actor: 'test' } as const;
      await site.store.unit((tx) => revokeCertificate(tx, { ...revocation, at: site.clock.now() }));
      await expect(sign([der])).rejects.toMatchObject({ reason: 'certificate-revoked' });
      const late = await issue();
      site.clock.ahead = 366 * DAY_MS;
      await expect(sign([late])).rejects.toMatchObject({ reason: 'certificate-expired' });
    });

    it('needs no clientAuth, which is TLS’s affair, but a key that may sign', async () => {
      const factory = TestAuthority.root({ name: 'CN=Signing factory' });
      await anchor(other, factory, 'client');
      const signer = factory.leaf({ subject: 'CN=d', eku: [KEY_PURPOSE.cmcRA] }).der;
      expect((await sign([signer], other)).origin).toBe('client-anchor');
      await expect(verify([signer], other)).rejects.toMatchObject({ reason: 'certificate-untrusted' });
      const agreeing = factory.leaf({ subject: 'CN=d', keyUsage: ['keyAgreement'] }).der;
      await expect(sign([agreeing], other)).rejects.toMatchObject({ reason: 'certificate-untrusted' });
    });
  });

  describe('an anchored certificate', () => {
    const root = TestAuthority.root({ name: 'CN=Factory root' });
    const intermediate = root.intermediate({ name: 'CN=Factory line' });

    it('is nothing before its root is an anchor, and nothing to another tenant afterwards', async () => {
      const { der } = root.leaf({ subject: 'CN=d' });
      await expect(verify([der, root.der])).rejects.toMatchObject({ reason: 'certificate-untrusted' });
      await anchor(acme, root, 'client');
      expect(await verify([der])).toMatchObject({
        origin: 'client-anchor',
        certificateId: undefined,
        profile: undefined,
      });
      await expect(verify([der], other)).rejects.toMatchObject({ reason: 'certificate-untrusted' });
    });

    it('needs the certificates between, in any order', async () => {
      const { der } = intermediate.leaf({ subject: 'CN=d' });
      await expect(verify([der])).rejects.toMatchObject({ reason: 'certificate-untrusted' });
      expect((await verify([der, root.der, intermediate.der])).origin).toBe('client-anchor');
    });

    it.each([
      ['is expired', { notAfter: new Date(Date.now() - 1000) }, 'certificate-expired'],
      ['is not yet valid', { notBefore: new Date(Date.now() + DAY_MS) }, 'certificate-untrusted'],
      ['is for servers', { eku: [KEY_PURPOSE.serverAuth] }, 'certificate-untrusted'],
      ['is for encryption', { keyUsage: ['keyEncipherment'] as const }, 'certificate-untrusted'],
    ])('that %s is refused', async (_, options, reason) => {
      await expect(verify([root.leaf(options).der])).rejects.toMatchObject({ reason });
    });

    it('that cannot be read is refused, and so is none', async () => {
      for (const chain of [
        [],
        [new Uint8Array()],
        [Uint8Array.of(0x30, 0x00)],
        [root.leaf().der.slice(0, -1)],
        [intermediate.leaf().der, Uint8Array.of(1)],
      ]) {
        await expect(verify(chain)).rejects.toMatchObject({ name: 'PolicyError', reason: 'certificate-untrusted' });
      }
    });

    it('whose root is an anchor for both is a device’s, and a registration authority’s where it says so', async () => {
      const both = TestAuthority.root({ name: 'CN=Both' });
      await anchor(acme, both, 'ra');
      const plain = both.leaf().der;
      expect(await verify([plain])).toMatchObject({ origin: 'ra-anchor', registrationAuthority: false });
      await anchor(acme, both, 'client');
      expect(await verify([plain])).toMatchObject({ origin: 'client-anchor', registrationAuthority: false });
      const claims = both.leaf({ eku: [KEY_PURPOSE.clientAuth, KEY_PURPOSE.cmcRA] }).der;
      expect(await verify([claims])).toMatchObject({ registrationAuthority: true });
    });
  });

  describe('a password', () => {
    const refusal = { name: 'PolicyError', reason: 'bad-credential' };

    it('is good at its own endpoint alone', async () => {
      const second = await site.endpoint(acme, OPEN_ENDPOINT);
      const { secret, id } = await site.secret(acme.endpoint);
      expect(await site.password(acme.endpoint, secret)).toMatchObject({
        kind: 'password',
        secretId: id,
        usage: 'one-time',
        state: 'free',
      });
      for (const endpoint of [second, other.endpoint]) {
        await expect(site.password(endpoint, secret, { source: '198.51.100.1' })).rejects.toMatchObject(refusal);
      }
    });

    it('that is wrong is told from one that is spent, ended or another’s by nothing', async () => {
      const { secret } = await site.secret(acme.endpoint, { lifetimeSeconds: 1 });
      site.clock.ahead = 2000;
      const messages = [];
      for (const presented of [
        secret,
        new Secret('wrong'),
        new Secret(''),
        (await site.secret(other.endpoint)).secret,
      ]) {
        const error: unknown = await site
          .password(acme.endpoint, presented, { source: '198.51.100.2' })
          .catch((thrown: unknown) => thrown);
        expect(error).toMatchObject(refusal);
        messages.push((error as Error).message);
        expect(`${(error as Error).message} ${(error as Error).stack}`).not.toContain(
          presented.reveal() || 'nothing to find',
        );
      }
      expect(new Set(messages).size).toBe(1);
    });

    it('locks its source out after ten wrong ones; a right one still passes, and other sources do not notice', async () => {
      const { secret } = await site.secret(acme.endpoint);
      const from = { source: '203.0.113.9' };
      for (let attempt = 0; attempt < 10; attempt++) {
        await expect(site.password(acme.endpoint, new Secret(`guess ${attempt}`), from)).rejects.toMatchObject(refusal);
      }
      await expect(site.password(acme.endpoint, new Secret('guess'), from)).rejects.toMatchObject({
        reason: 'locked-out',
        retryAfterSeconds: 300,
      });
      await expect(site.password(acme.endpoint, secret, from)).resolves.toMatchObject({ kind: 'password' });
      await expect(site.password(acme.endpoint, new Secret('guess'), { source: '203.0.113.10' })).rejects.toMatchObject(
        refusal,
      );
      await expect(site.password(other.endpoint, new Secret('guess'), from)).rejects.toMatchObject(refusal);
      site.clock.ahead = 301_000;
      await expect(site.password(acme.endpoint, new Secret('guess'), from)).rejects.toMatchObject(refusal);
    });
  });
});
