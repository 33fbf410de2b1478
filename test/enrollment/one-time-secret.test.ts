import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';

import { approve } from '../../core/enrollment/enrollments.ts';
import type { Endpoint } from '../../core/enrollment/endpoint.ts';
import { createSecret, listSecrets, revokeSecret } from '../../core/enrollment/secrets.ts';
import type { Secret } from '../../core/keys/secret.ts';
import { makeCsr, makeKey } from '../support/test-pki.ts';
import { ENGINES } from '../support/stores.ts';
import { issuedBy, OPEN_ENDPOINT, Site, type SiteTenant } from './site.ts';

const HOUR_MS = 3_600_000;

describe.each(ENGINES)('a shared secret on %s', (engine) => {
  let site: Site;
  let acme: SiteTenant;
  let manual: Endpoint;

  beforeAll(async () => {
    site = await Site.open(engine);
    acme = await site.tenant('acme');
    manual = await site.endpoint(acme, { ...OPEN_ENDPOINT, approval: 'manual', pendingLifetimeSeconds: 999_999 });
  });
  afterEach(() => {
    site.clock.ahead = 0;
  });
  afterAll(() => site[Symbol.asyncDispose]());

  const ask = async (endpoint: Endpoint, secret: Secret, csr = makeCsr().der) =>
    site.hall.enroll(site.request(endpoint, [await site.password(endpoint, secret)], { csr }));
  const refused = { kind: 'rejected', reason: 'bad-credential' };

  it('is 160 random bits that a person can type, and its text is nowhere but in the answer', async () => {
    const { secret, id } = await site.secret(acme.endpoint);
    expect(secret.reveal()).toMatch(/^[0-9a-hjkmnp-tv-z]{32}$/);
    expect(`${String(secret)} ${JSON.stringify({ secret })}`).not.toContain(secret.reveal());
    const [row] = (await listSecrets(site.store, acme.id, { limit: 1000 })).filter((found) => found.id === id);
    expect(row).toMatchObject({ usage: 'one-time', state: 'free', created_by: 'user:test' });
    expect(Object.keys(row!)).not.toContain('secret_hmac');
    expect(await listSecrets(site.store, 'nobody', { limit: 1000 })).toEqual([]);
  });

  it('admits its first request, its repeats, and no other', async () => {
    const { secret, id } = await site.secret(acme.endpoint);
    const csr = makeCsr().der;
    expect(await site.secretState(acme.endpoint, id)).toBe('free');
    const first = issuedBy(await ask(acme.endpoint, secret, csr));
    expect(await site.secretState(acme.endpoint, id)).toBe('spent');
    expect(await ask(acme.endpoint, secret)).toMatchObject(refused);
    expect(issuedBy(await ask(acme.endpoint, secret, csr)).enrollmentId).toBe(first.enrollmentId);
    const last = (await site.audit(acme.id)).at(-1)!;
    expect(last).toMatchObject({
      action: 'enrollment.refused',
      outcome: 'refused',
      actor: `device:password ${id}`,
      object: `endpoint:${acme.endpoint.id}`,
    });
  });

  it('that is bound admits only its own request', async () => {
    const { secret, id } = await site.secret(manual);
    const csr = makeCsr().der;
    const pending = await ask(manual, secret, csr);
    expect(await site.secretState(manual, id)).toBe('bound');
    expect(await ask(manual, secret)).toMatchObject(refused);
    expect(await ask(manual, secret, csr)).toEqual(pending);
  });

  it('is won by one of many different requests that come at once, on two nodes', async () => {
    const { secret } = await site.secret(acme.endpoint);
    const fact = await site.password(acme.endpoint, secret);
    const halls = [site.hall, site.newHall()];
    const outcomes = await Promise.all(
      Array.from({ length: 12 }, (_, index) =>
        halls[index % 2]!.enroll(site.request(acme.endpoint, [fact], { csr: makeCsr().der })),
      ),
    );
    expect(outcomes.filter(({ kind }) => kind === 'issued')).toHaveLength(1);
    expect(
      outcomes.filter((outcome) => outcome.kind === 'rejected' && outcome.reason === 'bad-credential'),
    ).toHaveLength(11);
  });

  it('stays free when its request is refused: the device may send a better one', async () => {
    const { secret, id } = await site.secret(acme.endpoint);
    expect(await ask(acme.endpoint, secret, makeCsr({ key: makeKey('ed448') }).der)).toMatchObject({
      reason: 'key-not-allowed',
    });
    expect(await site.secretState(acme.endpoint, id)).toBe('free');
    issuedBy(await ask(acme.endpoint, secret));
  });

  it('that ended admits nothing, but its own request may go on waiting', async () => {
    const [{ secret: free }, { secret: bound }] = [await site.secret(manual), await site.secret(manual)];
    const csr = makeCsr().der;
    const pending = await ask(manual, bound, csr);
    site.clock.ahead = 2 * HOUR_MS;
    await expect(site.password(manual, free)).rejects.toMatchObject({ reason: 'bad-credential' });
    expect(await ask(manual, bound, csr)).toEqual(pending);
    expect(await ask(manual, bound)).toMatchObject(refused);
    await site.store.unit((tx) =>
      approve(tx, { tenant: acme.id, id: pending.enrollmentId!, actor: 'user:a', comment: '', now: site.clock.now() }),
    );
    issuedBy(await ask(manual, bound, csr));
  });

  it('that ended opens no second enrolment when the first one expired', async () => {
    const endpoint = await site.endpoint(acme, { ...OPEN_ENDPOINT, approval: 'manual', pendingLifetimeSeconds: 60 });
    const { secret } = await site.secret(endpoint);
    const csr = makeCsr().der;
    await ask(endpoint, secret, csr);
    site.clock.ahead = 120_000;
    expect(await ask(endpoint, secret, csr)).toMatchObject({ kind: 'pending' });
    site.clock.ahead = 2 * HOUR_MS;
    expect(await ask(endpoint, secret, csr)).toMatchObject(refused);
  });

  it('that is revoked is worth nothing, bound or not', async () => {
    const [free, bound] = [await site.secret(manual), await site.secret(manual)];
    const csr = makeCsr().der;
    await ask(manual, bound.secret, csr);
    for (const { id, secret } of [free, bound]) {
      expect(await site.store.unit((tx) => revokeSecret(tx, 'another', id))).toBe(false);
      expect(await site.store.unit((tx) => revokeSecret(tx, acme.id, id))).toBe(true);
      expect(await site.store.unit((tx) => revokeSecret(tx, acme.id, id))).toBe(false);
      await expect(site.password(manual, secret)).rejects.toMatchObject({ reason: 'bad-credential' });
    }
  });

  it('that is revoked between the check and the unit binds nothing', async () => {
    const { secret, id } = await site.secret(acme.endpoint);
    const fact = await site.password(acme.endpoint, secret);
    await site.store.unit((tx) => revokeSecret(tx, acme.id, id));
    expect(await site.hall.enroll(site.request(acme.endpoint, [fact]))).toMatchObject(refused);
    expect(await site.secretState(acme.endpoint, id)).toBe('revoked');
  });

  it('that is revoked while its certificate is signed stays revoked', async () => {
    const { secret, id } = await site.secret(acme.endpoint);
    const fact = await site.password(acme.endpoint, secret);
    site.keys.fault = 'hung';
    const attempts = site.keys.attempts;
    const outcome = site.hall.enroll(site.request(acme.endpoint, [fact]));
    await vi.waitUntil(() => site.keys.attempts > attempts);
    expect(await site.store.unit((tx) => revokeSecret(tx, acme.id, id))).toBe(true);
    site.keys.fault = undefined;
    issuedBy(await outcome);
    expect(await site.secretState(acme.endpoint, id)).toBe('revoked');
  });

  it('limited to one device enrols no other', async () => {
    const { secret } = await site.secret(acme.endpoint, { subject: 'SN-1' });
    expect(await ask(acme.endpoint, secret, makeCsr({ subject: 'CN=SN-2' }).der)).toMatchObject({
      kind: 'rejected',
      reason: 'subject-mismatch',
    });
    expect(await ask(acme.endpoint, secret, makeCsr({ subject: 'CN=SN-1,serialNumber=SN-2' }).der)).toMatchObject({
      reason: 'subject-mismatch',
    });
    issuedBy(await ask(acme.endpoint, secret, makeCsr({ subject: 'CN=any,serialNumber=SN-1' }).der));
  });

  it('of a device admits many requests, by its user name alone', async () => {
    const { secret, id } = await site.secret(acme.endpoint, { usage: 'device', username: 'r1' });
    for (let round = 0; round < 2; round++) {
      const fact = await site.password(acme.endpoint, secret, { username: 'r1' });
      issuedBy(await site.hall.enroll(site.request(acme.endpoint, [fact], { csr: makeCsr().der })));
    }
    expect(await site.secretState(acme.endpoint, id)).toBe('free');
    await expect(site.password(acme.endpoint, secret, { username: 'r2' })).rejects.toMatchObject({
      reason: 'bad-credential',
    });
  });

  it('is made for an endpoint of its own tenant, and of a device only with a user name', async () => {
    const other = await site.tenant();
    const draft = { tenant: other.id, endpoint: acme.endpoint.id, lifetimeSeconds: 60, createdBy: 'user:a' } as const;
    const make = (request: Parameters<typeof createSecret>[3]) =>
      site.store.unit((tx) => createSecret(tx, site.secretHash, 0, request));
    await expect(make({ ...draft, usage: 'one-time' })).rejects.toMatchObject({ reason: 'conflict' });
    await expect(make({ ...draft, tenant: acme.id, usage: 'device' })).rejects.toMatchObject({
      reason: 'malformed-request',
    });
  });
});
