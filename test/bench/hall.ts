import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import type { Endpoint } from '../../core/enrollment/endpoint.ts';
import { createSecret } from '../../core/enrollment/secrets.ts';
import type { KeyAlgorithm } from '../../core/keys/key-algorithm.ts';
import { openKeyStore, type KeyStore } from '../../core/keys/key-store.ts';
import { parseKeyUri } from '../../core/keys/key-uri.ts';
import { Secret } from '../../core/keys/secret.ts';
import type { Store } from '../../core/store/store.ts';
import { parseCertificationRequest, verifyCertificationRequestAsync } from '../../core/x509/certification-request.ts';
import { EXTENSIONS } from '../../core/x509/extensions.ts';
import { composeKernel, type Kernel } from '../../server/composition/kernel.ts';
import { openShortLived, openStore } from '../../server/composition/storage.ts';
import { ensureDefaultTenant, provisionTenant } from '../../server/installation/first-start.ts';
import { listAuthorities } from '../../core/authority/authorities.ts';
import { defaultSignatureAlgorithm } from '../../core/x509/signature-algorithm.ts';
import { privateSoftHsm } from '../support/softhsm.ts';
import { makeCsr } from '../support/test-pki.ts';
import { figure, quantile, type Figure } from './figure.ts';

/** A prepared installation to push requests through. */
interface Bench {
  readonly kernel: Kernel;
  readonly endpoint: Endpoint;
  readonly requests: readonly Uint8Array[];
}

const REQUESTS = 1000;

/**
 * CSR octets in, durable certificate out: parsed, proved, authenticated by a one-time password, issued. Beside each figure
 * what the CA key alone signs, asked in the same way.
 */
export async function measureHall(algorithm: KeyAlgorithm, postgresUrl?: string): Promise<Figure[]> {
  await using installation = await openInstallation(algorithm, postgresUrl);
  const { bench, keys, engine } = installation;
  await run(bench, 64, WARM_UP_MS);
  const figures: Figure[] = [];
  for (const concurrency of [1, 64]) {
    const runs = [];
    const signatures = [];
    for (let round = 0; round < RUNS; round++) {
      runs.push(await run(bench, concurrency, RUN_MS));
      signatures.push(await signRate(keys, bench, concurrency));
    }
    const name = `the hall, ${algorithm}, ${engine}, ${concurrency} at once`;
    const rates = runs.map(({ perSecond }) => perSecond);
    figures.push(figure(name, 'certificates/s', rates, { name: 'signatures of the CA key alone', runs: signatures }));
    figures.push(
      figure(
        `${name}: commits`,
        'per certificate',
        runs.map(({ commitsPerCertificate }) => commitsPerCertificate),
      ),
    );
  }
  return figures;
}

/** Two tenants of one server: how long the quiet one waits (99th percentile) while the other floods, and alone. */
export async function measureFairness(): Promise<Figure[]> {
  await using installation = await openInstallation('ec-p256', undefined);
  const { bench, keys, token } = installation;
  const { store } = bench.kernel;
  await provisionTenant(store, keys, {
    token,
    name: 'quiet',
    isDefault: false,
    rootAlgorithm: 'ec-p256',
    issuingAlgorithm: 'ec-p256',
  });
  const quiet: Bench = { ...bench, endpoint: (await bench.kernel.endpoints.resolve('quiet'))! };
  await run(bench, 64, WARM_UP_MS);
  const alone = await quietLatencies(quiet);
  const flood = run(bench, FLOOD, QUIET_REQUESTS * 60);
  const beside = await quietLatencies(quiet);
  await flood;
  const peer = (share: number) => ({ name: 'alone', runs: [quantile(alone, share)] });
  return [
    figure('quiet tenant beside a flooding one, p50', 'ms', [quantile(beside, 0.5)], peer(0.5)),
    figure('quiet tenant beside a flooding one, p99', 'ms', [quantile(beside, 0.99)], peer(0.99)),
  ];
}

const RUNS = 3;
const RUN_MS = 3000;
const WARM_UP_MS = 1500;
const FLOOD = 256;
const QUIET_REQUESTS = 150;

async function quietLatencies(bench: Bench): Promise<number[]> {
  const passwords = await onePasswordEach(bench, QUIET_REQUESTS);
  const latencies = [];
  for (const password of passwords.slice(0, QUIET_REQUESTS)) {
    const start = performance.now();
    await enroll(bench, password);
    latencies.push(performance.now() - start);
    await delay(5);
  }
  return latencies;
}

interface Installation extends AsyncDisposable {
  readonly bench: Bench;
  readonly keys: KeyStore;
  readonly token: string;
  readonly engine: Store['engine'];
}

