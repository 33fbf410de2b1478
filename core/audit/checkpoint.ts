import { HASH_BYTES } from './merkle.ts';
import { openNote, signNote } from './note.ts';
import type { NoteSigner } from './note.ts';

/**
 * Checkpoints (https://c2sp.org/tlog-checkpoint): signed notes whose text is the origin of a log, its size and its
 * root hash, a line each.
 */

/** The head of a tree at one size. */
export interface Checkpoint {
  /** Which log this is: the first line, and the name of the key that signs. */
  readonly origin: string;
  readonly size: number;
  readonly rootHash: Uint8Array;
}

/** What came of opening a checkpoint. */
export type OpenedCheckpoint =
  | { readonly ok: true; readonly checkpoint: Checkpoint }
  | {
      readonly ok: false;
      readonly fault: 'malformed' | 'unknown-key' | 'forged' | 'other-origin';
      readonly detail: string;
    };

/**
 * The origin of a tree: `<base>/audit` for the installation, `<base>/audit/<tenant>` for a tenant, where the base is a
 * schema-less URL of the installation (tlog-checkpoint "Note text").
 */
export function treeOrigin(base: string, tree: string | null): string {
  return tree === null ? `${base}/audit` : `${base}/audit/${encodeURIComponent(tree)}`;
}

/** Signs a checkpoint as a note under its origin. Throws what `signNote` throws. */
export function signCheckpoint(checkpoint: Checkpoint, signer: NoteSigner): Promise<string> {
  const root = Buffer.from(checkpoint.rootHash).toString('base64');
  return signNote(`${checkpoint.origin}\n${checkpoint.size}\n${root}\n`, checkpoint.origin, signer);
}

/**
 * Opens a checkpoint signed by one of `publicKeys` (DER SubjectPublicKeyInfo). With `origin` it must be of that log.
 */
export function openCheckpoint(note: string, publicKeys: readonly Uint8Array[], origin?: string): OpenedCheckpoint {
  const claimed = note.slice(0, Math.max(0, note.indexOf('\n')));
  if (origin !== undefined && claimed !== origin) {
    return { ok: false, fault: 'other-origin', detail: `expected a checkpoint of ${origin}, found one of ${claimed}` };
  }
  const opened = openNote(note, claimed, publicKeys);
  if (!opened.ok) return opened;
  const checkpoint = readText(opened.text);
  if (checkpoint !== undefined) return { ok: true, checkpoint };
  return { ok: false, fault: 'malformed', detail: 'expected origin, size and root hash, a line each' };
}

function readText(text: string): Checkpoint | undefined {
  // Extension lines are not recommended and we sign none: a log of ours has exactly three lines.
  const [origin, size, root, end, ...rest] = text.split('\n');
  if (origin === undefined || size === undefined || root === undefined || end !== '' || rest.length > 0)
    return undefined;
  if (!/^(0|[1-9]\d*)$/.test(size) || !Number.isSafeInteger(Number(size))) return undefined;
  const rootHash = Buffer.from(root, 'base64');
  if (rootHash.length !== HASH_BYTES || rootHash.toString('base64') !== root) return undefined;
  return { origin, size: Number(size), rootHash };
}
