import { fork, type ChildProcess } from 'node:child_process';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type ConnectionOptions } from 'node:tls';
import { dirname, join } from 'node:path';

import { encodePem } from '../../core/x509/pem.ts';
import { decodeCertsOnly } from '../../core/cms/signed-data.ts';
import type { TlsIdentity } from '../../server/http/tls-settings.ts';
import { makeCsr } from '../support/test-pki.ts';
import type { BenchServerReady } from './bench-server.ts';
import { EstConnection } from './est-load.ts';
import { figure, type Figure } from './figure.ts';
import { memoryOf, startBenchServer } from './start-bench-server.ts';

const CONNECTIONS = 64;
const RUNS = 5;
const RUN_MS = 3000;
/** Requests made ahead for each second of a run. */
const MOST_PER_SECOND = 5000;
const NEW_CONNECTIONS_AT_ONCE = 16;
/** How many certificates the memory figure is taken after. */
const MANY = 100_000;

/** EST simpleenroll over the whole server in a process of its own: kept-alive, new mTLS connections, and its memory. */
export async function measureEst({ many = MANY }: { readonly many?: number } = {}): Promise<Figure[]> {
  const { child, ready } = await startBenchServer();
  try {
    const idle = await memoryOf(child);
    const client = clientOf(ready);
    const keptAlive = await rounds(() => keptAliveRate(client));
    const { fresh, bare } = await newConnectionRates(client);
    await enrollUntil(client, many);
    const loaded = await memoryOf(child);
    return [
      figure('EST simpleenroll, kept-alive connections', 'certificates/s', keptAlive),
      figure('EST simpleenroll, a new mTLS connection each', 'certificates/s', fresh, {
        name: 'bare mTLS handshakes',
        runs: bare,
      }),
      figure('memory of the server, idle', 'MB', [idle]),
      figure(`memory of the server after ${client.enrolled} certificates`, 'MB', [loaded], {
        name: 'idle',
        runs: [idle],
      }),
    ];
  } finally {
    child.disconnect();
  }
}

/** A fleet at one server. Every request is a new one: a repeat would be answered from the store. */
interface Client {
  readonly tls: ConnectionOptions;
  readonly authorization: string;
  readonly folder: string;
  readonly key: KeyObject;
  /** Requests made beforehand, so that making them is not timed. */
  readonly bodies: string[];
  made: number;
  enrolled: number;
}

function clientOf({ mtls, root, password }: BenchServerReady): Client {
  const { port } = new URL(mtls);
  return {
    tls: {
      host: '127.0.0.1',
      port: Number(port),
      servername: 'localhost',
      ca: readFileSync(root),
      ALPNProtocols: ['http/1.1'],
    },
    authorization: `Basic ${Buffer.from(`bench:${password}`).toString('base64')}`,
    folder: dirname(root),
    key: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
    bodies: [],
    made: 0,
    enrolled: 0,
  };
}

function makeBodies(client: Client, count: number): void {
  while (client.bodies.length < count) {
    const name = `router${client.made++}.example`;
    const { der } = makeCsr({ subject: `CN=${name}`, san: [`dns:${name}`], key: client.key });
    client.bodies.push(Buffer.from(der).toString('base64'));
  }
}

async function rounds(run: () => Promise<number>): Promise<number[]> {
  const rates = [];
  for (let round = 0; round < RUNS; round++) rates.push(await run());
  return rates;
}

async function keptAliveRate(client: Client): Promise<number> {
  makeBodies(client, (RUN_MS / 1000) * MOST_PER_SECOND);
  return onConnections(client, (_done, milliseconds) => milliseconds < RUN_MS && client.bodies.length > 0);
}

async function enrollUntil(client: Client, count: number): Promise<void> {
  while (client.enrolled < count) {
    makeBodies(client, Math.min(10_000, count - client.enrolled));
    await onConnections(client, () => client.bodies.length > 0);
  }
}

/** Enrols on kept-alive connections while `more` says so; returns certificates a second. */
async function onConnections(client: Client, more: (done: number, milliseconds: number) => boolean): Promise<number> {
  const connections = await Promise.all(Array.from({ length: CONNECTIONS }, () => EstConnection.open(client.tls)));
  const start = performance.now();
  let done = 0;
  await Promise.all(
    connections.map(async (connection) => {
      while (more(done, performance.now() - start)) {
        await enrollOnce(connection, client);
        done += 1;
      }
    }),
  );
  const rate = done / ((performance.now() - start) / 1000);
  for (const connection of connections) connection.close();
  return rate;
}

async function enrollOnce(connection: EstConnection, client: Client): Promise<Buffer> {
  const { status, body } = await connection.enroll('default', client.bodies.pop()!, client.authorization);
  if (status !== 200) throw new RangeError(`the bench was answered ${status} ${body.toString().slice(0, 200)}`);
  client.enrolled += 1;
  return body;
}

/** A device certificate to present, and then: handshake, enrolment, close; beside handshake, two octets, close. In turns. */
async function newConnectionRates(client: Client): Promise<{ fresh: number[]; bare: number[] }> {
  makeBodies(client, 1);
  const [connection] = [await EstConnection.open(client.tls)];
  const issued = decodeCertsOnly(Buffer.from((await enrollOnce(connection, client)).toString(), 'base64')).certificates;
  connection.close();
  const tls = {
    ...client.tls,
    cert: issued.map((der) => encodePem('CERTIFICATE', der)).join(''),
    key: client.key.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
  const bareServer = await startBareServer(client.folder);
  const bareTls = { ...tls, port: bareServer.port };
  const fresh = [];
  const bare = [];
  for (let round = 0; round < RUNS; round++) {
    makeBodies(client, (RUN_MS / 1000) * MOST_PER_SECOND);
    bare.push(await newConnections(() => bareHandshake(bareTls)));
    fresh.push(await newConnections(() => enrollOnNewConnection(tls, client)));
  }
  bareServer.child.disconnect();
  return { fresh, bare };
}

/** Does it on sixteen connections at once for a while; returns how often a second. */
export async function newConnections(one: () => Promise<void>): Promise<number> {
  const start = performance.now();
  let done = 0;
  const worker = async (): Promise<void> => {
    while (performance.now() - start < RUN_MS) {
      await one();
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: NEW_CONNECTIONS_AT_ONCE }, worker));
  return done / ((performance.now() - start) / 1000);
}

async function enrollOnNewConnection(tls: ConnectionOptions, client: Client): Promise<void> {
  const connection = await EstConnection.open(tls);
  await enrollOnce(connection, client);
  connection.close();
}

/** A handshake and two octets, which is what a TLS client costs at least. */
export async function bareHandshake(tls: ConnectionOptions): Promise<void> {
  const socket = connect(tls);
  await once(socket, 'secureConnect');
  socket.write('?');
  await once(socket, 'data');
  socket.destroy();
}

/** A TLS server with the identities of the installation in a folder, which does nothing else. */
export async function startBareServer(folder: string): Promise<{ child: ChildProcess; port: number }> {
  const read = (name: string): string => readFileSync(join(folder, 'tls', name), 'utf8');
  const identity: TlsIdentity = {
    certificates: ['rsa', 'ec'].map((kind) => ({ key: read(`${kind}.key`), chain: read(`${kind}.pem`) })),
  };
  const child = fork(new URL('./bare-tls-server.ts', import.meta.url), {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  child.send(identity);
  const [port] = (await once(child, 'message')) as [number];
  return { child, port };
}
