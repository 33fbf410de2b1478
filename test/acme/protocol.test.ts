import { X509Certificate } from 'node:crypto';
import type { Agent } from 'node:https';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { ComposedServer } from '../support/composed-server.ts';
import { type Answer, api, connection, rest } from '../support/installation.ts';
import { makeCsr } from '../support/test-pki.ts';
import {
  AcmeClient,
  type AuthorizationView,
  bind,
  type ClientAlgorithm,
  ClientKey,
  json,
  jws,
  type OrderView,
  type Problem,
  problemOf,
} from './acme-client.ts';

interface Eab {
  readonly id: string;
  readonly reference: string;
  readonly secret: string;
}

describe('ACME', () => {
  let server: ComposedServer;
  let shared: Agent;
  let fleetKey: Eab | undefined;
  const clients: AcmeClient[] = [];

  beforeAll(async () => {
    server = await ComposedServer.start();
    shared = connection(server);
    await api(server, 'POST', '/endpoints', { label: 'free', protocols: { acme: { externalAccount: 'optional' } } });
  }, 60_000);
  afterAll(async () => {
    for (const client of clients) client.close();
    await server?.[Symbol.asyncDispose]();
  });

  const eab = (draft: object = {}): Promise<Eab> =>
    api<Eab>(server, 'POST', '/secrets', { kind: 'eab', usage: 'device', allowed: ['*.example'], ...draft });

  /** Clients share a connection, as handshakes are what takes the time; those that ask at once have their own. */
  async function client(label = 'default', key?: ClientKey, agent: Agent | undefined = shared): Promise<AcmeClient> {
    const made = new AcmeClient(server, `${server.server.urls.tls}/acme/${label}/directory`, key, agent);
    clients.push(made);
    return made.start();
  }

  /** An account whose key vouches for `*.example`. */
  async function vouched(key?: ClientKey, draft?: object): Promise<AcmeClient> {
    const made = await client('default', key);
    fleetKey ??= await eab();
    expect((await made.register(draft ? await eab(draft) : fleetKey)).status).toBe(201);
    return made;
  }

  const csrFor = (...names: string[]): Uint8Array =>
    makeCsr({
      subject: '',
      ...(names.length > 0 && { san: names.map((name) => (name.includes(':') ? name : `dns:${name}`)) }),
    }).der;

  async function issue(
    of: AcmeClient,
    names: string[],
    members: object = {},
  ): Promise<{ order: OrderView; url: string }> {
    const created = await of.order(names, members);
    expect([created.status, json<OrderView>(created).status], created.text).toEqual([201, 'ready']);
    const done = await of.finalize(json<OrderView>(created), csrFor(...names));
    expect([done.status, json<OrderView>(done).status], done.text).toEqual([200, 'valid']);
    return { order: json<OrderView>(done), url: done.headers['location']! };
  }

  describe('an order under a key that vouches for its names (AC-12, AC-15 to AC-18)', () => {
    it.each<ClientAlgorithm>(['ES256', 'ES384', 'ES512', 'RS256', 'EdDSA'])('signed by %s', async (algorithm) => {
      const router = await vouched(new ClientKey(algorithm));
      const { order } = await issue(router, ['r1.example', 'r2.example']);
      expect(order.authorizations).toHaveLength(2);
      const authorization = json<AuthorizationView>(await router.post(order.authorizations[1]!));
      expect(authorization).toMatchObject({ status: 'valid', identifier: { type: 'dns', value: 'r2.example' } });
      const download = await router.post(order.certificate!);
      expect(download.headers['content-type']).toBe('application/pem-certificate-chain');
      const chain = download.text.match(/-----BEGIN[^-]+-----[^-]+-----END CERTIFICATE-----/g)!;
      const [leaf, issuing] = chain.map((pem) => new X509Certificate(pem));
      expect(leaf!.subjectAltName).toBe('DNS:r1.example, DNS:r2.example');
      expect(leaf!.subject).toBe('CN=r1.example');
      expect(leaf!.checkIssued(issuing!)).toBe(true);
      expect(chain).toHaveLength(2);
      const [, alternate] = download.headers['link']!.match(/<([^>]+)>;rel="alternate"/)!;
      expect((await router.post(alternate!)).text.trim().endsWith(server.ca)).toBe(true);
    });

    it('takes wildcards and addresses that the list names', async () => {
      const router = await vouched(undefined, { allowed: ['*.w.example', '192.0.2.9', '2001:db8::9'] });
      const created = await router.order(['*.w.example', '192.0.2.9', '2001:db8::9']);
      expect(json<OrderView>(created).status).toBe('ready');
      const csr = csrFor('*.w.example', 'ip:192.0.2.9', 'ip:2001:db8::9');
      expect(json<OrderView>(await router.finalize(json<OrderView>(created), csr)).status).toBe('valid');
      const wildcard = json<AuthorizationView>(await router.post(json<OrderView>(created).authorizations[0]!));
      expect(wildcard).toMatchObject({ wildcard: true, identifier: { value: 'w.example' } });
    });

    it('is refused a name outside the list, each named in a subproblem', async () => {
      const answer = await (await vouched()).order(['r1.example', 'r1.elsewhere']);
      expect(problemOf(answer)).toBe('400 rejectedIdentifier');
      expect(json<Problem>(answer).subproblems!.map(({ identifier }) => identifier.value)).toEqual(['r1.elsewhere']);
    });

    it('ends with the key', async () => {
      const key = await eab();
      const router = await client();
      await router.register(key);
      expect((await rest(server, 'DELETE', `/secrets/${key.id}`)).status).toBe(204);
      expect(problemOf(await router.order(['r1.example']))).toBe('401 unauthorized');
    });

    it('lists the orders of the account', async () => {
      const router = await vouched();
      const { url } = await issue(router, ['list.example']);
      const { orders } = json<{ orders: string }>(await router.post(router.account!));
      expect(json<{ orders: string[] }>(await router.post(orders)).orders).toEqual([url]);
    });
  });

  describe('finalize (V3, V44, AC-17)', () => {
    const wrong: readonly (readonly [string, () => Uint8Array])[] = [
      ['another DNS name', () => csrFor('f.example', 'evil.example')],
      ['no name', () => csrFor()],
      ['an address', () => csrFor('f.example', 'ip:192.0.2.1')],
      ['an email address', () => csrFor('f.example', 'email:root@f.example')],
      ['a URI', () => csrFor('f.example', 'uri:https://f.example/')],
      ['an otherName', () => csrFor('f.example', 'upn:admin@f.example')],
      ['another common name', () => makeCsr({ subject: 'CN=evil.example', san: ['dns:f.example'] }).der],
      ['two common names', () => makeCsr({ subject: 'CN=f.example,CN=f.example', san: ['dns:f.example'] }).der],
      ['octets that are no request', () => Buffer.from('no request')],
      ['a wrong signature', () => tampered(csrFor('f.example'))],
    ];

    it.each(wrong)('refuses %s, and the order stays ready', async (_what, csr) => {
      const router = await vouched();
      const created = await router.order(['f.example']);
      const refused = await router.finalize(json<OrderView>(created), csr());
      expect(problemOf(refused)).toBe('400 badCSR');
      const url = created.headers['location']!;
      expect(json<OrderView>(await router.post(url)).status).toBe('ready');
    });

    it('takes a common name alone, in any case, and drops the rest of the subject', async () => {
      const router = await vouched();
      const order = json<OrderView>(await router.order(['CN.example']));
      const csr = makeCsr({ subject: 'O=Nobody,CN=cn.EXAMPLE' }).der;
      const done = json<OrderView>(await router.finalize(order, csr));
      const pem = (await router.post(done.certificate!)).text;
      expect(new X509Certificate(pem).subject).toBe('CN=cn.example');
      expect(new X509Certificate(pem).subjectAltName).toBe('DNS:cn.example');
    });

    it('refuses the key of an account, of whichever', async () => {
      const [router, other] = [await vouched(), await vouched()];
      const order = json<OrderView>(await router.order(['k.example']));
      const csr = makeCsr({ key: other.key.privateKey, subject: '', san: ['dns:k.example'] }).der;
      expect(problemOf(await router.finalize(order, csr))).toBe('400 badCSR');
    });

    it('issues once, however often and at once it is asked', async () => {
      const router = await vouched();
      const order = json<OrderView>(await router.order(['once.example']));
      const csr = csrFor('once.example');
      const twins = await Promise.all(
        Array.from({ length: 6 }, async () => {
          const twin = await client('default', router.key, connection(server));
          twin.account = router.account;
          return twin.finalize(order, csr);
        }),
      );
      for (const answer of twins) expect(['valid', 'processing']).toContain(json<OrderView>(answer).status);
      const done = json<OrderView>(await router.finalize(order, csr));
      expect(done.status).toBe('valid');
      expect(await server.certificatesOf('once.example')).toHaveLength(1);
      expect(problemOf(await router.finalize(order, csrFor('once.example')))).toBe('403 orderNotReady');
    });

    it('answers processing while an operator decides, and issues at the poll after the approval', async () => {
      await api(server, 'PATCH', '/endpoints/default', { approval: 'manual', retryAfterSeconds: 1 });
      const router = await vouched();
      const created = await router.order(['slow.example']);
      const answer = await router.finalize(json<OrderView>(created), csrFor('slow.example'));
      expect([json<OrderView>(answer).status, answer.headers['retry-after']]).toEqual(['processing', '1']);
      await api(server, 'PATCH', '/endpoints/default', { approval: 'automatic' });
      const { items } = await api<{ items: { id: string; status: string }[] }>(
        server,
        'GET',
        '/enrollments?status=pending&limit=10',
      );
      await api(server, 'POST', `/enrollments/${items.find(({ status }) => status === 'pending')!.id}/approve`, {});
      const settled = json<OrderView>(await router.post(created.headers['location']!));
      expect(settled.status).toBe('valid');
    });
  });

  describe('the envelope (AC-2 to AC-7)', () => {
    let router: AcmeClient;
    beforeAll(async () => {
      router = await vouched();
    });
    const post = (tampering: object, payload?: unknown): Promise<Answer> =>
      router.post(router.account!, payload, tampering);

    it.each([
      ['another content type', { contentType: 'application/json' }, '415 malformed'],
      ['no JSON', { body: '{' }, '400 malformed'],
      ['a list', { body: '[]' }, '400 malformed'],
      ['an unprotected header', { members: { header: {} } }, '400 malformed'],
      ['several signatures', { members: { signatures: [] } }, '400 malformed'],
      ['a critical header', { header: { crit: ['b64'], b64: false } }, '400 malformed'],
      ['jwk beside kid', { header: { jwk: {} } }, '400 malformed'],
      ['neither jwk nor kid', { header: { kid: undefined } }, '400 malformed'],
      ['the algorithm none', { header: { alg: 'none' } }, '400 badSignatureAlgorithm'],
      ['a MAC', { header: { alg: 'HS256' } }, '400 badSignatureAlgorithm'],
      ['the algorithm of another key', { header: { alg: 'RS256' } }, '400 badSignatureAlgorithm'],
      ['another URL', { header: { url: 'https://localhost/acme' } }, '401 unauthorized'],
      [
        'the account of another server',
        { header: { kid: 'https://elsewhere/acme/default/account/1' } },
        '400 accountDoesNotExist',
      ],
      ['no nonce', { header: { nonce: undefined } }, '400 malformed'],
      ['a nonce of somebody else', { header: { nonce: 'AAAA' } }, '400 badNonce'],
      ['a wrong signature', { signature: 'AAAA' }, '400 malformed'],
      ['padded base64url', { signature: 'AAAA==' }, '400 malformed'],
    ])('refuses %s with a fresh nonce', async (_what, tampering, problem) => {
      const answer = await post(tampering);
      expect(problemOf(answer)).toBe(problem);
      expect(answer.headers['content-type']).toBe('application/problem+json');
      expect(answer.headers['replay-nonce']).toMatch(/^[A-Za-z0-9_-]{43}$/);
      if (problem.endsWith('Algorithm')) expect(json<Problem>(answer).algorithms).toContain('ES256');
    });

    it('takes a nonce once', async () => {
      const nonce = await router.freshNonce();
      router.nonce = nonce;
      expect((await post({})).status).toBe(200);
      router.nonce = nonce;
      const again = await post({});
      expect(problemOf(again)).toBe('400 badNonce');
      expect((await post({})).status).toBe(200);
    });

    it('refuses more than 64 kB', async () => {
      const answer = await post({ body: 'x'.repeat(65_537) });
      expect(problemOf(answer)).toBe('413 malformed');
      expect(answer.headers['replay-nonce']).toBeDefined();
    });

    it('refuses GET where POST-as-GET is due, and unknown paths', async () => {
      const answer = await router.get(router.account!);
      expect([answer.status, answer.headers['allow']]).toEqual([405, 'POST']);
      const base = `${server.server.urls.tls}/acme`;
      expect(problemOf(await router.get(`${base}/default/nothing`))).toBe('404 malformed');
      expect(problemOf(await router.get(`${base}/nowhere/directory`))).toBe('404 malformed');
      expect(problemOf(await router.get(`${base}/default-ra/directory`))).toBe('404 malformed');
    });

    it('answers newNonce by HEAD, GET and POST-as-GET', async () => {
      const url = router.directory['newNonce']!;
      const [head, get, post2] = [await router.get(url, 'HEAD'), await router.get(url), await router.post(url)];
      // An answer without a length ends the connection, and every order begins with this one.
      expect([head.headers['content-length'], head.headers['connection']]).toEqual(['0', 'keep-alive']);
      expect([head.status, get.status, post2.status]).toEqual([200, 204, 204]);
      expect(head.headers['cache-control']).toBe('no-store');
      expect(get.headers['link']).toBe(`<${router.directoryUrl}>;rel="index"`);
    });

    it('answers the default directory without a label, and never by a name that is not ours', async () => {
      const base = server.server.urls.tls;
      const plain = json<{ newOrder: string }>(await router.get(`${base}/acme/directory`));
      expect(plain.newOrder).toBe(`${base}/acme/default/new-order`);
      const made = server.server.urls.tls.replace('localhost', '127.0.0.1');
      const byAddress = json<{ newOrder: string }>(await router.get(`${made}/acme/default/directory`));
      expect(byAddress.newOrder).toBe(`${made}/acme/default/new-order`);
    });
  });

  describe('accounts (AC-10 to AC-14)', () => {
    it('are found by their key, and not made when nobody asked', async () => {
      const router = await vouched();
      const again = await client('default', router.key);
      const found = await again.register(undefined, { onlyReturnExisting: true });
      expect([found.status, again.account]).toEqual([200, router.account]);
      const stranger = await client();
      expect(problemOf(await stranger.register(undefined, { onlyReturnExisting: true }))).toBe(
        '400 accountDoesNotExist',
      );
    });

    it.each([
      ['tel:+1', '400 unsupportedContact'],
      ['mailto:a@b.example,c@d.example', '400 invalidContact'],
      ['mailto:a@b.example?subject=x', '400 invalidContact'],
    ])('refuse the contact %s', async (contact, problem) => {
      expect(problemOf(await (await client('free')).register(undefined, { contact: [contact] }))).toBe(problem);
    });

    it('take new contacts, and end', async () => {
      const router = await vouched();
      const changed = await router.post(router.account!, { contact: ['mailto:noc@site.example'], status: 'valid' });
      expect(json<{ contact: string[] }>(changed).contact).toEqual(['mailto:noc@site.example']);
      const waiting = json<OrderView>(await router.order(['gone.example']));
      expect(json(await router.post(router.account!, { status: 'deactivated' }))).toMatchObject({
        status: 'deactivated',
      });
      expect(problemOf(await router.finalize(waiting, csrFor('gone.example')))).toBe('401 unauthorized');
    });

    it('need a binding that is right in every part', async () => {
      const key = await eab({ usage: 'one-time' });
      const router = await client();
      const url = router.directory['newAccount']!;
      expect(problemOf(await router.register())).toBe('403 externalAccountRequired');
      expect(problemOf(await router.register({ ...key, secret: 'AAAA' }))).toBe('403 unauthorized');
      expect(problemOf(await router.register({ ...key, reference: 'unknownkey00' }))).toBe('403 unauthorized');
      const foreign = bind(new ClientKey(), url, key);
      expect(problemOf(await router.post(url, { externalAccountBinding: foreign }))).toBe('400 malformed');
      const elsewhere = bind(router.key, `${url}2`, key);
      expect(problemOf(await router.post(url, { externalAccountBinding: elsewhere }))).toBe('400 malformed');
      expect((await router.register(key)).status).toBe(201);
      expect(problemOf(await (await client()).register(key))).toBe('403 unauthorized');
    });

    it('are refused MAC secrets of CMP', async () => {
      const mac = await api<Eab>(server, 'POST', '/secrets', { kind: 'mac', usage: 'device' });
      expect(problemOf(await (await client()).register(mac))).toBe('403 unauthorized');
    });

    it('change their key', async () => {
      const [router, other] = [await vouched(), await vouched()];
      const url = router.directory['keyChange']!;
      const next = new ClientKey('ES384');
      const inner = (key: ClientKey, oldKey = router.key.jwk, target = url) =>
        jws(key, { alg: key.algorithm, jwk: key.jwk, url: target }, { account: router.account, oldKey });
      expect(problemOf(await router.post(url, inner(next, next.jwk)))).toBe('400 malformed');
      expect(problemOf(await router.post(url, inner(next, router.key.jwk, `${url}2`)))).toBe('400 malformed');
      const conflict = await router.post(url, inner(other.key));
      expect([conflict.status, conflict.headers['location']]).toEqual([409, other.account]);
      expect((await router.post(url, inner(next))).status).toBe(200);
      const moved = await client('default', next);
      moved.account = router.account;
      expect((await moved.post(router.account!)).status).toBe(200);
      const order = json<OrderView>(await moved.order(['moved.example']));
      const csr = makeCsr({ key: next.privateKey, subject: '', san: ['dns:moved.example'] }).der;
      expect(problemOf(await moved.finalize(order, csr))).toBe('400 badCSR');
      expect(problemOf(await router.post(router.account!))).toBe('400 badSignatureAlgorithm');
    });

    it('agree to the terms of service, and again when they change (AC-11)', async () => {
      const terms = (url: string | null) =>
        api(server, 'PATCH', '/endpoints/free', { protocols: { acme: { termsOfService: url } } });
      await terms('https://site.example/terms-1');
      const router = await client('free');
      expect(problemOf(await router.register())).toBe('403 userActionRequired');
      await router.register(undefined, { termsOfServiceAgreed: true });
      expect((await router.order(['a.example'])).status).toBe(201);
      await terms('https://site.example/terms-2');
      const asked = await router.order(['a.example']);
      expect([problemOf(asked), asked.headers['link']]).toEqual([
        '403 userActionRequired',
        expect.stringContaining('<https://site.example/terms-2>;rel="terms-of-service"'),
      ]);
      await terms(null);
    });

    it('are limited in an hour, as are their orders', async () => {
      const label = 'few';
      const acme = { externalAccount: 'optional', accountsPerHour: 1, ordersPerHour: 1 };
      await api(server, 'POST', '/endpoints', { label, protocols: { acme } });
      const router = await client(label);
      await router.register();
      const second = await (await client(label)).register();
      expect([problemOf(second), second.headers['retry-after']]).toEqual(['429 rateLimited', '3600']);
      expect(second.headers['link']).toContain('rel="help"');
      expect((await router.order(['a.example'])).status).toBe(201);
      expect(problemOf(await router.order(['a.example']))).toBe('429 rateLimited');
    });

    it('see nothing of each other', async () => {
      const [router, other] = [await vouched(), await vouched()];
      const { order, url } = await issue(router, ['mine.example']);
      for (const one of [url, order.authorizations[0]!, order.certificate!]) {
        expect((await other.post(one)).status).toBe(404);
        // At another endpoint nobody knows the account.
        const elsewhere = one.replace('/acme/default/', '/acme/free/');
        expect(problemOf(await router.post(elsewhere))).toBe('400 accountDoesNotExist');
      }
      expect(problemOf(await other.post(router.account!))).toBe('403 unauthorized');
    });
  });

  describe('newOrder (AC-15)', () => {
    it.each([
      [[], '400 malformed'],
      [[{ type: 'dns', value: '127.0.0.1' }], '400 rejectedIdentifier'],
      [[{ type: 'dns', value: '2130706433' }], '400 rejectedIdentifier'],
      [[{ type: 'dns', value: '0x7f000001' }], '400 rejectedIdentifier'],
      [[{ type: 'dns', value: 'a b.example' }], '400 rejectedIdentifier'],
      [[{ type: 'dns', value: 'a.*.example' }], '400 rejectedIdentifier'],
      [[{ type: 'ip', value: '192.0.2.01' }], '400 rejectedIdentifier'],
      [[{ type: 'ip', value: '2001:DB8:0::1' }], '400 rejectedIdentifier'],
      [[{ type: 'ip', value: 'fe80::1%eth0' }], '400 rejectedIdentifier'],
      [[{ type: 'permanent-identifier', value: 'x' }], '400 unsupportedIdentifier'],
      [[{ type: 'hardware-module', value: 'x' }], '400 unsupportedIdentifier'],
      [[{ type: 'email', value: 'a@b.example' }], '400 unsupportedIdentifier'],
      [
        [
          { type: 'email', value: 'a@b.example' },
          { type: 'ip', value: 'x' },
        ],
        '400 compound',
      ],
    ])('refuses %j', async (identifiers, problem) => {
      free ??= await registeredFree();
      expect(problemOf(await free.post(free.directory['newOrder']!, { identifiers }))).toBe(problem);
    });
    let free: AcmeClient | undefined;
    async function registeredFree(): Promise<AcmeClient> {
      const made = await client('free');
      await made.register();
      return made;
    }

    it('refuses times it would have to change', async () => {
      const answer = await (await vouched()).order(['t.example'], { notAfter: '2030-01-01T00:00:00Z' });
      expect(problemOf(answer)).toBe('400 malformed');
    });

    it('offers what can prove a name: DNS alone for wildcards, none of it for addresses', async () => {
      const router = await registeredFree();
      const order = json<OrderView>(await router.order(['a.example', '*.a.example', '192.0.2.4']));
      const views: AuthorizationView[] = [];
      for (const url of order.authorizations) views.push(json<AuthorizationView>(await router.post(url)));
      expect(views.map(({ challenges }) => challenges.map(({ type }) => type))).toEqual([
        ['http-01', 'dns-01', 'tls-alpn-01'],
        ['dns-01'],
        ['http-01', 'tls-alpn-01'],
      ]);
      expect(views[1]!.wildcard).toBe(true);
      expect(problemOf(await router.finalize(order, csrFor('a.example')))).toBe('403 orderNotReady');
      const gone = await router.post(order.authorizations[0]!, { status: 'deactivated' });
      expect(json<AuthorizationView>(gone).status).toBe('deactivated');
      expect(problemOf(await router.finalize(order, csrFor('a.example')))).toBe('403 orderNotReady');
    });

    it('knows its profiles (AC-34)', async () => {
      const acme = { externalAccount: 'optional', profiles: [{ name: 'router', description: 'a year, for routers' }] };
      await api(server, 'POST', '/endpoints', { label: 'profiled', protocols: { acme } });
      const router = await client('profiled');
      await router.register();
      const { profiles } = router.directory['meta'] as unknown as { profiles: object };
      expect(profiles).toEqual({ router: 'a year, for routers' });
      expect(json<OrderView>(await router.order(['p.example'], { profile: 'router' })).profile).toBe('router');
      expect(problemOf(await router.order(['p.example'], { profile: 'switch' }))).toBe('400 invalidProfile');
    });
  });

  describe('revokeCert (AC-27)', () => {
    const revoke = (of: AcmeClient, der: Buffer, members: object = {}, key?: ClientKey): Promise<Answer> =>
      of.post(of.directory['revokeCert']!, { certificate: der.toString('base64url'), ...members }, {}, key);
    const derOf = async (of: AcmeClient, { certificate }: OrderView): Promise<Buffer> =>
      new X509Certificate((await of.post(certificate!)).text).raw;

    it('by the account that ordered it, once, for a reason of its own', async () => {
      const router = await vouched();
      const der = await derOf(router, (await issue(router, ['rv.example'])).order);
      expect(problemOf(await revoke(router, der, { reason: 6 }))).toBe('400 badRevocationReason');
      expect(problemOf(await revoke(router, Buffer.from('x')))).toBe('400 malformed');
      expect((await revoke(router, der, { reason: 4 })).status).toBe(200);
      expect(problemOf(await revoke(router, der))).toBe('400 alreadyRevoked');
      const [row] = await server.certificatesOf('rv.example');
      expect([row!.status, row!.revocation_reason]).toEqual(['revoked', 4]);
    });

    it('by the key of the certificate, and by no other key', async () => {
      const router = await vouched();
      const own = new ClientKey();
      const order = json<OrderView>(await router.order(['ck.example']));
      const csr = makeCsr({ key: own.privateKey, subject: '', san: ['dns:ck.example'] }).der;
      const der = await derOf(router, json<OrderView>(await router.finalize(order, csr)));
      expect(problemOf(await revoke(router, der, {}, new ClientKey()))).toBe('403 unauthorized');
      expect((await revoke(router, der, { reason: 1 }, own)).status).toBe(200);
    });

    it('by an account that holds all its names, and by no other', async () => {
      const router = await vouched();
      const der = await derOf(router, (await issue(router, ['held.example'])).order);
      const neighbour = await vouched(undefined, { allowed: ['other.example'] });
      expect(problemOf(await revoke(neighbour, der))).toBe('403 unauthorized');
      expect((await revoke(await vouched(), der)).status).toBe(200);
    });
  });

  describe('renewal information (AC-30)', () => {
    async function infoOf(of: AcmeClient, { certificate }: OrderView) {
      const leaf = new X509Certificate((await of.post(certificate!)).text);
      const { authorityKeyIdentifier, serialNumber } = identifiersOf(leaf);
      const id = `${authorityKeyIdentifier}.${serialNumber}`;
      return { id, leaf, answer: await of.get(`${of.directory['renewalInfo']!}/${id}`) };
    }

    it('names a window in the last third, and at once for what a campaign or a revocation ended', async () => {
      const router = await vouched();
      const { order } = await issue(router, ['ari.example']);
      const { leaf, answer, id } = await infoOf(router, order);
      const window = json<Ari>(answer).suggestedWindow;
      expect(answer.headers['retry-after']).toBe('21600');
      expect(answer.headers['replay-nonce']).toBeUndefined();
      expect(Date.parse(window.start)).toBeLessThan(Date.parse(window.end));
      expect(Date.parse(window.end)).toBeLessThan(Date.parse(leaf.validTo));
      const before = new Date(Date.now() + 86_400_000).toISOString();
      const campaign = { renewIssuedBefore: before, renewalExplanation: 'https://site.example/why' };
      await api(server, 'PATCH', '/endpoints/default', { protocols: { acme: campaign } });
      const moved = json<Ari>(await router.get(`${router.directory['renewalInfo']!}/${id}`));
      expect(Date.parse(moved.suggestedWindow.end)).toBeLessThan(Date.now());
      expect(moved.explanationURL).toBe('https://site.example/why');
      await api(server, 'PATCH', '/endpoints/default', { protocols: { acme: { renewIssuedBefore: null } } });
    });

    it('has a quota for each address', async () => {
      const acme = { renewalInfoPerMinute: 2 };
      await api(server, 'POST', '/endpoints', { label: 'asked', protocols: { acme } });
      const router = await client('asked');
      const ask = (): Promise<Answer> => router.get(`${router.directory['renewalInfo']!}/AAAA.AAAA`);
      expect([problemOf(await ask()), problemOf(await ask())]).toEqual(['404 malformed', '404 malformed']);
      const refused = await ask();
      expect([problemOf(refused), refused.headers['retry-after']]).toEqual(['429 rateLimited', '60']);
    });

    it('is the same 404 for every certificate that is not ours', async () => {
      const router = await client();
      for (const id of ['AAAA.AAAA', 'nothing', 'A.A.A'])
        expect(problemOf(await router.get(`${router.directory['renewalInfo']!}/${id}`))).toBe('404 malformed');
    });

    it('is followed: an order replaces a certificate of its account once', async () => {
      const router = await vouched();
      const { order } = await issue(router, ['rep.example']);
      const { id: replaces } = await infoOf(router, order);
      expect(problemOf(await router.order(['else.example'], { replaces }))).toBe('400 malformed');
      expect(problemOf(await (await vouched()).order(['rep.example'], { replaces }))).toBe('400 malformed');
      const renewed = await issue(router, ['rep.example'], { replaces });
      expect(renewed.order.replaces).toBe(replaces);
      expect(problemOf(await router.order(['rep.example'], { replaces }))).toBe('409 alreadyReplaced');
      const [first, second] = await server.certificatesOf('rep.example');
      expect(first!.replaced_by).toBe(second!.id);
    });
  });

  it.each([{ allowedNetworks: ['10.0.0.0/40'] }, { deniedNetworks: ['everything'] }, { resolvers: ['1.2.3'] }])(
    'an endpoint is not opened with %j',
    async (acme) => {
      const answer = await rest(server, 'PATCH', '/endpoints/free', { protocols: { acme } });
      expect(answer.status, answer.text).toBe(400);
    },
  );

  it('rehearses: every fifth nonce is refused once, and one repeat is enough', async () => {
    const acme = { externalAccount: 'optional', rehearsal: 'on' };
    await api(server, 'POST', '/endpoints', { label: 'rehearsal', protocols: { acme } });
    const router = await client('rehearsal');
    const seen: string[] = [];
    while ((await router.register()).status >= 400) seen.push('register');
    for (let turn = 0; turn < 10; turn += 1) {
      const answer = await router.post(router.account!);
      seen.push(answer.status === 200 ? 'ok' : problemOf(answer));
    }
    expect(seen.filter((one) => one === '400 badNonce').length).toBeGreaterThanOrEqual(2);
    expect(seen.join(' ')).not.toContain('400 badNonce 400 badNonce');
  });
});

interface Ari {
  readonly suggestedWindow: { readonly start: string; readonly end: string };
  readonly explanationURL?: string;
}

function tampered(der: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(der);
  copy[copy.length - 1]! ^= 1;
  return copy;
}

/** By RFC 9773 §4.1, from openssl's view of the certificate. */
function identifiersOf(certificate: X509Certificate) {
  const der = certificate.raw;
  // AuthorityKeyIdentifier: OID 2.5.29.35, OCTET STRING, SEQUENCE, [0] of 20 octets.
  const at = der.indexOf(Buffer.from('0603551d23', 'hex'));
  const start = der.indexOf(Buffer.from('8014', 'hex'), at) + 2;
  return {
    authorityKeyIdentifier: der.subarray(start, start + 20).toString('base64url'),
    serialNumber: Buffer.from(certificate.serialNumber, 'hex').toString('base64url'),
  };
}