async function openInstallation(algorithm: KeyAlgorithm, postgresUrl: string | undefined): Promise<Installation> {
  await using opened = new AsyncDisposableStack();
  const softHsm = await privateSoftHsm();
  opened.defer(() => softHsm.remove());
  const folder = await mkdtemp(join(tmpdir(), 'muster-bench-'));
  opened.defer(() => rm(folder, { recursive: true, force: true }));
  const report = (error: unknown): void => console.error(error);
  const settings =
    postgresUrl === undefined
      ? ({ engine: 'sqlite', file: join(folder, 'muster.db') } as const)
      : ({ engine: 'postgres', url: new Secret(postgresUrl) } as const);
  const store = opened.use(await openStore(settings, report));
  const keys = opened.use(await openKeyStore([softHsm]));
  const shortLived = opened.use(await openShortLived(undefined, store, report));
  await ensureDefaultTenant(store, keys, {
    token: softHsm.label,
    rootAlgorithm: algorithm,
    issuingAlgorithm: algorithm,
  });
  const kernel = await composeKernel({
    store,
    keys,
    shortLived,
    publicUrl: 'http://localhost:8080',
    observer: { decided: () => undefined },
    approvals: { waiting: () => undefined },
    report: () => undefined,
  });
  const endpoint = (await kernel.endpoints.resolve(undefined))!;
  const owned = opened.move();
  return {
    bench: { kernel, endpoint, requests: requestsOf(REQUESTS) },
    keys,
    token: softHsm.label,
    engine: store.engine,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Signatures a second of the issuing CA's kind of key, asked `concurrency` at a time. */
async function signRate(keys: KeyStore, { endpoint, kernel }: Bench, concurrency: number): Promise<number> {
  const [row] = (await listAuthorities(kernel.store, endpoint.tenant)).filter(({ id }) => id === endpoint.authority);
  const key = await keys.open(parseKeyUri(row!.key_uri).uri);
  const algorithm = defaultSignatureAlgorithm(key.publicKey.algorithm);
  const data = new Uint8Array(600);
  const start = performance.now();
  let done = 0;
  const worker = async (): Promise<void> => {
    while (performance.now() - start < RUN_MS / 2) {
      await key.sign(algorithm, data, { tenant: 'bench' });
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return done / ((performance.now() - start) / 1000);
}

function requestsOf(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, index) => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    return makeCsr({ subject: `CN=router${index},O=Example`, san: [`dns:router${index}.example`], key: privateKey })
      .der;
  });
}

let serial = 0;

async function run(
  bench: Bench,
  concurrency: number,
  milliseconds: number,
): Promise<{ perSecond: number; commitsPerCertificate: number }> {
  const { store } = bench.kernel;
  const passwords = await onePasswordEach(bench, Math.ceil((milliseconds / 1000) * 8000));
  const commits = store.statistics.commits;
  const start = performance.now();
  let done = 0;
  const client = async (): Promise<void> => {
    while (performance.now() - start < milliseconds) {
      const password = passwords.pop();
      if (!password) throw new RangeError('the bench ran out of passwords');
      await enroll(bench, password);
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, client));
  const seconds = (performance.now() - start) / 1000;
  return { perSecond: done / seconds, commitsPerCertificate: (store.statistics.commits - commits) / done };
}

async function enroll({ kernel, endpoint, requests }: Bench, password: Secret): Promise<void> {
  const number = serial++;
  const csr = parseCertificationRequest(requests[number % requests.length]!);
  const fact = await kernel.credentials.password(endpoint, 'est', 'bench', password, '127.0.0.1');
  if (!(await verifyCertificationRequestAsync(csr))) throw new RangeError('a request of the bench does not verify');
  const outcome = await kernel.hall.enroll({
    requestId: String(number),
    endpoint,
    protocol: 'est',
    operation: 'enroll',
    requestKey: new TextEncoder().encode(String(number)),
    subject: csr.subject,
    subjectAltName: EXTENSIONS.subjectAltName.find(csr.requestedExtensions) ?? [],
    requestedExtensions: csr.requestedExtensions,
    publicKey: csr.publicKey,
    proofOfPossession: 'signature',
    der: csr.der,
    facts: [fact],
    sourceAddress: '127.0.0.1',
  });
  if (outcome.kind !== 'issued') throw new RangeError(`the bench was answered ${JSON.stringify(outcome)}`);
}

async function onePasswordEach({ kernel, endpoint }: Bench, count: number): Promise<Secret[]> {
  const { store, secretHash } = kernel;
  const request = {
    tenant: endpoint.tenant,
    endpoint: endpoint.id,
    usage: 'one-time',
    lifetimeSeconds: 3600,
    createdBy: 'bench',
  } as const;
  const made = await Promise.all(
    Array.from({ length: Math.ceil(count / 200) }, () =>
      store.unit(async (tx) => {
        const secrets = [];
        for (let index = 0; index < 200; index++)
          secrets.push((await createSecret(tx, secretHash, store.clock.now(), request)).secret);
        return secrets;
      }),
    ),
  );
  return made.flat();
}
