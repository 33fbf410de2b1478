import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { type AcmeSettings, OPEN_ACME } from '../../core/enrollment/acme-settings.ts';
import type { Endpoint } from '../../core/enrollment/endpoint.ts';
import { createEabKey } from '../../core/enrollment/sealed-secrets.ts';
import { UpstreamError } from '../../core/errors/muster-error.ts';
import { MemoryShortLived } from '../../core/store/memory-short-lived.ts';
import { takenKeysOf } from '../../core/store/taken-keys.ts';
import { keyIdentifier } from '../../core/x509/public-key.ts';
import type { AcmeDependencies, Answer } from '../../protocols/acme/dependencies.ts';
import { problemOf } from '../../protocols/acme/errors.ts';
import { forgetEnded } from '../../protocols/acme/expiry.ts';
import { acmeMigrations } from '../../protocols/acme/migrations.ts';
import { storedLedger } from '../../protocols/acme/nonce-ledger.ts';
import { Nonces } from '../../protocols/acme/nonces.ts';
import { parsePath } from '../../protocols/acme/path.ts';
import { AcmeService } from '../../protocols/acme/service.ts';
import { OPEN_ENDPOINT, Site, type SiteTenant } from '../enrollment/site.ts';
import { ENGINES } from '../support/stores.ts';
import { makeCsr } from '../support/test-pki.ts';
import { type AuthorizationView, bind, ClientKey, jws, type OrderView } from './acme-client.ts';

const BASE = 'https://muster.example';

