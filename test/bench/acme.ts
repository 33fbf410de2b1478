import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { api, type Installation } from '../support/installation.ts';
import { ChallengeServer, Pebble } from '../support/pebble.ts';
import { makeCsr, makeKey } from '../support/test-pki.ts';
import { LoadClient, type LoadTarget, type Prover } from './acme-load.ts';
import { figure, type Figure } from './figure.ts';
import { memoryOf, startBenchServer } from './start-bench-server.ts';

const CONNECTIONS = 32;
/** pebble 2.4 may lock itself up for ever while names are validated, sooner with more clients; such a run counts up to there. */
const PEBBLE_CONNECTIONS = 4;
const STANDSTILL_MS = 5_000;
const RUNS = 5;
const RUN_MS = 3000;
/** Requests made ahead for each second of a run. */
const MOST_PER_SECOND = 1000;
/** How many accounts, each with an order, the memory figure is taken after. */
const MANY = 100_000;
const UNLIMITED = { accountsPerHour: 100_000_000, ordersPerHour: 100_000_000, failedValidationsPerHour: 100_000_000 };
const PEBBLE = 'pebble, all in memory, RSA-2048';

/** Orders a second from a new nonce to the certificate over the whole server, beside Debian's pebble. */
export async function measureAcme(): Promise<Figure[]> {
  await using site = await Site.open();
  const ours = await site.muster();
  return [
    await orders('ACME order, pre-authorised', site, ours.vouched, 100),
    await orders('ACME order, http-01', site, ours.proved, 0),
  ];
}

/** Resident memory after many accounts with an order each, beside idle, and beside pebble that has taken the same. */
export async function measureAcmeMemory({ many = MANY }: { readonly many?: number } = {}): Promise<Figure[]> {
  await using site = await Site.open();
  const { vouched, memory } = await site.muster();
  const idle = await memory();
  await accounts(vouched, many);
  const loaded = await memory();
  await using pebble = await site.pebble(0);
  await accounts(pebble, many);
  const name = `memory of the server after ${many} ACME accounts and orders`;
  return [
    figure(name, 'MB', [loaded], { name: 'idle', runs: [idle] }),
    figure(name, 'MB', [loaded], { name: PEBBLE, runs: [residentMegabytes(pebble.processId)] }),
  ];
}

/** `reuse` is pebble's: 100 where it takes the validation of a name ahead of the runs for all its orders. */
async function orders(name: string, site: Site, target: LoadTarget, reuse: 0 | 100): Promise<Figure> {
  const ours = await Fleet.open(target, site.prove, CONNECTIONS);
  const rates = { ours: [] as number[], theirs: [] as number[] };
  const rateOf = async (fleet: Fleet): Promise<number> => {
    // pebble knows an authorization again for the same name only: then each client has one name.
    if (reuse === 100) await fleet.once();
    return fleet.rate(reuse === 100);
  };
  for (let run = 0; run < RUNS; run++) {
    await using pebble = await site.pebble(reuse);
    const theirs = await Fleet.open(pebble, site.prove, reuse === 100 ? CONNECTIONS : PEBBLE_CONNECTIONS);
    rates.theirs.push(await rateOf(theirs));
    theirs.close();
    rates.ours.push(await rateOf(ours));
  }
  ours.close();
  const peer = `${PEBBLE}, ${reuse === 100 ? CONNECTIONS : PEBBLE_CONNECTIONS} connections`;
  return figure(`${name}, ${CONNECTIONS} connections`, 'orders/s', rates.ours, { name: peer, runs: rates.theirs });
}

/** Clients of one server, an account each, and the requests they will send: making those is not timed. */
class Fleet {
  readonly #clients: readonly LoadClient[];
  readonly #prove: Prover;
  readonly #key = makeKey();
  /** Requests for names that nobody has had. */
  readonly #spare: Request[] = [];
  #made = 0;

  private constructor(clients: readonly LoadClient[], prove: Prover) {
    this.#clients = clients;
    this.#prove = prove;
  }

  static async open(target: LoadTarget, prove: Prover, connections: number): Promise<Fleet> {
    const open = async (): Promise<LoadClient> => {
      const client = await LoadClient.open(target);
      await client.register();
      return client;
    };
    return new Fleet(await Promise.all(Array.from({ length: connections }, open)), prove);
  }

