import type { Store } from '../store/store.ts';
import type { AuditTree } from './entry.ts';
import { HASH_BYTES } from './merkle.ts';
import { storedBytes, tenantColumn } from './tables.ts';
import type { AuditTables } from './tables.ts';
import { LEAVES_PER_TILE, readLeafTile } from './tile.ts';
import type { LoggedEntry } from './verify.ts';

/**
 * The placed entries of a tree in the order of their index, exactly as they are stored, each with the leaf hash of the
 * stored tree: what `verifyLog` takes and `exportLine` writes. Streams; memory does not grow with the log.
 */
export async function* streamLog(store: Store, tree: AuditTree): AsyncGenerator<LoggedEntry> {
  const rows = store.stream<AuditTables, { tree_index: number | null; entry: Uint8Array }>((db) =>
    db
      .selectFrom('audit_entries')
      .select(['tree_index', 'entry'])
      .where('tenant', '=', tenantColumn(tree))
      .where('tree_index', 'is not', null)
      .orderBy('tree_index'),
  );
  let block = -1;
  let hashes: Uint8Array = new Uint8Array(0);
  for await (const row of rows) {
    const index = row.tree_index ?? -1;
    if (Math.floor(index / LEAVES_PER_TILE) !== block) {
      block = Math.floor(index / LEAVES_PER_TILE);
      // Tiles only grow, so the one of now has at least the entries of the stream's view.
      hashes = await readLeafTile(store, tree, block);
    }
    const offset = (index % LEAVES_PER_TILE) * HASH_BYTES;
    const storedHash = hashes.subarray(offset, offset + HASH_BYTES);
    yield {
      index,
      bytes: storedBytes(row.entry),
      storedHash: storedHash.length === HASH_BYTES ? storedHash : undefined,
    };
  }
}
