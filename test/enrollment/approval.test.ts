import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { DEVICE_PROFILE } from '../../core/authority/profile.ts';
import type { Endpoint } from '../../core/enrollment/endpoint.ts';
import { approve, expirePending, getEnrollment, listEnrollments, reject } from '../../core/enrollment/enrollments.ts';
import type { Outcome } from '../../core/enrollment/outcome.ts';
import { ENGINES } from '../support/stores.ts';
import { makeCsr, makeKey } from '../support/test-pki.ts';
import { issuedBy, OPEN_ENDPOINT, Site, type SiteTenant } from './site.ts';

const HOUR_MS = 3_600_000;

describe.each(ENGINES)('approval by an operator on %s', (engine) => {
  let site: Site;
  let acme: SiteTenant;
  let endpoint: Endpoint;

  beforeAll(async () => {
    site = await Site.open(engine);
    acme = await site.tenant('acme');
    endpoint = await site.endpoint(acme, { ...OPEN_ENDPOINT, approval: 'manual' });
  });

  afterAll(() => site[Symbol.asyncDispose]());

  /** The same device asking again: same request, same password, verified anew. */
  async function device(endpoint: Endpoint, csr = makeCsr({ subject: 'CN=router' }).der) {
    const { secret, id } = await site.secret(endpoint);
    const ask = async (hall = site.hall, asking = csr): Promise<Outcome> =>
      hall.enroll(site.request(endpoint, [await site.password(endpoint, secret)], { csr: asking }));
    return { ask, csr, secretId: id };
  }

  const decide = (how: typeof approve, id: string, tenant = acme.id) =>
    site.store.unit((tx) => how(tx, { tenant, id, actor: 'user:alice', comment: 'seen', now: site.clock.now() }));

  it('waits, tells the operator once, and issues when the device asks again', async () => {
    const { ask, secretId } = await device(endpoint);
    const pending = await ask();
    expect(pending).toMatchObject({ kind: 'pending', retryAfterSeconds: 60 });
    expect(await ask()).toEqual(pending);
    expect(site.waiting.filter((id) => id === pending.enrollmentId)).toHaveLength(1);
    expect(await site.secretState(endpoint, secretId)).toBe('bound');
    await decide(approve, pending.enrollmentId!);
    expect(await getEnrollment(site.store, acme.id, pending.enrollmentId!)).toMatchObject({
      status: 'approved',
      decided_by: 'user:alice',
    });
    const issued = issuedBy(await ask());
    expect(issued.enrollmentId).toBe(pending.enrollmentId);
    expect(issuedBy(await ask()).replayed).toBe(true);
    expect(await site.secretState(endpoint, secretId)).toBe('spent');
    const actions = (await site.audit(acme.id)).filter(
      ({ object, details }) =>
        object === `enrollment:${issued.enrollmentId}` || details['enrollment'] === issued.enrollmentId,
    );
    expect(actions.map(({ action, actor }) => [action, actor])).toEqual([
      ['enrollment.pending', `device:password ${secretId}`],
      ['enrollment.approved', 'user:alice'],
      ['certificate.issued', `device:password ${secretId}`],
    ]);
  });

  it('issues once to sixteen polls on two nodes', async () => {
    const { ask } = await device(endpoint);
    await decide(approve, (await ask()).enrollmentId!);
    const halls = [site.hall, site.newHall()];
    const outcomes = (await Promise.all(Array.from({ length: 16 }, (_, index) => ask(halls[index % 2])))).map(issuedBy);
    expect(new Set(outcomes.map(({ certificate }) => Buffer.from(certificate).toString('hex'))).size).toBe(1);
  });

  it('keeps to an operator’s no, even at another revision', async () => {
    const { ask } = await device(endpoint);
    const { enrollmentId } = await ask();
    await decide(reject, enrollmentId!);
    expect(await ask()).toEqual({
      kind: 'rejected',
      enrollmentId,
      reason: 'operator-rejected',
      message: 'rejected by an operator: seen',
    });
    const { secret } = await site.secret(endpoint);
    const csr = makeCsr().der;
    const waiting = await site.hall.enroll(site.request(endpoint, [await site.password(endpoint, secret)], { csr }));
    await decide(reject, waiting.enrollmentId!);
    endpoint = await site.changeEndpoint(endpoint, { retryAfterSeconds: 60 });
    const again = await site.hall.enroll(site.request(endpoint, [await site.password(endpoint, secret)], { csr }));
    expect(again).toMatchObject({ enrollmentId: waiting.enrollmentId, reason: 'operator-rejected' });
  });

  it('decides about what waits alone, and about nobody else’s', async () => {
    const { ask } = await device(endpoint);
    const { enrollmentId } = await ask();
    const other = await site.tenant();
    for (const how of [approve, reject]) {
      await expect(decide(how, enrollmentId!, other.id)).rejects.toMatchObject({ reason: 'not-found' });
    }
    await decide(approve, enrollmentId!);
    await expect(decide(approve, enrollmentId!)).rejects.toMatchObject({ reason: 'conflict' });
    await expect(decide(reject, enrollmentId!)).rejects.toMatchObject({ reason: 'conflict' });
    // Of two operators at once, one decides.
    const contested = await Promise.all(Array.from({ length: 10 }, async () => (await device(endpoint)).ask()));
    const results = await Promise.all(
      contested.map(({ enrollmentId: id }) => Promise.allSettled([decide(approve, id!), decide(reject, id!)])),
    );
    for (const pair of results) expect(pair.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  });

  it('expires what nobody decided about, and asks anew when the device does', async () => {
    const { ask, secretId } = await device(endpoint);
    const first = await ask();
    const second = await device(endpoint);
    const swept = await second.ask();
    // The secret may be used for longer than its enrolment waits.
    await site.store.unit(async (tx) => {
      await tx
        .forTenant<{ shared_secrets: { tenant: string; id: string; expires_at: number } }>(acme.id)
        .updateTable('shared_secrets', { expires_at: site.clock.now() + 9 * HOUR_MS })
        .where('id', '=', secretId)
        .execute();
    });
    site.clock.ahead = 2 * HOUR_MS;
    await expect(decide(approve, first.enrollmentId!)).rejects.toMatchObject({ reason: 'enrollment-expired' });
    const anew = await ask();
    expect(anew).toMatchObject({ kind: 'pending' });
    expect(anew.enrollmentId).not.toBe(first.enrollmentId);
    expect(await getEnrollment(site.store, acme.id, first.enrollmentId!)).toMatchObject({
      status: 'expired',
      reason: 'enrollment-expired',
    });
    expect(await expirePending(site.store)).toBeGreaterThan(0);
    expect(await getEnrollment(site.store, acme.id, swept.enrollmentId!)).toMatchObject({ status: 'expired' });
    expect(await getEnrollment(site.store, acme.id, anew.enrollmentId!)).toMatchObject({ status: 'pending' });
    expect(await expirePending(site.store)).toBe(0);
    site.clock.ahead = 0;
  });

  it('asks no operator about what cannot be issued', async () => {
    const csr = makeCsr({ key: makeKey('ed448') }).der;
    const outcome = await (await device(endpoint, csr)).ask();
    expect(outcome).toMatchObject({ kind: 'rejected', reason: 'key-not-allowed' });
  });

  it('issues nothing that is approved once the profile no longer allows it', async () => {
    const { ask, secretId } = await device(endpoint);
    const { enrollmentId } = await ask();
    await decide(approve, enrollmentId!);
    const stricter = JSON.stringify({ ...DEVICE_PROFILE, keys: { ...DEVICE_PROFILE.keys, ec: [] } });
    await setProfile(acme.profile, stricter, 2);
    expect(await ask()).toMatchObject({ kind: 'rejected', reason: 'key-not-allowed', enrollmentId });
    expect(await getEnrollment(site.store, acme.id, enrollmentId!)).toMatchObject({
      status: 'rejected',
      decided_by: 'system:hall',
    });
    expect((await site.audit(acme.id)).at(-1)).toMatchObject({
      action: 'enrollment.rejected',
      object: `enrollment:${enrollmentId}`,
    });
    expect(await site.secretState(endpoint, secretId)).toBe('bound');
    await setProfile(acme.profile, JSON.stringify(DEVICE_PROFILE), 3);
  });

  it('lists them by tenant, endpoint and status, page by page', async () => {
    const all = await listEnrollments(site.store, acme.id, { limit: 1000, endpoint: endpoint.id });
    expect(all.map(({ id }) => id)).toEqual((await site.enrollments(endpoint)).map(({ id }) => id));
    const rejected = await listEnrollments(site.store, acme.id, {
      limit: 1000,
      endpoint: endpoint.id,
      status: 'rejected',
    });
    expect(rejected.length).toBeGreaterThan(1);
    expect(rejected.every(({ status }) => status === 'rejected')).toBe(true);
    const [first, ...rest] = all;
    const page = await listEnrollments(site.store, acme.id, { limit: 2, endpoint: endpoint.id, after: first!.id });
    expect(page.map(({ id }) => id)).toEqual(rest.slice(0, 2).map(({ id }) => id));
    expect(await listEnrollments(site.store, (await site.tenant()).id, { limit: 10 })).toEqual([]);
  });

  async function setProfile(id: string, settings: string, revision: number): Promise<void> {
    await site.store.unit(async (tx) => {
      await tx
        .forTenant<{ profiles: { tenant: string; id: string; settings: string; revision: number } }>(acme.id)
        .updateTable('profiles', { settings, revision })
        .where('id', '=', id)
        .execute();
    });
  }
});
