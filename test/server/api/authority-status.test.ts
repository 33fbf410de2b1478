import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { ApiServer } from '../support/api-server.ts';
import { seeded } from '../support/seed.ts';
import { muster } from '../support/terminal.ts';

const ours = seeded('default');
const path = `/api/v1/authorities/${ours.authority}`;

describe('what relying parties are told of an authority, by REST and by the command line', () => {
  let server: ApiServer;
  let admin: string;
  let data: string;

  beforeAll(async () => {
    server = await ApiServer.start();
    admin = await server.token('admin');
    data = await server.listen(admin);
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const request = (method: 'GET' | 'PATCH' | 'POST', url: string, body?: object, token = admin) =>
    server.request(token, method, url, body);
  const cli = (...args: readonly string[]) => muster(['--data', data, ...args]);

  it('is how it stands, its lists, and for how long they may keep that', async () => {
    const { statusCode, body } = await request('GET', `${path}/status`);
    expect(statusCode, body).toBe(200);
    expect(JSON.parse(body)).toEqual({
      standing: 'good',
      lifetimes: { maxAgeSeconds: 300, ocspSeconds: 3_600, crlSeconds: 3_600, fullCrlSeconds: 86_400 },
      crls: [],
    });
    const shown = await cli('ca', 'status', ours.authority);
    expect(shown, shown.err).toMatchObject({ code: 0, out: expect.stringMatching(/ocspSeconds\s+3600/) });
  });

  it('is changed member by member, within bounds, by who may', async () => {
    const changed = await cli('ca', 'lifetimes', ours.authority, '--ocsp', '15m', '--max-age', '60', '--json');
    expect(changed, changed.err).toMatchObject({ code: 0 });
    expect(JSON.parse(changed.out)).toMatchObject({ maxAgeSeconds: 60, ocspSeconds: 900, crlSeconds: 3_600 });
    for (const body of [{}, { ocspSeconds: 59 }, { maxAgeSeconds: 901 }, { crlSeconds: 1.5 }, { other: 1 }])
      expect((await request('PATCH', `${path}/lifetimes`, body)).statusCode, JSON.stringify(body)).toBe(400);
    const auditor = await server.token('auditor');
    expect((await request('GET', `${path}/status`, undefined, auditor)).json()).toMatchObject({
      lifetimes: { ocspSeconds: 900, maxAgeSeconds: 60 },
    });
    expect((await request('PATCH', `${path}/lifetimes`, { ocspSeconds: 600 }, auditor)).statusCode).toBe(403);
    expect((await request('POST', `${path}/revoke`, {}, auditor)).statusCode).toBe(403);
    expect((await request('GET', '/api/v1/authorities/nobody/status')).statusCode).toBe(404);
  });

  it('is no revocation of a root, nor for a time', async () => {
    const root = await request('POST', `${path}/revoke`, { reason: 'keyCompromise' });
    expect(root.statusCode).toBe(409);
    expect(root.json()).toMatchObject({ detail: expect.stringContaining('is a root') });
    expect((await request('POST', `${path}/revoke`, { reason: 'certificateHold' })).statusCode).toBe(400);
    expect(await cli('ca', 'revoke', ours.authority, '--reason', 'certificateHold')).toMatchObject({ code: 2 });
  });
});
