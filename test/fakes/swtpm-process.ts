import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

const START_MS = 10_000;

/** Debian's swtpm with an empty state of its own: the code of a real TPM 2.0, behind a socket that takes raw commands. */
export class SwtpmProcess implements AsyncDisposable {
  readonly #folder: string;
  readonly #child: ChildProcess;
  readonly #socket: Socket;
  #received = Buffer.alloc(0);
  #turn: Promise<unknown> = Promise.resolve();
  #wake: () => void = () => {};

  private constructor(folder: string, child: ChildProcess, socket: Socket) {
    this.#folder = folder;
    this.#child = child;
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#wake();
    });
    socket.on('close', () => this.#wake());
  }

  /** Starts one; a fresh state makes itself seeds and no certificates. Socket paths have no port to fight about. */
  static async start(): Promise<SwtpmProcess> {
    const folder = await mkdtemp(join(tmpdir(), 'mt-'));
    const path = join(folder, 's');
    const child = spawn(
      'swtpm',
      [
        'socket',
        '--tpm2',
        '--tpmstate',
        `dir=${folder}`,
        '--server',
        `type=unixio,path=${path}`,
        '--flags',
        'not-need-init,startup-clear',
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    let complaint = '';
    child.stderr!.on('data', (text: Buffer) => (complaint += text.toString()));
    child.on('error', (error) => (complaint += error.message));
    const socket = await connected(path, () => (child.exitCode === null && child.pid !== undefined ? '' : complaint));
    return new SwtpmProcess(folder, child, socket);
  }

  /** Sends one command and returns its response; calls wait for one another. */
  transceive(command: Uint8Array): Promise<Uint8Array> {
    const answer = this.#turn.then(() => this.#exchange(command));
    this.#turn = answer.catch(() => {});
    return answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy();
    if (this.#child.exitCode === null) {
      const ended = new Promise((resolve) => this.#child.once('exit', resolve));
      this.#child.kill();
      await ended;
    }
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #exchange(command: Uint8Array): Promise<Uint8Array> {
    this.#received = Buffer.alloc(0);
    this.#socket.write(command);
    // The header tells the size: tag, UINT32 size, rc.
    while (this.#received.length < 10 || this.#received.length < this.#received.readUInt32BE(2)) {
      if (this.#socket.destroyed) throw new TypeError('swtpm closed the connection');
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    return new Uint8Array(this.#received);
  }
}

async function connected(path: string, complaint: () => string): Promise<Socket> {
  const until = Date.now() + START_MS;
  while (Date.now() < until && complaint() === '') {
    if (existsSync(path)) {
      const socket = await new Promise<Socket | undefined>((resolve) => {
        const attempt = connect(path, () => resolve(attempt));
        attempt.once('error', () => resolve(undefined));
      });
      if (socket !== undefined) return socket.on('error', () => {});
    }
    await wait(10);
  }
  throw new TypeError(`swtpm (Debian package swtpm) did not start: ${complaint()}`);
}
