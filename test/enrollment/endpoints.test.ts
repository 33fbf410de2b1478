import { NO_ATTESTATION } from '../../core/enrollment/attestation-policy.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { EndpointSettings } from '../../core/enrollment/endpoint.ts';
import { createEndpoint, deleteEndpoint, type NewEndpoint, updateEndpoint } from '../../core/enrollment/endpoints.ts';
import { listSecrets } from '../../core/enrollment/secrets.ts';
import { ENGINES } from '../support/stores.ts';
import { OPEN_ENDPOINT, Site, type SiteTenant } from './site.ts';

describe.each(ENGINES)('endpoints on %s', (engine) => {
  let site: Site;
  let acme: SiteTenant;
  let other: SiteTenant;

  beforeAll(async () => {
    site = await Site.open(engine);
    acme = await site.tenant('acme');
    other = await site.tenant('other');
  });
  afterAll(() => site[Symbol.asyncDispose]());

  const create = (changes: Partial<NewEndpoint>) =>
    site.store.unit((tx) =>
      createEndpoint(
        tx,
        {
          tenant: acme.id,
          label: 'new',
          profile: acme.profile,
          authority: acme.issuing.id,
          settings: OPEN_ENDPOINT,
          isDefault: false,
          ...changes,
        },
        site.clock.now(),
      ),
    );

  it('resolve by label, and the default one without', async () => {
    expect(await site.endpoints.resolve('acme')).toMatchObject({
      tenant: acme.id,
      label: 'acme',
      revision: 1,
      isDefault: false,
      ...OPEN_ENDPOINT,
      attestation: NO_ATTESTATION,
    });
    expect(await site.endpoints.resolve(undefined)).toBeUndefined();
    await create({ label: 'the-default', isDefault: true });
    expect(await site.endpoints.resolve(undefined)).toMatchObject({ label: 'the-default', isDefault: true });
    expect((await site.endpoints.list(acme.id)).map(({ label }) => label)).toEqual(['acme', 'the-default']);
    expect((await site.endpoints.list(other.id)).map(({ label }) => label)).toEqual(['other']);
  });

  it.each(['', 'Acme', 'a_b', 'a b', 'a/b', 'é', 'a'.repeat(64), 'acme\n', '../acme', 'acme\0'])(
    'do not have the label %j',
    async (label) => {
      expect(await site.endpoints.resolve(label)).toBeUndefined();
      await expect(create({ label })).rejects.toMatchObject({ reason: 'malformed-request' });
    },
  );

  it('have a label each in the whole installation', async () => {
    await expect(create({ label: 'acme' })).rejects.toMatchObject({ reason: 'conflict' });
    const elsewhere = { tenant: other.id, profile: other.profile, authority: other.issuing.id };
    await expect(create({ ...elsewhere, label: 'acme' })).rejects.toMatchObject({ reason: 'conflict' });
    await create({ label: 'a'.repeat(63) });
  });

  it('stand on a profile and an authority of their own tenant', async () => {
    await expect(create({ profile: other.profile })).rejects.toMatchObject({ reason: 'conflict' });
    await expect(create({ authority: other.issuing.id })).rejects.toMatchObject({ reason: 'conflict' });
    expect(await site.endpoints.resolve('new')).toBeUndefined();
  });

  it('keep no rule that does not parse, whoever writes it', async () => {
    const broken: Partial<EndpointSettings>[] = [
      { admission: [{ name: 'r', rule: 'request.commonName ==' }] },
      { approval: { when: '((' } },
      { admission: [{ name: 'long', rule: ' '.repeat(4097) }] },
    ];
    const { id, revision } = acme.endpoint;
    for (const changes of broken) {
      const settings = { ...OPEN_ENDPOINT, ...changes };
      await expect(create({ settings })).rejects.toMatchObject({ reason: 'malformed-request' });
      const update = site.store.unit((tx) => updateEndpoint(tx, acme.id, id, revision, settings));
      await expect(update).rejects.toMatchObject({ reason: 'malformed-request' });
    }
  });

  it('change by compare-and-set on their revision: of two changes at once one is made', async () => {
    const { id } = acme.endpoint;
    const change = (tenant: string, revision: number, retryAfterSeconds: number) =>
      site.store.unit((tx) => updateEndpoint(tx, tenant, id, revision, { ...OPEN_ENDPOINT, retryAfterSeconds }));
    await expect(change(other.id, 1, 1)).rejects.toMatchObject({ reason: 'conflict' });
    const results = await Promise.allSettled([change(acme.id, 1, 11), change(acme.id, 1, 22)]);
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const changed = (await site.endpoints.resolve('acme'))!;
    expect(changed.revision).toBe(2);
    expect([11, 22]).toContain(changed.retryAfterSeconds);
    await expect(change(acme.id, 1, 33)).rejects.toMatchObject({ reason: 'conflict' });
    await change(acme.id, 2, 44);
    expect(await site.endpoints.resolve('acme')).toMatchObject({ revision: 3, retryAfterSeconds: 44 });
  });

  it('are the same object as long as they do not change: their rules are compiled once', async () => {
    expect(await site.endpoints.resolve('acme')).toBe(await site.endpoints.resolve('acme'));
  });

  it('go with their secrets as long as nothing was enrolled, by their tenant alone', async () => {
    const unused = await site.endpoint(acme, OPEN_ENDPOINT, { label: 'unused' });
    const { id: secret } = await site.secret(unused);
    const remove = (tenant: string, id: string) => site.store.unit((tx) => deleteEndpoint(tx, tenant, id));
    expect(await remove(other.id, unused.id)).toBe(false);
    expect(await remove(acme.id, unused.id)).toBe(true);
    expect(await remove(acme.id, unused.id)).toBe(false);
    expect(await site.endpoints.resolve('unused')).toBeUndefined();
    expect((await listSecrets(site.store, acme.id, { limit: 1000 })).map(({ id }) => id)).not.toContain(secret);
    await site.enroll(acme.endpoint);
    await expect(remove(acme.id, acme.endpoint.id)).rejects.toMatchObject({ reason: 'conflict' });
  });
});
