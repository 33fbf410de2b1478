import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { forgetAnswers } from '../../../server/api/idempotency.ts';
import { ENGINES } from '../../support/stores.ts';
import { ApiServer } from '../support/api-server.ts';
import { seeded } from '../support/seed.ts';

const ours = seeded('default');

describe.each(ENGINES)('what all resources share, on %s', (engine) => {
  let server: ApiServer;
  let admin: string;
  beforeAll(async () => {
    server = await ApiServer.start(0, engine);
    admin = await server.token('admin');
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const send = (method: 'GET' | 'POST' | 'PATCH' | 'DELETE', path: string, body?: object, headers = {}) =>
    server.request(admin, method, `/api/v1${path}`, body, headers);
  const auditCount = async () => {
    const rows = await server.store
      .read<{ audit_entries: { action: string } }>()
      .selectFrom('audit_entries')
      .select('action')
      .execute();
    return rows.length;
  };

  it('dry run: answers as if it were done, refuses what would be refused, and leaves nothing', async () => {
    const before = await auditCount();
    const made = await send('POST', '/profiles?dryRun=true', { name: 'rehearsed' });
    expect(made.statusCode, made.body).toBe(201);
    expect(made.headers['muster-dry-run']).toBe('true');
    expect(made.json()).toMatchObject({ name: 'rehearsed', revision: 1 });
    expect((await send('GET', '/profiles/rehearsed')).statusCode).toBe(404);
    expect((await send('POST', '/profiles?dryRun=true', { name: 'device' })).statusCode).toBe(409);
    const label = ours.endpoint;
    const changed = await send('PATCH', `/endpoints/${label}?dryRun=true`, { approval: 'manual' });
    expect(changed.json()).toMatchObject({ approval: 'manual', revision: 2 });
    expect((await send('GET', `/endpoints/${label}`)).json()).toMatchObject({ approval: 'automatic', revision: 1 });
    expect((await send('DELETE', '/profiles/device?dryRun=true')).statusCode).toBe(409);
    expect(await auditCount()).toBe(before);
  });

  it('If-Match: a change based on an older state is refused, and shows the present one', async () => {
    const made = await send('POST', '/profiles', { name: 'matched' });
    expect(made.headers['location']).toMatch(/^\/api\/v1\/profiles\/[\w-]+$/);
    const etag = made.headers.etag as string;
    const changed = await send('PATCH', '/profiles/matched', { validitySeconds: 7_200 }, { 'if-match': etag });
    expect(changed.json()).toMatchObject({ revision: 2, validitySeconds: 7_200 });
    for (const method of ['PATCH', 'DELETE'] as const) {
      const stale = await send(method, '/profiles/matched', method === 'PATCH' ? { validitySeconds: 60 } : undefined, {
        'if-match': etag,
      });
      expect(stale.statusCode).toBe(409);
      expect(stale.json()).toMatchObject({ code: 'conflict', current: { revision: 2, validitySeconds: 7_200 } });
    }
    const now = changed.headers.etag as string;
    expect((await send('DELETE', '/profiles/matched', undefined, { 'if-match': `"x", ${now}` })).statusCode).toBe(204);
  });

  it('a change to what already stands counts no revision and is no event', async () => {
    await send('POST', '/profiles', { name: 'same', validitySeconds: 7_200 });
    const before = await auditCount();
    expect((await send('PATCH', '/profiles/same', { validitySeconds: 7_200 })).json()).toMatchObject({ revision: 1 });
    expect(await auditCount()).toBe(before);
  });

  it('Idempotency-Key: a repeat gets the stored answer, secret included; another request under it is a conflict', async () => {
    const headers = { 'idempotency-key': `key-${engine}-1` };
    const draft = { label: 'once', role: 'auditor' };
    const first = await send('POST', '/tokens', draft, headers);
    const again = await send('POST', '/tokens', draft, headers);
    expect(first.statusCode, first.body).toBe(201);
    expect(again.statusCode).toBe(201);
    expect(again.json()).toEqual(first.json());
    expect(again.headers['idempotent-replayed']).toBe('true');
    expect((await send('POST', '/tokens', { ...draft, label: 'other' }, headers)).statusCode).toBe(409);
    const other = await server.token('admin');
    const elsewhere = await server.request(other, 'POST', '/api/v1/tokens', draft, headers);
    expect(elsewhere.json()).not.toEqual(first.json());
    const stored = await server.store
      .read<{ idempotency_keys: { sealed: Uint8Array } }>()
      .selectFrom('idempotency_keys')
      .select('sealed')
      .execute();
    const { token } = first.json() as { token: string };
    for (const { sealed } of stored) expect(Buffer.from(sealed).includes(token)).toBe(false);
    expect((await send('POST', '/tokens', draft, { 'idempotency-key': 'x'.repeat(200) })).statusCode).toBe(400);
    await forgetAnswers(server.store);
    expect((await send('POST', '/tokens', draft, headers)).headers['idempotent-replayed']).toBe('true');
  });

  it('Idempotency-Key: two at once are done once', async () => {
    const headers = { 'idempotency-key': `key-${engine}-2` };
    const answers = await Promise.all([1, 2, 3].map(() => send('POST', '/profiles', { name: 'raced' }, headers)));
    const codes = answers.map(({ statusCode }) => statusCode);
    expect(codes.filter((code) => code === 201).length).toBeGreaterThanOrEqual(1);
    expect(codes.every((code) => code === 201 || code === 409)).toBe(true);
    const ids = new Set(
      answers.filter(({ statusCode }) => statusCode === 201).map((one) => (one.json() as { id: string }).id),
    );
    expect(ids.size).toBe(1);
  });

  it('fields: only those asked for, of an object and of the items of a list; an unknown one is named', async () => {
    expect((await send('GET', '/endpoints?fields=label,revision')).json()).toEqual({
      items: [{ label: ours.endpoint, revision: 1 }],
    });
    expect((await send('GET', `/devices/${ours.device}?fields=name`)).json()).toEqual({ name: 'router1' });
    const wrong = await send('GET', '/devices?fields=nmae');
    expect(wrong.statusCode).toBe(400);
    expect(wrong.json()).toMatchObject({
      errors: [{ path: '/querystring/fields', message: expect.stringContaining('"name"') }],
    });
  });
});

describe('watching an answer by server-sent events', () => {
  it('sends a snapshot, then what changed, and ends with the token', async () => {
    await using server = await ApiServer.start(5);
    const token = await server.token('admin');
    const folder = await server.listen(token);
    expect(folder).toBeTruthy();
    const address = server.app.server.address() as { port: number };
    const { request } = await import('node:https');
    const events: string[] = [];
    const options = {
      port: address.port,
      host: '127.0.0.1',
      path: '/api/v1/profiles?fields=id,name',
      rejectUnauthorized: false,
    };
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    const stream = request(
      { ...options, headers: { authorization: `Bearer ${token}`, accept: 'text/event-stream' } },
      (response) => {
        expect(response.headers['content-type']).toBe('text/event-stream');
        response.on('data', (chunk: Buffer) => events.push(chunk.toString()));
        response.on('end', resolve);
      },
    );
    stream.end();
    const seen = async (what: RegExp) => {
      for (let turn = 0; turn < 100 && !what.test(events.join('')); turn += 1)
        await new Promise((wake) => void setTimeout(wake, 100));
      expect(events.join('')).toMatch(what);
    };
    await seen(/^event: snapshot\nid: .+\ndata: \{"items":\[\{.*"name":"device"/m);
    await server.request(token, 'POST', '/api/v1/profiles', { name: 'watched' });
    await seen(/^event: change\nid: .+\ndata: \{"changed":\[\{[^}]*"name":"watched"\}\],"gone":\[\]\}/m);
    await server.store.unit(async (tx) => {
      await tx.db<{ api_tokens: { revoked_at: number } }>().updateTable('api_tokens').set({ revoked_at: 1 }).execute();
    });
    await ended;
  });
});
