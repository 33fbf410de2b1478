import type { InjectOptions } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROLE_SCOPES, ROLES, type Scope, SCOPES } from '../../../server/api/access.ts';
import { ApiServer, type ServedRoute } from '../support/api-server.ts';
import { documentOf, exampleBodies } from '../support/openapi-document.ts';
import { pathOf } from '../support/route-paths.ts';
import { seeded } from '../support/seed.ts';

/** Reached without a token, on purpose: the documentation holds no data. */
const publicRoutes = /^\/api\/docs(\/|$)/;
const acme = seeded('acme');

/** Bodies that routes would take, by what the documentation shows. */
let bodies: ReadonlyMap<string, object>;

/** Where the documentation's example names something that is not there. */
const FITTING: Readonly<Record<string, object>> = {
  'POST /api/v1/endpoints': { label: 'new-one' },
  'POST /api/v1/secrets': { endpoint: acme.endpoint },
  'POST /api/v1/revocations': { query: { device: acme.device }, preview: true },
  'POST /api/v1/tokens': { label: 't', role: 'auditor' },
};

function bodyOf({ method, url }: ServedRoute): object | undefined {
  return FITTING[`${method} ${url}`] ?? bodies.get(`${method} ${url}`);
}

describe('access, walked over the route list', () => {
  let server: ApiServer;
  let guarded: ServedRoute[];
  beforeAll(async () => {
    server = await ApiServer.start();
    bodies = exampleBodies(await documentOf(server));
    guarded = server.routes.filter((route) => !publicRoutes.test(route.url));
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const send = (token: string | undefined, route: ServedRoute, query = '') =>
    server.request(token, route.method as InjectOptions['method'], pathOf(route.url, acme) + query, bodyOf(route));

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

  const of = ({ method, url }: ServedRoute) => `${method} ${url}`;
  const hasKey = ({ url }: ServedRoute) => /:\w+/.test(url);

  /** Whatever became of it, it was not the token: rules of an object may refuse as well. */
  const expectTaken = (answer: Awaited<ReturnType<typeof send>>, what: string) => {
    expect([401, 500], what).not.toContain(answer.statusCode);
    if (answer.statusCode === 403) expect(answer.json(), what).not.toMatchObject({ code: 'not-authorized' });
  };

  describe.each(ROLES)('%s', (role) => {
    it('of the installation: does what its scopes say, in every tenant, and nothing else', async () => {
      const token = await server.token(role);
      for (const route of guarded) {
        const query = route.about === 'installation' || route.access === 'any' ? '' : '?tenant=acme';
        const answer = await send(token, route, query);
        const may = route.access === 'any' || ROLE_SCOPES[role].includes(route.access as Scope);
        if (may) expectTaken(answer, of(route));
        else expect(answer.statusCode, of(route)).toBe(403);
      }
    });

    it('of a tenant: the same there, and never the installation', async () => {
      const token = await server.token(role, 'acme');
      for (const route of guarded) {
        const answer = await send(token, route);
        const may = route.access === 'any' || ROLE_SCOPES[role].includes(route.access as Scope);
        if (may && (route.about !== 'installation' || route.access === 'any')) expectTaken(answer, of(route));
        else expect(answer.statusCode, of(route)).toBe(403);
      }
    });

    it('of another tenant: sees no object, no name, and no foreign object in any list', async () => {
      const token = await server.token(role, 'default');
      for (const route of guarded.filter(({ access }) => access !== 'any')) {
        const may = ROLE_SCOPES[role].includes(route.access as Scope) && route.about !== 'installation';
        const [direct, named] = [await send(token, route), await send(token, route, '?tenant=acme')];
        const what = `${of(route)}: ${direct.body}`;
        expect(named.statusCode, what).toBe(may ? 404 : 403);
        if (hasKey(route)) expect(direct.statusCode, what).toBe(may ? 404 : 403);
        for (const id of Object.values(acme).slice(1)) {
          expect(direct.body, what).not.toContain(`"${id}"`);
          expect(named.body, what).not.toContain(`"${id}"`);
        }
      }
    });
  });

  it('an auditor changes nothing: not one route but GET is open to it', () => {
    const open = guarded.filter(({ access }) => ROLE_SCOPES.auditor.includes(access as Scope));
    expect(open.filter(({ method }) => method !== 'GET').map(of)).toEqual([]);
  });

  it('a token without the scope of a route is refused by it', async () => {
    const narrow = await server.token('admin', undefined, ['metrics:read']);
    for (const route of guarded.filter(({ url, access }) => url !== '/metrics' && access !== 'any')) {
      expect((await send(narrow, route, '?tenant=acme')).statusCode, of(route)).toBe(403);
    }
  });

  it('a tenant that is not there is not found', async () => {
    const admin = await server.token('admin');
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
