import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';

import { decodeCertsOnly } from '../../core/cms/signed-data.ts';
import { keyUsage, parseCertificate } from '../../core/x509/certificate.ts';
import { freePort } from '../support/server-process.ts';
import { privateSoftHsm } from '../support/softhsm.ts';
import { ScepServer } from '../integration/scep-clients.ts';
import { figure, type Figure } from './figure.ts';
import { isSuccess, type ScepAnswer, ScepConnection, ScepFleet, type ScepTarget } from './scep-load.ts';
import type { ChallengesWanted, ScepServerReady } from './scep-server.ts';
import { BareToken } from './scep-token.ts';

const CONNECTIONS = 32;
const TOKEN_SESSIONS = 8;
const RUNS = 5;
const RUN_MS = 3000;
/** Requests made ahead for each second of a run. */
const MOST_PER_SECOND = { muster: 600, scepserver: 400 };
const SCEPSERVER_CHALLENGE = 'bench';

/**
 * PKIOperations a second of the whole server in a process of its own, beside what the HSM module does at best of what each of
 * them asks of it, and beside Debian's scepserver (RSA-2048 key in a file) driven with messages of the same making.
 */
export async function measureScep(): Promise<Figure[]> {
  await using stack = new AsyncDisposableStack();
  const softHsm = await privateSoftHsm();
  stack.defer(() => softHsm.remove());
  using token = await BareToken.open(softHsm);
  const fleet = new ScepFleet();
  const muster = stack.use(await Muster.start());
  const scepserver = stack.use(await ScepServer.start(SCEPSERVER_CHALLENGE));
  const target = await scepServerTarget(scepserver);
  const rates = { token: [] as number[], muster: [] as number[], scepserver: [] as number[] };
  const refused = [];
  for (let run = 0; run < RUNS; run++) {
    const requests = await muster.requests(fleet, perRun(MOST_PER_SECOND.muster));
    const same = await fleet.requests(target, perRun(MOST_PER_SECOND.scepserver));
    rates.token.push(await token.pairsPerSecond(TOKEN_SESSIONS, RUN_MS));
    const ours = await drive(muster.url, requests);
    if (ours.successes < 1) throw new RangeError(`${ours.successes * 100} % of the requests succeeded`);
    rates.muster.push(ours.rate);
    const theirs = await drive(scepserver.url, same);
    rates.scepserver.push(theirs.rate);
    refused.push((1 - theirs.successes) * 100);
  }
  const name = `SCEP PKIOperation, ${CONNECTIONS} connections`;
  return [
    figure(name, 'certificates/s', rates.muster, { name: 'the module alone: decrypt + sign', runs: rates.token }),
    figure(name, 'certificates/s', rates.muster, { name: 'answers of scepserver', runs: rates.scepserver }),
    // Its depot gives one serial number to several requests at once, and refuses all but one of them.
    figure('answers of scepserver that were FAILURE', '%', refused),
  ];
}

function perRun(perSecond: number): number {
  return (perSecond * RUN_MS) / 1000;
}

interface Driven {
  /** Answers a second. */
  readonly rate: number;
  /** How many of them were SUCCESS, 0 to 1. */
  readonly successes: number;
}

/** Sends requests on kept-alive connections until they or the time run out. */
async function drive(url: string, requests: Uint8Array[]): Promise<Driven> {
  const connections = await Promise.all(Array.from({ length: CONNECTIONS }, () => ScepConnection.open(url)));
  const answers: ScepAnswer[] = [];
  const start = performance.now();
  await Promise.all(
    connections.map(async (connection) => {
      while (performance.now() - start < RUN_MS && requests.length > 0) {
        answers.push(await connection.send(requests.pop()!));
      }
    }),
  );
  const seconds = (performance.now() - start) / 1000;
  for (const connection of connections) connection.close();
  return { rate: answers.length / seconds, successes: answers.filter(isSuccess).length / answers.length };
}

/** The whole server in a child process. */
class Muster implements Disposable {
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #recipient: Uint8Array;

  private constructor(url: string, child: ChildProcess, recipient: Uint8Array) {
    this.url = url;
    this.#child = child;
    this.#recipient = recipient;
  }

  static async start(): Promise<Muster> {
    const program = new URL('./scep-server.ts', import.meta.url);
    const child = fork(program, [String(await freePort())], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    const [{ url }] = (await once(child, 'message')) as [ScepServerReady];
    const certificates = decodeCertsOnly(await caCertificates(url)).certificates.map(parseCertificate);
    const ra = certificates.find((certificate) => keyUsage(certificate)?.has('keyEncipherment') === true);
    return new Muster(url, child, ra!.der);
  }

  async requests(fleet: ScepFleet, count: number): Promise<Uint8Array[]> {
    const wanted: ChallengesWanted = { challenges: count };
    this.#child.send(wanted);
    const [challenges] = (await once(this.#child, 'message')) as [string[]];
    return fleet.requests({ recipient: this.#recipient, challenge: () => challenges.pop()! }, count);
  }

  [Symbol.dispose](): void {
    this.#child.disconnect();
  }
}

/** Messages of the same making for Debian's scepserver. */
async function scepServerTarget({ url }: ScepServer): Promise<ScepTarget> {
  const recipient = await caCertificates(url);
  return { recipient, challenge: () => SCEPSERVER_CHALLENGE };
}

async function caCertificates(url: string): Promise<Uint8Array> {
  const response = await fetch(`${url}?operation=GetCACert`);
  if (response.status !== 200) throw new RangeError(`${url} answered GetCACert with ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}
