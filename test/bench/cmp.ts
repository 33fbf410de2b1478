import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';

import { CmpTransaction } from '../fakes/cmp-client.ts';
import { type CmpMockServer, startCmpMockServer } from '../fakes/cmp-mock-server.ts';
import { hmac, type MacSecret, passwordBasedMac, type Protection, signature } from '../fakes/cmp-protection.ts';
import { certRequests, requestFor } from '../fakes/cmp-request.ts';
import { newKey } from '../fakes/cmp-signatures.ts';
import { freePort } from '../support/server-process.ts';
import { drive, enrolment, httpRequest, type LoadTarget, question, wrongQuestion } from './cmp-load.ts';
import type { CmpServerReady } from './cmp-server.ts';
import { figure, type Figure } from './figure.ts';
import { HttpConnection } from './http-load.ts';

const RUNS = 3;
const RUN_MS = 2500;
const CONNECTIONS = { kept: 32, fresh: 16 };
/** Messages made ahead for each second of a run. */
const MOST_PER_SECOND = { muster: 2000, openssl: 3000 };
/** Salts in turn: the server keeps no derived key, and deriving one for each message here would take longer than the run. */
const SALTS = 64;
/** OpenSSL's default of PBM. */
const ITERATIONS = 500;
/** The most that an endpoint allows unless it is told otherwise, and the most that is not handed to a thread. */
const MAX_ITERATIONS = 100_000;
const ON_THE_SPOT = 5_000;
const FLOOD = { connections: 32, milliseconds: 5000 };

/**
 * Enrolments a second by CMP over the whole server in a process of its own, beside `openssl cmp -port`, which verifies the
 * same messages and answers all with one certificate; what a MAC with the most iterations costs; and how long the event loop
 * is held up while many such come.
 */
export async function measureCmp(): Promise<Figure[]> {
  await using stack = new AsyncDisposableStack();
  const muster = stack.use(await Muster.start());
  const mock = stack.use(await startCmpMockServer());
  const rates = [];
  for (const kind of ['p10cr', 'ir'] as const) {
    for (const how of ['MAC', 'signature'] as const) {
      for (const fresh of [false, true]) rates.push(await enrolments(muster, mock, kind, how, fresh));
    }
  }
  return [...rates, ...(await macCosts(muster)), ...(await floods(muster))];
}

/** The server of the bench, and the registration authority that enrols at it. */
class Muster implements Disposable {
  readonly ready: CmpServerReady;
  readonly target: LoadTarget;
  /** The signature of the registration authority. */
  readonly signature: Protection;
  readonly #child: ChildProcess;
  readonly #macs: readonly Protection[];
  #used = 0;

  private constructor(child: ChildProcess, ready: CmpServerReady, by: Protection) {
    this.#child = child;
    this.ready = ready;
    this.#macs = macsOf(ready.secrets[0]!);
    this.target = targetOf(ready.plain, 'default');
    this.signature = by;
  }

