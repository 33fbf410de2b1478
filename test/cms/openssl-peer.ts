import { execFileSync, spawnSync } from 'node:child_process';
import type { KeyObject } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodePem } from '../../core/x509/pem.ts';

/** A command-line peer (openssl cms, certtool) in a directory of its own. */
export class CommandPeer implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'muster-cms-'));
  #count = 0;

  /** Writes a file for the peer; answers its path. */
  file(octets: Uint8Array | string): string {
    const path = join(this.directory, `f${this.#count++}`);
    writeFileSync(path, octets);
    return path;
  }

  certificate(der: Uint8Array): string {
    return this.file(encodePem('CERTIFICATE', der));
  }

  privateKey(key: KeyObject): string {
    return this.file(key.export({ type: 'pkcs8', format: 'pem' }));
  }

  /** Runs a command that is to succeed; answers its standard output. */
  run(command: string, args: readonly string[]): Uint8Array {
    return execFileSync(command, args, { stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 1 << 24 });
  }

  /** Runs `openssl cms`; answers what it wrote with -out. */
  cms(args: readonly string[]): Uint8Array {
    const out = this.file('');
    this.run('openssl', ['cms', ...args, '-out', out]);
    return readFileSync(out);
  }

  /** Whether a command succeeds. */
  succeeds(command: string, args: readonly string[]): boolean {
    return spawnSync(command, args, { stdio: 'ignore' }).status === 0;
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Whether two octet strings are the same, for expectations that print well. */
export function hex(octets: Uint8Array): string {
  return Buffer.from(octets).toString('hex');
}
