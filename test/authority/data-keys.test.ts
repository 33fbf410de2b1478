import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { DataKeys } from '../../core/authority/data-keys.ts';
import type { AuthorityTables } from '../../core/authority/tables.ts';
import { InternalError, UpstreamError } from '../../core/errors/muster-error.ts';
import { Secret } from '../../core/keys/secret.ts';
import { Site } from '../enrollment/site.ts';
import { ENGINES } from '../support/stores.ts';

const place = { table: 'shared_secrets', row: 'r1' };

describe.each(ENGINES)('the keys that seal secrets on %s', (engine) => {
  let site: Site;
  beforeAll(async () => {
    site = await Site.open(engine);
  });
  afterEach(() => {
    site.keys.fault = undefined;
  });
  afterAll(() => site[Symbol.asyncDispose]());

  const node = (): DataKeys => new DataKeys(site.store, site.keys);
  const rows = (tenant: string) =>
    site.store.forTenant<AuthorityTables>(tenant).selectFrom('data_keys').selectAll().execute();

  it('are one a tenant, whichever of several nodes makes it, and stand in the store only wrapped', async () => {
    const { id } = await site.tenant();
    const sealers = await Promise.all([node().sealer(id), node().sealer(id)]);
    const sealed = sealers[0].seal(place, new Secret('for every node'));
    const later = await node().sealer(id);
    for (const { open } of [...sealers, later]) expect(open(place, sealed).reveal()).toBe('for every node');
    const [row, ...others] = await rows(id);
    expect(others).toEqual([]);
    expect(row).toMatchObject({ number: 1, padding: 'oaep-sha256' });
    expect(row!.wrapped).toHaveLength(384);
    const made = (await site.audit(id)).filter(({ action }) => action === 'data-key.created');
    expect(made).toMatchObject([{ object: 'data-key:1', details: { wrappingKey: row!.key_uri } }]);
  });

  it('belong to their tenant: what one sealed, another does not open', async () => {
    const [one, two] = [(await site.tenant()).id, (await site.tenant()).id];
    const [first, second] = await Promise.all([node().sealer(one), node().sealer(two)]);
    const sealed = first.seal(place, new Secret('x'));
    expect(() => second.open(place, sealed)).toThrow(InternalError);
  });

  it('ask the token once, and again after it was away', async () => {
    const { id } = await site.tenant();
    await node().sealer(id);
    const keys = node();
    site.keys.fault = 'away';
    await expect(keys.sealer(id)).rejects.toThrow(UpstreamError);
    site.keys.fault = undefined;
    const open = await keys.sealer(id);
    site.keys.fault = 'away';
    expect(await keys.sealer(id)).toBe(open);
  });

  it('are refused where the token holds another key, and where the tenant has no token', async () => {
    const [one, two] = [(await site.tenant()).id, (await site.tenant()).id];
    await node().sealer(one);
    await node().sealer(two);
    const [other] = await rows(two);
    await site.store.unit(async (tx) => {
      await tx.forTenant<AuthorityTables>(one).updateTable('data_keys', { key_uri: other!.key_uri }).execute();
    });
    await expect(node().sealer(one)).rejects.toThrow(InternalError);
    await expect(node().sealer('nobody')).rejects.toThrow(InternalError);
  });
});
