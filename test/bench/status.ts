import { fork, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';

import { freePort } from '../support/server-process.ts';
import { figure, type Figure } from './figure.ts';
import { keptAliveRate, newConnectionRate } from './http-load.ts';
import { getOf, hashesOf, ocspRequest, postOf } from './ocsp-requests.ts';
import { startOpensslResponder } from './openssl-responder.ts';
import type { StatusServerReady } from './status-server.ts';

const RUNS = 5;

/** OCSP over the whole server in a process of its own, beside bare HTTP; CRLs of a thousand, twenty thousand and a million. */
export async function measureStatus({ runs = RUNS } = {}): Promise<Figure[]> {
  const { child, ready } = await startServer();
  try {
    return [...(await ocspFigures(ready, runs)), ...(await crlFigures(child))];
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

async function ocspFigures(ready: StatusServerReady, runs: number): Promise<Figure[]> {
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
  await keptAliveRate(ready.port, nth(gets));
  await keptAliveRate(ready.port, nth(posts));
  for (let run = 0; run < runs; run++) {
    rates.bare.push(await keptAliveRate(ready.barePort, nth(gets)));
    rates.get.push(await keptAliveRate(ready.port, nth(gets)));
    rates.post.push(await keptAliveRate(ready.port, nth(posts)));
    // Each source has a budget of signatures.
    rates.nonce.push(await keptAliveRate(ready.port, withNonce, { sources: true, milliseconds: 1500, check }));
    rates.openssl.push(await newConnectionRate(openssl.port, () => openssl.request));
  }
  const limit = { name: 'bare HTTP in the same process', runs: rates.bare };
  return [
    figure('OCSP GET, pre-signed', 'answers/s', rates.get, limit),
    figure('OCSP POST, pre-signed', 'answers/s', rates.post, limit),
    figure('OCSP POST with nonce, signed for each', 'answers/s', rates.nonce, limit),
    figure('OCSP POST, pre-signed', 'answers/s', rates.post, { name: "openssl's responder", runs: rates.openssl }),
  ];
}

async function crlFigures(child: ChildProcess): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const [revoked, scope] of [
    [20_000, '0'],
    [980_000, 'full'],
  ] as const) {
    child.send({ revoked, scope });
    const [measured] = (await once(child, 'message')) as [Record<string, number>];
    const name = `CRL ${scope === 'full' ? 'full' : 'shard'} of ${measured['entries']}`;
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
