import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type CertificateFilter,
  listCertificates,
  streamCertificates,
} from '../../core/authority/certificate-search.ts';
import type { AuthorityTables } from '../../core/authority/tables.ts';
import type { Store } from '../../core/store/store.ts';
import { openStore } from '../../server/composition/storage.ts';
import { figure, type Figure, quantile } from './figure.ts';

const COUNT = 1_000_000;
const ROWS_A_UNIT = 2_000;
const SEARCHES = 60;
const DAY = 86_400_000;
const PAGE = 50;

/** Searches and an export over a million certificates on SQLite. */
export async function measureCertificates(): Promise<Figure[]> {
  const folder = await mkdtemp(join(tmpdir(), 'muster-bench-'));
  const store = await openStore({ engine: 'sqlite', file: join(folder, 'muster.db') }, () => undefined);
  try {
    await fill(store);
    const figures: Figure[] = [];
    for (const [name, filterOf] of SEARCH_KINDS) {
      const times: number[] = [];
      for (let turn = 0; turn < SEARCHES; turn += 1) {
        const filter = filterOf((turn * 7_919 * 1_231) % COUNT);
        const begin = performance.now();
        await listCertificates(store, 'bench', { ...filter, limit: PAGE });
        times.push(performance.now() - begin);
      }
      figures.push(figure(`search in 1,000,000, ${name}, p50`, 'ms', [quantile(times, 0.5)]));
      figures.push(figure(`search in 1,000,000, ${name}, p99`, 'ms', [quantile(times, 0.99)]));
    }
    return [...figures, ...(await measureExport(store))];
  } finally {
    await store.close();
    await rm(folder, { recursive: true, force: true });
  }
}

type Filter = Omit<CertificateFilter, 'limit'>;

const SEARCH_KINDS: readonly (readonly [string, (index: number) => Filter])[] = [
  ['first page', () => ({})],
  ['page in the middle', (index) => ({ after: idOf(index) })],
  ['name', (index) => ({ name: `router${index}.example` })],
  ['serial number', (index) => ({ serialNumber: serialOf(index) })],
  ['fingerprint', (index) => ({ fingerprint: fingerprintOf(index) })],
  ['rare algorithm', () => ({ keyAlgorithm: 'Ed25519' })],
  ['rare authority', () => ({ authority: 'ca-rare' })],
  ['revoked', () => ({ status: 'revoked' })],
  ['imported', () => ({ source: 'imported' })],
  ['ending in a day, by end', () => ({ order: 'notAfter', expiresAfter: BASE, expiresBefore: BASE + DAY })],
  ['expired, by end', () => ({ order: 'notAfter', status: 'active', expiresBefore: BASE })],
];

async function measureExport(store: Store): Promise<Figure[]> {
  const begin = performance.now();
  let rows = 0;
  let highest = 0;
  for await (const row of streamCertificates(store, 'bench', {})) {
    rows += row.id === '' ? 0 : 1;
    if (rows % 50_000 === 0) highest = Math.max(highest, process.memoryUsage().rss);
  }
  const seconds = (performance.now() - begin) / 1000;
  return [
    figure('export of 1,000,000 certificates, rows from the store', 'rows/s', [rows / seconds]),
    figure('the same, most resident memory', 'MB', [highest / 1e6]),
  ];
}

const BASE = Date.UTC(2027, 0, 1);

function idOf(index: number): string {
  return `c${String(index).padStart(12, '0')}`;
}

function serialOf(index: number): string {
  return `4f${(index * 2_654_435_761).toString(16).padStart(16, '0')}`;
}

function fingerprintOf(index: number): string {
  return (BigInt(index) * 0x9e3779b97f4a7c15f39cc0605cedc835n).toString(16).padStart(64, '0').slice(-64);
}

async function fill(store: Store): Promise<void> {
  await store.unit(async (tx) => {
    const tenant = { id: 'bench', name: 'bench', created_at: 0 };
    await tx.db<AuthorityTables>().insertInto('tenants').values(tenant).execute();
    for (const id of ['ca', 'ca-rare']) {
      const row = {
        id,
        name: id,
        kind: 'issuing' as const,
        parent: null,
        key_uri: 'pkcs11:token=bench;object=ca',
        certificate: new Uint8Array([0x30, 0]),
        spki_sha256: id,
        state: 'active' as const,
        crl_shards: 16,
        created_at: 0,
      };
      await tx.forTenant<AuthorityTables>('bench').insertInto('authorities', row).execute();
    }
  });
  for (let first = 0; first < COUNT; first += ROWS_A_UNIT) await insertSome(store, first);
}

async function insertSome(store: Store, first: number): Promise<void> {
  const indexes = Array.from({ length: ROWS_A_UNIT }, (_, offset) => first + offset);
  // SQLite binds at most 32,766 values a statement.
  const part = 500;
  await store.unit(async (tx) => {
    const mine = tx.forTenant<AuthorityTables>('bench');
    for (let from = 0; from < indexes.length; from += part) {
      const some = indexes.slice(from, from + part);
      await mine.insertInto('certificates', some.map(rowOf)).execute();
      const names = some.map((index) => ({
        certificate: idOf(index),
        kind: 'dnsName',
        value: `dns:router${index}.example`,
      }));
      await mine.insertInto('certificate_names', names).execute();
    }
  });
}

/** Octets of a certificate of usual size. */
const DER = new Uint8Array(700);

function rowOf(index: number) {
  return {
    id: idOf(index),
    kind: 'x509' as const,
    authority: index % 50_000 === 3 ? 'ca-rare' : 'ca',
    serial_number: serialOf(index),
    device: null,
    profile: 'device',
    enrollment: null,
    subject: `CN=router${index},O=Example`,
    der: DER,
    fingerprint: fingerprintOf(index),
    spki_sha256: fingerprintOf(index + COUNT),
    key_algorithm: index % 50_000 === 5 ? 'Ed25519' : index % 3 === 0 ? 'RSA 2048' : 'EC P-256',
    not_before: BASE - 365 * DAY + (index % 365) * DAY,
    not_after: BASE - 30 * DAY + (index % 365) * DAY + (index % 1_000),
    status: index % 100 === 7 ? ('revoked' as const) : ('active' as const),
    revoked_at: null,
    revocation_reason: null,
    replaced_by: null,
    source: index % 50_000 === 9 ? ('imported' as const) : ('issued' as const),
    created_at: BASE - 365 * DAY + index,
  };
}
