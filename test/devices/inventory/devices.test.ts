import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { newId } from '../../../core/store/id.ts';
import {
  type DeviceFilter,
  getDevice,
  listDevices,
  setBlocked,
  storedInventory,
} from '../../../devices/inventory/devices.ts';
import { Site, type SiteTenant } from '../../enrollment/site.ts';
import { ENGINES } from '../../support/stores.ts';

describe.each(ENGINES)('the inventory on %s', (engine) => {
  let site: Site;
  let acme: SiteTenant;
  let other: SiteTenant;

  beforeAll(async () => {
    site = await Site.open(engine);
    acme = await site.tenant('acme');
    other = await site.tenant('other');
  });
  afterAll(() => site[Symbol.asyncDispose]());

  const record = (name: string, { tenant = acme.id, certificateId = newId(), at = 1000, notAfter = 2000 } = {}) =>
    site.store.unit((tx) =>
      storedInventory(site.store).recordIssued(
        tx,
        { tenant, name },
        { enrollmentId: newId(), evidenceId: undefined, certificateId, notAfter, at },
      ),
    );
  const find = (name: string, tenant = acme.id) => storedInventory(site.store).find({ tenant, name });
  const list = async (filter: Partial<DeviceFilter> = {}, tenant = acme.id) =>
    (await listDevices(site.store, tenant, { limit: 100, ...filter })).map(({ name }) => name);
  const block = (id: string, blocked: boolean, tenant = acme.id) =>
    site.store.unit((tx) => setBlocked(tx, { tenant, id, blocked, actor: 'user:alice', now: 5000 }));

  it('makes a device when its first certificate is issued, and keeps it for the next', async () => {
    expect(await find('r1')).toBeUndefined();
    const id = await record('r1', { certificateId: 'c1' });
    expect(await find('r1')).toEqual({ id, state: 'enrolled' });
    expect(await record('r1', { certificateId: 'c2', at: 3000, notAfter: 9000 })).toBe(id);
    expect(await getDevice(site.store, acme.id, id)).toEqual({
      id,
      tenant: acme.id,
      name: 'r1',
      state: 'enrolled',
      certificate: 'c2',
      certificate_not_after: 9000,
      created_at: 1000,
      updated_at: 3000,
    });
  });

  it('makes one device of one name, however many certificates are issued at once', async () => {
    const ids = await Promise.all(Array.from({ length: 10 }, () => record('at-once')));
    expect(new Set(ids).size).toBe(1);
    expect(await list({ name: 'at-once' })).toEqual(['at-once']);
  });

  it('tells tenants apart: the same name is two devices, and a foreign id is no device', async () => {
    const mine = await record('shared');
    const theirs = await record('shared', { tenant: other.id });
    expect(theirs).not.toBe(mine);
    expect(await list({}, other.id)).toEqual(['shared']);
    expect(await getDevice(site.store, other.id, mine)).toBeUndefined();
    await expect(block(mine, true, other.id)).rejects.toMatchObject({ reason: 'not-found' });
    expect(await find('shared')).toMatchObject({ state: 'enrolled' });
  });

  it('keeps a device blocked, whatever is issued to it meanwhile, until it is let in again', async () => {
    const id = await record('bad');
    await block(id, true);
    expect(await find('bad')).toEqual({ id, state: 'blocked' });
    await record('bad', { certificateId: 'late' });
    expect(await find('bad')).toMatchObject({ state: 'blocked' });
    await block(id, false);
    expect(await find('bad')).toMatchObject({ state: 'enrolled' });
    const events = (await site.audit(acme.id)).filter(({ object }) => object === `device:${id}`);
    expect(events.map(({ action, actor, outcome }) => [action, actor, outcome])).toEqual([
      ['device.blocked', 'user:alice', 'success'],
      ['device.unblocked', 'user:alice', 'success'],
    ]);
    await expect(block('nobody', true)).rejects.toMatchObject({ reason: 'not-found' });
  });

  it('lets a device that never got a certificate back to expected', async () => {
    const row = {
      id: newId(),
      name: 'new',
      state: 'expected' as const,
      certificate: null,
      certificate_not_after: null,
      created_at: 1,
      updated_at: 1,
    };
    await site.store.unit(async (tx) => {
      await tx.forTenant<{ devices: typeof row & { tenant: string } }>(acme.id).insertInto('devices', row).execute();
    });
    await block(row.id, true);
    await block(row.id, false);
    expect(await find('new')).toEqual({ id: row.id, state: 'expected' });
    await record('new');
    expect(await find('new')).toEqual({ id: row.id, state: 'enrolled' });
  });

  it('is listed in order, by state and by name, page by page', async () => {
    const all = await listDevices(site.store, acme.id, { limit: 100 });
    expect(all.map(({ id }) => id)).toEqual(all.map(({ id }) => id).toSorted());
    expect(await list({ limit: 2, after: all[0]!.id })).toEqual(all.slice(1, 3).map(({ name }) => name));
    await block(all[0]!.id, true);
    expect(await list({ state: 'blocked' })).toEqual([all[0]!.name]);
    expect(await list({ name: 'no such device' })).toEqual([]);
  });
});
