import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import type { Announcement } from '../../server/installation/announcement.ts';
import { type Installation, readText } from './installation.ts';
import { endProcess, spawnBound } from './server-process.ts';

const MAIN = fileURLToPath(new URL('../../server/main.ts', import.meta.url));
/** A first start makes two RSA-3072 keys; a loaded machine takes its time for that. */
const START_LIMIT_MS = 60_000;
const START_ATTEMPTS = 3;

/** What a test changes of a start. */
export interface StartOptions {
  /** A folder of an earlier server; default: a new one. Whoever gives it removes it. */
  readonly folder?: string;
  /** YAML of a configuration file. */
  readonly configuration?: string;
}

/** `npm start` without the bootstrap: the whole product in a process of its own, over a data folder of its own. */
export class MusterServer implements Installation, AsyncDisposable {
  /** Holds `data`, the ready file and whatever a test puts there. */
  readonly folder: string;
  /** What the server wrote for scripts. */
  readonly ready: Announcement;
  readonly ca: string;
  readonly adminToken: string;
  readonly #child: ChildProcess;
  readonly #ownsFolder: boolean;
  readonly #output: () => string;

  private constructor(
    started: Started,
    folder: string,
    ownsFolder: boolean,
    trust: Pick<Installation, 'ca' | 'adminToken'>,
  ) {
    this.folder = folder;
    this.ready = started.ready;
    this.ca = trust.ca;
    this.adminToken = trust.adminToken;
    this.#child = started.child;
    this.#output = started.output;
    this.#ownsFolder = ownsFolder;
  }

  /** Starts a server on four free ports and waits for its ready file. */
  static async start(options: StartOptions = {}): Promise<MusterServer> {
    const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'muster-server-')));
    const configuration = options.configuration === undefined ? [] : ['--config', join(folder, 'muster.yaml')];
    if (options.configuration !== undefined) await writeFile(join(folder, 'muster.yaml'), options.configuration);
    const started = await startOnFreePorts(folder, configuration);
    const { rootCertificate, adminTokenFile } = started.ready;
    const trust = { ca: await readText(rootCertificate), adminToken: await readText(adminTokenFile) };
    return new MusterServer(started, folder, options.folder === undefined, trust);
  }

  get dataFolder(): string {
    return join(this.folder, 'data');
  }

  get readyFile(): string {
    return join(this.folder, 'ready.json');
  }

  get plain(): string {
    return this.ready.plain;
  }

  get mtls(): string {
    return this.ready.mtls;
  }

  get admin(): string {
    return this.ready.admin;
  }

  /** Everything it wrote to its standard output and error output so far. */
  get output(): string {
    return this.#output();
  }

  /** The process, to be watched. */
  get processId(): number {
    return this.#child.pid!;
  }

  /** Whether the process still runs. */
  get runs(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Puts a file into the folder and answers its path. */
  async file(name: string, content: string | Uint8Array): Promise<string> {
    const path = join(this.folder, name);
    await writeFile(path, content);
    return path;
  }

  /** SIGTERM, and answers the exit code. */
  async stop(): Promise<number | null> {
    await endProcess(this.#child, 'SIGTERM');
    return this.#child.exitCode;
  }

  /** SIGKILL. */
  kill(): Promise<void> {
    return endProcess(this.#child, 'SIGKILL');
  }

  /** Stops it and removes the folder that `start` made. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    if (this.#ownsFolder) await rm(this.folder, { recursive: true, force: true });
  }
}

interface Started {
  readonly child: ChildProcess;
  readonly ready: Announcement;
  readonly output: () => string;
}

/** Another test may take a port between our look and the server's listening: then it is tried again. */
async function startOnFreePorts(folder: string, configuration: readonly string[]): Promise<Started> {
  for (let attempt = 1; ; attempt += 1) {
    const readyFile = join(folder, 'ready.json');
    await rm(readyFile, { force: true });
    const portBase = await freePortBase();
    const places = ['--data', join(folder, 'data'), '--port-base', String(portBase), '--ready-file', readyFile];
    const child = spawnBound(process.execPath, [MAIN, ...places, ...configuration]);
    let output = '';
    const collect = (chunk: Buffer): void => void (output += chunk.toString());
    child.stdout?.on('data', collect);
    child.stderr?.on('data', collect);
    await untilWritten(readyFile, child);
    if (existsSync(readyFile)) {
      return { child, ready: JSON.parse(readFileSync(readyFile, 'utf8')) as Announcement, output: () => output };
    }
    await endProcess(child, 'SIGKILL');
    if (attempt < START_ATTEMPTS && output.includes('EADDRINUSE')) continue;
    throw new ServerFailed(`the server did not become ready: ${output}`);
  }
}

async function untilWritten(file: string, child: ChildProcess): Promise<void> {
  let ended = false;
  void once(child, 'close').then(() => (ended = true));
  for (const start = performance.now(); performance.now() - start < START_LIMIT_MS && !ended;) {
    if (existsSync(file)) return;
    await delay(20);
  }
}

/** Below the ports that the kernel gives to outgoing connections. */
const PORTS = { from: 10_000, to: 32_000 };

/** The first of four consecutive ports that nobody uses now. */
async function freePortBase(): Promise<number> {
  for (;;) {
    const base = PORTS.from + Math.floor(Math.random() * (PORTS.to - PORTS.from));
    const free = await Promise.all([0, 1, 2, 3].map((offset) => isFree(base + offset)));
    if (free.every(Boolean)) return base;
  }
}

function isFree(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const server = createServer();
  server.once('error', () => resolve(false));
  server.listen(port, '0.0.0.0', () => server.close(() => resolve(true)));
  return promise;
}

class ServerFailed extends Error {}
