import { Worker } from 'node:worker_threads';

import { InternalError, UpstreamError } from '../errors/muster-error.ts';
import type { Store } from '../store/store.ts';
import { type BuiltCrl, type CrlBuilder, localBuilder } from './crl-building.ts';
import { selectEntries } from './crl-entries.ts';
import type { CrlDatabase, CrlWorkerData } from './crl-worker.ts';
import type { AuthorityTables } from './tables.ts';

/** Up to here the event loop builds a list faster than a worker starts, and nobody notices. */
const LOCAL_ENTRIES = 25_000;
/** A worker's heap holds a few rows and the megabyte being written: the list itself lies outside. */
const WORKER_HEAP_MB = 128;

/** Builds short lists on the event loop and long ones in a worker of their own. */
export function workerBuilder(store: Store, database: CrlDatabase): CrlBuilder {
  const local = localBuilder(store);
  return async (order) => {
    const some = await selectEntries(store.read<AuthorityTables>(), order.selection)
      .clearSelect()
      .clearOrderBy()
      .select('shard')
      .offset(LOCAL_ENTRIES)
      .limit(1)
      .execute();
    return some.length === 0 ? local(order) : buildInWorker({ database, order });
  };
}

async function buildInWorker(workerData: CrlWorkerData): Promise<BuiltCrl> {
  const worker = new Worker(new URL('./crl-worker.ts', import.meta.url), {
    workerData,
    resourceLimits: { maxOldGenerationSizeMb: WORKER_HEAP_MB },
  });
  const { promise, resolve, reject } = Promise.withResolvers<BuiltCrl>();
  worker.once('message', resolve);
  // What is thrown there arrives without its class. A worker fails because its database does, or for want of memory.
  worker.once('error', (cause: Error) =>
    reject(new UpstreamError('store-unavailable', `the worker that builds a CRL failed: ${cause.message}`, { cause })),
  );
  worker.once('exit', () => reject(new InternalError('the worker that builds a CRL ended without one')));
  return promise;
}
