import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { insertTenant } from '../../core/authority/authorities.ts';
import { keptCrls } from '../../core/authority/authority-end.ts';
import { type CrlBuilder, type CrlOrder, localBuilder } from '../../core/authority/crl-building.ts';
import { crlFrame } from '../../core/authority/crl-encoding.ts';
import { crlJobs } from '../../core/authority/crl-schedule.ts';
import { workerBuilder } from '../../core/authority/crl-worker-builder.ts';
import type { CrlDatabase } from '../../core/authority/crl-worker.ts';
import { Crls } from '../../core/authority/crls.ts';
import { AuthorityDirectory } from '../../core/authority/directory.ts';
import { authorityMigrations } from '../../core/authority/migrations.ts';
import { revokeCertificate } from '../../core/authority/revocation.ts';
import { CaRollover } from '../../core/authority/rollover.ts';
import { Rollovers } from '../../core/authority/rollovers.ts';
import { ServiceIdentities } from '../../core/authority/service-identities.ts';
import type { AuthorityTables, CertificateRow } from '../../core/authority/tables.ts';
import { moveEndpoints } from '../../core/enrollment/endpoints.ts';
import { JobRunner } from '../../core/store/job-runner.ts';
import { migrate } from '../../core/store/migrations.ts';
import { storeMigrations } from '../../core/store/store-migrations.ts';
import type { Store } from '../../core/store/store.ts';
import { parseCertificate } from '../../core/x509/certificate.ts';
import { parseCertificateList } from '../../core/x509/crl.ts';
import { EXTENSIONS } from '../../core/x509/extensions.ts';
import { issuedBy, Site, type SiteTenant } from '../enrollment/site.ts';
import { ENGINES, testDatabase } from '../support/stores.ts';

const HOUR = 3_600_000;

