import { revokeCertificate } from '../../core/authority/revocation.ts';
import type { Store } from '../../core/store/store.ts';
import type { CmpTables } from './tables.ts';

/** Rows handled in one round: the next one follows soon. */
const AT_ONCE = 200;

/**
 * Ends what nobody confirmed in time, with the outcome that was set when the certificate went out (C7: real base stations
 * never confirm, and others are to be caught), and drops transactions that are long over. For the background; safe on any
 * number of nodes.
 *
 * @returns how many confirmations were given up.
 */
export async function endUnconfirmed(store: Store): Promise<number> {
  const now = store.clock.now();
  const due = await store
    .read<CmpTables>()
    .selectFrom('cmp_transactions')
    .select(['tenant', 'id', 'certificate', 'unconfirmed', 'transaction_id'])
    .where('state', '=', 'confirming')
    .where('confirm_until', '<', now)
    .limit(AT_ONCE)
    .execute();
  for (const { tenant, id, certificate, unconfirmed, transaction_id: transactionId } of due) {
    await store.unit(async (tx) => {
      const { numUpdatedRows } = await tx
        .forTenant<CmpTables>(tenant)
        .updateTable('cmp_transactions', { state: 'ended', confirmation: 'unconfirmed', updated_at: now })
        .where('id', '=', id)
        .where('state', '=', 'confirming')
        .executeTakeFirstOrThrow();
      if (numUpdatedRows === 0n || unconfirmed === 'keep' || certificate === null) return;
      await revokeCertificate(tx, {
        tenant,
        certificateId: certificate,
        reason: 'cessationOfOperation',
        actor: 'system:cmp',
        at: now,
        details: { cause: 'not confirmed in time', transactionId },
      });
    });
  }
  await dropOver(store, now);
  return due.length;
}

async function dropOver(store: Store, now: number): Promise<void> {
  const over = await store
    .read<CmpTables>()
    .selectFrom('cmp_transactions')
    .select(['tenant', 'id'])
    .where('expires_at', '<', now)
    .where('state', '!=', 'confirming')
    .limit(AT_ONCE)
    .execute();
  if (over.length === 0) return;
  await store.unit(async (tx) => {
    for (const { tenant, id } of over) {
      await tx.forTenant<CmpTables>(tenant).deleteFrom('cmp_transactions').where('id', '=', id).execute();
    }
  });
}