  /** One certificate for each client's own name, one after the other. */
  async once(): Promise<void> {
    for (const [at, client] of this.#clients.entries()) await this.#certificate(client, this.#request(ownName(at)));
  }

  /** Orders a second, each client for its own name again and again, or for names nobody has had. */
  async rate(forOwnNames: boolean): Promise<number> {
    const own = this.#clients.map((_client, at) => this.#request(ownName(at)));
    while (!forOwnNames && this.#spare.length < (MOST_PER_SECOND * RUN_MS) / 1000)
      this.#spare.push(this.#request(`router${this.#made}.bench.example`));
    const start = performance.now();
    let done = 0;
    let last = start;
    const worker = async (client: LoadClient, at: number): Promise<void> => {
      while (performance.now() - start < RUN_MS) {
        const request = forOwnNames ? own[at] : this.#spare.pop();
        if (request === undefined) return;
        await this.#certificate(client, request);
        done += 1;
        last = performance.now();
      }
    };
    await Promise.race([Promise.all(this.#clients.map(worker)), delay(RUN_MS + STANDSTILL_MS)]);
    return done / ((last - start) / 1000);
  }

  close(): void {
    for (const client of this.#clients) client.close();
  }

  async #certificate(client: LoadClient, { name, csr }: Request): Promise<void> {
    const pem = await client.certificate(name, csr, this.#prove);
    if (!pem.startsWith('-----BEGIN CERTIFICATE-----')) throw new RangeError(`expected a certificate, found ${pem}`);
  }

  #request(name: string): Request {
    this.#made += 1;
    const { der } = makeCsr({ subject: `CN=${name}`, san: [`dns:${name}`], key: this.#key });
    return { name, csr: Buffer.from(der).toString('base64url') };
  }
}

interface Request {
  readonly name: string;
  readonly csr: string;
}

function ownName(at: number): string {
  return `gateway${at}.bench.example`;
}

/** Makes accounts, each with a key of its own and an order that waits for its CSR. */
async function accounts(target: LoadTarget, count: number): Promise<void> {
  const clients = await Promise.all(Array.from({ length: CONNECTIONS }, () => LoadClient.open(target)));
  let made = 0;
  await Promise.all(
    clients.map(async (client) => {
      while (made < count) {
        const name = `router${made++}.bench.example`;
        await client.register();
        await client.order(name);
      }
    }),
  );
  for (const client of clients) client.close();
}

/** What both servers of the bench share: names, and the one who answers http-01. */
class Site implements AsyncDisposable {
  readonly prove: Prover;
  readonly #folder: string;
  readonly #dns: ChallengeServer;
  readonly #web: Server;
  readonly #started = new AsyncDisposableStack();
  #pebbles = 0;

  private constructor(folder: string, dns: ChallengeServer, web: Server, answers: Map<string, string>) {
    this.#folder = folder;
    this.#dns = dns;
    this.#web = web;
    this.prove = (token, keyAuthorization) => answers.set(token, keyAuthorization);
    this.#started.defer(() => rm(folder, { recursive: true, force: true }));
    this.#started.use(dns);
    this.#started.defer(() => void web.close());
  }

  static async open(): Promise<Site> {
    const folder = await mkdtemp(join(tmpdir(), 'muster-bench-acme-'));
    const answers = new Map<string, string>();
    const web = createServer(({ url = '' }, response) => {
      response.end(answers.get(url.slice(url.lastIndexOf('/') + 1)));
    });
    web.listen(0, '127.0.0.1');
    await once(web, 'listening');
    return new Site(folder, await ChallengeServer.start(), web, answers);
  }

  /** A pebble; `reuse` per cent of its orders take a valid authorization as it stands. */
  pebble(reuse: number): Promise<Pebble> {
    const options = { resolver: this.#dns.resolver, httpPort: this.#httpPort, authorizationReuse: reuse };
    return Pebble.start(join(this.#folder, `pebble-${(this.#pebbles += 1)}`), options);
  }

  /** The whole server in a process of its own, with an endpoint for names a key vouches for and one for proved names. */
  async muster() {
    const { child, ready } = await startBenchServer();
    this.#started.defer(() => child.disconnect());
    const ca = readFileSync(ready.root, 'utf8');
    const installation: Installation = { ...ready, plain: '', ca };
    const open = async (label: string, acme: object): Promise<LoadTarget> => {
      await api(installation, 'POST', '/endpoints', { label, protocols: { acme: { ...UNLIMITED, ...acme } } });
      return { directory: `${ready.tls}/acme/${label}/directory`, ca };
    };
    const vouched = await open('vouched', {});
    const key = { endpoint: 'vouched', kind: 'eab', usage: 'device', allowed: ['*.bench.example'] };
    const eab = await api<{ reference: string; secret: string }>(installation, 'POST', '/secrets', key);
    const proved = await open('proved', {
      externalAccount: 'optional',
      resolvers: [this.#dns.resolver],
      specialAddresses: 'as-listed',
      allowedNetworks: ['127.0.0.1'],
      httpPort: this.#httpPort,
    });
    return { vouched: { ...vouched, eab }, proved, memory: () => memoryOf(child) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#started.disposeAsync();
  }

  get #httpPort(): number {
    return (this.#web.address() as AddressInfo).port;
  }
}

/** Linux counts it in kB (proc(5)). */
function residentMegabytes(processId: number): number {
  const status = readFileSync(`/proc/${processId}/status`, 'utf8');
  return (Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) * 1024) / 1e6;
}
