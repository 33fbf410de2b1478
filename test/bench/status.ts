import { fork, type ChildProcess } from 'node:child_process';
import { hash, randomBytes } from 'node:crypto';
import { once } from 'node:events';

import { decode, encode } from '../../core/asn1/codec.ts';
import { any, bitString, nullValue, octetString, oid, optional, sequence, sequenceOf, explicit, serialInteger } from '../../core/asn1/schema.ts';
import { parseCertificate } from '../../core/x509/certificate.ts';
import { extensionsSchema } from '../../core/x509/extensions.ts';
import { parseSerialNumber, serialNumberOctets } from '../../core/x509/serial-number.ts';
import { freePort } from '../support/server-process.ts';
import { figure, type Figure } from './figure.ts';
import { keptAliveRate } from './http-load.ts';
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
  const issuer = hashesOf(ready);
  const requests = ready.serialNumbers.map((serial) => ocspRequest(issuer, serial));
  const gets = requests.map((der) => getOf(ready, der));
  const posts = requests.map((der) => postOf(ready, der));
  const nth = <T>(list: readonly T[]) => (index: number): T => list[index % list.length]!;
  const rates = { get: [] as number[], post: [] as number[], bare: [] as number[], nonce: [] as number[] };
  await keptAliveRate(ready.port, nth(gets));
  await keptAliveRate(ready.port, nth(posts));
  for (let run = 0; run < runs; run++) {
    rates.bare.push(await keptAliveRate(ready.barePort, nth(gets)));
    rates.get.push(await keptAliveRate(ready.port, nth(gets)));
    rates.post.push(await keptAliveRate(ready.port, nth(posts)));
    rates.nonce.push(
      await keptAliveRate(ready.port, (index) =>
        postOf(ready, ocspRequest(issuer, ready.serialNumbers[index % 5000]!, randomBytes(32))),
      ),
    );
  }
  const limit = { name: 'bare HTTP in the same process', runs: rates.bare };
  return [
    figure('OCSP GET, pre-signed', 'answers/s', rates.get, limit),
    figure('OCSP POST, pre-signed', 'answers/s', rates.post, limit),
    figure('OCSP POST with nonce', 'answers/s', rates.nonce, limit),
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

const spki = sequence('SubjectPublicKeyInfo', { algorithm: any, subjectPublicKey: bitString });
const requestSchema = sequence('OCSPRequest', {
  tbsRequest: sequence('TBSRequest', {
    requestList: sequenceOf(
      sequence('Request', {
        reqCert: sequence('CertID', {
          hashAlgorithm: sequence('AlgorithmIdentifier', { algorithm: oid, parameters: nullValue }),
          issuerNameHash: octetString,
          issuerKeyHash: octetString,
          serialNumber: serialInteger,
        }),
      }),
    ),
    requestExtensions: optional(explicit(2, extensionsSchema)),
  }),
});

interface IssuerHashes {
  readonly issuerNameHash: Buffer;
  readonly issuerKeyHash: Buffer;
}

export function hashesOf({ issuer }: StatusServerReady): IssuerHashes {
  const { subject, publicKey } = parseCertificate(Buffer.from(issuer, 'base64'));
  const { bytes } = decode(spki, publicKey.der).subjectPublicKey;
  return { issuerNameHash: hash('sha1', subject.der, 'buffer'), issuerKeyHash: hash('sha1', bytes, 'buffer') };
}

export function ocspRequest(issuer: IssuerHashes, serialNumber: string, nonce?: Uint8Array): Buffer {
  const reqCert = {
    hashAlgorithm: { algorithm: '1.3.14.3.2.26', parameters: null },
    ...issuer,
    serialNumber: serialNumberOctets(parseSerialNumber(serialNumber)),
  };
  const value = nonce && encode(octetString, nonce);
  return Buffer.from(
    encode(requestSchema, {
      tbsRequest: {
        requestList: [{ reqCert }],
        requestExtensions: value && [{ oid: '1.3.6.1.5.5.7.48.1.2', critical: false, value }],
      },
    }),
  );
}

export function getOf({ authority }: StatusServerReady, der: Buffer): string {
  return `GET /ocsp/${authority}/${encodeURIComponent(der.toString('base64'))} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
}

export function postOf({ authority }: StatusServerReady, der: Buffer): Buffer {
  const head =
    `POST /ocsp/${authority} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/ocsp-request\r\n` +
    `Content-Length: ${der.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), der]);
}
