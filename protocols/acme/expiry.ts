import type { Store } from '../../core/store/store.ts';
import type { AcmeTables } from './tables.ts';

/** How long what came to nothing stays for its client to look at, and for an operator. */
const KEPT_MS = 30 * 86_400_000;
/** Rows of each kind that one turn takes away: a unit must not hold the writer long. */
const MAX_ROWS = 500;

/**
 * Forgets authorizations that ended a month ago, and orders that never got a certificate (V37). Orders with one stay: by them
 * an account revokes and replaces. For the background, every few minutes.
 */
export async function forgetEnded(store: Store): Promise<void> {
  const before = store.clock.now() - KEPT_MS;
  await store.unit(async (tx) => {
    const db = tx.db<AcmeTables>();
    await db
      .deleteFrom('acme_orders')
      .where('id', 'in', (orders) =>
        orders
          .selectFrom('acme_orders')
          .select('id')
          .where('status', 'in', ['pending', 'ready', 'invalid'])
          .where('expires_at', '<', before)
          .limit(MAX_ROWS),
      )
      .execute();
    await db
      .deleteFrom('acme_authorizations')
      .where('id', 'in', (authorizations) =>
        authorizations.selectFrom('acme_authorizations').select('id').where('expires_at', '<', before).limit(MAX_ROWS),
      )
      .execute();
    await db.deleteFrom('acme_renewal_windows').where('not_after', '<', before).execute();
  });
}
