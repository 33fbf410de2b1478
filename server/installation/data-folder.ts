import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The folder of one installation: what stands where. Paths are absolute. */
export interface DataFolder {
  readonly root: string;
  /** The SoftHSM token of an installation that brings none of its own. */
  readonly tokens: string;
  /** Private keys and certificates of our own TLS listeners: the one kind of key outside the HSM. */
  readonly tls: string;
  /** What was signed last of each audit log: a restored older database is noticed by it. */
  readonly checkpoints: string;
  readonly rootCertificate: string;
  readonly adminToken: string;
  /** Where the CLI on this host finds the running server. */
  readonly serverInfo: string;
}

/** Makes the folder, closed to others, and names what is in it. */
export function openDataFolder(root: string): DataFolder {
  const folder: DataFolder = {
    root,
    tokens: join(root, 'softhsm'),
    tls: join(root, 'tls'),
    checkpoints: join(root, 'checkpoints'),
    rootCertificate: join(root, 'root.pem'),
    adminToken: join(root, 'admin-token'),
    serverInfo: join(root, 'server.json'),
  };
  for (const path of [folder.root, folder.tls, folder.checkpoints]) mkdirSync(path, { recursive: true, mode: 0o700 });
  return folder;
}

/** Writes a file whole or not at all; `mode` holds from the first octet. */
export function writeWhole(file: string, content: string, mode: number): void {
  const draft = `${file}.${process.pid}.tmp`;
  writeFileSync(draft, content, { mode });
  chmodSync(draft, mode);
  renameSync(draft, file);
}

/** The content of a file, `undefined` when there is none. */
export function readIfPresent(file: string): string | undefined {
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}
