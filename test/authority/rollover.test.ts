import { X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { listAuthorities } from '../../core/authority/authorities.ts';
import { AuthorityDirectory } from '../../core/authority/directory.ts';
import { devicesOf, readinessOf } from '../../core/authority/rollover-readiness.ts';
import { heirOf, listRollovers } from '../../core/authority/rollover-records.ts';
import { RolloverSightings } from '../../core/authority/rollover-sightings.ts';
import { CaRollover } from '../../core/authority/rollover.ts';
import { Rollovers } from '../../core/authority/rollovers.ts';
import { ServiceIdentities } from '../../core/authority/service-identities.ts';
import { storedIdentities } from '../../core/authority/service-identity-rows.ts';
import { moveEndpoints } from '../../core/enrollment/endpoints.ts';
import { approve } from '../../core/enrollment/enrollments.ts';
import { UpstreamError } from '../../core/errors/muster-error.ts';
import { parseCertificate } from '../../core/x509/certificate.ts';
import { nameFromText, nameToText } from '../../core/x509/name.ts';
import { encodePem } from '../../core/x509/pem.ts';
import { issuedBy, OPEN_ENDPOINT, Site, type SiteTenant } from '../enrollment/site.ts';
import { ENGINES } from '../support/stores.ts';
import { makeCsr } from '../support/test-pki.ts';
import { Scratch, tryOpenssl } from '../x509/openssl.ts';

const DAY = 86_400_000;
const PUBLIC_URL = 'http://muster.example';

/** One node: its own memory over the store and the token that all share. */
function node(site: Site) {
  const { store, keys } = site;
  const authorities = new AuthorityDirectory(store, keys, PUBLIC_URL);
  const rollovers = new Rollovers({ store, authorities, report: () => undefined });
  const identities = new ServiceIdentities({ store, keys, authorities });
  const rollover = new CaRollover({ store, keys, rollovers, identities, moveEndpoints });
  const sightings = new RolloverSightings({ store, rollovers });
  return { authorities, rollovers, identities, rollover, sightings };
}

describe.each(ENGINES)('the rollover of an authority on %s', (engine) => {
  let site: Site;
  let one: ReturnType<typeof node>;

  beforeAll(async () => {
    site = await Site.open(engine);
    one = node(site);
  });
  afterAll(() => site[Symbol.asyncDispose]());

  const start = (tenant: SiteTenant, authority = 'issuing', rest: object = {}) =>
    one.rollover.start({ tenant: tenant.id, authority, actor: 'user:test', ...rest });
  const call = (tenant: SiteTenant, id: string) => ({ tenant: tenant.id, id, actor: 'user:test' });
  const states = async (tenant: SiteTenant) =>
    Object.fromEntries((await listAuthorities(site.store, tenant.id)).map(({ name, state }) => [name, state]));
  const named = async (tenant: SiteTenant, name: string) =>
    (await listAuthorities(site.store, tenant.id)).find((row) => row.name === name)!;
  const x509 = (der: Uint8Array) => new X509Certificate(Buffer.from(der));
  const pem = (...ders: readonly Uint8Array[]) => ders.map((der) => encodePem('CERTIFICATE', der)).join('');
  const issuerOf = (der: Uint8Array) => nameToText(parseCertificate(der).issuer);

  it('announces a successor like its predecessor, under a name of its own, once', async () => {
    const tenant = await site.tenant();
    const announced = await start(tenant);
    expect(announced).toMatchObject({ state: 'announced', members: [{ predecessor: tenant.issuing.id }] });
    expect(await states(tenant)).toEqual({ root: 'active', issuing: 'active', 'issuing-2': 'next' });
    const successor = await named(tenant, 'issuing-2');
    expect(successor).toMatchObject({ parent: tenant.root.id, crl_shards: 4, kind: 'issuing' });
    const [old, made] = [tenant.issuing, successor].map(({ certificate }) => parseCertificate(certificate));
    expect(nameToText(made!.subject)).toBe(`${nameToText(old!.subject)} G2`);
    expect(made!.publicKey.algorithm).toEqual(old!.publicKey.algorithm);
    expect(x509(successor.certificate).verify(x509(tenant.root.certificate).publicKey)).toBe(true);

    expect(await start(tenant)).toEqual(announced);
    expect(await listRollovers(site.store, tenant.id)).toHaveLength(1);
    await expect(start(tenant, 'issuing-2')).rejects.toMatchObject({ reason: 'conflict' });
    await expect(start(tenant, 'root')).rejects.toMatchObject({ reason: 'conflict' });
    await expect(start(tenant, 'nobody')).rejects.toMatchObject({ reason: 'not-found' });
    expect((await site.audit(tenant.id)).filter(({ action }) => action === 'rollover.announced')).toHaveLength(1);
    // Nothing issues otherwise yet.
    expect(issuerOf(issuedBy(await site.enroll(tenant.endpoint)).certificate)).toBe(nameToText(old!.subject));
  });

  it('takes another kind of key and another name, and refuses another name for a root', async () => {
    const tenant = await site.tenant();
    const subject = nameFromText('CN=Chosen,O=Muster');
    await start(tenant, tenant.issuing.id, { subject, keyAlgorithm: 'ec-p384' });
    const made = parseCertificate((await named(tenant, 'issuing-2')).certificate);
    expect(nameToText(made.subject)).toBe('CN=Chosen,O=Muster');
    expect(made.publicKey.algorithm).toEqual({ kind: 'ec', curve: 'P-384' });
    const other = await site.tenant();
    await expect(start(other, 'root', { subject })).rejects.toMatchObject({ reason: 'malformed-request' });
  });

  it('of two who start at once lets one, and leaves nothing of the other', async () => {
    const tenant = await site.tenant();
    const another = node(site);
    const wish = { tenant: tenant.id, authority: 'issuing', actor: 'user:test' };
    const results = await Promise.allSettled([one.rollover.start(wish), another.rollover.start(wish)]);
    const refused = results.filter((result) => result.status === 'rejected');
    for (const { reason } of refused) expect(reason).toMatchObject({ reason: 'conflict' });
    expect(await listRollovers(site.store, tenant.id)).toHaveLength(1);
    expect(Object.keys(await states(tenant))).toHaveLength(3);
  });

  it('stores nothing when the token leaves in the middle', async () => {
    const tenant = await site.tenant();
    site.keys.fault = 'signed-but-away';
    await expect(start(tenant, 'root')).rejects.toMatchObject({ reason: 'hsm-unavailable' });
    site.keys.fault = undefined;
    expect(await states(tenant)).toEqual({ root: 'active', issuing: 'active' });
    expect(await listRollovers(site.store, tenant.id)).toEqual([]);
  });

  it('certifies each root key with the other, so that openssl leads every leaf to every root', async () => {
    const tenant = await site.tenant();
    const before = issuedBy(await site.enroll(tenant.endpoint)).certificate;
    const announced = await start(tenant, 'root');
    expect(announced.members.map(({ predecessor }) => predecessor)).toEqual([tenant.root.id, tenant.issuing.id]);
    const { oldWithNew, newWithOld } = announced.members[0]!.crossCertificates!;
    const [newRoot, newIssuing] = [await named(tenant, 'root-2'), await named(tenant, 'issuing-2')];
    expect(newIssuing.parent).toBe(newRoot.id);
    // RFC 9810 §4.4: self-issued, so that a pathLenConstraint does not count them.
    for (const der of [oldWithNew, newWithOld, newRoot.certificate]) {
      const { subject, issuer } = parseCertificate(der);
      expect([subject.der, issuer.der]).toEqual([parseCertificate(tenant.root.certificate).subject.der, subject.der]);
    }
    // The responders of both roots know what their roots certified.
    const serials = [newWithOld, oldWithNew, newIssuing.certificate].map((der) => parseCertificate(der).serialNumber);
    for (const [id, expected] of [
      [tenant.root.id, [true, false, false]],
      [newRoot.id, [false, true, true]],
      [newIssuing.id, [false, false, false]],
    ] as const) {
      const certifier = await one.authorities.issuer(tenant.id, id);
      const certified = await Promise.all(serials.map((serial) => one.authorities.certified(certifier, serial)));
      expect(certified).toEqual(expected);
    }
    await one.rollover.switch(call(tenant, announced.id));
    const after = issuedBy(await site.enroll((await site.endpoints.resolve(tenant.endpoint.label))!)).certificate;
    using scratch = new Scratch();
    const verify = (root: Uint8Array, leaf: Uint8Array, ...between: Uint8Array[]) =>
      tryOpenssl([
        'verify',
        '-x509_strict',
        '-CAfile',
        scratch.file('root.pem', pem(root)),
        '-untrusted',
        scratch.file('between.pem', pem(...between)),
        scratch.file('leaf.pem', pem(leaf)),
      ]);
    const { root, issuing } = tenant;
    expect(verify(root.certificate, after, newIssuing.certificate, newWithOld)).toMatchObject({ ok: true });
    expect(verify(newRoot.certificate, before, issuing.certificate, oldWithNew)).toMatchObject({ ok: true });
    expect(verify(newRoot.certificate, after, newIssuing.certificate)).toMatchObject({ ok: true });
    expect(verify(root.certificate, after, newIssuing.certificate)).toMatchObject({ ok: false });
    expect(verify(newRoot.certificate, before, issuing.certificate)).toMatchObject({ ok: false });
  });

  it('tells devices what they need in each state, and no longer than that', async () => {
    const tenant = await site.tenant();
    const { rollovers } = one;
    const { id, members } = await start(tenant, 'root');
    const { newWithOld, oldWithNew } = members[0]!.crossCertificates!;
    const [root2, issuing2] = [await named(tenant, 'root-2'), await named(tenant, 'issuing-2')];
    const [old, next] = [tenant.issuing.id, issuing2.id];
    const hex = (ders: readonly Uint8Array[]) => ders.map((der) => Buffer.from(der).toString('hex'));
    const chains = [tenant.issuing, tenant.root, issuing2, root2].map(({ certificate }) => certificate);
    const successorOf = (authority: string) => rollovers.successorCertificates(tenant.id, authority);
    const update = (known?: Uint8Array, authority = old) => rollovers.rootUpdate(tenant.id, authority, known);
    const content = { newWithNew: root2.certificate, newWithOld, oldWithNew };

    expect(hex(await rollovers.trustCertificates(tenant.id, old))).toEqual(hex([...chains, oldWithNew, newWithOld]));
    expect(hex(await successorOf(old))).toEqual(hex(chains.slice(2)));
    for (const known of [undefined, tenant.root.certificate]) expect(await update(known)).toEqual(content);
    expect(await update(root2.certificate)).toBe('current');
    expect(await update(tenant.issuing.certificate)).toBeUndefined();
    expect(await rollovers.bridges(tenant.id, next)).toEqual([]);
    expect(await rollovers.predecessors(tenant.id, next)).toEqual([]);

    await one.rollover.switch(call(tenant, id));
    const turned = [...chains.slice(2), ...chains.slice(0, 2), oldWithNew, newWithOld];
    expect(hex(await rollovers.trustCertificates(tenant.id, next))).toEqual(hex(turned));
    expect(await successorOf(next)).toEqual([]);
    expect(await update(tenant.root.certificate, next)).toEqual(content);
    expect(await update(root2.certificate, next)).toBe('current');
    expect(hex(await rollovers.bridges(tenant.id, next))).toEqual(hex([newWithOld]));
    expect(await rollovers.predecessors(tenant.id, next)).toEqual([old]);
    expect(await heirOf(site.store, tenant.id, old)).toBe(next);

    await one.rollover.retire(call(tenant, id));
    expect(hex(await rollovers.trustCertificates(tenant.id, next))).toEqual(hex(chains.slice(2)));
    expect(await update(tenant.root.certificate, next)).toBeUndefined();
    expect(await rollovers.bridges(tenant.id, next)).toEqual([]);
    expect(await heirOf(site.store, tenant.id, old)).toBe(next);
  });

  it('switches in one step, whoever asks how often, and takes the keys of services along', async () => {
    const tenant = await site.tenant();
    const { id, members } = await start(tenant);
    const { successor } = members[0]!;
    await one.identities.current(tenant.id, tenant.issuing.id, 'cmp');
    const another = node(site);
    const both = await Promise.all([one, another].map(({ rollover }) => rollover.switch(call(tenant, id))));
    expect(both.map(({ state }) => state)).toEqual(['switched', 'switched']);
    expect(await states(tenant)).toEqual({ root: 'active', issuing: 'retiring', 'issuing-2': 'active' });
    const moved = (await site.endpoints.resolve(tenant.endpoint.label))!;
    expect(moved).toMatchObject({ authority: successor, revision: tenant.endpoint.revision + 1 });
    expect((await site.audit(tenant.id)).filter(({ action }) => action === 'rollover.switched')).toMatchObject([
      { details: { endpoints: 1 } },
    ]);
    const scope = { tenant: tenant.id, authority: successor, purpose: 'cmp' } as const;
    expect(await storedIdentities(site.store, scope)).toMatchObject([{ status: 'active' }]);
    // The one that retires goes on to sign CRLs and OCSP answers.
    await expect((await one.authorities.issuer(tenant.id, tenant.issuing.id)).caKey()).resolves.toBeDefined();
    const leaf = issuedBy(await site.enroll(moved));
    expect((await site.certificates(tenant.id)).at(-1)).toMatchObject({ id: leaf.certificateId, authority: successor });
    await expect(one.rollover.schedule(call(tenant, id), 0)).rejects.toMatchObject({ reason: 'conflict' });
  });

  it('changes nothing when the keys of services cannot be made', async () => {
    const tenant = await site.tenant();
    const { id } = await start(tenant);
    await one.identities.current(tenant.id, tenant.issuing.id, 'cmp');
    site.keys.fault = 'away';
    await expect(one.rollover.switch(call(tenant, id))).rejects.toMatchObject({ reason: 'hsm-unavailable' });
    site.keys.fault = undefined;
    expect(await states(tenant)).toEqual({ root: 'active', issuing: 'active', 'issuing-2': 'next' });
    expect(await one.rollover.switch(call(tenant, id))).toMatchObject({ state: 'switched' });
  });

  it('rolls the whole step back where one member is not as it was', async () => {
    const tenant = await site.tenant();
    const { id } = await start(tenant, 'root');
    const issuing2 = await named(tenant, 'issuing-2');
    const setState = (state: 'next' | 'retired') =>
      site.store.unit((tx) =>
        tx
          .forTenant<{ authorities: typeof issuing2 }>(tenant.id)
          .updateTable('authorities', { state })
          .where('id', '=', issuing2.id)
          .execute(),
      );
    await setState('retired');
    await expect(one.rollover.switch(call(tenant, id))).rejects.toMatchObject({ reason: 'conflict' });
    expect(await states(tenant)).toMatchObject({ root: 'active', 'root-2': 'next', issuing: 'active' });
    expect((await site.endpoints.resolve(tenant.endpoint.label))!.authority).toBe(tenant.issuing.id);
    await setState('next');
    expect(await one.rollover.switch(call(tenant, id))).toMatchObject({ state: 'switched' });
  });

  it('switches on its date, and not before', async () => {
    const tenant = await site.tenant();
    const { id } = await start(tenant, 'issuing', { switchAt: site.clock.now() + DAY });
    expect(await one.rollover.switchDue()).toBe(0);
    await one.rollover.schedule(call(tenant, id), site.clock.now() + 2 * DAY);
    site.clock.ahead += DAY + 1000;
    expect(await one.rollover.switchDue()).toBe(0);
    site.clock.ahead += DAY;
    expect(await one.rollover.switchDue()).toBe(1);
    expect(await one.rollover.switchDue()).toBe(0);
    expect((await site.audit(tenant.id)).at(-1)).toMatchObject({
      action: 'rollover.switched',
      actor: 'system:rollover',
    });
  });

  it('has an enrolment that waited over the switch issued by the successor, and one that was signed by its own', async () => {
    const tenant = await site.tenant();
    const waiting = await site.endpoint(tenant, { ...OPEN_ENDPOINT, approval: 'manual' });
    const csr = makeCsr().der;
    const { secret } = await site.secret(waiting);
    const ask = async () => {
      const endpoint = (await site.endpoints.resolve(waiting.label))!;
      return site.hall.enroll(site.request(endpoint, [await site.password(endpoint, secret)], { csr }));
    };
    const pending = await ask();
    site.keys.fault = 'signed-but-away';
    await expect(site.enroll(tenant.endpoint)).rejects.toMatchObject({ reason: 'hsm-unavailable' });
    site.keys.fault = undefined;
    const { id, members } = await start(tenant);
    await one.rollover.switch(call(tenant, id));
    const decision = { tenant: tenant.id, id: pending.enrollmentId!, actor: 'user:test', comment: '' };
    await site.store.unit((tx) => approve(tx, { ...decision, now: site.clock.now() }));
    expect(issuedBy(await ask()).enrollmentId).toBe(pending.enrollmentId);
    await site.hall.resumeInterrupted(true);
    const rows = await site.certificates(tenant.id);
    expect(rows.map(({ authority }) => authority)).toEqual([members[0]!.successor, tenant.issuing.id]);
    for (const { authority, der } of rows) {
      const issuer = await one.authorities.issuer(tenant.id, authority!);
      expect(x509(der).verify(x509(issuer.certificate.der).publicKey)).toBe(true);
    }
  });

  it('reports who proved to know the successor; anonymous fetches and the rest prove nothing', async () => {
    const tenant = await site.tenant();
    for (const name of ['a', 'b', 'c']) await site.enroll(tenant.endpoint, { names: { subject: `CN=${name}` } });
    const devices = (await site.certificates(tenant.id)).map(({ device }) => device!);
    const [a, b, c] = devices as [string, string, string];
    const { tenant: id } = tenant.endpoint;
    const fetched = { tenant: id, authority: tenant.issuing.id, protocol: 'est' };
    one.sightings.fetched({ ...fetched, by: { device: a, evidence: 'mtls-fetch' } });
    const rollover = await start(tenant);
    const { successor } = rollover.members[0]!;
    await one.rollovers.open(id);
    const report = async () => {
      await one.sightings.flush();
      return readinessOf(site.store, rollover);
    };
    // Before the announcement there was nothing to learn.
    expect(await report()).toMatchObject({ devices: 3, proved: 0, unknown: 3, renewed: 0, anonymousFetches: [] });

    for (let again = 0; again < 3; again++) {
      one.sightings.fetched({ ...fetched, by: { device: a, evidence: 'mtls-fetch' } });
      one.sightings.fetched({ ...fetched, by: undefined });
      one.sightings.used({ ...fetched, authority: successor, device: b, evidence: 'presented' });
      one.sightings.used({ ...fetched, device: c, evidence: 'presented' });
      await one.sightings.flush();
    }
    one.sightings.fetched({ ...fetched, protocol: 'cmp', by: { device: a, evidence: 'signed-fetch' } });
    expect(await report()).toMatchObject({
      devices: 3,
      proved: 2,
      unknown: 1,
      evidence: { 'mtls-fetch': 1, 'signed-fetch': 1, presented: 1 },
      anonymousFetches: [{ protocol: 'est', count: 3 }],
      certificates: 3,
    });
    const of = (standing: 'proved' | 'unknown', after?: string) =>
      devicesOf(site.store, rollover, { standing, after, limit: 10 });
    expect((await of('unknown')).map(({ device }) => device)).toEqual([c]);
    expect((await of('proved')).map(({ device }) => device)).toEqual([a, b].toSorted());
    expect(await of('unknown', c)).toEqual([]);

    // Another tenant's device proves nothing here.
    const { tenant: foreign } = (await site.tenant()).endpoint;
    one.sightings.used({ ...fetched, tenant: foreign, authority: successor, device: c, evidence: 'presented' });
    expect(await report()).toMatchObject({ proved: 2 });
    site.clock.ahead += 3650 * DAY;
    expect(await report()).toMatchObject({ devices: 0, proved: 0, unknown: 0, certificates: 0 });
    site.clock.ahead = 0;
  });

  it('keeps what it saw until the store takes it', async () => {
    const tenant = await site.tenant();
    const rollover = await start(tenant);
    const { store } = site;
    let isAway = true;
    const flaky = {
      ...store,
      clock: store.clock,
      unit: <T>(work: Parameters<typeof store.unit<T>>[0]): Promise<T> =>
        isAway ? Promise.reject(new UpstreamError('store-unavailable', 'the store is away')) : store.unit(work),
    };
    const rollovers = { lately: () => [rollover] };
    const seen: string[] = [];
    const sightings = new RolloverSightings({ store: flaky, rollovers, onSighting: (what) => seen.push(what) });
    issuedBy(await site.enroll(tenant.endpoint));
    const { device } = (await site.certificates(tenant.id))[0]!;
    const fetched = { tenant: tenant.id, authority: tenant.issuing.id, protocol: 'cmp' };
    sightings.fetched({ ...fetched, by: { device: device!, evidence: 'signed-fetch' } });
    sightings.fetched({ ...fetched, by: undefined });
    await expect(sightings.flush()).rejects.toMatchObject({ reason: 'store-unavailable' });
    sightings.fetched({ ...fetched, by: undefined });
    isAway = false;
    await sightings.flush();
    expect(await readinessOf(store, rollover)).toMatchObject({
      proved: 1,
      anonymousFetches: [{ protocol: 'cmp', count: 2 }],
    });
    expect(seen).toEqual(['signed-fetch', 'anonymous-fetch', 'anonymous-fetch']);
  });

  it('retires after the last certificate, for every node, and not before', async () => {
    const tenant = await site.tenant();
    issuedBy(await site.enroll(tenant.endpoint));
    const { id } = await start(tenant, 'root');
    await expect(one.rollover.retire(call(tenant, id))).rejects.toMatchObject({ reason: 'conflict' });
    await one.rollover.switch(call(tenant, id));
    await expect(one.rollover.retire(call(tenant, id))).rejects.toThrow(/1 certificates have not ended/);
    expect(await states(tenant)).toMatchObject({ root: 'retiring', issuing: 'retiring' });
    const another = node(site);
    await another.rollovers.open(tenant.id);
    await expect((await another.authorities.issuer(tenant.id, tenant.issuing.id)).caKey()).resolves.toBeDefined();

    site.clock.ahead += 3000 * DAY;
    expect(await one.rollover.retire(call(tenant, id))).toMatchObject({ state: 'retired' });
    expect(await one.rollover.retire(call(tenant, id))).toMatchObject({ state: 'retired' });
    expect(await states(tenant)).toEqual({
      root: 'retired',
      issuing: 'retired',
      'root-2': 'active',
      'issuing-2': 'active',
    });
    for (const { authorities, rollovers } of [one, another]) {
      await expect
        .poll(
          async () => {
            await rollovers.open(tenant.id);
            const issuer = await authorities.issuer(tenant.id, tenant.issuing.id);
            return issuer.caKey().catch(({ reason }) => reason as string);
          },
          { timeout: 10_000 },
        )
        .toBe('authority-retired');
    }
    site.clock.ahead = 0;
    // And the next one goes the same way.
    expect(await start(tenant, 'issuing-2')).toMatchObject({ state: 'announced' });
    expect(await states(tenant)).toMatchObject({ 'issuing-3': 'next' });
  });
});
