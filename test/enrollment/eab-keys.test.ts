import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { type AcmeSettings, OPEN_ACME } from '../../core/enrollment/acme-settings.ts';
import type { Endpoint } from '../../core/enrollment/endpoint.ts';
import type { EabKeyRequest } from '../../core/enrollment/sealed-secrets.ts';
import { createEabKey, createMacSecret } from '../../core/enrollment/sealed-secrets.ts';
import { revokeSecret } from '../../core/enrollment/secrets.ts';
import { ENGINES } from '../support/stores.ts';
import { makeCsr } from '../support/test-pki.ts';
import { issuedBy, OPEN_ENDPOINT, Site, type SiteTenant } from './site.ts';

describe.each(ENGINES)('ACME orders in the hall, on %s', (engine) => {
  let site: Site;
  let tenant: SiteTenant;
  let endpoint: Endpoint;
  let orders = 0;

  beforeAll(async () => {
    site = await Site.open(engine);
    tenant = await site.tenant('acme');
    endpoint = await open();
  });
  afterAll(() => site[Symbol.asyncDispose]());

  const open = (acme: Partial<AcmeSettings> = {}): Promise<Endpoint> =>
    site.endpoint(tenant, { ...OPEN_ENDPOINT, protocols: { acme: { ...OPEN_ACME, ...acme } } });

  async function key(request: Partial<EabKeyRequest> = {}) {
    const sealer = await site.dataKeys.sealer(tenant.id);
    const draft = { tenant: tenant.id, endpoint: endpoint.id, usage: 'one-time', createdBy: 'user:test' } as const;
    return site.store.unit((tx) =>
      createEabKey(tx, sealer, site.clock.now(), { ...draft, lifetimeSeconds: 3600, ...request }),
    );
  }

  const fact = (names: readonly string[], eabKeyId?: string, at = endpoint) => {
    orders += 1;
    const ids = { orderId: `order-${orders}`, accountId: `account-${orders}` };
    return site.credentials.acmeOrder(at, { ...ids, eabKeyId, names, replaces: undefined });
  };

  async function ask(names: readonly string[], subject: string, san: readonly string[], at = endpoint) {
    const csr = makeCsr({ subject, ...(san.length > 0 && { san }) }).der;
    return site.hall.enroll(site.request(at, [await fact(names)], { protocol: 'acme', csr }));
  }

  it('enrols what the order names', async () => {
    const outcome = await ask(['dns:r1.example', 'ip:192.0.2.1'], 'CN=r1.example', ['dns:R1.example', 'ip:192.0.2.1']);
    expect(issuedBy(outcome).replayed).toBe(false);
    const row = await site.enrollment(endpoint, issuedBy(outcome).enrollmentId);
    expect([row.principal, row.device_name]).toEqual([`acme-order account-${orders}`, 'r1.example']);
  });

  it.each([
    ['a further name', 'CN=r1.example', ['dns:r1.example', 'dns:r2.example']],
    ['a missing name', '', ['dns:r2.example']],
    ['another common name', 'CN=r2.example', ['dns:r1.example']],
    ['an address as common name', 'CN=192.0.2.1', ['dns:r1.example']],
    ['a serial number', 'CN=r1.example,2.5.4.5=FOC1234', ['dns:r1.example']],
    ['a name of another kind', '', ['dns:r1.example', 'uri:https://r1.example/']],
    ['no name at all', 'CN=r1.example', []],
  ])('refuses %s, whatever the carrier compared (V3)', async (_what, subject, san) => {
    expect(await ask(['dns:r1.example'], subject, san)).toMatchObject({ kind: 'rejected', reason: 'subject-mismatch' });
  });

  it('asks for the authenticator that the endpoint takes', async () => {
    const vouchedOnly = await open({ authenticators: ['eab'] });
    const refused = await ask(['dns:r1.example'], '', ['dns:r1.example'], vouchedOnly);
    expect(refused).toMatchObject({ kind: 'rejected', reason: 'not-authorized' });
  });

  describe('a key', () => {
    it('vouches for the names of its list, for a wildcard only by its own text, and not once it is revoked', async () => {
      const { id } = await key({ usage: 'device', allowed: ['*.b.example', '192.0.2.*'], subject: 'hub.example' });
      await expect(fact(['dns:r1.b.example', 'dns:hub.example', 'ip:192.0.2.7'], id)).resolves.toBeDefined();
      await expect(fact(['dns:*.b.example'], id)).resolves.toBeDefined();
      for (const name of ['dns:r1.example', 'dns:*.c.b.example', 'ip:198.51.100.1', 'dns:b.example'])
        await expect(fact([name], id)).rejects.toMatchObject({ reason: 'not-authorized' });
      await site.store.unit((tx) => revokeSecret(tx, tenant.id, id));
      await expect(fact(['dns:r1.b.example'], id)).rejects.toMatchObject({ reason: 'not-authorized' });
    });

    it('without names vouches for none', async () => {
      const { id } = await key();
      expect((await site.credentials.eabNames(endpoint, id)).kind).toBe('any');
      await expect(fact(['dns:r1.example'], id)).rejects.toMatchObject({ reason: 'not-authorized' });
    });

    it('says nothing at another endpoint', async () => {
      const { id, reference } = await key({ subject: 'r1.example' });
      const other = await open();
      expect((await site.credentials.eabNames(other, id)).kind).toBe('none');
      expect(await site.credentials.eabKey(other, reference, '192.0.2.1')).toBeUndefined();
    });

    it('binds one account, until its end, and is still good for its account then', async () => {
      const { id, reference } = await key({ subject: 'r1.example' });
      const find = () => site.credentials.eabKey(endpoint, reference, '192.0.2.2');
      const found = (await find())!;
      const bind = (account: string) => site.store.unit((tx) => found.bind(tx, account, site.clock.now()));
      await bind('first');
      await bind('first');
      await expect(bind('second')).rejects.toMatchObject({ reason: 'bad-credential' });
      site.clock.ahead += 3_601_000;
      expect(await find()).toBeUndefined();
      await expect(fact(['dns:r1.example'], id)).resolves.toBeDefined();
    });

    it('is no MAC secret, and a MAC secret is none (V43)', async () => {
      const both = await site.endpoint(tenant, {
        ...OPEN_ENDPOINT,
        protocols: { acme: OPEN_ACME, cmp: { authenticators: ['mac'] } as never },
      });
      const sealer = await site.dataKeys.sealer(tenant.id);
      const draft = { tenant: tenant.id, endpoint: both.id, usage: 'device', createdBy: 'user:test' } as const;
      const mac = await site.store.unit((tx) =>
        createMacSecret(tx, sealer, site.clock.now(), { ...draft, lifetimeSeconds: 3600 }),
      );
      const eab = await key({ endpoint: both.id, usage: 'device' });
      const { credentials } = site;
      expect(await credentials.eabKey(both, mac.reference, '192.0.2.3')).toBeUndefined();
      expect(await credentials.macCredential(both, 'cmp', Buffer.from(eab.reference), '192.0.2.3')).toBeUndefined();
      expect(await credentials.eabKey(both, eab.reference, '192.0.2.3')).toMatchObject({ id: eab.id });
      await expect(credentials.password(both, 'est', 'x', eab.secret, '192.0.2.3')).rejects.toMatchObject({
        reason: 'bad-credential',
      });
    });

    it('cannot be guessed for long', async () => {
      const { reference } = await key();
      const find = () => site.credentials.eabKey(endpoint, reference, '192.0.2.4');
      const found = (await find())!;
      for (let turn = 0; turn < 10; turn += 1) await found.failed();
      await expect(found.failed()).rejects.toMatchObject({ reason: 'locked-out' });
      await expect(find()).rejects.toMatchObject({ reason: 'locked-out' });
      expect(await site.credentials.eabKey(endpoint, reference, '192.0.2.5')).toBeDefined();
    });
  });
});
