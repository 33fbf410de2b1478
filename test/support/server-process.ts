import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** A server that a test run started and must stop. */
export interface RunningServer {
  readonly url: string;
  readonly process: ChildProcess;
  stop(): Promise<void>;
}

/** Says what is missing and how to get it: a test run without its peers must not look green. */
export class MissingPackage extends Error {
  constructor(program: string, debianPackage: string) {
    super(`${program} not found: apt-get install ${debianPackage}`);
    this.name = 'MissingPackage';
  }
}

/**
 * Starts a program that dies with this process, whatever ends it: `setpriv --pdeathsig` has the kernel see to that.
 * Under root, and where `user` is given, it runs as that user.
 */
export function spawnBound(program: string, args: readonly string[], user?: string): ChildProcess {
  const asUser =
    user !== undefined && process.getuid?.() === 0 ? ['--reuid', user, '--regid', user, '--init-groups'] : [];
  return spawn('setpriv', [...asUser, '--pdeathsig', 'KILL', program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Runs a program to its end. Rejects with what it wrote when it fails. */
export async function runToEnd(child: ChildProcess): Promise<void> {
  let output = '';
  child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new ServerFailed(`${child.spawnargs.join(' ')} ended with ${code}: ${output}`);
}

/** A TCP port on loopback that nobody uses now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Waits until `probe` answers, at most ten seconds, and fails at once with the output of a child that has ended. */
export async function untilReady(child: ChildProcess, probe: () => Promise<void>): Promise<void> {
  let output = '';
  const collect = (chunk: Buffer): void => void (output = (output + chunk.toString()).slice(-4000));
  child.stdout?.on('data', collect);
  child.stderr?.on('data', collect);
  let last: unknown;
  for (const start = Date.now(); Date.now() - start < 10_000;) {
    if (child.exitCode !== null || child.signalCode !== null) break;
    try {
      await probe();
      return;
    } catch (error) {
      last = error;
      await delay(25);
    }
  }
  throw new ServerFailed(`${child.spawnargs.join(' ')} did not start: ${output}`, { cause: last });
}

/** Sends a signal and waits for the end. */
export async function endProcess(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'close');
  child.kill(signal);
  await ended;
}

class ServerFailed extends Error {}
