import { InternalError } from '../errors/muster-error.ts';
import { statement } from '../store/statement.ts';
import type { Store, Unit } from '../store/store.ts';
import type { AuditTree } from './entry.ts';
import { HASH_BYTES, nodeHash } from './merkle.ts';
import type { SubtreeHashes, Subtree } from './proof.ts';
import { storedBytes, tenantColumn } from './tables.ts';
import type { AuditTables } from './tables.ts';

/**
 * Where a tree keeps its hashes, cut as https://c2sp.org/tlog-tiles cuts them: a tile of level L holds the hashes of up
 * to 256 neighbouring complete subtrees of 2^(8L) leaves each. The levels between are computed from it, the last tile
 * of a level grows, and all others never change.
 */

const TILE_HEIGHT = 8;
const TILE_WIDTH = 2 ** TILE_HEIGHT;

type TileKey = { tenant: string; level: number; tile_index: number };

const selectTile = statement<AuditTables>()('audit-tile', (db, p: TileKey) =>
  db
    .selectFrom('audit_tiles')
    .select('hashes')
    .where('tenant', '=', p.tenant)
    .where('level', '=', p.level)
    .where('tile_index', '=', p.tile_index),
);

const storeTile = statement<AuditTables>()('audit-tile-store', (db, p: TileKey & { hashes: Uint8Array }) =>
  db
    .insertInto('audit_tiles')
    .values({ tenant: p.tenant, level: p.level, tile_index: p.tile_index, hashes: p.hashes })
    .onConflict((conflict) =>
      conflict
        .columns(['tenant', 'level', 'tile_index'])
        .doUpdateSet((row) => ({ hashes: row.ref('excluded.hashes') })),
    ),
);

/** Collects the hashes that appending leaves makes, and writes the tiles they belong to. */
export class TileWriter {
  readonly #fresh = new Map<string, { level: number; tileIndex: number; offset: number; hashes: Uint8Array[] }>();

  /** A listener for `CompactRange.append`. */
  readonly collect = (level: number, index: number, hash: Uint8Array): void => {
    if (level % TILE_HEIGHT !== 0) return;
    const tileLevel = level / TILE_HEIGHT;
    const tileIndex = Math.floor(index / TILE_WIDTH);
    const key = `${tileLevel}/${tileIndex}`;
    const tile = this.#fresh.get(key);
    if (tile === undefined) {
      this.#fresh.set(key, { level: tileLevel, tileIndex, offset: index % TILE_WIDTH, hashes: [hash] });
    } else {
      tile.hashes.push(hash);
    }
  };

  /** Writes what was collected. Throws InternalError when a stored tile does not end where the new hashes begin. */
  async write(tx: Unit, tree: AuditTree): Promise<void> {
    const tenant = tenantColumn(tree);
    for (const { level, tileIndex, offset, hashes } of this.#fresh.values()) {
      const key = { tenant, level, tile_index: tileIndex };
      const stored = offset === 0 ? new Uint8Array(0) : (await tx.run(selectTile, key))[0]?.hashes;
      if (stored?.length !== offset * HASH_BYTES) {
        throw new InternalError('the stored tree does not reach its head', {
          cause: { tree, level, tileIndex, offset },
        });
      }
      await tx.affected(storeTile, { ...key, hashes: Buffer.concat([stored, ...hashes]) });
    }
  }
}

/**
 * Reads the tiles that hold the given subtrees and returns a look-up over them. The look-up throws InternalError for a
 * subtree that the stored tree does not have.
 */
export async function readSubtrees(
  store: Store,
  tree: AuditTree,
  subtrees: readonly Subtree[],
): Promise<SubtreeHashes> {
  const tiles = new Map<string, Uint8Array>();
  for (const subtree of subtrees) {
    const { level, tileIndex } = tileOf(subtree);
    const key = `${level}/${tileIndex}`;
    if (!tiles.has(key)) tiles.set(key, await readTile(store, tree, level, tileIndex));
  }
  return (subtree) => {
    const { level, tileIndex, offset } = tileOf(subtree);
    const count = 2 ** (subtree.level % TILE_HEIGHT);
    const hashes = tiles.get(`${level}/${tileIndex}`)?.subarray(offset * HASH_BYTES, (offset + count) * HASH_BYTES);
    if (hashes?.length !== count * HASH_BYTES) {
      throw new InternalError('the stored tree lacks a hash', { cause: { tree, subtree } });
    }
    return foldPairs(hashes);
  };
}

/** The stored hashes of the 256 leaves from `block` × 256 on, for as many as there are. */
export function readLeafTile(store: Store, tree: AuditTree, block: number): Promise<Uint8Array> {
  return readTile(store, tree, 0, block);
}

/** Leaves of one leaf tile. */
export const LEAVES_PER_TILE = TILE_WIDTH;

async function readTile(store: Store, tree: AuditTree, level: number, tileIndex: number): Promise<Uint8Array> {
  const rows = await store.query(selectTile, { tenant: tenantColumn(tree), level, tile_index: tileIndex });
  return rows[0] === undefined ? new Uint8Array(0) : storedBytes(rows[0].hashes);
}

function tileOf({ level, index }: Subtree): { level: number; tileIndex: number; offset: number } {
  const first = index * 2 ** (level % TILE_HEIGHT);
  return {
    level: Math.floor(level / TILE_HEIGHT),
    tileIndex: Math.floor(first / TILE_WIDTH),
    offset: first % TILE_WIDTH,
  };
}

// The hash of a complete subtree from the hashes of its 2^n parts.
function foldPairs(hashes: Uint8Array): Uint8Array {
  if (hashes.length === HASH_BYTES) return Uint8Array.from(hashes);
  const middle = hashes.length / 2;
  return nodeHash(foldPairs(hashes.subarray(0, middle)), foldPairs(hashes.subarray(middle)));
}
