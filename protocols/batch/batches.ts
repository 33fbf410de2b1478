import { newId } from '../../core/store/id.ts';
import type { Rows } from '../../core/store/rows.ts';
import { statement } from '../../core/store/statement.ts';
import type { Unit } from '../../core/store/store.ts';
import type { BatchRow, BatchTables } from './tables.ts';

/** Opens a batch; its requests come afterwards, in parts. Returns its id. */
export async function openBatch(
  tx: Unit,
  batch: Pick<BatchRow, 'tenant' | 'name' | 'endpoint' | 'created_by'>,
  now: number,
): Promise<string> {
  const id = newId(now);
  const row: BatchRow = { ...batch, id, lines: 0, created_at: now, updated_at: now };
  await tx.db<BatchTables>().insertInto('batches').values(row).execute();
  return id;
}

/** One batch of a tenant. */
export function findBatch(rows: Rows, tenant: string, id: string): Promise<BatchRow | undefined> {
  return rows.forTenant<BatchTables>(tenant).selectFrom('batches').selectAll().where('id', '=', id).executeTakeFirst();
}

/** The batches of a tenant in order of id, after `after`. */
export function listBatches(
  rows: Rows,
  tenant: string,
  { after, limit }: { readonly after?: string | undefined; readonly limit: number },
): Promise<BatchRow[]> {
  let query = rows.forTenant<BatchTables>(tenant).selectFrom('batches').selectAll();
  if (after !== undefined) query = query.where('id', '>', after);
  return query.orderBy('id').limit(limit).execute();
}

/** Notes that all lines up to this one were answered; it never goes back. */
export async function noteAnswered(
  tx: Unit,
  answered: { readonly tenant: string; readonly id: string; readonly lines: number; readonly now: number },
): Promise<void> {
  await tx.affected(advanceBatch, answered);
}

const advanceBatch = statement<BatchTables>()(
  'batch-advance',
  (db, p: { tenant: string; id: string; lines: number; now: number }) =>
    db
      .updateTable('batches')
      .set({ lines: p.lines, updated_at: p.now })
      .where('tenant', '=', p.tenant)
      .where('id', '=', p.id)
      .where('lines', '<', p.lines),
);
