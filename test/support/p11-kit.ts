import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const SERVER = '/usr/libexec/p11-kit/p11-kit-server';
const START_LIMIT_MS = 5000;

/** The module that talks to a p11-kit server; it needs a signer process, as it can hang. */
export const P11_KIT_CLIENT = ['x86_64', 'aarch64']
  .map((machine) => `/usr/lib/${machine}-linux-gnu/pkcs11/p11-kit-client.so`)
  .find((path) => existsSync(path))!;

/**
 * Debian's p11-kit server in front of a module: an HSM over a socket that can be taken away. It forks a process for each client,
 * so it lives in a process group of its own and every signal goes to the group.
 */
export class P11KitServer {
  readonly #provider: string;
  readonly #socket: string;
  #process: ChildProcess | undefined;

  /** The server will listen on a socket in `directory`; clients of this process and its children are pointed at it. */
  constructor(directory: string, provider: string) {
    this.#provider = provider;
    this.#socket = join(directory, 'p11-kit.socket');
    process.env['P11_KIT_SERVER_ADDRESS'] = `unix:path=${this.#socket}`;
  }

  async start(): Promise<void> {
    await rm(this.#socket, { force: true });
    const args = ['--foreground', '--provider', this.#provider, '--name', this.#socket, 'pkcs11:'];
    this.#process = spawn(SERVER, args, { detached: true, stdio: 'ignore' });
    const end = Date.now() + START_LIMIT_MS;
    while (!existsSync(this.#socket)) {
      if (Date.now() > end) throw new Error('the p11-kit server did not start');
      await delay(10);
    }
  }

  /** The HSM is gone: connections break. */
  async kill(): Promise<void> {
    const exited = new Promise((resolve) => this.#process!.once('exit', resolve));
    this.#signal('SIGKILL');
    await exited;
    this.#process = undefined;
  }

  /** The HSM hangs: connections stay, answers do not come. */
  stop(): void {
    this.#signal('SIGSTOP');
  }

  /** The HSM goes on where it was stopped. */
  resume(): void {
    this.#signal('SIGCONT');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process !== undefined) await this.kill();
  }

  #signal(signal: NodeJS.Signals): void {
    process.kill(-this.#process!.pid!, signal);
  }
}
