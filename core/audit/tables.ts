import type { Generated } from 'kysely';
import type { AuditTree } from './entry.ts';

/**
 * The tables of the audit logs. `tenant` names the tree: a tenant's id, or the empty text for the installation (no
 * tenant has an empty id, so a query scoped to a tenant never meets it).
 */
export interface AuditTables {
  /** What was recorded. `entry` is what counts; `action` and `object` repeat parts of it to search by. */
  audit_entries: {
    id: Generated<number>;
    tenant: string;
    /** The leaf's place in the tree; null until the sequencer has placed it. */
    tree_index: number | null;
    action: string;
    object: string;
    entry: Uint8Array;
  };
  /** The right edge of each tree. */
  audit_heads: {
    tenant: string;
    size: number;
    root: Uint8Array;
    /** CompactRange.frontier(). */
    frontier: Uint8Array;
    /** The fencing token of the last sequencer that moved this head. */
    fence: number;
    /** Size of the last signed checkpoint; 0 when none was. */
    checkpoint_size: number;
  };
  /** The hashes of complete subtrees, 256 of one level in a row: see tile.ts. */
  audit_tiles: {
    tenant: string;
    level: number;
    tile_index: number;
    hashes: Uint8Array;
  };
  /** Signed checkpoints. */
  audit_checkpoints: {
    tenant: string;
    size: number;
    /** Epoch milliseconds. */
    signed_at: number;
    /** The C2SP checkpoint. */
    note: string;
  };
  /** Who may place entries. One row. */
  audit_lease: {
    name: string;
    holder: string;
    /** Rises with each change of the holder. */
    fence: number;
    /** Epoch milliseconds by the database's clock. */
    expires_at: number;
  };
}

/** The `tenant` column of a tree. */
export function tenantColumn(tree: AuditTree): string {
  return tree ?? '';
}

/** The tree of a `tenant` column. */
export function treeOfColumn(tenant: string): AuditTree {
  return tenant === '' ? null : tenant;
}

/**
 * The octets of a blob column. SQLite lets whoever can write put text or a number there: what stands in a log that was
 * tampered with must be hashed and reported, not break the one who looks.
 */
export function storedBytes(value: unknown): Uint8Array {
  return value instanceof Uint8Array ? value : Buffer.from(String(value));
}
