import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { parseCertificate, type Certificate } from '../../core/x509/certificate.ts';
import { api, basic, certificateOf, enroll, type Listed, type ListedCertificate } from '../support/installation.ts';
import type { Installation } from '../support/installation.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { startRedis } from '../support/redis-server.ts';
import { PRIVATE_SETTINGS, ServerChild } from '../support/server-child.ts';
import { freePort } from '../support/server-process.ts';
import { makeCsr } from '../support/test-pki.ts';
import { figure, type Figure, quantile } from './figure.ts';
import { HttpConnection } from './http-load.ts';
import { hashesOf, ocspRequest, postOf } from './ocsp-requests.ts';

const ROUNDS = 1000;
const LANES = 8;
/** How often the other node is asked, milliseconds: what the figure is exact to. */
const ASK_MS = 1;

/** From a revocation at one node to `revoked` at another, on PostgreSQL, with Redis and without. */
export async function measureRevocation({ rounds = ROUNDS } = {}): Promise<Figure[]> {
  const folder = await mkdtemp('/tmp/mr-');
  const postgres = await startPostgres(join(folder, 'pg'));
  const redis = await startRedis(join(folder, 'redis'));
  const nodes = new Nodes(folder, postgres.url, redis.url);
  try {
    await nodes.start();
    // Hints of one lane would wake the other node for all of them; without hints, each waits for the next poll.
    const withRedis = await nodes.delays(rounds, 1);
    await redis.stop();
    const without = await nodes.delays(rounds, LANES);
    return [...figures('with Redis', withRedis), ...figures('without Redis', without)];
  } finally {
    nodes.kill();
    await redis.stop();
    await postgres.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

function figures(name: string, delays: readonly number[]): Figure[] {
  return [0.5, 0.99].map((share) =>
    figure(`revoked → visible at another node, ${name}, p${share * 100}`, 'ms', [quantile(delays, share)]),
  );
}

class Nodes {
  readonly #folder: string;
  readonly #urls: { readonly postgres: string; readonly redis: string };
  readonly #children: ServerChild[] = [];
  #near!: Installation;
  #farPort = 0;
  #authorization = {};

  constructor(folder: string, postgres: string, redis: string) {
    this.#folder = folder;
    this.#urls = { postgres, redis };
  }

  async start(): Promise<void> {
    this.#near = await this.#startOne();
    const far = await this.#startOne();
    this.#farPort = Number(new URL(far.plain).port);
  }

  /** Milliseconds from the answer to the revocation, to the first `revoked` at the other node. */
  async delays(rounds: number, lanes: number): Promise<number[]> {
    const each = Array.from({ length: lanes }, () => this.#lane(Math.ceil(rounds / lanes)));
    return (await Promise.all(each)).flat();
  }

  async #lane(rounds: number): Promise<number[]> {
    const far = await HttpConnection.open(this.#farPort);
    const delays: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const { certificate, id, authority } = await this.#issue();
      const issuer = await this.#issuer(authority);
      const request = postOf(authority, ocspRequest(hashesOf(issuer.der), certificate.serialNumber));
      const good = await far.send(request);
      await api(this.#near, 'POST', `/certificates/${id}/revoke`, {});
      const start = performance.now();
      // The answer to another status has other octets.
      while ((await far.send(request)).equals(good)) await delay(ASK_MS);
      delays.push(performance.now() - start);
    }
    far.close();
    return delays;
  }

  kill(): void {
    for (const child of this.#children) child.kill();
  }

  async #issue(): Promise<{ readonly certificate: Certificate; readonly id: string; readonly authority: string }> {
    const answer = await enroll(this.#near, 'simpleenroll', makeCsr().der, { headers: this.#authorization });
    const certificate = certificateOf(answer);
    const query = `/certificates?serialNumber=${certificate.serialNumber}`;
    type Row = ListedCertificate & { readonly authority: string };
    const { items } = await api<Listed<Row>>(this.#near, 'GET', query);
    return { certificate, id: items[0]!.id, authority: items[0]!.authority };
  }

  async #issuer(authority: string): Promise<Certificate> {
    const der = await (await fetch(`${this.#near.plain}/ca/${authority}.cer`)).arrayBuffer();
    return parseCertificate(new Uint8Array(der));
  }

  async #startOne(): Promise<Installation> {
    const [plain, admin] = [await freePort(), await freePort()];
    const settings = {
      ...PRIVATE_SETTINGS,
      MUSTER_LISTENERS_PLAIN_PORT: String(plain),
      MUSTER_LISTENERS_ADMIN_PORT: String(admin),
      MUSTER_STORE_URL: this.#urls.postgres,
      MUSTER_REDIS_URL: this.#urls.redis,
    };
    const dataFolder = join(this.#folder, 'data');
    const child = ServerChild.start({ dataFolder, settings, oneTimePasswords: 0 });
    this.#children.push(child);
    const { mtlsPort, rootCertificate, device } = await child.ready();
    this.#authorization = basic(device.username, device.password);
    return {
      plain: `http://localhost:${plain}`,
      mtls: `https://localhost:${mtlsPort}`,
      admin: `https://localhost:${admin}`,
      ca: await readFile(rootCertificate, 'utf8'),
      adminToken: (await readFile(join(dataFolder, 'admin-token'), 'utf8')).trim(),
    };
  }
}
