import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { rawExtension } from '../../core/x509/extensions.ts';
import { encodePem } from '../../core/x509/pem.ts';
import { accountLabel } from '../../protocols/acme/validation.ts';
import { DnsServer } from '../fakes/dns-server.ts';
import { ComposedServer } from '../support/composed-server.ts';
import { pemOfKey } from '../support/est-fixture.ts';
import { api } from '../support/installation.ts';
import { type AuthorityOptions, makeCsr, TestAuthority } from '../support/test-pki.ts';
import {
  AcmeClient,
  type AuthorizationView,
  type ChallengeView,
  json,
  type OrderView,
  problemOf,
} from './acme-client.ts';

const ACME_IDENTIFIER = '1.3.6.1.5.5.7.1.31';

describe('ACME challenges', () => {
  let server: ComposedServer;
  let dns: DnsServer;
  let web: Server;
  let alpn: TlsServer;
  /** What the device's web server answers. */
  let page: RequestListener;
  /** What the device's TLS server presents. */
  let presented: { key: string; cert: string; protocol?: string };
  let serverNames: string[] = [];
  let device: AcmeClient;

  beforeAll(async () => {
    server = await ComposedServer.start();
    dns = await DnsServer.start();
    web = createServer((request, response) => page(request, response)).listen(0, '127.0.0.1');
    alpn = createTlsServer({
      SNICallback: (name, done) => {
        serverNames.push(name);
        done(null);
      },
      ALPNCallback: () => presented.protocol ?? 'acme-tls/1',
    });
    alpn.on('tlsClientError', () => undefined);
    alpn.listen(0, '127.0.0.1');
    await Promise.all([once(web, 'listening'), once(alpn, 'listening')]);
    const acme = {
      externalAccount: 'optional',
      challenges: ['http-01', 'dns-01', 'tls-alpn-01', 'dns-account-01'],
      resolvers: [dns.address],
      specialAddresses: 'as-listed',
      allowedNetworks: ['127.0.0.1'],
      httpPort: (web.address() as AddressInfo).port,
      tlsAlpnPort: (alpn.address() as AddressInfo).port,
      validationAttempts: 1,
      validationTimeoutSeconds: 2,
    };
    await api(server, 'POST', '/endpoints', { label: 'field', protocols: { acme } });
    await api(server, 'POST', '/endpoints', { label: 'closed', protocols: { acme: { ...acme, allowedNetworks: [] } } });
    await api(server, 'POST', '/endpoints', {
      label: 'patient',
      protocols: { acme: { ...acme, validationAttempts: 3, validationRetrySeconds: 1 } },
    });
    await api(server, 'POST', '/endpoints', {
      label: 'bound',
      protocols: { acme: { ...acme, caa: 'checked', caaIdentities: ['ca.muster.example'] } },
    });
    dns.addresses.set('r1.example', ['127.0.0.1']);
    device = await registered('field');
  }, 60_000);
  afterAll(async () => {
    device.close();
    web.closeAllConnections();
    web.close();
    alpn.close();
    await dns[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });

  async function registered(label: string): Promise<AcmeClient> {
    const client = await new AcmeClient(server, `${server.server.urls.tls}/acme/${label}/directory`).start();
    expect((await client.register()).status).toBe(201);
    return client;
  }

  interface Begun {
    readonly order: OrderView;
    readonly orderUrl: string;
    readonly authorization: string;
    readonly challenge: ChallengeView;
  }

  async function begin(type: string, name: string, client = device): Promise<Begun> {
    const created = await client.order([name]);
    expect(created.status, created.text).toBe(201);
    const order = json<OrderView>(created);
    const [authorization] = order.authorizations;
    const { challenges } = json<AuthorizationView>(await client.post(authorization!));
    const challenge = challenges.find((one) => one.type === type)!;
    return { order, orderUrl: created.headers['location']!, authorization: authorization!, challenge };
  }

  /** Says that a challenge is met, and waits for the verdict: the challenge as it is then. */
  async function verdict({ challenge, authorization }: Begun, client = device): Promise<ChallengeView> {
    expect((await client.post(challenge.url, {})).status).toBe(200);
    const { challenges } = await client.settled<AuthorizationView>(authorization);
    return challenges.find(({ type }) => type === challenge.type)!;
  }

  const servesKey =
    (client = device): RequestListener =>
    (request, response) =>
      response.end(`${client.keyAuthorization(request.url!.split('/').at(-1)!)}\n`);

  const txt = (token: string): string => digestOf(device.keyAuthorization(token)).toString('base64url');

  const fault = ({ status, error }: ChallengeView): string =>
    `${status} ${error?.type.replace('urn:ietf:params:acme:error:', '') ?? 'none'}`;

  it('holds names against CAA when they are finalized, for the account and the way they were proved (AC-35)', async () => {
    const client = await registered('bound');
    expect(client.directory['meta']).toMatchObject({ caaIdentities: ['ca.muster.example'] });
    page = servesKey(client);
    const { order, orderUrl, ...begun } = await begin('http-01', 'r1.example', client);
    await verdict({ order, orderUrl, ...begun }, client);
    const csr = makeCsr({ subject: '', san: ['dns:r1.example'] }).der;
    for (const [records, expected] of [
      [['issue elsewhere.example'], '403 caa'],
      [[`issue ca.muster.example; accounturi=${client.account}/other`], '403 caa'],
      [['issue ca.muster.example; validationmethods=dns-01'], '403 caa'],
    ] as const) {
      dns.caa.set('example', records);
      expect(problemOf(await client.finalize(order, csr))).toBe(expected);
      expect(json<OrderView>(await client.post(orderUrl)).status).toBe('ready');
    }
    dns.caa.set('example', [`issue ca.muster.example; accounturi=${client.account}; validationmethods=http-01`]);
    expect(json<OrderView>(await client.finalize(order, csr)).status).toBe('valid');
    dns.caa.delete('example');
    client.close();
  });

  describe('http-01 (AC-23)', () => {
    it('validates, orders, and reuses what was validated', async () => {
      page = servesKey();
      const begun = await begin('http-01', 'r1.example');
      expect((await verdict(begun)).status).toBe('valid');
      expect(json<OrderView>(await device.post(begun.orderUrl)).status).toBe('ready');
      const csr = makeCsr({ subject: '', san: ['dns:r1.example'] }).der;
      expect(json<OrderView>(await device.finalize(begun.order, csr)).status).toBe('valid');
      const again = json<OrderView>(await device.order(['r1.example']));
      expect([again.status, again.authorizations]).toEqual(['ready', [begun.authorization]]);
      await device.post(begun.authorization, { status: 'deactivated' });
      expect(json<OrderView>(await device.order(['r1.example'])).status).toBe('pending');
    });

    it('validates an address', async () => {
      page = servesKey();
      expect((await verdict(await begin('http-01', '127.0.0.1'))).status).toBe('valid');
    });

    it('follows a redirect on this host', async () => {
      page = (request, response) =>
        request.url!.startsWith('/.well-known')
          ? response.writeHead(301, { location: `/moved/${request.url!.split('/').at(-1)}` }).end()
          : servesKey()(request, response);
      expect((await verdict(await begin('http-01', 'r1.example'))).status).toBe('valid');
      await deactivateAll();
    });

    it.each<[string, RequestListener, string]>([
      ['another page', (_request, response) => response.end('top secret'), 'invalid unauthorized'],
      ['status 404', (_request, response) => response.writeHead(404).end('top secret'), 'invalid unauthorized'],
      [
        'a page without end',
        (_request, response) => response.end('top secret'.repeat(10_000)),
        'invalid incorrectResponse',
      ],
      ['no answer', () => undefined, 'invalid connection'],
      ['metadata', redirectTo('http://169.254.169.254/latest/meta-data/'), 'invalid rejectedIdentifier'],
      ['a management port', redirectTo('http://127.0.0.1:9443/'), 'invalid rejectedIdentifier'],
      ['an inner host', redirectTo('http://10.0.0.1/'), 'invalid rejectedIdentifier'],
    ])('fails on %s, and repeats nothing of it', async (_what, listener, expected) => {
      page = listener;
      const challenge = await verdict(await begin('http-01', 'r1.example'));
      expect(fault(challenge)).toBe(expected);
      expect(JSON.stringify(challenge)).not.toContain('secret');
    });

    it('fails for a name that leads to where this endpoint may not go, or nowhere', async () => {
      page = servesKey();
      const closed = await registered('closed');
      expect(fault(await verdict(await begin('http-01', 'r1.example', closed), closed))).toBe(
        'invalid rejectedIdentifier',
      );
      closed.close();
      expect(fault(await verdict(await begin('http-01', 'unknown.example')))).toBe('invalid dns');
    });

    it('looks again before it gives up, and shows why meanwhile', async () => {
      const patient = await registered('patient');
      let looks = 0;
      page = (request, response) => {
        looks += 1;
        if (looks < 2) response.writeHead(503).end();
        else servesKey(patient)(request, response);
      };
      const begun = await begin('http-01', 'r1.example', patient);
      expect((await verdict(begun, patient)).status).toBe('valid');
      expect(looks).toBe(2);
      patient.close();
    });

    it('counts one of parallel answers (V44)', async () => {
      let looks = 0;
      page = (request, response) => {
        looks += 1;
        servesKey()(request, response);
      };
      const begun = await begin('http-01', 'r1.example');
      const twins = await Promise.all(
        [0, 1, 2, 3].map(async () => {
          const twin = await new AcmeClient(server, device.directoryUrl, device.key).start();
          twin.account = device.account;
          const answer = await twin.post(begun.challenge.url, {});
          twin.close();
          return answer.status;
        }),
      );
      expect(twins).toEqual([200, 200, 200, 200]);
      expect((await device.settled<AuthorizationView>(begun.authorization)).status).toBe('valid');
      expect(looks).toBe(1);
      await deactivateAll();
    });
  });

  describe('dns-01 (AC-24, AC-26) and dns-account-01 (AC-36)', () => {
    it('validates a wildcard behind an alias among other records', async () => {
      const begun = await begin('dns-01', '*.w.example');
      dns.aliases.set('_acme-challenge.w.example', 'w.challenges.example');
      dns.texts.set('w.challenges.example', ['another', txt(begun.challenge.token)]);
      expect((await verdict(begun)).status).toBe('valid');
      const base = json<OrderView>(await device.order(['w.example']));
      expect(base.status).toBe('pending');
    });

    it('fails on another record, and on none', async () => {
      dns.texts.set('_acme-challenge.d.example', ['another']);
      expect(fault(await verdict(await begin('dns-01', 'd.example')))).toBe('invalid unauthorized');
      expect(fault(await verdict(await begin('dns-01', 'none.example')))).toBe('invalid dns');
    });

    it('validates below a label of the account', async () => {
      const begun = await begin('dns-account-01', 'a.example');
      dns.texts.set(`${accountLabel(device.account!)}._acme-challenge.a.example`, [txt(begun.challenge.token)]);
      expect((await verdict(begun)).status).toBe('valid');
    });

    it('names that label as the draft does', () => {
      // draft-ietf-acme-dns-account-label §3.2, example.
      expect(accountLabel('https://example.com/acme/acct/ExampleAccount')).toBe('_ujmmovf2vn55tgye');
    });
  });

  describe('tls-alpn-01 (AC-25, AC-28)', () => {
    function present(token: string, san: string[], change: Change = {}): void {
      const digest = change.digest ?? digestOf(device.keyAuthorization(token));
      const value = Buffer.concat([Buffer.of(4, digest.length), digest]);
      const options: AuthorityOptions = {
        name: 'CN=challenge',
        san,
        extensions: change.omit === true ? [] : [rawExtension(ACME_IDENTIFIER, value, change.critical ?? true)],
      };
      const { der, privateKey } = TestAuthority.root(options);
      presented = { key: pemOfKey(privateKey), cert: encodePem('CERTIFICATE', der), ...change };
      alpn.setSecureContext({ key: presented.key, cert: presented.cert });
    }

    it('validates a name, and an address by its reverse name', async () => {
      await deactivateAll();
      serverNames = [];
      for (const [name, san] of [
        ['r1.example', 'dns:r1.example'],
        ['127.0.0.1', 'ip:127.0.0.1'],
      ] as const) {
        const begun = await begin('tls-alpn-01', name);
        present(begun.challenge.token, [san]);
        expect(fault(await verdict(begun))).toBe('valid none');
      }
      expect(serverNames).toEqual(['r1.example', '1.0.0.127.in-addr.arpa']);
      await deactivateAll();
    });

    it.each<[string, string[], Change, string]>([
      ['another name', ['dns:r2.example'], {}, 'invalid incorrectResponse'],
      ['a second name', ['dns:r1.example', 'dns:r2.example'], {}, 'invalid incorrectResponse'],
      ['no acmeIdentifier', ['dns:r1.example'], { omit: true }, 'invalid incorrectResponse'],
      ['one that is not critical', ['dns:r1.example'], { critical: false }, 'invalid incorrectResponse'],
      ['another digest', ['dns:r1.example'], { digest: Buffer.alloc(32) }, 'invalid incorrectResponse'],
    ])('fails on %s', async (_what, san, change, expected) => {
      const begun = await begin('tls-alpn-01', 'r1.example');
      present(begun.challenge.token, san, change);
      expect(fault(await verdict(begun))).toBe(expected);
    });

    it('fails where the server speaks another protocol', async () => {
      const begun = await begin('tls-alpn-01', 'r1.example');
      present(begun.challenge.token, ['dns:r1.example'], { protocol: 'http/1.1' });
      expect(fault(await verdict(begun))).toBe('invalid tls');
    });
  });

  it('an order whose challenge failed is invalid', async () => {
    page = (_request, response) => response.writeHead(500).end();
    const begun = await begin('http-01', 'r1.example');
    await verdict(begun);
    expect(json<OrderView>(await device.post(begun.orderUrl)).status).toBe('invalid');
    const csr = makeCsr({ subject: '', san: ['dns:r1.example'] }).der;
    expect(problemOf(await device.finalize(begun.order, csr))).toBe('403 orderNotReady');
  });

  /** So that the next order is validated anew. */
  async function deactivateAll(): Promise<void> {
    for (const name of ['r1.example', '127.0.0.1']) {
      const order = json<OrderView>(await device.order([name]));
      if (order.status === 'ready') await device.post(order.authorizations[0]!, { status: 'deactivated' });
    }
  }
});

interface Change {
  readonly digest?: Buffer;
  readonly omit?: boolean;
  readonly critical?: boolean;
  readonly protocol?: string;
}

function redirectTo(location: string): RequestListener {
  return (_request, response) => response.writeHead(302, { location }).end('top secret');
}

function digestOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
