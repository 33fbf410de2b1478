import { randomBytes } from 'node:crypto';

import { InternalError } from '../../core/errors/muster-error.ts';
import type { Store } from '../../core/store/store.ts';
import type { InstallationTables } from './tables.ts';

/** The value of this name; the first node that asks sets it, and every other one gets the same. */
export async function sharedValue(store: Store, name: string, make: () => Promise<Uint8Array>): Promise<Uint8Array> {
  const present = await readValue(store, name);
  if (present) return present;
  const value = await make();
  await store.unit(async (tx) => {
    await tx
      .db<InstallationTables>()
      .insertInto('installation')
      .values({ name, value })
      .onConflict((conflict) => conflict.column('name').doNothing())
      .execute();
  });
  const stored = await readValue(store, name);
  if (!stored) throw new InternalError(`the installation's ${name} was stored and is gone`);
  return stored;
}

/** 32 random octets that every node shares: keys the hashes of passwords we made. */
export function hashKey(store: Store): Promise<Uint8Array> {
  return sharedValue(store, 'secret-hash-key', async () => randomBytes(32));
}

async function readValue(store: Store, name: string): Promise<Uint8Array | undefined> {
  const row = await store
    .read<InstallationTables>()
    .selectFrom('installation')
    .select('value')
    .where('name', '=', name)
    .executeTakeFirst();
  return row?.value;
}