describe.each(ENGINES)('two nodes over %s', (engine) => {
  let site: Site;
  let tenant: SiteTenant;
  let nodes: readonly [AcmeService, AcmeService];
  const reported: unknown[] = [];
  const ended: string[] = [];

  beforeAll(async () => {
    site = await Site.open(engine, acmeMigrations);
    tenant = await site.tenant('acme');
    nodes = [node(), node()];
  }, 60_000);
  afterAll(async () => {
    await Promise.all(nodes?.map((one) => one.close()));
    await site?.[Symbol.asyncDispose]();
  });

  /** Another process over the same database: its own memory, its own hall. */
  function node(change: Partial<AcmeDependencies> = {}): AcmeService {
    const { store, clock, credentials, authorities, profiles, endpoints } = site;
    const shortLived = new MemoryShortLived({ clock, takenKeys: takenKeysOf(store), report: () => undefined });
    return new AcmeService({
      store,
      shortLived,
      credentials,
      authorities,
      profiles,
      endpoints,
      hall: site.newHall(),
      gate: undefined,
      attestationFormat: () => undefined,
      nonces: new Nonces(Buffer.alloc(32, 1), storedLedger(shortLived), clock),
      observer: { orderEnded: (end) => ended.push(end), validated: () => undefined, nonceRefused: () => undefined },
      baseUrl: () => BASE,
      report: (error) => reported.push(error),
      ...change,
    });
  }

  const open = (acme: Partial<AcmeSettings> = {}): Promise<Endpoint> =>
    site.endpoint(tenant, { ...OPEN_ENDPOINT, protocols: { acme: { ...OPEN_ACME, ...acme } } });

  /** A device that may speak to either node. */
  class Device {
    readonly key = new ClientKey();
    readonly endpoint: Endpoint;
    account: string | undefined;

    constructor(endpoint: Endpoint) {
      this.endpoint = endpoint;
    }

    async post(service: AcmeService, url: string, payload?: unknown, nonce = service.nonce()): Promise<Answer> {
      const signer = this.account === undefined ? { jwk: this.key.jwk } : { kid: this.account };
      const body = jws(this.key, { alg: 'ES256', nonce, url, ...signer }, payload);
      const call = {
        ...(await service.open(this.endpoint.label)),
        base: BASE,
        url,
        requestId: 'test',
        body: Buffer.from(JSON.stringify(body)),
        sourceAddress: '192.0.2.1',
      };
      return service.answer(call, parsePath(url.slice(`${BASE}/acme/`.length))!, new URLSearchParams());
    }

    url(resource: string): string {
      return `${BASE}/acme/${this.endpoint.label}/${resource}`;
    }

    async register(service: AcmeService): Promise<this> {
      const sealer = await site.dataKeys.sealer(tenant.id);
      const key = await site.store.unit((tx) =>
        createEabKey(tx, sealer, site.clock.now(), {
          tenant: tenant.id,
          endpoint: this.endpoint.id,
          usage: 'one-time',
          allowed: ['*.example'],
          lifetimeSeconds: 3600,
          createdBy: 'user:test',
        }),
      );
      const url = this.url('new-account');
      const eab = { reference: key.reference, secret: key.secret.reveal() };
      const answer = await this.post(service, url, { externalAccountBinding: bind(this.key, url, eab) });
      this.account = answer.location;
      return this;
    }

    async order(service: AcmeService, name: string, members: object = {}): Promise<{ view: OrderView; url: string }> {
      const identifiers = [{ type: 'dns', value: name }];
      const answer = await this.post(service, this.url('new-order'), { identifiers, ...members });
      return { view: answer.body as OrderView, url: answer.location! };
    }
  }

  const csrOf = (name: string): string =>
    Buffer.from(makeCsr({ subject: '', san: [`dns:${name}`] }).der).toString('base64url');

  it('serve one order between them', async () => {
    const [a, b] = nodes;
    const device = await new Device(await open()).register(a);
    const { view, url } = await device.order(b, 'shared.example');
    expect((await device.post(a, view.finalize, { csr: csrOf('shared.example') })).body).toMatchObject({
      status: 'valid',
    });
    expect((await device.post(b, url)).body).toMatchObject({ status: 'valid' });
  });

  it('take a nonce once between them (V42)', async () => {
    const [a, b] = nodes;
    const device = await new Device(await open()).register(a);
    const nonce = a.nonce();
    expect((await device.post(b, device.account!, undefined, nonce)).status).toBe(200);
    await expect(device.post(a, device.account!, undefined, nonce)).rejects.toMatchObject({ type: 'badNonce' });
  });

  it('issue once for parallel finalize requests (V44)', async () => {
    const device = await new Device(await open()).register(nodes[0]);
    const { view, url } = await device.order(nodes[0], 'parallel.example');
    const csr = csrOf('parallel.example');
    ended.length = 0;
    const answers = await Promise.allSettled([0, 1, 0, 1].map((at) => device.post(nodes[at]!, view.finalize, { csr })));
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 4 }, () => 'fulfilled'));
    expect((await device.post(nodes[1], url)).body).toMatchObject({ status: 'valid' });
    const rows = await site.certificates(tenant.id);
    expect(rows.filter(({ subject }) => subject === 'CN=parallel.example')).toHaveLength(1);
    expect(ended).toEqual(['valid']);
  });

  it('let one of parallel orders replace a certificate (RFC 9773 §5)', async () => {
    const device = await new Device(await open()).register(nodes[0]);
    const { view } = await device.order(nodes[0], 'replaced.example');
    await device.post(nodes[0], view.finalize, { csr: csrOf('replaced.example') });
    const rows = await site.certificates(tenant.id);
    const row = rows.find(({ subject }) => subject === 'CN=replaced.example')!;
    const issuer = await site.authorities.issuer(tenant.id, tenant.issuing.id);
    const replaces = `${keyIdentifierText(issuer.publicKey)}.${Buffer.from(row.serial_number, 'hex').toString('base64url')}`;
    const orders = await Promise.allSettled(
      [0, 1, 0, 1].map((at) => device.order(nodes[at]!, 'replaced.example', { replaces })),
    );
    const statuses = orders.map((one) => (one.status === 'fulfilled' ? 'made' : problemOf(one.reason).type)).sort();
    expect(statuses).toEqual(['alreadyReplaced', 'alreadyReplaced', 'alreadyReplaced', 'made']);
  });

  it('let an order take the place of one that nobody finalized in time', async () => {
    const device = await new Device(await open({ orderLifetimeSeconds: 60 })).register(nodes[0]);
    const { view } = await device.order(nodes[0], 'late.example');
    await device.post(nodes[0], view.finalize, { csr: csrOf('late.example') });
    const row = (await site.certificates(tenant.id)).find(({ subject }) => subject === 'CN=late.example')!;
    const issuer = await site.authorities.issuer(tenant.id, tenant.issuing.id);
    const replaces = `${keyIdentifierText(issuer.publicKey)}.${Buffer.from(row.serial_number, 'hex').toString('base64url')}`;
    await device.order(nodes[0], 'late.example', { replaces });
    await expect(device.order(nodes[1], 'late.example', { replaces })).rejects.toMatchObject({
      type: 'alreadyReplaced',
    });
    site.clock.ahead += 61_000;
    expect((await device.order(nodes[1], 'late.example', { replaces })).view.status).toBe('ready');
  });

  it('forget after a month what came to nothing, and no order with a certificate', async () => {
    const device = await new Device(await open()).register(nodes[0]);
    const kept = await device.order(nodes[0], 'kept.example');
    await device.post(nodes[0], kept.view.finalize, { csr: csrOf('kept.example') });
    const left = await device.order(nodes[0], 'left.example');
    await forgetEnded(site.store);
    expect((await device.post(nodes[0], left.url)).status).toBe(200);
    site.clock.ahead += 38 * 86_400_000;
    await forgetEnded(site.store);
    expect((await device.post(nodes[0], kept.url)).body).toMatchObject({ status: 'valid' });
    await expect(device.post(nodes[0], left.url)).rejects.toMatchObject({ status: 404 });
  });

  it('finish what the other left: an order whose issuer was away', async () => {
    const away = { enroll: () => Promise.reject(new UpstreamError('hsm-unavailable', 'the token is away')) };
    const failing = node({ hall: away });
    const device = await new Device(await open()).register(failing);
    const { view, url } = await device.order(failing, 'away.example');
    const answer = await device.post(failing, view.finalize, { csr: csrOf('away.example') });
    expect(answer).toMatchObject({ retryAfterSeconds: 1, body: { status: 'processing' } });
    expect(reported.at(-1)).toBeInstanceOf(UpstreamError);
    site.clock.ahead += 10_000;
    await nodes[0].resume();
    expect((await device.post(nodes[0], url)).body).toMatchObject({ status: 'valid' });
  });

  it('finish what the other left: a validation that was under way when it stopped', async () => {
    let page: RequestListener = () => undefined;
    const web = createServer((request, response) => page(request, response)).listen(0, '127.0.0.1');
    await once(web, 'listening');
    const acme = {
      externalAccount: 'optional',
      specialAddresses: 'as-listed',
      allowedNetworks: ['127.0.0.1'],
      httpPort: (web.address() as AddressInfo).port,
    } as const;
    const device = new Device(await open(acme));
    const stopping = node();
    device.account = (await device.post(stopping, device.url('new-account'), {})).location;
    const identifiers = [{ type: 'ip', value: '127.0.0.1' }];
    const order = await device.post(stopping, device.url('new-order'), { identifiers });
    const [url] = (order.body as OrderView).authorizations;
    const authorization = (await device.post(stopping, url!)).body as AuthorizationView;
    const challenge = authorization.challenges.find(({ type }) => type === 'http-01')!;
    const arrived = once(web, 'request');
    await device.post(stopping, challenge.url, {});
    await arrived;
    await stopping.close();
    expect((await device.post(nodes[0], url!)).body).toMatchObject({ status: 'pending' });
    page = (_request, response) => response.end(`${challenge.token}.${device.key.thumbprint}`);
    site.clock.ahead += 61_000;
    await nodes[1].resume();
    await expect
      .poll(async () => ((await device.post(nodes[0], url!)).body as AuthorizationView).status, { timeout: 5_000 })
      .toBe('valid');
    web.closeAllConnections();
    web.close();
  });
});

function keyIdentifierText(publicKey: Parameters<typeof keyIdentifier>[0]): string {
  return Buffer.from(keyIdentifier(publicKey)).toString('base64url');
}
