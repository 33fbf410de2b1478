import { StateError } from '../errors/muster-error.ts';
import { statement } from '../store/statement.ts';
import type { Store } from '../store/store.ts';
import type { CheckpointMemory } from './checkpoint-memory.ts';
import { openCheckpoint, signCheckpoint, treeOrigin } from './checkpoint.ts';
import type { Checkpoint } from './checkpoint.ts';
import type { AuditTree } from './entry.ts';
import { readHead } from './head.ts';
import type { TreeHead } from './head.ts';
import { hashesEqual } from './merkle.ts';
import type { NoteSigner } from './note.ts';
import { verifyConsistency } from './proof.ts';
import { tenantColumn } from './tables.ts';
import type { AuditTables } from './tables.ts';
import { consistencyProof } from './tree-proof.ts';

/** Who signs checkpoints, under which name, and what remembers them. */
export interface CheckpointSigning {
  /** The base of the origins, a schema-less URL without spaces and plus signs: see `treeOrigin`. */
  readonly originBase: string;
  readonly signer: NoteSigner;
  /** Public keys (DER SubjectPublicKeyInfo) that signed before: their checkpoints must still be continued. */
  readonly formerKeys?: readonly Uint8Array[] | undefined;
  readonly memory: CheckpointMemory;
}

/**
 * The stored log does not continue what was signed: the database was restored from an older copy, or changed. Nothing
 * is signed until an operator has looked at it.
 */
export class ForkError extends StateError {
  readonly tree: AuditTree;

  constructor(tree: AuditTree, message: string) {
    super(
      'conflict',
      `${tree === null ? 'the audit log of the installation' : `the audit log of ${tree}`}: ${message}`,
    );
    this.tree = tree;
  }
}

const selectLastCheckpoint = statement<AuditTables>()('audit-checkpoint-last', (db, p: { tenant: string }) =>
  db.selectFrom('audit_checkpoints').select('note').where('tenant', '=', p.tenant).orderBy('size', 'desc').limit(1),
);

type CheckpointRow = { tenant: string; size: number; signed_at: number; note: string };

const insertCheckpoint = statement<AuditTables>()('audit-checkpoint-insert', (db, p: CheckpointRow) =>
  db
    .insertInto('audit_checkpoints')
    .values({ tenant: p.tenant, size: p.size, signed_at: p.signed_at, note: p.note })
    .onConflict((conflict) => conflict.columns(['tenant', 'size']).doNothing()),
);

const markSigned = statement<AuditTables>()('audit-head-signed', (db, p: { tenant: string; size: number }) =>
  db
    .updateTable('audit_heads')
    .set({ checkpoint_size: p.size })
    .where('tenant', '=', p.tenant)
    .where('checkpoint_size', '<', p.size),
);

/**
 * Proves that every checkpoint we know of is the beginning of the stored tree, which tlog-checkpoint demands before
 * another is signed, and returns the head. Throws ForkError when one is not.
 */
export async function assertContinued(store: Store, tree: AuditTree, signing: CheckpointSigning): Promise<TreeHead> {
  // Before the head: a checkpoint that is read later may be of a larger tree.
  const remembered = await signing.memory.load(tree);
  const [stored] = await store.query(selectLastCheckpoint, { tenant: tenantColumn(tree) });
  const head = await readHead(store, tree);
  for (const note of new Set([remembered, stored?.note])) {
    if (note !== undefined) await assertPrefix(store, tree, head, openOwn(tree, note, signing));
  }
  return head;
}

/**
 * Signs the head of a tree unless it is signed already, after `assertContinued`; remembers the checkpoint and returns
 * it. Throws ForkError, and what the signer throws.
 */
export async function signTree(store: Store, tree: AuditTree, signing: CheckpointSigning): Promise<string | undefined> {
  const head = await assertContinued(store, tree, signing);
  if (head.size === head.checkpointSize) return undefined;
  // The stored tree must have the head's root, also where there is no earlier checkpoint to compare with.
  const { newRoot } = await consistencyProof(store, tree, 0, head.size);
  if (!hashesEqual(newRoot, head.rootHash))
    throw new ForkError(tree, 'the stored tree does not have the root of its head');
  const origin = treeOrigin(signing.originBase, tree);
  const note = await signCheckpoint({ origin, size: head.size, rootHash: head.rootHash }, signing.signer);
  // Remembered first: whatever the store shows to anyone is remembered by then.
  await signing.memory.save(tree, note);
  const row = { tenant: tenantColumn(tree), size: head.size, signed_at: store.clock.now(), note };
  await store.unit(async (tx) => {
    await tx.affected(insertCheckpoint, row);
    await tx.affected(markSigned, row);
  });
  return note;
}

function openOwn(tree: AuditTree, note: string, signing: CheckpointSigning): Checkpoint {
  const keys = [signing.signer.publicKey, ...(signing.formerKeys ?? [])];
  const opened = openCheckpoint(note, keys, treeOrigin(signing.originBase, tree));
  if (opened.ok) return opened.checkpoint;
  throw new ForkError(
    tree,
    `its last checkpoint is not ours (${opened.detail}); name the key that signed it as a former key`,
  );
}

async function assertPrefix(store: Store, tree: AuditTree, head: TreeHead, signed: Checkpoint): Promise<void> {
  if (signed.size > head.size) {
    throw new ForkError(tree, `${signed.size} entries were signed, the store has ${head.size}: it is an older copy`);
  }
  const proof = await consistencyProof(store, tree, signed.size, head.size);
  if (!verifyConsistency({ ...proof, oldRoot: signed.rootHash, newRoot: head.rootHash })) {
    throw new ForkError(tree, `its first ${signed.size} entries are not the ones that were signed`);
  }
}

/** A signed checkpoint as the store keeps it. */
export interface StoredCheckpoint {
  readonly size: number;
  /** Epoch milliseconds. */
  readonly signedAt: number;
  /** The C2SP checkpoint. */
  readonly note: string;
}

/** The last `limit` checkpoints of a tree, newest first. */
export async function listCheckpoints(store: Store, tree: AuditTree, limit: number): Promise<StoredCheckpoint[]> {
  const rows = await store
    .read<AuditTables>()
    .selectFrom('audit_checkpoints')
    .select(['size', 'signed_at', 'note'])
    .where('tenant', '=', tenantColumn(tree))
    .orderBy('size', 'desc')
    .limit(limit)
    .execute();
  return rows.map((row) => ({ size: row.size, signedAt: row.signed_at, note: row.note }));
}
