import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OPEN_CMP } from '../../../core/enrollment/cmp-settings.ts';
import { deriveChallenge } from '../../../core/enrollment/derived-challenge.ts';
import { OPEN_SCEP } from '../../../core/enrollment/scep-settings.ts';
import { Secret } from '../../../core/keys/secret.ts';
import { ENGINES } from '../../support/stores.ts';
import { ApiServer } from '../support/api-server.ts';
import { seeded } from '../support/seed.ts';

const ours = seeded('default');

describe.each(ENGINES)('REST resources on %s', (engine) => {
  let server: ApiServer;
  let admin: string;
  beforeAll(async () => {
    server = await ApiServer.start(0, engine);
    admin = await server.token('admin');
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const get = async (url: string) => {
    const answer = await server.request(admin, 'GET', url);
    expect(answer.statusCode, answer.body).toBe(200);
    return answer.json();
  };
  const send = (method: 'POST' | 'PATCH' | 'DELETE', url: string, body?: object, headers?: Record<string, string>) =>
    server.request(admin, method, url, body, headers);

  it('status says who asks', async () => {
    expect(await get('/api/v1/status')).toMatchObject({ version: 'test', token: { role: 'admin', label: 'admin' } });
  });

  it('endpoints: create closed, open EST with defaults, change by revision, delete', async () => {
    const created = await send('POST', '/api/v1/endpoints', { label: 'branch' });
    expect(created.statusCode, created.body).toBe(201);
    expect(created.json()).toMatchObject({
      label: 'branch',
      revision: 1,
      protocols: {},
      approval: 'automatic',
      authority: ours.authority,
    });
    expect(created.headers.etag).toBe('"1"');
    const opened = await send(
      'PATCH',
      '/api/v1/endpoints/branch',
      { protocols: { est: { wrapping: 'none' } }, approval: 'manual' },
      { 'if-match': '"1"' },
    );
    expect(opened.json()).toMatchObject({
      revision: 2,
      approval: 'manual',
      protocols: { est: { wrapping: 'none', authenticators: ['password', 'certificate'] } },
    });
    const stale = await send('PATCH', '/api/v1/endpoints/branch', { approval: 'automatic' }, { 'if-match': '"1"' });
    expect(stale.statusCode).toBe(409);
    expect(stale.json()).toMatchObject({ code: 'conflict', detail: expect.stringContaining('revision 2') });
    expect((await send('PATCH', '/api/v1/endpoints/branch', { protocols: { est: null } })).json()).toMatchObject({
      protocols: {},
    });
    expect((await send('POST', '/api/v1/endpoints', { label: 'branch' })).statusCode).toBe(409);
    expect((await send('DELETE', '/api/v1/endpoints/branch')).statusCode).toBe(204);
    expect((await send('DELETE', '/api/v1/endpoints/branch')).statusCode).toBe(404);
  });

  it('endpoints: an admission rule that does not parse is refused and changes nothing', async () => {
    const url = `/api/v1/endpoints/${ours.endpoint}`;
    const before = await get(url);
    const answer = await send('PATCH', url, { admission: [{ name: 'r', rule: 'request.(' }] });
    expect(answer.statusCode).toBe(400);
    expect(await get(url)).toEqual(before);
  });

  it('secrets: the text is shown once and stored as a hash', async () => {
    const made = await send('POST', '/api/v1/secrets', { endpoint: ours.endpoint, subject: 'router9' });
    expect(made.statusCode, made.body).toBe(201);
    const { id, secret } = made.json() as { id: string; secret: string };
    expect(secret).toMatch(/^[0-9a-z]{26,}$/);
    const list = await server.request(admin, 'GET', '/api/v1/secrets');
    expect(list.body).toContain(id);
    expect(list.body).not.toContain(secret);
    expect(list.json()).toMatchObject({ items: [{ id, endpoint: ours.endpoint, state: 'free', subject: 'router9' }] });
    expect(server.logged.join('')).not.toContain(secret);
    expect((await send('DELETE', `/api/v1/secrets/${id}`)).statusCode).toBe(204);
    expect((await send('DELETE', `/api/v1/secrets/${id}`)).statusCode).toBe(404);
  });

  describe('secrets of the other kinds', () => {
    const url = '/api/v1/secrets';
    const make = async (draft: object) => {
      const made = await send('POST', url, { endpoint: ours.endpoint, ...draft });
      expect(made.statusCode, made.body).toBe(201);
      return made.json() as { id: string; secret: string; reference?: string; expiresAt: string };
    };
    const listed = async (id: string) =>
      ((await get(`${url}?limit=200`)) as { items: { id: string }[] }).items.find((item) => item.id === id);

    it('mac: with a reference, once or for a device', async () => {
      const once = await make({ kind: 'mac', subject: 'router1' });
      expect(once.reference).toMatch(/^[0-9a-z]{12}$/);
      expect(await listed(once.id)).toMatchObject({
        kind: 'mac',
        usage: 'one-time',
        reference: once.reference,
        subject: 'router1',
      });
      const device = await make({ kind: 'mac', usage: 'device' });
      expect(await listed(device.id)).toMatchObject({ kind: 'mac', usage: 'device' });
      expect(Date.parse(device.expiresAt) - Date.parse(once.expiresAt)).toBeGreaterThan(300 * 86_400_000);
    });

    it('static: made or chosen, for the devices on a list', async () => {
      const made = await make({ kind: 'static', allowed: ['branch-*'] });
      expect(await listed(made.id)).toMatchObject({ kind: 'static', allowed: ['branch-*'], state: 'free' });
      const chosen = await make({ kind: 'static', allowed: ['hub'], secret: 'correct horse battery' });
      expect(chosen.secret).toBeUndefined();
      expect((await server.request(admin, 'GET', `${url}?limit=200`)).body).not.toContain('correct horse');
      expect(server.logged.join('')).not.toContain('correct horse');
      expect((await server.request(admin, 'GET', '/api/v1/audit/entries?limit=200')).body).not.toContain(
        'correct horse',
      );
    });

    it('derived: the challenge of a device, from the key alone or by asking', async () => {
      const { id, secret } = await make({ kind: 'derived' });
      const answer = await send('POST', `${url}/${id}/derive`, { subject: 'router1', lifetimeSeconds: 86_400 });
      expect(answer.statusCode, answer.body).toBe(200);
      const { challenge, lastDay } = answer.json() as { challenge: string; lastDay: string };
      const derived = { endpoint: ours.endpoint, deviceName: 'router1', lastDay };
      expect(deriveChallenge(new Secret(secret), derived).reveal()).toBe(challenge);
      const onceOnly = await make({});
      for (const other of [onceOnly.id, 'nothing'])
        expect((await send('POST', `${url}/${other}/derive`, { subject: 'router1' })).statusCode).toBe(404);
      expect((await send('DELETE', `${url}/${id}`)).statusCode).toBe(204);
      expect((await send('POST', `${url}/${id}/derive`, { subject: 'router1' })).statusCode).toBe(404);
    });

    it.each([
      [{ kind: 'mac', username: 'u' }, 'username'],
      [{ kind: 'derived', subject: 'router1' }, 'subject'],
      [{ kind: 'decider', allowed: ['a'] }, 'allowed'],
      [{ kind: 'one-time', usage: 'device' }, 'usage'],
      [{ kind: 'device', username: 'u', secret: 'correct horse battery' }, 'secret'],
      [{ kind: 'static' }, 'allowed'],
      [{ kind: 'static', allowed: ['*'] }, 'allowed'],
      [{ kind: 'static', allowed: ['r1'], secret: 'short' }, 'secret'],
      [{ kind: 'another' }, 'kind'],
    ])('%j is refused: %s', async (draft, member) => {
      const answer = await send('POST', url, { endpoint: ours.endpoint, ...draft });
      expect(answer.statusCode).toBe(400);
      expect(answer.body).toContain(member);
    });
  });

  it('endpoints: SCEP and CMP are opened with what they mean, changed in part, and closed', async () => {
    expect((await send('POST', '/api/v1/endpoints', { label: 'doors' })).statusCode).toBe(201);
    const url = '/api/v1/endpoints/doors';
    const opened = await send('PATCH', url, {
      protocols: { scep: {}, cmp: { clockSkewSeconds: 60 } },
      decider: { url: 'https://decider.example/ask' },
    });
    expect(opened.statusCode, opened.body).toBe(200);
    expect(opened.json()).toMatchObject({
      protocols: { scep: OPEN_SCEP, cmp: { ...OPEN_CMP, clockSkewSeconds: 60 } },
      decider: { url: 'https://decider.example/ask' },
    });
    const changed = await send('PATCH', url, {
      protocols: { scep: { authenticators: ['static-password', 'webhook'] }, cmp: null },
      decider: null,
    });
    const { decider, protocols } = changed.json() as { decider?: object; protocols: object };
    expect(decider).toBeUndefined();
    expect(protocols).toEqual({ scep: { ...OPEN_SCEP, authenticators: ['static-password', 'webhook'] } });
    for (const wrong of [
      { protocols: { scep: { authenticators: ['mac'] } } },
      { protocols: { est: { authenticators: ['mac'] } } },
      { decider: { url: 'http://decider.example/' } },
      { decider: { url: 'https://user:pass@decider.example/' } },
    ])
      expect((await send('PATCH', url, wrong)).statusCode, JSON.stringify(wrong)).toBe(400);
    expect((await send('DELETE', url)).statusCode).toBe(204);
  });

  it('secrets: a device password needs its user name', async () => {
    const answer = await send('POST', '/api/v1/secrets', { endpoint: ours.endpoint, kind: 'device' });
    expect(answer.statusCode).toBe(400);
    expect(answer.json()).toMatchObject({ detail: expect.stringContaining('username') });
  });

  it('devices: list, filter, block, unblock', async () => {
    expect(await get('/api/v1/devices?state=enrolled&name=router1')).toMatchObject({
      items: [{ id: ours.device, certificate: ours.certificate }],
    });
    expect(await get('/api/v1/devices?state=blocked')).toEqual({ items: [] });
    expect((await send('POST', `/api/v1/devices/${ours.device}/block`)).json()).toMatchObject({ state: 'blocked' });
    expect((await send('POST', `/api/v1/devices/${ours.device}/unblock`)).json()).toMatchObject({ state: 'enrolled' });
  });

  it('certificates: show, export as PEM with its chain and as DER', async () => {
    const url = `/api/v1/certificates/${ours.certificate}`;
    expect(await get(url)).toMatchObject({ serialNumber: '01ab', status: 'active', keyAlgorithm: 'EC P-256' });
    const pem = await server.request(admin, 'GET', `${url}/export?chain=true`);
    expect(pem.headers['content-type']).toBe('application/x-pem-file');
    expect(pem.body.match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
    const der = await server.request(admin, 'GET', `${url}/export?format=der`);
    expect(der.headers['content-type']).toBe('application/pkix-cert');
    expect(der.rawPayload[0]).toBe(0x30);
    expect((await server.request(admin, 'GET', `${url}/export?format=der&chain=true`)).statusCode).toBe(400);
    expect(await get('/api/v1/certificates?expiresBefore=2001-01-01T00:00:00Z')).toEqual({ items: [] });
  });

  it('enrollments: a waiting one is approved once, by name', async () => {
    expect(await get('/api/v1/enrollments?status=pending')).toMatchObject({
      items: [{ id: ours.enrollment, names: ['dns:router1.example'] }],
    });
    const url = `/api/v1/enrollments/${ours.enrollment}`;
    const approved = await send('POST', `${url}/approve`, { comment: 'seen on site' });
    expect(approved.statusCode, approved.body).toBe(200);
    expect(approved.json()).toMatchObject({ status: 'approved', decidedBy: expect.stringMatching(/^token:/) });
    const again = await send('POST', `${url}/reject`, {});
    expect(again.statusCode).toBe(409);
    expect(again.json()).toMatchObject({ code: 'conflict', detail: expect.stringContaining('approved') });
  });

  it('tokens: created once in clear, listed without, revoked at once', async () => {
    const made = await send('POST', '/api/v1/tokens', { label: 'scraper', role: 'auditor', scopes: ['metrics:read'] });
    const { id, token } = made.json() as { id: string; token: string };
    const metrics = await server.request(token, 'GET', '/metrics');
    expect(metrics.statusCode).toBe(200);
    expect(metrics.body).toContain('muster_store_units_total{result="committed"}');
    expect((await server.request(token, 'GET', '/api/v1/devices')).statusCode).toBe(403);
    expect((await server.request(admin, 'GET', '/api/v1/tokens')).body).not.toContain(token);
    expect((await send('DELETE', `/api/v1/tokens/${id}`)).statusCode).toBe(204);
    expect((await server.request(token, 'GET', '/metrics')).statusCode).toBe(401);
    expect(await get('/api/v1/tokens')).toMatchObject({
      items: expect.arrayContaining([expect.objectContaining({ id, state: 'revoked' })]),
    });
  });

  it('lists are paged by a cursor that must be ours', async () => {
    const first = (await get('/api/v1/tokens?limit=1')) as { items: { id: string }[]; nextCursor: string };
    const second = (await get(`/api/v1/tokens?limit=1&cursor=${first.nextCursor}`)) as { items: { id: string }[] };
    expect(first.items).toHaveLength(1);
    expect(second.items[0]!.id > first.items[0]!.id).toBe(true);
    expect((await server.request(admin, 'GET', '/api/v1/tokens?cursor=%25%25')).statusCode).toBe(400);
    expect((await server.request(admin, 'GET', '/api/v1/tokens?limit=501')).json()).toMatchObject({
      errors: [{ path: '/querystring/limit' }],
    });
  });

  it('what changes is in the audit log of the unit that changed it', async () => {
    const rows = await server.store
      .read<{ audit_entries: { action: string; tenant: string } }>()
      .selectFrom('audit_entries')
      .select(['action'])
      .where('tenant', '=', 'default')
      .execute();
    const actions = rows.map((row) => row.action);
    for (const action of [
      'endpoint.created',
      'endpoint.changed',
      'endpoint.deleted',
      'secret.created',
      'secret.revoked',
      'device.blocked',
      'enrollment.approved',
    ]) {
      expect(actions).toContain(action);
    }
  });
});

describe('REST faults', () => {
  it('names the member that is wrong and the one that was meant', async () => {
    await using server = await ApiServer.start();
    const admin = await server.token('admin');
    const answer = await server.request(admin, 'POST', '/api/v1/secrets', { endpont: 'x', lifetimeSeconds: '5' });
    expect(answer.statusCode).toBe(400);
    expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
    expect(answer.json()).toMatchObject({
      code: 'malformed-request',
      errors: expect.arrayContaining([
        { path: '/body/endpont', message: 'unknown key; did you mean "endpoint"?' },
        { path: '/body/lifetimeSeconds', message: 'expected an integer' },
      ]),
    });
    const json = await server.app.inject({
      method: 'POST',
      url: '/api/v1/secrets',
      headers: { authorization: `Bearer ${admin}`, 'content-type': 'application/json' },
      payload: '{"a":',
    });
    expect(json.json()).toMatchObject({ status: 400, code: 'malformed-request' });
    const xml = await server.app.inject({
      method: 'POST',
      url: '/api/v1/secrets',
      headers: { authorization: `Bearer ${admin}`, 'content-type': 'text/xml' },
      payload: '<a/>',
    });
    expect(xml.json()).toMatchObject({ status: 415, code: 'unsupported-media-type' });
    expect((await server.request(admin, 'PUT', '/api/v1/devices')).json()).toMatchObject({ status: 405 });
  });

  it('limits the requests of one address', async () => {
    await using server = await ApiServer.start(3);
    const admin = await server.token('admin');
    for (let index = 0; index < 3; index += 1)
      expect((await server.request(admin, 'GET', '/api/v1/status')).statusCode).toBe(200);
    const answer = await server.request(admin, 'GET', '/api/v1/status');
    expect(answer.json()).toMatchObject({ status: 429, code: 'quota-exceeded' });
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
  });
});
