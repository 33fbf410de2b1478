import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { isAuthorityKey, listAuthorities } from '../../core/authority/authorities.ts';
import { ServiceIdentities } from '../../core/authority/service-identities.ts';
import type { AuthorityRow, AuthorityTables } from '../../core/authority/tables.ts';
import { InternalError } from '../../core/errors/muster-error.ts';
import { parseKeyUri } from '../../core/keys/key-uri.ts';
import { openServiceKey } from '../../core/keys/service-key.ts';
import { parseCertificate } from '../../core/x509/certificate.ts';
import { ComposedServer } from '../support/composed-server.ts';
import {
  type Answer,
  api,
  basic,
  type Call,
  certificateOf,
  type ClientCertificate,
  connection,
  enroll,
  type Listed,
  rest,
  send,
} from '../support/installation.ts';
import { makeCsr } from '../support/test-pki.ts';

/** The objects of the tenant `default` that nobody of `acme` may see. */
interface Objects {
  readonly label: string;
  readonly device: string;
  readonly enrollment: string;
  readonly pending: string;
  readonly certificate: string;
  readonly secret: string;
  readonly token: string;
  readonly revocation: string;
  readonly rollover: string;
  readonly manifest: string;
  readonly 'expected-device': string;
  readonly 'reference-value': string;
  readonly profile: string;
  readonly authority: string;
}

interface Route {
  readonly method: string;
  readonly path: string;
  /** What the documentation shows as a body. */
  readonly example?: object;
}

interface Operation {
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly example?: object }>> };
}

