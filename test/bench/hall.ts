import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Endpoint } from '../../core/enrollment/endpoint.ts';
import { createSecret } from '../../core/enrollment/secrets.ts';
import type { KeyAlgorithm } from '../../core/keys/key-algorithm.ts';
import { openKeyStore } from '../../core/keys/key-store.ts';
import { Secret } from '../../core/keys/secret.ts';
import type { Store } from '../../core/store/store.ts';
import { parseCertificationRequest, verifyCertificationRequestAsync } from '../../core/x509/certification-request.ts';
import { EXTENSIONS } from '../../core/x509/extensions.ts';
import { composeKernel, type Kernel } from '../../server/composition/kernel.ts';
import { openShortLived, openStore } from '../../server/composition/storage.ts';
import { ensureDefaultTenant } from '../../server/installation/first-start.ts';
import { privateSoftHsm } from '../support/softhsm.ts';
import { makeCsr } from '../support/test-pki.ts';

/** One way to run the hall, and what it gave. */
export interface HallFigure {
  readonly engine: Store['engine'];
  readonly algorithm: KeyAlgorithm;
  readonly concurrency: number;
  /** Certificates a second, durable. */
  readonly perSecond: number;
  readonly commitsPerCertificate: number;
}

/** A prepared installation to push requests through. */
interface Bench {
  readonly kernel: Kernel;
  readonly endpoint: Endpoint;
  readonly requests: readonly Uint8Array[];
}

const REQUESTS = 1000;

/** CSR octets in, durable certificate out: parsed, proved, authenticated by a one-time password, issued. */
export async function measureHall(algorithm: KeyAlgorithm, postgresUrl?: string, milliseconds = 4000): Promise<HallFigure[]> {
  const softHsm = await privateSoftHsm();
  const folder = await mkdtemp(join(tmpdir(), 'muster-bench-'));
  const report = (error: unknown): void => console.error(error);
  try {
    await using store = await openStore(
      postgresUrl === undefined
        ? { engine: 'sqlite', file: join(folder, 'muster.db') }
        : { engine: 'postgres', url: new Secret(postgresUrl) },
      report,
    );
    await using keys = await openKeyStore([softHsm]);
    await using shortLived = await openShortLived(undefined, store, report);
    await ensureDefaultTenant(store, keys, { token: softHsm.label, rootAlgorithm: algorithm, issuingAlgorithm: algorithm });
    const kernel = await composeKernel({
      store,
      keys,
      shortLived,
      publicUrl: 'http://localhost:8080',
      observer: { decided: () => undefined },
      approvals: { waiting: () => undefined },
    });
    const endpoint = (await kernel.endpoints.resolve(undefined))!;
    const bench: Bench = { kernel, endpoint, requests: requestsOf(REQUESTS) };
    await run(bench, 64, milliseconds / 4);
    const figures: HallFigure[] = [];
    for (const concurrency of [1, 64]) {
      figures.push({ engine: store.engine, algorithm, concurrency, ...(await run(bench, concurrency, milliseconds)) });
    }
    return figures;
  } finally {
    await rm(folder, { recursive: true, force: true });
    await softHsm.remove();
  }
}

function requestsOf(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, index) => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    return makeCsr({ subject: `CN=router${index},O=Example`, san: [`dns:router${index}.example`], key: privateKey }).der;
  });
}

let serial = 0;

async function run(bench: Bench, concurrency: number, milliseconds: number): Promise<{ perSecond: number; commitsPerCertificate: number }> {
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
  const request = { tenant: endpoint.tenant, endpoint: endpoint.id, usage: 'one-time', lifetimeSeconds: 3600, createdBy: 'bench' } as const;
  const made = await Promise.all(
    Array.from({ length: Math.ceil(count / 200) }, () =>
      store.unit(async (tx) => {
        const secrets = [];
        for (let index = 0; index < 200; index++) secrets.push((await createSecret(tx, secretHash, store.clock.now(), request)).secret);
        return secrets;
      }),
    ),
  );
  return made.flat();
}

if (import.meta.main) {
  for (const algorithm of ['ec-p256', 'rsa-2048'] as const) console.log(await measureHall(algorithm));
}
