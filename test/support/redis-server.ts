import { access, mkdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { once } from 'node:events';
import { endProcess, freePort, MissingPackage, spawnBound, untilReady, type RunningServer } from './server-process.ts';

const PROGRAM = '/usr/bin/redis-server';

/** Starts a private Redis without persistence, on a free port or on `port`. */
export async function startRedis(folder: string, port?: number): Promise<RunningServer> {
  await access(PROGRAM).catch(() => {
    throw new MissingPackage('redis-server', 'redis-server');
  });
  await mkdir(folder, { recursive: true });
  const at = port ?? (await freePort());
  const network = ['--port', String(at), '--bind', '127.0.0.1'];
  const noFiles = ['--dir', folder, '--save', '', '--appendonly', 'no', '--daemonize', 'no'];
  const process = spawnBound(PROGRAM, [...network, ...noFiles]);
  await untilReady(process, () => ping(at));
  return { url: `redis://127.0.0.1:${at}`, process, stop: () => endProcess(process, 'SIGKILL') };
}

async function ping(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    socket.write('PING\r\n');
    const [answer] = (await once(socket, 'data')) as [Buffer];
    if (!answer.toString().startsWith('+PONG')) throw new TypeError(`Redis answered ${answer.toString()}`);
  } finally {
    socket.destroy();
  }
}
