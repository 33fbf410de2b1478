import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { CrashingServerOptions, CrashingServerReady, Fault } from './crashing-server.ts';
import { MissingPackage } from './server-process.ts';

const PROGRAM = fileURLToPath(new URL('crashing-server.ts', import.meta.url));
/** Generous: a loaded machine under strace takes long to start, and a server that hangs must still end the test. */
const START_LIMIT_MS = 90_000;
const END_LIMIT_MS = 30_000;

/** Ports that nobody uses, and a URL for certificates that does not depend on them. */
export const PRIVATE_SETTINGS = {
  MUSTER_LISTENERS_PLAIN_PORT: '0',
  MUSTER_LISTENERS_MTLS_PORT: '0',
  MUSTER_LISTENERS_TLS_PORT: '0',
  MUSTER_LISTENERS_ADMIN_PORT: '0',
  MUSTER_PUBLIC_URLS_PLAIN: 'http://muster.test',
  MUSTER_LOG_LEVEL: 'warn',
};

/** How a server process ended. */
export interface ServerEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A crashing-server.ts in a process group of its own. */
export class ServerChild {
  /** Resolves when the process is gone. */
  readonly ended: Promise<ServerEnd>;
  readonly startedAt = performance.now();
  readonly #process: ChildProcess;
  #output = '';
  #end: ServerEnd | undefined;

  private constructor(command: readonly string[], options: CrashingServerOptions) {
    const [program, ...args] = [...command, process.execPath, PROGRAM, JSON.stringify(options)];
    this.#process = spawn(program!, args, { detached: true, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    const collect = (chunk: Buffer): void => void (this.#output = (this.#output + chunk.toString()).slice(-8000));
    this.#process.stdout?.on('data', collect);
    this.#process.stderr?.on('data', collect);
    this.ended = new Promise((resolve, reject) => {
      this.#process.once('error', (cause: NodeJS.ErrnoException) =>
        reject(cause.code === 'ENOENT' ? new MissingPackage(program!, program!) : cause),
      );
      this.#process.once('exit', (code, signal) => {
        this.#end = { code, signal };
        resolve(this.#end);
      });
    });
    this.ended.catch(() => undefined);
  }

  /** Starts a server, with `tracer` (a program and its arguments) before the command. */
  static start(options: CrashingServerOptions, tracer: readonly string[] = []): ServerChild {
    return new ServerChild(tracer, options);
  }

  get hasEnded(): boolean {
    return this.#end !== undefined;
  }

  /** The last of what it wrote to its outputs. */
  get output(): string {
    return this.#output;
  }

  /** Waits until it listens; rejects with its output when it ends before that. */
  async ready(): Promise<CrashingServerReady> {
    const told = once(this.#process, 'message', { signal: AbortSignal.timeout(START_LIMIT_MS) }).then(
      ([ready]) => ready as CrashingServerReady,
    );
    const early = this.ended.then((end) => this.#failed(`ended before it listened (${end.signal ?? end.code})`));
    told.catch(() => undefined);
    early.catch(() => undefined);
    return Promise.race([told, early]);
  }

  /** Gives it a place to die at; hits count from now on. */
  arm(fault: Fault): void {
    this.#process.send(fault);
  }

  /** SIGKILL for the whole group, now. */
  kill(): void {
    if (this.#process.pid === undefined || this.hasEnded) return;
    process.kill(-this.#process.pid, 'SIGKILL');
  }

  /** SIGTERM, and SIGKILL when that takes too long. */
  async stop(): Promise<ServerEnd> {
    if (!this.hasEnded) this.#process.kill('SIGTERM');
    const late = setTimeout(() => this.kill(), END_LIMIT_MS);
    try {
      return await this.ended;
    } finally {
      clearTimeout(late);
    }
  }

  #failed(what: string): never {
    throw new ServerChildFailed(`the server ${what}: ${this.#output}`);
  }
}

class ServerChildFailed extends Error {}
