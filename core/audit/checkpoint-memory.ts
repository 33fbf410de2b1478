import { mkdir, open, readFile, readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { AuditTree } from './entry.ts';

/**
 * Remembers the last signed checkpoint of each tree outside the database, so that a database restored from an older
 * copy is noticed.
 */
export interface CheckpointMemory {
  /** The checkpoint that was saved last, or undefined when there is none. */
  load(tree: AuditTree): Promise<string | undefined>;
  /** Saves a checkpoint durably in place of the one before. */
  save(tree: AuditTree, note: string): Promise<void>;
  /** The trees that a checkpoint was saved for. */
  trees(): Promise<readonly AuditTree[]>;
}

const INSTALLATION = 'installation.checkpoint';
const TENANT = /^tenant-(.+)\.checkpoint$/;

/**
 * A memory in a directory of this machine, one file a tree. It must not be restored together with the database: keep
 * it off the volume that database snapshots cover.
 */
export function checkpointDirectory(directory: string): CheckpointMemory {
  return {
    load: (tree) => readIfPresent(join(directory, fileName(tree))),
    save: (tree, note) => replaceFile(directory, fileName(tree), note),
    async trees() {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      const names = await readdir(directory);
      return names.map(treeOfFile).filter((tree) => tree !== undefined);
    },
  };
}

// The prefix and encodeURIComponent keep a tenant's id from naming any other file.
function fileName(tree: AuditTree): string {
  return tree === null ? INSTALLATION : `tenant-${encodeURIComponent(tree)}.checkpoint`;
}

function treeOfFile(name: string): AuditTree | undefined {
  if (name === INSTALLATION) return null;
  const [, encoded] = TENANT.exec(name) ?? [];
  return encoded === undefined ? undefined : decodeURIComponent(encoded);
}

async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

// The old file or the new one, never a part of either, also after a power failure.
async function replaceFile(directory: string, name: string, text: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const path = join(directory, name);
  {
    await using file = await open(`${path}.new`, 'w', 0o600);
    await file.writeFile(text);
    await file.sync();
  }
  await rename(`${path}.new`, path);
  await using folder = await open(directory, 'r');
  await folder.sync();
}
