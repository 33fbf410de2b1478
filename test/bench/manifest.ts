import { createHash } from 'node:crypto';
import { Agent, request as httpsRequest } from 'node:https';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

import { makeCsr, makeKey } from '../support/test-pki.ts';
import type { BenchServerReady } from './bench-server.ts';
import { EstConnection } from './est-load.ts';
import { figure, type Figure, quantile } from './figure.ts';
import { memoryOf, startBenchServer } from './start-bench-server.ts';

const DEVICES = 1_000_000;
const LINES_OF_PART = 20_000;
/** How long a device waits before the next one enrols: the line works while the manifest is read. */
const PAUSE_MS = 50;

interface Progress {
  readonly id: string;
  readonly lines: number;
  readonly added: number;
  readonly refused: number;
}

/** A manifest of a million devices over REST, while devices enrol one after another by EST. */
export async function measureManifest({ devices = DEVICES } = {}): Promise<Figure[]> {
  const { child, ready } = await startBenchServer();
  const rest = new Rest(ready);
  try {
    const alone = await enrollWhile(ready, delay(3000));
    let most = 0;
    const started = performance.now();
    const reading = readManifest(rest, devices, async () => {
      most = Math.max(most, await memoryOf(child));
    });
    const latencies = await enrollWhile(ready, reading);
    const progress = await reading;
    const seconds = (performance.now() - started) / 1000;
    if (progress.added !== devices || progress.refused !== 0)
      throw new RangeError(`added ${progress.added} of ${devices}, refused ${progress.refused}`);
    const peer = (share: number) => ({ name: 'without a manifest', runs: [quantile(alone, share)] });
    return [
      figure(`manifest of ${devices} devices`, 's', [seconds]),
      figure('memory of the server meanwhile, at most', 'MB', [most]),
      figure('EST simpleenroll meanwhile, p50', 'ms', [quantile(latencies, 0.5)], peer(0.5)),
      figure('EST simpleenroll meanwhile, p99', 'ms', [quantile(latencies, 0.99)], peer(0.99)),
    ];
  } finally {
    rest.close();
    child.disconnect();
  }
}

async function readManifest(rest: Rest, devices: number, each: () => Promise<void>): Promise<Progress> {
  let progress = await rest.post('/manifests', JSON.stringify({ name: 'bench', format: 'csv' }), 'application/json');
  const header = 'serial,ek-sha256,idevid-sha256,model\n';
  for (let from = 0; from < devices; from += LINES_OF_PART) {
    const lines = Array.from({ length: Math.min(LINES_OF_PART, devices - from) }, (_, index) => lineOf(from + index));
    const text = (from === 0 ? header : '') + lines.join('');
    progress = await rest.post(`/manifests/${progress.id}/lines?after=${progress.lines}`, text, 'text/csv');
    await each();
  }
  return progress;
}

function lineOf(number: number): string {
  const hash = createHash('sha256').update(String(number)).digest('hex');
  const idevid = hash.slice(32) + hash.slice(0, 32);
  return `SN-${String(number).padStart(8, '0')},${hash},${idevid},EdgeRouter 7\n`;
}

/** Devices that enrol one after another until something is done; how long each took, in milliseconds. */
async function enrollWhile(ready: BenchServerReady, until: Promise<unknown>): Promise<readonly number[]> {
  const authorization = `Basic ${Buffer.from(`bench:${ready.password}`).toString('base64')}`;
  const key = makeKey();
  const latencies: number[] = [];
  let over = false;
  const end = (): void => {
    over = true;
  };
  until.then(end, end);
  const { port } = new URL(ready.mtls);
  const connection = await EstConnection.open({
    host: '127.0.0.1',
    port: Number(port),
    servername: 'localhost',
    ca: readFileSync(ready.root),
    ALPNProtocols: ['http/1.1'],
  });
  while (!over) {
    const name = `bench-${performance.now()}-${latencies.length}`;
    const body = Buffer.from(makeCsr({ subject: `CN=${name}`, key }).der).toString('base64');
    const start = performance.now();
    const { status } = await connection.enroll('default', body, authorization);
    if (status !== 200) throw new RangeError(`the enrolment was answered ${status}`);
    latencies.push(performance.now() - start);
    await delay(PAUSE_MS);
  }
  connection.close();
  return latencies;
}

/** REST over one connection. */
class Rest {
  readonly #ready: BenchServerReady;
  readonly #agent: Agent;

  constructor(ready: BenchServerReady) {
    this.#ready = ready;
    this.#agent = new Agent({ keepAlive: true, ca: readFileSync(ready.root), servername: 'localhost' });
  }

  post(path: string, body: string, contentType: string): Promise<Progress> {
    const { promise, resolve, reject } = Promise.withResolvers<Progress>();
    const headers = {
      authorization: `Bearer ${this.#ready.adminToken}`,
      'content-type': contentType,
      'content-length': Buffer.byteLength(body),
    };
    const url = new URL(`/api/v1${path}`, this.#ready.admin);
    const request = httpsRequest(url, { method: 'POST', headers, agent: this.#agent }, (response) => {
      response.toArray().then((chunks: Buffer[]) => {
        const text = Buffer.concat(chunks).toString();
        if (response.statusCode! < 300) resolve(JSON.parse(text) as Progress);
        else reject(new RangeError(`${response.statusCode}: ${text}`));
      }, reject);
    });
    request.on('error', reject);
    request.end(body);
    return promise;
  }

  close(): void {
    this.#agent.destroy();
  }
}
