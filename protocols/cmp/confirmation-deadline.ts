import { revokeCertificate } from '../../core/authority/revocation.ts';
import type { Store, Unit } from '../../core/store/store.ts';
import type { CmpTables, TransactionRow } from './tables.ts';
import { endOf } from './transactions.ts';

/** Rows handled in one round: the next one follows soon. */
const AT_ONCE = 500;

type DueRow = Pick<
  TransactionRow,
  'tenant' | 'endpoint' | 'transaction_id' | 'state' | 'due_at' | 'certificate' | 'unconfirmed'
>;

/**
 * Ends what nobody confirmed in time, with the outcome that was set when the certificate went out (C7: real base stations
 * never confirm, and others are to be caught), and drops transactions that are long over. For the background; safe on any
 * number of nodes.
 */
export async function endUnconfirmed(store: Store): Promise<void> {
  const now = store.clock.now();
  const due = await store
    .read<CmpTables>()
    .selectFrom('cmp_transactions')
    .select(['tenant', 'endpoint', 'transaction_id', 'state', 'due_at', 'certificate', 'unconfirmed'])
    .where('due_at', '<', now)
    .orderBy('due_at')
    .limit(AT_ONCE)
    .execute();
  for (const row of due.filter(({ state }) => state === 'confirming')) {
    await store.unit((tx) => endConfirmation(tx, row, now));
  }
  const over = due.filter(({ state }) => state !== 'confirming');
  if (over.length > 0) await store.unit((tx) => drop(tx, over));
}

async function endConfirmation(tx: Unit, row: DueRow, now: number): Promise<void> {
  const { tenant, certificate, unconfirmed, transaction_id: transactionId } = row;
  const { numUpdatedRows } = await tx
    .forTenant<CmpTables>(tenant)
    .updateTable('cmp_transactions', {
      state: 'ended',
      confirmation: 'unconfirmed',
      updated_at: now,
      due_at: endOf(now),
    })
    .where('endpoint', '=', row.endpoint)
    .where('transaction_id', '=', transactionId)
    .where('state', '=', 'confirming')
    .executeTakeFirstOrThrow();
  if (numUpdatedRows === 0n || unconfirmed === 'keep' || certificate === null) return;
  await revokeCertificate(tx, {
    tenant,
    certificateId: certificate,
    reason: 'cessationOfOperation',
    actor: 'system:cmp',
    at: now,
    details: { cause: 'not confirmed in time', protocol: 'cmp', transactionId },
  });
}

/** What has gone on since it was read is no longer due, and stays. */
async function drop(tx: Unit, rows: readonly DueRow[]): Promise<void> {
  for (const { tenant, endpoint, transaction_id: transactionId, due_at: dueAt } of rows) {
    await tx
      .forTenant<CmpTables>(tenant)
      .deleteFrom('cmp_transactions')
      .where('endpoint', '=', endpoint)
      .where('transaction_id', '=', transactionId)
      .where('due_at', '=', dueAt)
      .execute();
  }
}