describe('two tenants in one installation', () => {
  let server: ComposedServer;
  let acme: string;

  beforeAll(async () => {
    server = await ComposedServer.start();
    acme = (await server.addTenant('acme')).tenant.id;
  });
  afterAll(async () => server[Symbol.asyncDispose]());

  async function enrolled(name: string, label: string): Promise<ClientCertificate> {
    const csr = makeCsr({ subject: `CN=${name}` });
    const headers = basic('any', await server.password(label));
    const { der } = certificateOf(await enroll(server, `${label}/simpleenroll`, csr.der, { headers }));
    return { der, privateKey: csr.privateKey };
  }

  describe('REST: each route of the OpenAPI document', () => {
    let routes: Route[];
    let foreign: string;
    let own: string;
    let objects: Objects;

    beforeAll(async () => {
      routes = await documentedRoutes();
      foreign = await server.tenantToken(acme);
      const { tenant } = (await server.server.kernel.endpoints.resolve('default'))!;
      own = await server.tenantToken(tenant);
      objects = await makeObjects();
    });

    async function documentedRoutes(): Promise<Route[]> {
      const { text } = await send(server, `${server.admin}/api/docs/json`);
      const { paths } = JSON.parse(text) as { paths: Record<string, Record<string, Operation>> };
      return Object.entries(paths).flatMap(([path, methods]) =>
        Object.entries(methods).map(([method, { requestBody }]) => {
          const example = Object.values(requestBody?.content ?? {})[0]?.example;
          return { method: method.toUpperCase(), path: path.replace(/^\/api\/v1/, ''), ...(example && { example }) };
        }),
      );
    }

    async function makeObjects(): Promise<Objects> {
      await enrolled('secretive', 'default');
      await api(server, 'POST', '/endpoints', { label: 'queue', approval: 'manual', protocols: { est: {} } });
      const { secret } = await api<{ secret: string }>(server, 'POST', '/secrets', { endpoint: 'queue' });
      await enroll(server, 'queue/simpleenroll', makeCsr({ subject: 'CN=waiting' }).der, {
        headers: basic('x', secret),
      });
      const first = async (path: string): Promise<string> =>
        (await api<Listed<{ id: string }>>(server, 'GET', path)).items[0]!.id;
      const made = async (path: string, body: object): Promise<string> =>
        (await api<{ id: string }>(server, 'POST', path, body)).id;
      return {
        label: 'queue',
        device: await first('/devices?name=secretive'),
        enrollment: await first('/enrollments?status=issued'),
        pending: await first('/enrollments?status=pending'),
        certificate: await first('/certificates?name=secretive'),
        secret: await first('/secrets'),
        token: (await api<Listed<{ id: string }>>(server, 'GET', '/tokens?tenant=default')).items[0]!.id,
        revocation: await made('/revocations', { query: { name: 'nobody' } }),
        rollover: await made('/rollovers', { authority: 'issuing' }),
        profile: await first('/profiles'),
        authority: await first('/authorities'),
        manifest: await made('/manifests', { name: 'lot', format: 'csv' }),
        'expected-device': await made('/expected-devices', { serialNumber: 'secretive-serial' }),
        'reference-value': await made('/reference-values', { model: 'secretive-model', firmware: '1' }),
      };
    }

    /** A route with ids of objects of `default` in it. */
    function pathOf({ path, method }: Route): string {
      const { label, ...ids } = objects;
      const { pending: _pending, ...kinds } = ids;
      const kind = (Object.keys(kinds) as (keyof typeof kinds)[]).find((name) =>
        path.startsWith(name === 'authority' ? '/authorities/' : `/${name}s/`),
      );
      const id = kind === 'enrollment' && method === 'POST' ? ids.pending : kind && ids[kind];
      return path
        .replace('{label}', label)
        .replace('{id}', id ?? 'none')
        .replace(/\{\w+\}/g, 'none');
    }

    /** A body that the route would take from its own tenant. */
    function bodyOf({ method, path, example }: Route): object | undefined {
      if (method === 'GET' || method === 'DELETE') return undefined;
      if (path === '/endpoints') return { label: 'intruder', authority: 'issuing', profile: 'device' };
      if (path === '/secrets') return { endpoint: objects.label };
      if (path === '/rollovers') return { authority: 'issuing' };
      if (path.endsWith('/derive')) return { subject: 'intruder' };
      if (path === '/tokens') return { label: 'intruder', role: 'admin' };
      return example ?? {};
    }

    const ask = (route: Route, token: string, query = ''): Promise<Answer> =>
      rest(server, route.method, pathOf(route) + query, bodyOf(route), token);

    const named = ({ path }: Route): boolean => path.includes('{');
    /** Routes about the installation, and the one that tells a token about itself. */
    const ofInstallation = ({ path }: Route): boolean => /^\/(doctor|tenants|jobs)(\/|$)/.test(path);
    const ofNobody = ({ path }: Route): boolean => path === '/status' || path === '/roles';

    it('is there', () => {
      expect(routes.length).toBeGreaterThan(25);
      expect(routes.filter(named).length).toBeGreaterThan(12);
      for (const [what, id] of Object.entries(objects)) expect(id, what).toMatch(/^[\w-]+$/);
    });

    it('answers 404 for an object of the other tenant, as for one that does not exist', async () => {
      for (const route of routes.filter(named)) {
        const answer = await ask(route, foreign);
        const what = `${route.method} ${route.path}: ${answer.text}`;
        expect(answer.status, what).toBe(ofInstallation(route) ? 403 : 404);
        const missing = await rest(
          server,
          route.method,
          route.path.replace(/\{\w+\}/g, 'nowhere'),
          bodyOf(route),
          foreign,
        );
        expect(missing.status, what).toBe(answer.status);
        expect(JSON.parse(missing.text)).toMatchObject({ code: (JSON.parse(answer.text) as { code: string }).code });
      }
    });

    it('answers 404 for the other tenant by name, 403 for the installation', async () => {
      for (const route of routes.filter((one) => !ofNobody(one))) {
        const answer = await ask(route, foreign, '?tenant=default');
        const what = `${route.method} ${route.path}: ${answer.text}`;
        expect(answer.status, what).toBe(ofInstallation(route) ? 403 : 404);
        for (const id of Object.values(objects).slice(1)) expect(answer.text, what).not.toContain(`"${id}"`);
      }
      expect(
        (await send(server, `${server.admin}/metrics`, { headers: { Authorization: `Bearer ${foreign}` } })).status,
      ).toBe(403);
    });

    it('lists nothing of the other tenant', async () => {
      const lists = routes.filter((route) => route.method === 'GET' && !named(route) && !ofInstallation(route));
      for (const route of lists) {
        const answer = await ask(route, foreign);
        expect(answer.status, `${route.path}: ${answer.text}`).toBe(200);
        for (const id of Object.values(objects)) expect(answer.text, route.path).not.toContain(`"${id}"`);
        expect(answer.text, route.path).not.toContain('secretive');
      }
    });

    it('would have answered a token of the tenant itself', async () => {
      // The objects themselves: what may hang on one need not be there.
      const there = (route: Route): boolean =>
        /^\/[\w-]+\/\{\w+\}$/.test(route.path) && !pathOf(route).includes('/none') && !ofInstallation(route);
      for (const route of routes.filter((one) => one.method === 'GET' && named(one) && there(one))) {
        const answer = await ask(route, own);
        expect(answer.status, `${route.path}: ${answer.text}`).toBe(200);
      }
      const { status } = await ask({ method: 'POST', path: '/enrollments/{id}/approve' }, own);
      expect(status).toBe(200);
    });

    it('has changed nothing of the other tenant meanwhile', async () => {
      expect(await api(server, 'GET', `/devices/${objects.device}`)).toMatchObject({ state: 'enrolled' });
      expect(await api(server, 'GET', '/endpoints/queue')).toMatchObject({ revision: 1, approval: 'manual' });
      const { items } = await api<Listed<{ id: string; state: string }>>(server, 'GET', '/secrets?limit=500');
      expect(items.find(({ id }) => id === objects.secret)?.state).not.toBe('revoked');
      const tokens = await api<Listed<{ id: string; state: string }>>(server, 'GET', '/tokens?tenant=default');
      expect(tokens.items.find(({ id }) => id === objects.token)?.state).toBe('active');
    });
  });

  describe('EST: each operation, with each credential of the other tenant', () => {
    const OPERATIONS = ['simpleenroll', 'simplereenroll', 'serverkeygen'] as const;
    /** A credential, and the operations it may use at home. */
    const credentials = new Map<string, { readonly call: () => Promise<Call>; readonly home: readonly string[] }>();
    const names = { subject: 'CN=twin' };

    beforeAll(async () => {
      const device = await enrolled('twin', 'acme');
      const gateway = await enrolled('acme-gateway', 'acme-ra');
      const standing = await server.password('acme', 'twin');
      const byPassword = ['simpleenroll', 'serverkeygen'];
      credentials.set('one-time password', {
        call: async () => ({ headers: basic('any', await server.password('acme')) }),
        home: byPassword,
      });
      credentials.set('device password', {
        call: async () => ({ headers: basic('twin', standing) }),
        home: byPassword,
      });
      credentials.set('certificate', { call: async () => ({ agent: connection(server, device) }), home: OPERATIONS });
      credentials.set('registration authority', {
        call: async () => ({ agent: connection(server, gateway) }),
        home: byPassword,
      });
    });

    async function ask(path: string, call: Call): Promise<Answer> {
      try {
        return await enroll(server, path, makeCsr(names).der, call);
      } finally {
        call.agent?.destroy();
      }
    }

    it.each(['one-time password', 'device password', 'certificate', 'registration authority'])('%s', async (kind) => {
      const { call, home } = credentials.get(kind)!;
      const before = (await server.certificatesOf('twin')).length;
      for (const operation of OPERATIONS) {
        for (const path of [operation, `default/${operation}`, `default-ra/${operation}`]) {
          const answer = await ask(path, await call());
          expect([401, 403], `${path}: ${answer.text}`).toContain(answer.status);
        }
      }
      expect(await server.certificatesOf('twin')).toHaveLength(before);
      for (const operation of home) {
        const answer = await ask(`acme/${operation}`, await call());
        expect(answer.status, `${operation}: ${answer.text}`).toBe(200);
      }
      expect(await server.certificatesOf('twin')).toHaveLength(before + home.length);
      const tenants = (await server.certificatesOf('twin')).map(({ tenant }) => tenant);
      expect(new Set(tenants)).toEqual(new Set([acme]));
    });

    it('the certificates a tenant hands out are its own CAs and no other', async () => {
      const chains = await Promise.all(
        ['default', 'acme'].map((label) => send(server, `${server.mtls}/.well-known/est/${label}/cacerts`)),
      );
      const { kernel } = server.server;
      for (const [index, label] of ['default', 'acme'].entries()) {
        const endpoint = (await kernel.endpoints.resolve(label))!;
        const own = await kernel.authorities.caCertificates(endpoint.tenant, endpoint.authority);
        const sent = Buffer.from(chains[index]!.text, 'base64');
        for (const der of own) expect(sent.includes(der)).toBe(true);
      }
      expect(chains[0]!.text).not.toBe(chains[1]!.text);
    });
  });

  describe('a protocol that wants to sign with the key of a CA', () => {
    let authorities: AuthorityRow[];

    beforeAll(async () => {
      const { store } = server.server.kernel;
      const { tenant } = (await server.server.kernel.endpoints.resolve('default'))!;
      authorities = [...(await listAuthorities(store, tenant)), ...(await listAuthorities(store, acme))];
      // Two of each tenant, and the one that is announced.
      expect(authorities).toHaveLength(5);
    });

    it('is refused the key, with the certificate of the CA, with another one and with none', async () => {
      const { kernel, keys } = server.server;
      const device = parseCertificate((await enrolled('cover', 'default')).der);
      for (const { key_uri: uri, certificate } of authorities) {
        for (const claimed of [parseCertificate(certificate), device, undefined]) {
          const opened = openServiceKey(keys, parseKeyUri(uri).uri, claimed, {
            isAuthorityKey: (spki) => isAuthorityKey(kernel.store, spki),
          });
          await expect(opened).rejects.toThrow(InternalError);
        }
      }
    });

    it('is refused it also where its stored identity was bent to that key', async () => {
      const { kernel, keys } = server.server;
      const { store } = kernel;
      const { tenant, authority } = (await kernel.endpoints.resolve('acme'))!;
      const issuing = authorities.find(({ id }) => id === authority)!;
      const { certificate } = await kernel.identities.current(tenant, authority, 'key-generation');
      await store.unit(async (tx) => {
        const mine = tx.forTenant<AuthorityTables>(tenant);
        await mine
          .updateTable('service_identities', { key_uri: issuing.key_uri })
          .where('generation', '=', 1)
          .execute();
        await mine
          .updateTable('certificates', { der: issuing.certificate })
          .where('serial_number', '=', certificate.serialNumber)
          .execute();
      });
      const afresh = new ServiceIdentities({ store, keys, authorities: kernel.authorities });
      await expect(afresh.current(tenant, authority, 'key-generation')).rejects.toThrow(InternalError);
      const home = (await kernel.endpoints.resolve('default'))!;
      const { key } = await afresh.current(home.tenant, home.authority, 'key-generation');
      expect(key.signatureAlgorithm).toBe('ecdsa-with-SHA256');
    });
  });
});
