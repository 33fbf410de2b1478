import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Runs the openssl command; throws with what it wrote where it fails. */
export function openssl(args: readonly string[], input?: Uint8Array | string): Buffer {
  return execFileSync('openssl', args, { input, stdio: ['pipe', 'pipe', 'pipe'] });
}

/** Runs the openssl command; says whether it succeeded, and what it wrote. */
export function tryOpenssl(args: readonly string[], input?: Uint8Array | string): { ok: boolean; output: string } {
  const { status, stdout, stderr } = spawnSync('openssl', args, { input });
  return { ok: status === 0, output: `${stdout.toString()}${stderr.toString()}` };
}

/** A directory for openssl's input files, removed with `dispose`. */
export class Scratch {
  readonly directory = mkdtempSync(join(tmpdir(), 'muster-x509-'));

  /** Writes a file and answers its path. */
  file(name: string, contents: string | Uint8Array): string {
    const path = join(this.directory, name);
    writeFileSync(path, contents);
    return path;
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true });
  }
}