describe.each(ENGINES)('the publication of CRLs on %s', (engine) => {
  let site: Site;
  let acme: SiteTenant;

  beforeAll(async () => {
    site = await Site.open(engine);
    acme = await site.tenant('acme');
  });
  afterEach(() => (site.keys.fault = undefined));
  afterAll(() => site[Symbol.asyncDispose]());

  const node = (build: CrlBuilder = localBuilder(site.store)): Crls =>
    new Crls({ store: site.store, authorities: site.authorities, build });
  const publication = (scope: string) => ({ tenant: acme.id, authority: acme.issuing.id, scope });

  async function revoked(): Promise<CertificateRow> {
    const { certificateId } = issuedBy(await site.enroll(acme.endpoint));
    await revokeOne(certificateId);
    return (await site.certificates(acme.id)).find(({ id }) => id === certificateId)!;
  }
  const revokeOne = (certificateId: string) =>
    site.store.unit((tx) =>
      revokeCertificate(tx, {
        tenant: acme.id,
        certificateId,
        reason: 'keyCompromise',
        actor: 'test',
        at: site.clock.now(),
      }),
    );
  const current = async () => parseCertificateList(await node().current(acme.id, acme.issuing.id));
  const serials = async () => (await current()).entries.map(({ serialNumber }) => serialNumber as string);
  const numberNow = async () => EXTENSIONS.crlNumber.find((await current()).extensions)!;

  it('by several nodes at once gives each number once, and no higher number says less', async () => {
    await current();
    const before = await numberNow();
    const nodes = [node(), node(), node()];
    await Promise.all(nodes.map((each) => each.publish(publication('full'), 'change')));
    expect(await numberNow()).toBe(before + 3n);
  });

  it('that comes too late is built anew', async () => {
    let slow = Promise.withResolvers<void>();
    const reached = Promise.withResolvers<void>();
    const local = localBuilder(site.store);
    const late = node(async (order) => {
      const built = await local(order);
      reached.resolve();
      await slow.promise;
      return built;
    });
    const overtaken = late.publish(publication('full'), 'change');
    await reached.promise;
    const row = await revoked();
    await node().publish(publication('full'), 'change');
    expect(await serials()).toContain(row.serial_number);
    const number = await numberNow();
    slow.resolve();
    slow = Promise.withResolvers();
    slow.resolve();
    await overtaken;
    expect(await numberNow()).toBe(number + 1n);
    expect(await serials()).toContain(row.serial_number);
  });

  it('is refused to a worker whose lease is lost', async () => {
    const number = await numberNow();
    const lost = node().publish(publication('full'), 'change', () => Promise.reject(new RangeError('lost')));
    await expect(lost).rejects.toThrow('lost');
    expect(await numberNow()).toBe(number);
  });

  it('leaves the last good one while the token is away, and alarms', async () => {
    const number = await numberNow();
    const row = await revoked();
    site.keys.fault = 'away';
    await expect(node().publish(publication('full'), 'change')).rejects.toMatchObject({ reason: 'hsm-unavailable' });
    expect(await numberNow()).toBe(number);
    const alarms: string[] = [];
    const { handlers } = crlJobs(site.store, node(), ({ scope }, error) => alarms.push(`${scope} ${error.reason}`));
    const turn = { signal: new AbortController().signal, attempt: 1, fencingToken: 1, confirm: async () => undefined };
    const failed = handlers['publish-crl']!({ ...publication('full'), occasion: 'change' }, turn);
    await expect(failed).rejects.toMatchObject({ retryAfterSeconds: 5 });
    expect(alarms).toEqual(['full hsm-unavailable']);
    site.keys.fault = undefined;
    await node().publish(publication('full'), 'change');
    expect(await serials()).toContain(row.serial_number);
  });

  it('keeps what expired until a regular CRL has named it', async () => {
    const { certificateId } = issuedBy(await site.enroll(acme.endpoint));
    await revokeOne(certificateId);
    const row = (await site.certificates(acme.id)).find(({ id }) => id === certificateId)!;
    await node().publish(publication('full'), 'regular');
    site.clock.ahead = row.not_after - Date.now() + HOUR;
    try {
      await node().publish(publication('full'), 'change');
      expect(await serials()).toContain(row.serial_number);
      await node().publish(publication('full'), 'change');
      expect(await serials()).toContain(row.serial_number);
      await node().publish(publication('full'), 'regular');
      expect(await serials()).toContain(row.serial_number);
      await node().publish(publication('full'), 'regular');
      expect(await serials()).not.toContain(row.serial_number);
    } finally {
      site.clock.ahead = 0;
    }
  });

  it('happens by itself: at first, after a revocation, and before nextUpdate', async () => {
    const crls = node();
    const globex = await site.tenant(`globex-${randomBytes(4).toString('hex')}`);
    const { handlers, schedules } = crlJobs(site.store, crls, () => undefined);
    const runner = new JobRunner(site.store, handlers, { schedules, pollMs: 50, report: () => undefined });
    runner.start();
    const inForce = async (authority: string, scope: string) =>
      site.store
        .read<AuthorityTables>()
        .selectFrom('crls')
        .selectAll()
        .where('authority', '=', authority)
        .where('scope', '=', scope)
        .executeTakeFirst();
    try {
      for (const { id } of [globex.root, globex.issuing])
        await expect.poll(() => inForce(id, 'full'), { timeout: 10_000 }).toMatchObject({ entries: 0 });
      const { certificateId } = issuedBy(await site.enroll(globex.endpoint));
      const at = site.clock.now();
      await site.store.unit((tx) =>
        revokeCertificate(tx, { tenant: globex.id, certificateId, reason: 'superseded', actor: 'test', at }),
      );
      await expect.poll(() => inForce(globex.issuing.id, 'delta'), { timeout: 5000 }).toMatchObject({ entries: 1 });
    } finally {
      await runner.stop();
    }
    const full = (await inForce(globex.issuing.id, 'full'))!;
    expect(crls.isDue(full, Date.now())).toBe(false);
    expect(crls.isDue(full, Date.now() + 13 * HOUR)).toBe(true);
  });

  it('goes on after an authority has retired until what it issued has ended, and then once more', async () => {
    const tenant = await site.tenant();
    const { store, keys } = site;
    const authorities = new AuthorityDirectory(store, keys, 'http://muster.example');
    const rollovers = new Rollovers({ store, authorities, report: () => undefined });
    const identities = new ServiceIdentities({ store, keys, authorities });
    const rollover = new CaRollover({ store, keys, rollovers, identities, moveEndpoints });
    const crls = new Crls({ store, authorities, build: localBuilder(store) });
    const { id: authority } = tenant.issuing;
    const { certificateId } = issuedBy(await site.enroll(tenant.endpoint));
    const device = (await site.certificates(tenant.id)).find(({ id }) => id === certificateId)!;
    // What Muster itself holds outlives the device's.
    const own = await identities.current(tenant.id, authority, 'scep-ra');
    const last = own.certificate.notAfter.getTime();
    expect(last).toBeGreaterThan(device.not_after);
    const kept = async () => {
      const { inForce, missing } = await keptCrls(store, site.clock.now());
      const scopes = inForce.filter((crl) => crl.authority === authority).map(({ scope }) => scope);
      return [...scopes, ...missing.filter(({ id }) => id === authority).map(() => 'missing')];
    };
    const publish = () => crls.publish({ tenant: tenant.id, authority, scope: 'full' }, 'regular');
    const { id } = await rollover.start({ tenant: tenant.id, authority, actor: 'user:a' });
    await rollover.switch({ tenant: tenant.id, id, actor: 'user:a' });
    await publish();
    try {
      site.clock.ahead = device.not_after - Date.now() + HOUR;
      await rollover.retire({ tenant: tenant.id, id, actor: 'user:a' });
      expect(await kept()).toEqual(['delta', 'full']);
      await publish();
      expect(await kept()).toEqual(['delta', 'full']);
      site.clock.ahead = last - Date.now() + HOUR;
      expect(await kept()).toEqual(['delta', 'full']);
      await publish();
      expect(await kept()).toEqual([]);
      // What stands is handed out for ever; nothing new is signed because somebody asks.
      await expect(crls.inForce({ tenant: tenant.id, authority, scope: 'full' })).resolves.toBeDefined();
      await expect(crls.inForce({ tenant: tenant.id, authority, scope: '1' })).rejects.toMatchObject({
        reason: 'not-found',
      });
    } finally {
      site.clock.ahead = 0;
    }
  });

  it('of a long list in a worker gives the same octets as on the event loop', async () => {
    await using database = await testDatabase(engine);
    await using store = await database.open();
    await migrate(store, [...storeMigrations, ...authorityMigrations]);
    await store.unit((tx) => insertTenant(tx, { id: 't', name: 't', created_at: 0 }));
    await insertRevocations(store, 26_000);
    const issuer = parseCertificate(acme.issuing.certificate);
    const order: CrlOrder = {
      frame: crlFrame({
        signatureAlgorithm: 'ecdsa-with-SHA256',
        issuer: issuer.subject,
        thisUpdate: new Date(1_700_000_000_000),
        nextUpdate: new Date(1_700_003_600_000),
        extensions: [EXTENSIONS.crlNumber.encode(1n)],
      }),
      selection: { authority: 'a', shard: undefined, changedAfter: undefined, endedAfter: 0 },
    };
    const { location } = database;
    const source: CrlDatabase = engine === 'sqlite' ? { engine, file: location } : { engine, url: location };
    const built = await workerBuilder(store, source)(order);
    const expected = await localBuilder(store)(order);
    expect(built.entries).toBe(26_000);
    expect(Buffer.compare(built.tbsDer, expected.tbsDer)).toBe(0);
    const gone: CrlDatabase = { engine: 'sqlite', file: '/nonexistent/muster.db' };
    await expect(workerBuilder(store, gone)(order)).rejects.toMatchObject({ reason: 'store-unavailable' });
  });
});

async function insertRevocations(store: Store, count: number): Promise<void> {
  const now = Date.now();
  for (let done = 0; done < count; done += 2000) {
    const rows = Array.from({ length: Math.min(2000, count - done) }, (_, index) => ({
      tenant: 't',
      authority: 'a',
      serial_number: `4${randomBytes(20).toString('hex').slice(1)}`,
      certificate: '',
      shard: index % 4,
      state: 'revoked' as const,
      reason: index % 6,
      revoked_at: now,
      invalidity_date: index % 7 === 0 ? now - 1_000_000 : null,
      not_after: now + HOUR,
      changed_at: now - HOUR,
    }));
    await store.unit((tx) => tx.db<AuthorityTables>().insertInto('revocations').values(rows).execute());
  }
}
