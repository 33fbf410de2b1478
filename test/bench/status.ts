import { fork, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';

import { freePort } from '../support/server-process.ts';
import { figure, type Figure } from './figure.ts';
import { HttpConnection, keptAliveRate, newConnectionRate } from './http-load.ts';
import { getOf, hashesOf, ocspRequest, postOf } from './ocsp-requests.ts';
import { startOpensslResponder } from './openssl-responder.ts';
import type { StatusServerReady } from './status-server.ts';

const RUNS = 3;
const RUN_MS = 2_000;

/** OCSP over the whole server in a process of its own, beside bare HTTP and openssl's responder. */
export async function measureOcsp({ runs = RUNS } = {}): Promise<Figure[]> {
  const { child, ready } = await startServer();
  try {
    return await ocspFigures(child, ready, runs);
  } finally {
    child.disconnect();
  }
}

/** A shard of twenty thousand, the full CRL of a million, and the delta of a thousand, made by a whole server. */
export async function measureCrls(): Promise<Figure[]> {
  const { child } = await startServer();
  try {
    return await crlFigures(child);
  } finally {
    child.disconnect();
  }
}

async function startServer(): Promise<{ child: ChildProcess; ready: StatusServerReady }> {
  const child = fork(new URL('./status-server.ts', import.meta.url), [String(await freePort())], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const [ready] = (await once(child, 'message')) as [StatusServerReady];
  return { child, ready };
}

async function ocspFigures(child: ChildProcess, ready: StatusServerReady, runs: number): Promise<Figure[]> {
  const issuer = hashesOf(Buffer.from(ready.issuer, 'base64'));
  const requests = ready.serialNumbers.map((serial) => ocspRequest(issuer, serial));
  const gets = requests.map((der) => getOf(ready.authority, der));
  const posts = requests.map((der) => postOf(ready.authority, der));
  const nth =
    <T>(list: readonly T[]) =>
    (index: number): T =>
      list[index % list.length]!;
  const rates = {
    get: [] as number[],
    post: [] as number[],
    bare: [] as number[],
    nonce: [] as number[],
    openssl: [] as number[],
  };
  await using openssl = await startOpensslResponder();
  const nonces: Buffer[] = [];
  const withNonce = (index: number): Buffer => {
    const nonce = randomBytes(32);
    nonces[index] = nonce;
    return postOf(ready.authority, ocspRequest(issuer, nth(ready.serialNumbers)(index), nonce));
  };
  const check = (body: Buffer, index: number): void => {
    if (!body.includes(nonces[index]!)) throw new RangeError('an answer came without its nonce');
  };
  // Each certificate is asked about in both ways first: signing is measured apart.
  for (const requests of [gets, posts]) await askOnce(ready.port, requests);
  const load = { milliseconds: RUN_MS };
  const hsm: number[] = [];
  for (let run = 0; run < runs; run++) {
    rates.bare.push(await keptAliveRate(ready.barePort, nth(gets), load));
    rates.get.push(await keptAliveRate(ready.port, nth(gets), load));
    rates.post.push(await keptAliveRate(ready.port, nth(posts), load));
    // Each source has a budget of signatures: a run must not outlast its burst.
    rates.nonce.push(await keptAliveRate(ready.port, withNonce, { sources: true, milliseconds: 1500, check }));
    rates.openssl.push(await newConnectionRate(openssl.port, () => openssl.request, load));
    hsm.push(await signingRate(child));
  }
  const limit = { name: 'bare HTTP in the same process', runs: rates.bare };
  return [
    figure('OCSP GET, pre-signed', 'answers/s', rates.get, limit),
    figure('OCSP POST, pre-signed', 'answers/s', rates.post, limit),
    figure('OCSP POST, pre-signed', 'answers/s', rates.post, { name: "openssl's responder", runs: rates.openssl }),
    figure('OCSP POST with nonce, signed for each', 'answers/s', rates.nonce, {
      name: 'the key of the responder alone',
      runs: hsm,
    }),
  ];
}

const CONNECTIONS = 32;

/** Sends each request once. */
async function askOnce(port: number, requests: readonly (string | Buffer)[]): Promise<void> {
  const connections = await Promise.all(Array.from({ length: CONNECTIONS }, () => HttpConnection.open(port)));
  let next = 0;
  await Promise.all(
    connections.map(async (connection) => {
      while (next < requests.length) await connection.send(requests[next++]!);
      connection.close();
    }),
  );
}

/** Signatures a second of the responder's key in the server's process, without anything around them. */
async function signingRate(child: ChildProcess): Promise<number> {
  child.send('sign');
  const [rate] = (await once(child, 'message')) as [number];
  return rate;
}

async function crlFigures(child: ChildProcess): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const [revoked, scope, kind] of [
    [20_000, '0', 'shard'],
    [980_000, 'full', 'full'],
    [1_000, 'changes', 'delta'],
  ] as const) {
    child.send({ revoked, scope });
    const [measured] = (await once(child, 'message')) as [Record<string, number>];
    const name = `CRL ${kind} of ${measured['entries']}`;
    for (const [key, unit] of [
      ['milliseconds', 'ms'],
      ['megabytes', 'MB'],
      ['before', 'MB resident before'],
      ['peak', 'MB resident peak'],
      ['delayP99', 'ms loop p99'],
      ['delayMax', 'ms loop max'],
    ] as const) {
      figures.push(figure(name, unit, [measured[key]!]));
    }
  }
  return figures;
}
