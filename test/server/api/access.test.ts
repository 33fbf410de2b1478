import type { InjectOptions } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROLE_SCOPES, SCOPES } from '../../../server/api/access.ts';
import { ApiServer } from '../support/api-server.ts';
import { seeded } from '../support/seed.ts';

/** Reached without a token, on purpose: the documentation holds no data. */
const publicRoutes = /^\/api\/docs(\/|$)/;
const acme = seeded('acme');

/** A path of a route with the ids of acme's objects. */
function pathOf(url: string): string {
  const id = url.includes('/devices/')
    ? acme.device
    : url.includes('/enrollments/')
      ? acme.enrollment
      : url.includes('/revocations/')
        ? acme.batch
        : url.includes('/rollovers/')
          ? acme.rollover
          : acme.certificate;
  return url.replace(':label', acme.endpoint).replace(':id', id);
}

/** A body that the route would take. */
function bodyOf(method: string, url: string): object | undefined {
  if (method === 'POST' && url.endsWith('/endpoints')) return { label: 'new-one' };
  if (method === 'POST' && url.endsWith('/secrets')) return { endpoint: acme.endpoint };
  if (method === 'POST' && url.endsWith('/derive')) return { subject: 'router1' };
  if (method === 'POST' && url.endsWith('/revocations')) return { query: { device: acme.device }, preview: true };
  if (method === 'POST' && url.endsWith('/tokens')) return { label: 't', role: 'auditor' };
  return method === 'POST' || method === 'PATCH' ? {} : undefined;
}

describe('access, walked over the route list', () => {
  let server: ApiServer;
  let guarded: { method: string; url: string }[];
  beforeAll(async () => {
    server = await ApiServer.start();
    guarded = server.routes.filter((route) => !publicRoutes.test(route.url));
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const send = (token: string | undefined, { method, url }: { method: string; url: string }, query = '') =>
    server.request(token, method as InjectOptions['method'], pathOf(url) + query, bodyOf(method, url));

  it('knows the routes of the API', () => {
    expect(guarded.length).toBeGreaterThan(25);
    expect(guarded.every(({ url }) => url.startsWith('/api/v1/') || url === '/metrics')).toBe(true);
  });

  it('every route refuses a request without a token, with a wrong one, an expired and a revoked one', async () => {
    const expired = await server.token('admin', undefined, undefined, -1);
    for (const route of guarded) {
      for (const token of [undefined, 'mst_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA', 'x', expired]) {
        const answer = await send(token, route);
        expect(answer.statusCode, `${route.method} ${route.url}`).toBe(401);
        expect(answer.headers['www-authenticate']).toBe('Bearer');
      }
    }
  });

  it('an auditor changes nothing', async () => {
    const auditor = await server.token('auditor');
    for (const route of guarded.filter(({ method }) => method !== 'GET')) {
      expect((await send(auditor, route, '?tenant=acme')).statusCode, `${route.method} ${route.url}`).toBe(403);
    }
  });

  it('a token without the scope of a route is refused by it', async () => {
    const narrow = await server.token('admin', undefined, ['metrics:read']);
    for (const route of guarded.filter(({ url }) => url !== '/metrics' && url !== '/api/v1/status')) {
      expect((await send(narrow, route, '?tenant=acme')).statusCode, `${route.method} ${route.url}`).toBe(403);
    }
  });

  it("another tenant's token sees nothing: 404 for its objects and its name, and no foreign object in any list", async () => {
    const foreign = await server.token('admin', 'default');
    for (const route of guarded) {
      const direct = await send(foreign, route);
      const named = await send(foreign, route, '?tenant=acme');
      const what = `${route.method} ${route.url}: ${direct.body}`;
      expect(direct.body, what).not.toContain('device-acme');
      if (/:(id|label)/.test(route.url)) expect(direct.statusCode, what).toBe(404);
      if (route.url === '/metrics' || route.url.endsWith('/doctor')) expect(direct.statusCode, what).toBe(403);
      else if (!route.url.endsWith('/status'))
        expect(named.statusCode, `${route.method} ${route.url} with tenant=acme`).toBe(404);
      for (const object of Object.values(acme).slice(1)) expect(named.body).not.toContain(`"${object}"`);
    }
  });

  it('a token of the installation reaches every tenant by name', async () => {
    const admin = await server.token('admin');
    for (const route of guarded.filter(({ method, url }) => method === 'GET' && /:(id|label)/.test(url))) {
      expect((await send(admin, route, '?tenant=acme')).statusCode, `${route.method} ${route.url}`).toBe(200);
    }
    expect((await server.request(admin, 'GET', '/api/v1/devices?tenant=nobody')).statusCode).toBe(404);
  });

  it('the log of the installation is not for tokens of a tenant', async () => {
    const tenant = await server.token('admin', 'acme');
    for (const path of ['/api/v1/audit', '/api/v1/audit/export', '/api/v1/audit/checkpoint']) {
      expect((await server.request(tenant, 'GET', `${path}?log=installation`)).statusCode, path).toBe(403);
    }
  });

  it('a token of a tenant makes tokens of that tenant only, and none that may do more than it', async () => {
    const tenant = await server.token('admin', 'acme');
    const made = await server.request(tenant, 'POST', '/api/v1/tokens', { label: 'x', role: 'admin' });
    const { token } = made.json() as { token: string };
    expect((await server.request(token, 'GET', '/api/v1/status')).json()).toMatchObject({ token: { tenant: 'acme' } });
    const narrow = await server.token('admin', undefined, ['tokens:write']);
    const wider = await server.request(narrow, 'POST', '/api/v1/tokens', { label: 'x', role: 'admin' });
    expect(wider.statusCode).toBe(403);
    const foreign = await server.token('admin', 'default');
    const { id } = made.json() as { id: string };
    expect((await server.request(foreign, 'DELETE', `/api/v1/tokens/${id}`)).statusCode).toBe(404);
  });

  it('a refused request is an event', async () => {
    await server.request('x', 'GET', '/api/v1/devices');
    expect(
      server.logged.some((line) => line.includes('"event":"api.refused"') && line.includes('bad-credential')),
    ).toBe(true);
  });

  it('roles: no role does more than admin, and auditor only reads', () => {
    expect(ROLE_SCOPES.auditor.every((scope) => scope.endsWith(':read'))).toBe(true);
    for (const scopes of Object.values(ROLE_SCOPES)) expect(scopes.every((scope) => SCOPES.includes(scope))).toBe(true);
  });
});