  static async start(): Promise<Muster> {
    const child = fork(new URL('./cmp-server.ts', import.meta.url), [String(await freePort())], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const [ready] = (await once(child, 'message')) as [CmpServerReady];
    const { path } = targetOf(ready.plain, 'default-ra');
    const protect = passwordBasedMac(ready.gateway);
    const transaction = new CmpTransaction({ url: ready.plain + path }, { protect, implicitConfirm: true });
    const key = newKey();
    const { certificate, extraCerts } = await transaction.send(certRequests('ir', requestFor('CN=gateway', key)));
    return new Muster(child, ready, signature({ key, certificate, chain: extraCerts }));
  }

  mac(): Protection {
    return this.#macs[this.#used++ % SALTS]!;
  }

  /** The 99th percentile of the event loop's delay since the last call, in milliseconds. */
  async delay(): Promise<number> {
    this.#child.send('delay');
    const [milliseconds] = (await once(this.#child, 'message')) as [number];
    return milliseconds;
  }

  [Symbol.dispose](): void {
    this.#child.disconnect();
  }
}

function targetOf(plain: string, label: string): LoadTarget {
  return { port: Number(new URL(plain).port), path: `/.well-known/cmp/p/${label}` };
}

async function enrolments(
  muster: Muster,
  mock: CmpMockServer,
  kind: 'ir' | 'p10cr',
  how: 'MAC' | 'signature',
  fresh: boolean,
): Promise<Figure> {
  const mockTarget = { port: Number(new URL(mock.url).port), path: '/pkix/' };
  const theirMacs = macsOf(mock.secret);
  const bySignature = signature(mock.client);
  const ours = { protect: () => (how === 'MAC' ? muster.mac() : muster.signature), target: muster.target };
  const theirs = {
    protect: (at: number) => (how === 'MAC' ? theirMacs[at % SALTS]! : bySignature),
    target: mockTarget,
  };
  const rates = { ours: [] as number[], theirs: [] as number[] };
  for (let run = 0; run < RUNS; run++) {
    // The mock server serves one connection after the other, and closes each at the end of its transaction.
    rates.theirs.push(await rateOf(theirs, kind, MOST_PER_SECOND.openssl, 1, true));
    const connections = fresh ? CONNECTIONS.fresh : CONNECTIONS.kept;
    rates.ours.push(await rateOf(ours, kind, MOST_PER_SECOND.muster, connections, fresh));
  }
  const name = `CMP ${kind}, ${how}, ${fresh ? 'new' : 'kept-alive'} connections`;
  return figure(name, 'certificates/s', rates.ours, {
    name: 'openssl cmp -port, a connection each, one answer for all',
    runs: rates.theirs,
  });
}

const macsOf = (secret: MacSecret): readonly Protection[] =>
  Array.from({ length: SALTS }, () => passwordBasedMac(secret, { iterations: ITERATIONS, mac: hmac('sha1') }));

async function rateOf(
  { protect, target }: { protect: (at: number) => Protection; target: LoadTarget },
  kind: 'ir' | 'p10cr',
  perSecond: number,
  connections: number,
  fresh: boolean,
): Promise<number> {
  const count = Math.ceil((perSecond * RUN_MS) / 1000 / (fresh ? 2 : 1));
  const requests = Array.from({ length: count }, (_, at) => httpRequest(target, enrolment(kind, protect(at))));
  const { rate, samples } = await drive(target, requests, { connections, milliseconds: RUN_MS, fresh });
  for (const { summary } of samples) {
    if (!/^[ic]p accepted$/.test(summary)) throw new RangeError(`the bench was answered ${summary}`);
  }
  return rate;
}

/** What one message with the most iterations takes from request to answer, beside one with the fewest. */
async function macCosts(muster: Muster): Promise<Figure[]> {
  const figures = [];
  for (const scheme of ['pbm', 'pbmac1'] as const) {
    const most = await latencies(muster, scheme, MAX_ITERATIONS);
    const few = await latencies(muster, scheme, 100);
    const name = `${scheme.toUpperCase()} with ${MAX_ITERATIONS} iterations, request to answer`;
    figures.push(figure(name, 'ms', most, { name: 'with 100 iterations', runs: few }));
  }
  return figures;
}

async function latencies(muster: Muster, scheme: 'pbm' | 'pbmac1', iterations: number): Promise<number[]> {
  const connection = await HttpConnection.open(muster.target.port);
  const milliseconds = [];
  for (let run = 0; run < RUNS * 4; run++) {
    const request = httpRequest(muster.target, question(muster.ready.secrets[0]!, scheme, iterations));
    const start = performance.now();
    await connection.send(request);
    milliseconds.push(performance.now() - start);
  }
  connection.close();
  return milliseconds;
}

/** Delay of the event loop while nothing but costly messages comes, beside the delay under ordinary load. */
async function floods(muster: Muster): Promise<Figure[]> {
  const ordinary = Array.from({ length: 10_000 }, () =>
    httpRequest(muster.target, question(muster.ready.secrets[0]!, 'pbm', 100)),
  );
  const peer = { name: 'with 100 iterations', runs: [await delayDuring(muster, ordinary)] };
  const [, ...others] = muster.ready.secrets;
  const figures = [];
  for (const iterations of [MAX_ITERATIONS, ON_THE_SPOT]) {
    // Right MACs: wrong ones are refused before they are computed once ten of them came.
    const few = others.flatMap((secret) => Array.from({ length: 4 }, () => question(secret, 'pbm', iterations)));
    const right = Array.from({ length: 20_000 }, (_, at) => httpRequest(muster.target, few[at % few.length]!));
    const delays = [];
    for (let run = 0; run < RUNS; run++) delays.push(await delayDuring(muster, [...right]));
    figures.push(figure(`event-loop delay p99, flood with ${iterations} iterations`, 'ms', delays, peer));
  }
  const wrong = Array.from({ length: 20_000 }, (_, at) =>
    httpRequest(muster.target, wrongQuestion(others[at % others.length]!, MAX_ITERATIONS)),
  );
  figures.push(figure('event-loop delay p99, flood of wrong MACs', 'ms', [await delayDuring(muster, wrong)], peer));
  return figures;
}

async function delayDuring(muster: Muster, requests: Buffer[]): Promise<number> {
  await muster.delay();
  await drive(muster.target, requests, { ...FLOOD, fresh: false });
  return muster.delay();
}
