import { sql } from 'kysely';
import { InternalError } from '../errors/muster-error.ts';
import { statement } from '../store/statement.ts';
import type { Store } from '../store/store.ts';
import type { AuditTree } from './entry.ts';
import { CompactRange, EMPTY_ROOT, hashesEqual } from './merkle.ts';
import { storedBytes, tenantColumn, treeOfColumn } from './tables.ts';
import type { AuditTables } from './tables.ts';

/** The right edge of a stored tree. */
export interface TreeHead {
  readonly size: number;
  readonly rootHash: Uint8Array;
  /** Size of the last signed checkpoint that the store knows of; 0 when there is none. */
  readonly checkpointSize: number;
}

/** Reads the head; inside a unit it runs on the unit. */
export const selectHead = statement<AuditTables>()('audit-head', (db, p: { tenant: string }) =>
  db.selectFrom('audit_heads').selectAll().where('tenant', '=', p.tenant),
);

/** The head of a tree; an empty one when nothing was placed yet. Throws InternalError for a head that contradicts itself. */
export async function readHead(store: Store, tree: AuditTree): Promise<TreeHead> {
  const [row] = await store.query(selectHead, { tenant: tenantColumn(tree) });
  if (row === undefined) return { size: 0, rootHash: EMPTY_ROOT, checkpointSize: 0 };
  openFrontier(row);
  return { size: row.size, rootHash: row.root, checkpointSize: row.checkpoint_size };
}

/** The tree of a head's row, ready to grow. Throws InternalError for a row that contradicts itself. */
export function openFrontier(row: AuditTables['audit_heads'] | undefined): CompactRange {
  if (row === undefined) return CompactRange.empty();
  const range = CompactRange.from(row.size, storedBytes(row.frontier));
  if (range !== undefined && hashesEqual(range.root(), storedBytes(row.root))) return range;
  throw new InternalError('the head of an audit tree contradicts itself', {
    cause: { tenant: row.tenant, size: row.size },
  });
}

/** The trees that have a head. */
export async function listTrees(store: Store): Promise<AuditTree[]> {
  const rows = await store.read<AuditTables>().selectFrom('audit_heads').select('tenant').orderBy('tenant').execute();
  return rows.map((row) => treeOfColumn(row.tenant));
}

/** The trees whose head has grown past their last checkpoint. */
export async function listUnsignedTrees(store: Store): Promise<AuditTree[]> {
  const rows = await store
    .read<AuditTables>()
    .selectFrom('audit_heads')
    .select('tenant')
    .whereRef('size', '>', 'checkpoint_size')
    .orderBy('tenant')
    .execute();
  return rows.map((row) => treeOfColumn(row.tenant));
}

const selectWaits = statement<AuditTables>()('audit-tree-waits', (db, p: { tenant: string }) =>
  db
    .selectFrom('audit_entries')
    .select('tenant')
    .where('tree_index', 'is', null)
    .where('tenant', '=', p.tenant)
    .limit(sql.lit(1)),
);

const selectNextWaiting = statement<AuditTables>()('audit-tree-next-waiting', (db, p: { after: string }) =>
  db
    .selectFrom('audit_entries')
    .select('tenant')
    .where('tree_index', 'is', null)
    .where('tenant', '>', p.after)
    .orderBy('tenant')
    .limit(sql.lit(1)),
);

/**
 * The trees that have entries waiting for their place. One look-up a tree: a DISTINCT would read all that waits, which
 * after an outage is a lot.
 */
export async function listWaitingTrees(store: Store): Promise<AuditTree[]> {
  const installation = tenantColumn(null);
  const trees = (await store.query(selectWaits, { tenant: installation })).length > 0 ? [installation] : [];
  for (let after = installation; ;) {
    const [next] = await store.query(selectNextWaiting, { after });
    if (next === undefined) return trees.map(treeOfColumn);
    trees.push(next.tenant);
    after = next.tenant;
  }
}
