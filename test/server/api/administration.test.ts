import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobTables } from '../../../core/store/jobs.ts';
import { ENGINES } from '../../support/stores.ts';
import { ApiServer } from '../support/api-server.ts';

describe.each(ENGINES)('tenants, authorities and jobs on %s', (engine) => {
  let server: ApiServer;
  let admin: string;
  beforeAll(async () => {
    server = await ApiServer.start(0, engine);
    admin = await server.token('admin');
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const send = (method: 'GET' | 'POST' | 'PATCH' | 'DELETE', path: string, body?: object) =>
    server.request(admin, method, `/api/v1${path}`, body);
  const done = async (method: 'POST' | 'PATCH', path: string, body?: object) => {
    const answer = await send(method, path, body);
    expect(answer.statusCode, answer.body).toBeLessThan(300);
    return answer.json() as Record<string, unknown>;
  };

  it('a tenant is provisioned, emptied and removed; what is left in it is named', async () => {
    await done('POST', '/tenants', {
      name: 'north',
      provision: { rootAlgorithm: 'ec-p256', issuingAlgorithm: 'ec-p256' },
    });
    expect(await done('PATCH', '/tenants/north', { description: 'Branches' })).toMatchObject({ revision: 2 });
    const refused = await send('DELETE', '/tenants/north');
    expect(refused.statusCode).toBe(409);
    expect(refused.json()).toMatchObject({ detail: 'the tenant north still has 2 authorities' });
    expect((await send('DELETE', '/authorities/issuing?tenant=north')).json()).toMatchObject({
      detail: expect.stringContaining('issues for the endpoints north, north-ra'),
    });
    for (const label of ['north', 'north-ra'])
      expect((await send('DELETE', `/endpoints/${label}?tenant=north`)).statusCode).toBe(204);
    expect((await send('DELETE', '/authorities/root?tenant=north')).statusCode).toBe(409);
    for (const name of ['issuing', 'root'])
      expect((await send('DELETE', `/authorities/${name}?tenant=north`)).statusCode, name).toBe(204);
    expect((await send('DELETE', '/tenants/north')).statusCode).toBe(204);
    expect((await send('GET', '/devices?tenant=north')).statusCode).toBe(404);
  });

  it('an authority is made under a root, takes over an endpoint, and the one before retires', async () => {
    await done('POST', '/tenants', { name: 'south' });
    const make = (draft: object) => done('POST', '/authorities?tenant=south', { keyAlgorithm: 'ec-p256', ...draft });
    const orphan = await send('POST', '/authorities?tenant=south', { name: 'issuing' });
    expect(orphan.json()).toMatchObject({
      code: 'malformed-request',
      detail: expect.stringContaining('make a root first'),
    });
    const root = await make({ name: 'root', kind: 'root', subject: 'CN=South root,O=Example' });
    expect(await make({ name: 'one' })).toMatchObject({
      kind: 'issuing',
      parent: root['id'],
      pathLength: 0,
      state: 'active',
    });
    const two = await make({ name: 'two' });
    expect((await send('POST', '/authorities?tenant=south', { name: 'below', issuer: 'two' })).statusCode).toBe(409);
    expect((await send('POST', '/authorities?tenant=south&dryRun=true', { name: 'dry' })).statusCode).toBe(400);
    await done('POST', '/profiles?tenant=south', { name: 'router' });
    await done('POST', '/endpoints?tenant=south', { label: 'south', authority: 'one' });
    expect((await send('POST', '/authorities/one/retire?tenant=south', {})).statusCode).toBe(409);
    expect(await done('PATCH', '/endpoints/south?tenant=south', { authority: 'two' })).toMatchObject({
      authority: two['id'],
    });
    expect(await done('POST', '/authorities/one/retire?tenant=south', {})).toMatchObject({ state: 'retired' });
  });

  it('a dead job is retried once and discarded', async () => {
    await server.store.unit((tx) =>
      server.store.jobs.enqueue(tx, { kind: 'test-job', payload: { secret: 'of a tenant' } }),
    );
    const { id } = (await server.store.jobs.list({ kind: 'test-job' }))[0]!;
    expect((await send('POST', `/jobs/${id}/retry`)).statusCode).toBe(409);
    const die = () =>
      server.store.unit((tx) =>
        tx.db<JobTables>().updateTable('jobs').set({ state: 'dead', live_key: null }).where('id', '=', id).execute(),
      );
    await die();
    expect((await send('GET', '/jobs?state=dead')).body).not.toContain('of a tenant');
    expect(await done('POST', `/jobs/${id}/retry`)).toMatchObject({ id, state: 'ready', attempts: 0 });
    await die();
    expect((await send('DELETE', `/jobs/${id}`)).statusCode).toBe(204);
    expect((await send('DELETE', `/jobs/${id}`)).statusCode).toBe(404);
  });

  it('a device is made known, described, and forgotten while it has no certificate', async () => {
    await done('POST', '/devices', { name: 'hub', site: 'branch-7', labels: { rack: '12' } });
    expect(await done('PATCH', '/devices/hub', { labels: { rack: '14' }, owner: 'noc' })).toMatchObject({
      state: 'expected',
      site: 'branch-7',
      labels: { rack: '14' },
      owner: 'noc',
    });
    expect((await send('GET', '/devices?site=branch-7&fields=name')).json()).toEqual({ items: [{ name: 'hub' }] });
    expect((await send('POST', '/devices', { name: 'hub' })).statusCode).toBe(409);
    expect((await send('DELETE', '/devices/router1')).statusCode).toBe(409);
    expect((await send('DELETE', '/devices/hub')).statusCode).toBe(204);
  });
});
