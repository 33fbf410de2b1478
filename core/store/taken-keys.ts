import { sql } from 'kysely';
import { databaseNow } from './database-clock.ts';
import { statement } from './statement.ts';
import type { Store } from './store.ts';

interface TakenKeyTables {
  taken_keys: { key: string; expires_at: number };
}

/** The durable record of keys that may be taken once. */
export interface TakenKeys {
  /** True when this call took the key. @throws UpstreamError store-unavailable when the store cannot say. */
  take(key: string, ttlSeconds: number): Promise<boolean>;
}

const take = statement<TakenKeyTables>()('taken-key-take', (db, p: { key: string; ttlMs: number }, engine) =>
  db
    .insertInto('taken_keys')
    .values({ key: p.key, expires_at: sql<number>`${databaseNow(engine)} + ${asInteger(p.ttlMs)}` })
    .onConflict((conflict) =>
      conflict
        .column('key')
        .doUpdateSet({ expires_at: sql`excluded.expires_at` })
        .where('taken_keys.expires_at', '<=', databaseNow(engine)),
    ),
);

const purge = statement<TakenKeyTables>()('taken-key-purge', (db, p: { limit: number }, engine) =>
  db
    .deleteFrom('taken_keys')
    .where('key', 'in', (query) =>
      query
        .selectFrom('taken_keys')
        .select('key')
        .where('expires_at', '<=', databaseNow(engine))
        .limit(asInteger(p.limit)),
    ),
);

/** Each so many takes, one also removes twice as many expired rows: the table stays as small as what is alive. */
const PURGE_EVERY = 500;

/** The record in the table `taken_keys` of a store. */
export function takenKeysOf(store: Pick<Store, 'unit'>): TakenKeys {
  let takes = 0;
  return {
    take(key, ttlSeconds) {
      takes += 1;
      const alsoPurge = takes % PURGE_EVERY === 0;
      return store.unit(async (tx) => {
        if (alsoPurge) await tx.affected(purge, { limit: 2 * PURGE_EVERY });
        return (await tx.affected(take, { key, ttlMs: ttlSeconds * 1000 })) === 1;
      });
    },
  };
}

/** PostgreSQL cannot tell the type of a parameter in an expression; SQLite would take a bound number for a fraction. */
function asInteger(value: number) {
  return sql<number>`cast(${value} as bigint)`;
}
