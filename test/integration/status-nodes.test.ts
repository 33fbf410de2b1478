import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { type Certificate, parseCertificate } from '../../core/x509/certificate.ts';
import { ocspRequest, readOcspResponse } from '../status/ocsp-messages.ts';
import {
  api,
  basic,
  certificateOf,
  enroll,
  type Installation,
  type Listed,
  type ListedCertificate,
  readText,
} from '../support/installation.ts';
import { freshDatabase } from '../support/postgres.ts';
import { startRedis } from '../support/redis-server.ts';
import { PRIVATE_SETTINGS, ServerChild } from '../support/server-child.ts';
import { freePort, type RunningServer } from '../support/server-process.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { makeCsr } from '../support/test-pki.ts';

const TRY_LATER = 3;
const ROUNDS = 5;

interface Node extends Installation {
  readonly server: ServerChild;
  readonly device: { readonly username: string; readonly password: string };
}

describe('two nodes on PostgreSQL and Redis', () => {
  let folder: string;
  let redis: RunningServer;
  let proxy: TcpProxy;
  let near: Node;
  /** The node that may lose its database. */
  let far: Node;
  let authority: string;
  let issuer: Certificate;

  beforeAll(async () => {
    folder = await mkdtemp('/tmp/muster-status-');
    redis = await startRedis(join(folder, 'redis'));
    const database = new URL(await freshDatabase());
    proxy = await TcpProxy.to(database);
    near = await start(database.href);
    far = await start(proxy.instead(database).href);
    const { id } = await issued();
    authority = (await api<{ authority: string }>(near, 'GET', `/certificates/${id}`)).authority;
    const der = await (await fetch(`${near.plain}/ca/${authority}.cer`)).arrayBuffer();
    issuer = parseCertificate(new Uint8Array(der));
  });
  afterAll(async () => {
    for (const node of [near, far]) node.server.kill();
    await proxy[Symbol.asyncDispose]();
    await redis.stop();
    await rm(folder, { recursive: true, force: true });
  });

  async function start(postgresUrl: string): Promise<Node> {
    const [plain, admin] = [await freePort(), await freePort()];
    const settings = {
      ...PRIVATE_SETTINGS,
      MUSTER_LISTENERS_PLAIN_PORT: String(plain),
      MUSTER_LISTENERS_ADMIN_PORT: String(admin),
      MUSTER_STORE_URL: postgresUrl,
      MUSTER_REDIS_URL: redis.url,
    };
    const server = ServerChild.start({ dataFolder: join(folder, 'data'), settings, oneTimePasswords: 0 });
    const { mtlsPort, rootCertificate, device } = await server.ready();
    return {
      server,
      device,
      plain: `http://localhost:${plain}`,
      mtls: `https://localhost:${mtlsPort}`,
      admin: `https://localhost:${admin}`,
      ca: await readFile(rootCertificate, 'utf8'),
      adminToken: await readText(join(folder, 'data', 'admin-token')),
    };
  }
  async function issued(): Promise<{ readonly certificate: Certificate; readonly id: string }> {
    const headers = basic(near.device.username, near.device.password);
    const certificate = certificateOf(await enroll(near, 'simpleenroll', makeCsr().der, { headers }));
    const query = `/certificates?serialNumber=${certificate.serialNumber}`;
    const { items } = await api<Listed<ListedCertificate>>(near, 'GET', query);
    return { certificate, id: items[0]!.id };
  }
  async function status(node: Node, { serialNumber }: Certificate): Promise<string | number> {
    const text = encodeURIComponent(ocspRequest(issuer, [serialNumber]).toString('base64'));
    const response = await fetch(`${node.plain}/ocsp/${authority}/${text}`);
    const answer = readOcspResponse(new Uint8Array(await response.arrayBuffer()));
    return answer.responses[0]?.status ?? answer.status;
  }
  const revoke = (id: string): Promise<unknown> => api(near, 'POST', `/certificates/${id}/revoke`, {});

  /** Milliseconds from the answer to the one who revoked at one node, to `revoked` at the other. */
  async function delayOfRevocation(): Promise<number> {
    const { certificate, id } = await issued();
    await expect.poll(() => status(far, certificate), { timeout: 10_000 }).toBe('good');
    await revoke(id);
    const start = performance.now();
    while ((await status(far, certificate)) !== 'revoked') expect(performance.now() - start).toBeLessThan(5000);
    return performance.now() - start;
  }
  async function delays(): Promise<number[]> {
    const measured: number[] = [];
    for (let round = 0; round < ROUNDS; round++) measured.push(await delayOfRevocation());
    return measured.toSorted((a, b) => a - b);
  }

  it('agree within a second of a revocation', async () => {
    const measured = await delays();
    // The machine of a test run has other work, too: what counts is what usually happens.
    expect(measured[Math.floor(ROUNDS / 2)]).toBeLessThan(1000);
  });

  it('note in the timeline of a certificate when each of them knew', async () => {
    const { certificate, id } = await issued();
    await revoke(id);
    await expect.poll(() => status(far, certificate)).toBe('revoked');
    interface Timeline {
      readonly nodes: readonly { readonly node: string; readonly milliseconds: number }[];
      readonly beyond: { readonly ocspSeconds: number };
    }
    const timeline = () => api<Timeline>(near, 'GET', `/certificates/${id}/revocation`);
    await expect.poll(async () => (await timeline()).nodes.length, { timeout: 5000 }).toBe(2);
    const { nodes, beyond } = await timeline();
    for (const { milliseconds } of nodes) expect(milliseconds).toBeLessThan(5000);
    expect(beyond.ocspSeconds).toBe(3600);
  });

  it('agree within a second while Redis is down', async () => {
    await redis.stop();
    const measured = await delays();
    // The machine of a test run has other work, too: what counts is what usually happens.
    expect(measured[Math.floor(ROUNDS / 2)]).toBeLessThan(1000);
  });

  it('a node cut off from the database says tryLater after two seconds, never good, and comes back', async () => {
    const { certificate, id } = await issued();
    await expect.poll(() => status(far, certificate), { timeout: 10_000 }).toBe('good');
    proxy.cut();
    const cutAt = performance.now();
    await revoke(id);
    await delay(2100 - (performance.now() - cutAt));
    const answers = await Promise.all(Array.from({ length: 5 }, () => status(far, certificate)));
    expect(new Set(answers)).toEqual(new Set([TRY_LATER]));
    proxy.mend();
    await expect.poll(() => status(far, certificate), { timeout: 15_000 }).toBe('revoked');
  });
});
