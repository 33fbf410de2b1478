import { openCheckpoint } from './checkpoint.ts';
import type { Checkpoint } from './checkpoint.ts';
import { CompactRange, hashesEqual, leafHash } from './merkle.ts';

/**
 * Verifies a log offline. Nothing is believed but the public keys: the entries come from a database that may have been
 * changed, the checkpoints may be forged, and only a checkpoint that somebody kept elsewhere shows what the database
 * no longer does.
 */

/** An entry as the database gives it. */
export interface LoggedEntry {
  /** The place in the tree that the row claims. */
  readonly index: number;
  /** The stored bytes, which the leaf hashes. */
  readonly bytes: Uint8Array;
  /** The leaf hash in the stored tree, where there is one: not believed, but it tells which entry was changed. */
  readonly storedHash?: Uint8Array | undefined;
}

/** What there is to verify and what is trusted. */
export interface LogToVerify {
  /** All entries of the tree in the order of their index, from 0. */
  readonly entries: AsyncIterable<LoggedEntry>;
  /** The keys that may have signed, as DER SubjectPublicKeyInfo. */
  readonly publicKeys: readonly Uint8Array[];
  /** The log it must be; without it, that of the first checkpoint, and all must agree. */
  readonly origin?: string | undefined;
  /** A checkpoint the verifier kept: the log must still begin with it. */
  readonly since?: string | undefined;
  /** The newest checkpoint of the log: the entries must reach it. */
  readonly until?: string | undefined;
  /** Checkpoints between them; each narrows down where a change is. */
  readonly checkpoints?: readonly string[] | undefined;
}

/** Something that an honest log does not show. Indexes and sizes count leaves from 0. */
export type LogFinding =
  /** No checkpoint was given that verifies: the entries prove nothing. */
  | { readonly kind: 'no-checkpoint' }
  /** A checkpoint was not signed by a known key, not for this log, or is no checkpoint. */
  | { readonly kind: 'bad-checkpoint'; readonly note: string; readonly detail: string }
  /** Two heads were signed of which neither is the beginning of the other; the smaller has this size. */
  | { readonly kind: 'fork'; readonly size: number }
  /** Where entry `index` should stand, the row of `found` stands: one was deleted, repeated or moved. */
  | { readonly kind: 'wrong-index'; readonly index: number; readonly found: number }
  /** The entries end at `index`, and a head of `signedSize` entries was signed. */
  | { readonly kind: 'truncated'; readonly index: number; readonly signedSize: number }
  /** Entry `index` does not have the hash it was placed with: it was rewritten or swapped. */
  | { readonly kind: 'entry-altered'; readonly index: number }
  /** Entry `index` is as signed, but its hash in the stored tree was changed. */
  | { readonly kind: 'tree-altered'; readonly index: number }
  /** At least one entry in [from, to) is not what was signed, and the stored tree was changed to match. */
  | { readonly kind: 'range-altered'; readonly from: number; readonly to: number };

/** The outcome: `ok` when there is no finding. */
export interface LogVerification {
  readonly ok: boolean;
  readonly findings: readonly LogFinding[];
  /** Entries read, and the root of their tree. */
  readonly size: number;
  readonly rootHash: Uint8Array;
  /** Entries that a signed checkpoint vouches for; the ones after it are not yet proven. */
  readonly provenSize: number;
}

/** Findings of one kind that are listed; a log that was replaced altogether would have millions. */
const MAX_ALTERED = 1000;

/** Verifies a log against its checkpoints, in one pass over the entries. */
export async function verifyLog(log: LogToVerify): Promise<LogVerification> {
  const { heads, findings } = openHeads(log);
  const pass = await readEntries(log.entries, heads);
  findings.push(...pass.findings, ...judgeRoots(heads, pass));
  return {
    ok: findings.length === 0,
    findings,
    size: pass.tree.size,
    rootHash: pass.tree.root(),
    provenSize: heads.findLast((head) => pass.matched.get(head) === true)?.size ?? 0,
  };
}

// The signed heads in the order of their size, one for each size.
function openHeads(log: LogToVerify): { heads: Checkpoint[]; findings: LogFinding[] } {
  const findings: LogFinding[] = [];
  const bySize = new Map<number, Checkpoint>();
  let origin = log.origin;
  for (const note of [log.since, ...(log.checkpoints ?? []), log.until]) {
    if (note === undefined) continue;
    const opened = openCheckpoint(note, log.publicKeys, origin);
    if (!opened.ok) {
      findings.push({ kind: 'bad-checkpoint', note, detail: opened.detail });
      continue;
    }
    const head = opened.checkpoint;
    origin = head.origin;
    const other = bySize.get(head.size);
    if (other === undefined) bySize.set(head.size, head);
    else if (!hashesEqual(other.rootHash, head.rootHash)) findings.push({ kind: 'fork', size: head.size });
  }
  if (bySize.size === 0) findings.push({ kind: 'no-checkpoint' });
  return { heads: [...bySize.values()].sort((a, b) => a.size - b.size), findings };
}

interface Pass {
  readonly tree: CompactRange;
  /** For each head the entries reach: whether they have its root. */
  readonly matched: Map<Checkpoint, boolean>;
  /** Entries whose bytes do not have the hash of the stored tree. */
  readonly altered: number[];
  readonly findings: LogFinding[];
}

async function readEntries(entries: AsyncIterable<LoggedEntry>, heads: readonly Checkpoint[]): Promise<Pass> {
  const pass: Pass = { tree: CompactRange.empty(), matched: new Map(), altered: [], findings: [] };
  let next = matchHeads(pass, heads, 0);
  for await (const entry of entries) {
    const index = pass.tree.size;
    if (entry.index !== index) {
      // Past this entry no root can be computed.
      pass.findings.push({ kind: 'wrong-index', index, found: entry.index });
      return pass;
    }
    const hash = leafHash(entry.bytes);
    if (entry.storedHash !== undefined && !hashesEqual(hash, entry.storedHash) && pass.altered.length < MAX_ALTERED) {
      pass.altered.push(index);
    }
    pass.tree.append(hash);
    next = matchHeads(pass, heads, next);
  }
  const last = heads.at(-1);
  if (last !== undefined && last.size > pass.tree.size) {
    pass.findings.push({ kind: 'truncated', index: pass.tree.size, signedSize: last.size });
  }
  return pass;
}

function matchHeads(pass: Pass, heads: readonly Checkpoint[], next: number): number {
  const head = heads[next];
  if (head?.size !== pass.tree.size) return next;
  pass.matched.set(head, hashesEqual(head.rootHash, pass.tree.root()));
  return next + 1;
}

function judgeRoots(heads: readonly Checkpoint[], pass: Pass): LogFinding[] {
  const findings: LogFinding[] = [];
  const proven = heads.findLast((head) => pass.matched.get(head) === true)?.size ?? 0;
  // Entries that a head proves, and whose earlier head does not fit: both heads were signed, and they contradict.
  for (const head of heads) {
    if (head.size < proven && pass.matched.get(head) === false) findings.push({ kind: 'fork', size: head.size });
  }
  for (const index of pass.altered) findings.push({ kind: index < proven ? 'tree-altered' : 'entry-altered', index });
  const refuted = heads.find((head) => head.size > proven && pass.matched.get(head) === false);
  const explained = pass.altered.some((index) => index >= proven && index < (refuted?.size ?? 0));
  if (refuted !== undefined && !explained) findings.push({ kind: 'range-altered', from: proven, to: refuted.size });
  return findings;
}
