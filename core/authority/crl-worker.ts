import { parentPort, workerData } from 'node:worker_threads';

import { openSqlite } from '../store/sqlite-store.ts';
import type { Store } from '../store/store.ts';
import { localBuilder, type CrlOrder } from './crl-building.ts';

/** Where a worker reads revocations: the URL of PostgreSQL may hold a password and goes from thread to thread only. */
export type CrlDatabase =
  | { readonly engine: 'sqlite'; readonly file: string }
  | { readonly engine: 'postgres'; readonly url: string };

/** What a worker is started with. */
export interface CrlWorkerData {
  readonly database: CrlDatabase;
  readonly order: CrlOrder;
}

/** Builds one CRL over a connection of its own, hands it over without a copy, and ends. */
async function main(): Promise<void> {
  const { database, order } = workerData as CrlWorkerData;
  await using store = await openReadOnly(database);
  const built = await localBuilder(store)(order);
  parentPort!.postMessage(built, [built.tbsDer.buffer as ArrayBuffer]);
}

async function openReadOnly(database: CrlDatabase): Promise<Store> {
  if (database.engine === 'sqlite') return openSqlite({ file: database.file, readOnly: true });
  const { openPostgres } = await import('../store/postgres-store.ts');
  return openPostgres({ url: database.url, connections: 1 });
}

await main();
