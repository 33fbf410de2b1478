import { mkdtemp, rm } from 'node:fs/promises';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { AcmeClient, type AuthorizationView, ClientKey, json, type OrderView } from '../acme/acme-client.ts';
import { api, type Answer, type Installation, type Listed, readText } from '../support/installation.ts';
import { freshDatabase } from '../support/postgres.ts';
import { startRedis } from '../support/redis-server.ts';
import { PRIVATE_SETTINGS, ServerChild } from '../support/server-child.ts';
import type { RunningServer } from '../support/server-process.ts';
import { makeCsr } from '../support/test-pki.ts';

interface Node extends Installation {
  readonly child: ServerChild;
  readonly tls: string;
}

const ADDRESS = '127.0.0.1';
/** How many clients of one account ask at the same time, by turns at either node. */
const AT_ONCE = 8;

describe('ACME on two nodes, PostgreSQL and Redis', () => {
  let folder: string;
  let redis: RunningServer;
  let web: Server;
  const nodes: Node[] = [];
  const key = new ClientKey();
  /** Connections of one account: even ones at the first node, odd ones at the second. */
  const clients: AcmeClient[] = [];
  let looks: string[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'muster-acme-nodes-'));
    redis = await startRedis(join(folder, 'redis'));
    const store = await freshDatabase();
    // The first makes the token and the authorities.
    nodes.push(await start(store), await start(store));
    web = createServer(({ url = '' }, response) => {
      looks.push(url);
      response.end(`${url.split('/').at(-1)}.${key.thumbprint}`);
    }).listen(0, ADDRESS);
    await once(web, 'listening');
    const acme = {
      externalAccount: 'optional',
      specialAddresses: 'as-listed',
      allowedNetworks: [ADDRESS],
      httpPort: (web.address() as AddressInfo).port,
      authorizationReuseSeconds: 0,
    };
    await api(nodes[0]!, 'POST', '/endpoints', { label: 'shared', protocols: { acme } });
    for (let at = 0; at < AT_ONCE; at += 1) clients.push(await member(nodes[at % 2]!));
  }, 120_000);
  afterAll(async () => {
    for (const client of clients) client.close();
    web?.close();
    for (const { child } of nodes) child.kill();
    await redis?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  async function start(store: string): Promise<Node> {
    const settings = { ...PRIVATE_SETTINGS, MUSTER_STORE_URL: store, MUSTER_REDIS_URL: redis.url };
    const child = ServerChild.start({ dataFolder: join(folder, 'data'), settings, oneTimePasswords: 0 });
    const { rootCertificate, urls } = await child.ready();
    const adminToken = await readText(join(folder, 'data/admin-token'));
    return { child, ...urls, ca: await readText(rootCertificate), adminToken };
  }

  /** A client of the account, which it makes or finds, as its node names it. */
  async function member(node: Node): Promise<AcmeClient> {
    const client = await new AcmeClient(node, `${node.tls}/acme/shared/directory`, key).start();
    expect([200, 201]).toContain((await client.register()).status);
    return client;
  }

  /** A URL of one node as the node of this client has it. */
  const seenBy = (client: AcmeClient, url: string): string =>
    url.replace(new URL(url).origin, new URL(client.directoryUrl).origin);

  /** The same request by every client at once. */
  const allPost = (url: string, payload: object): Promise<readonly Answer[]> =>
    Promise.all(clients.map((client) => client.post(seenBy(client, url), payload)));

  async function readyOrder(): Promise<OrderView & { readonly url: string }> {
    const answer = await clients[0]!.order([ADDRESS]);
    const order = json<OrderView>(answer);
    const [authorization] = order.authorizations;
    const { challenges } = json<AuthorizationView>(await clients[0]!.post(authorization!));
    const { url } = challenges.find(({ type }) => type === 'http-01')!;
    looks = [];
    const answers = await allPost(url, {});
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect((await clients[1]!.settled<AuthorizationView>(seenBy(clients[1]!, authorization!))).status).toBe('valid');
    return { ...order, url: answer.headers['location']! };
  }

  const certificates = async (): Promise<number> =>
    (await api<Listed<unknown>>(nodes[0]!, 'GET', `/certificates?name=${ADDRESS}`)).items.length;

  it('parallel answers to a challenge are looked at once, and parallel finalize requests issue once', async () => {
    const before = await certificates();
    const { finalize, url } = await readyOrder();
    expect(looks).toHaveLength(1);
    const csr = Buffer.from(makeCsr({ subject: '', san: [`ip:${ADDRESS}`] }).der).toString('base64url');
    const answers = await allPost(finalize, { csr });
    expect(answers.map(({ status, text }) => (status === 200 ? 200 : text))).toEqual(answers.map(() => 200));
    const settled = await Promise.all(clients.map((client) => client.settled<OrderView>(seenBy(client, url))));
    const issued = settled.map(({ certificate }) => new URL(certificate!).pathname);
    expect(new Set(issued).size).toBe(1);
    expect(await certificates()).toBe(before + 1);
    const chains = await Promise.all(
      clients.map(async (client, at) => (await client.post(seenBy(client, settled[at]!.certificate!))).text),
    );
    expect(new Set(chains).size).toBe(1);
  });

  it('an order begun at one node goes on at the other when the first is killed', async () => {
    const before = await certificates();
    const { finalize, url } = await readyOrder();
    const csr = Buffer.from(makeCsr({ subject: '', san: [`ip:${ADDRESS}`] }).der).toString('base64url');
    const [dying, other] = [clients[0]!, clients[1]!];
    const lost = dying.post(finalize, { csr }).catch(() => undefined);
    nodes[0]!.child.kill();
    await lost;
    const again = await other.post(seenBy(other, finalize), { csr });
    expect([200, 403]).toContain(again.status);
    await expect
      .poll(async () => json<OrderView>(await other.post(seenBy(other, url))).status, {
        timeout: 80_000,
        interval: 500,
      })
      .toBe('valid');
    expect((await api<Listed<unknown>>(nodes[1]!, 'GET', `/certificates?name=${ADDRESS}`)).items).toHaveLength(
      before + 1,
    );
  }, 120_000);
});
