import { sql } from 'kysely';
import type { Compilable, Kysely } from 'kysely';
import { StateError } from '../errors/muster-error.ts';
import { statement } from '../store/statement.ts';
import type { Store, Unit } from '../store/store.ts';
import type { AuditTree } from './entry.ts';
import { openFrontier, selectHead } from './head.ts';
import { leafHash } from './merkle.ts';
import type { CompactRange } from './merkle.ts';
import { storedBytes, tenantColumn } from './tables.ts';
import type { AuditTables } from './tables.ts';
import { TileWriter } from './tile.ts';

/** Entries that one unit places: large enough to be quick, small enough not to hold up the event loop (README). */
export const ENTRIES_PER_UNIT = 256;

/** What one unit did. */
export interface Sequenced {
  /** Entries placed; fewer than the limit when none are left. */
  readonly placed: number;
  /** Size of the tree afterwards. */
  readonly size: number;
}

const selectWaiting = statement<AuditTables>()('audit-waiting', (db, p: { tenant: string; limit: number }) =>
  db
    .selectFrom('audit_entries')
    .select(['id', 'entry'])
    .where('tenant', '=', p.tenant)
    .where('tree_index', 'is', null)
    .orderBy('id')
    .limit(sql<number>`${p.limit}`),
);

type HeadMove = {
  tenant: string;
  oldSize: number;
  size: number;
  root: Uint8Array;
  frontier: Uint8Array;
  fence: number;
};

const insertHead = statement<AuditTables>()('audit-head-insert', (db, p: HeadMove) =>
  db
    .insertInto('audit_heads')
    .values({ tenant: p.tenant, size: p.size, root: p.root, frontier: p.frontier, fence: p.fence, checkpoint_size: 0 })
    .onConflict((conflict) => conflict.column('tenant').doNothing()),
);

const moveHead = statement<AuditTables>()('audit-head-move', (db, p: HeadMove) =>
  db
    .updateTable('audit_heads')
    .set({ size: p.size, root: p.root, frontier: p.frontier, fence: p.fence })
    .where('tenant', '=', p.tenant)
    .where('size', '=', p.oldSize)
    .where('fence', '<=', p.fence),
);

/** `ids`: a JSON array of row ids in the order of their places; the first one gets `first`. */
type Placement = { first: number; ids: string };

const placeOnSqlite = statement<AuditTables>()('audit-place-sqlite', (db, p: Placement) =>
  raw(
    db,
    sql`update audit_entries set tree_index = ${p.first} + place.key from json_each(${p.ids}) as place
      where audit_entries.id = place.value and audit_entries.tree_index is null`,
  ),
);

const placeOnPostgres = statement<AuditTables>()('audit-place-postgres', (db, p: Placement) =>
  raw(
    db,
    sql`update audit_entries set tree_index = cast(${p.first} as bigint) + place.number - 1
      from json_array_elements_text(cast(${p.ids} as json)) with ordinality as place(id, number)
      where audit_entries.id = cast(place.id as bigint) and audit_entries.tree_index is null`,
  ),
);

/**
 * Places up to `limit` waiting entries of a tree and moves its head, in one unit. Rows are chosen by having no place,
 * not by their id: ids are given out before units commit, so a lower one may become visible later.
 *
 * Throws StateError `conflict`, having done nothing, when another sequencer moved the head meanwhile or holds a newer
 * fencing token than `fence`.
 */
export function sequenceOnce(
  store: Store,
  tree: AuditTree,
  { fence, limit = ENTRIES_PER_UNIT }: { readonly fence: number; readonly limit?: number },
): Promise<Sequenced> {
  const tenant = tenantColumn(tree);
  return store.unit(async (tx) => {
    const [head] = await tx.run(selectHead, { tenant });
    const range = openFrontier(head);
    const oldSize = range.size;
    const waiting = await tx.run(selectWaiting, { tenant, limit });
    if (waiting.length === 0) return { placed: 0, size: oldSize };
    const tiles = growTree(range, waiting);
    const move = { tenant, oldSize, size: range.size, root: range.root(), frontier: range.frontier(), fence };
    // First of all writes: on PostgreSQL this row's lock is what a second sequencer waits for, to find its size gone.
    const moved = await tx.affected(head === undefined ? insertHead : moveHead, move);
    if (moved !== 1)
      throw new StateError('conflict', `another sequencer moved the head of ${tree ?? 'the installation'}`);
    await tiles.write(tx, tree);
    await place(tx, waiting, oldSize);
    return { placed: waiting.length, size: range.size };
  });
}

function growTree(range: CompactRange, waiting: readonly { readonly entry: Uint8Array }[]): TileWriter {
  const tiles = new TileWriter();
  for (const { entry } of waiting) range.append(leafHash(storedBytes(entry)), tiles.collect);
  return tiles;
}

async function place(tx: Unit, waiting: readonly { readonly id: number }[], first: number): Promise<void> {
  const ids = JSON.stringify(waiting.map((row) => row.id));
  const placed = await tx.affected(tx.engine === 'sqlite' ? placeOnSqlite : placeOnPostgres, { first, ids });
  if (placed !== waiting.length) {
    throw new StateError('conflict', `expected to place ${waiting.length} audit entries, placed ${placed}`);
  }
}

function raw(
  db: Kysely<AuditTables>,
  query: { compile(db: Kysely<AuditTables>): ReturnType<Compilable['compile']> },
): Compilable {
  return { compile: () => query.compile(db) };
}
