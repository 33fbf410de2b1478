import { chmod, chown, mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import {
  endProcess,
  freePort,
  MissingPackage,
  runToEnd,
  spawnBound,
  untilReady,
  type RunningServer,
} from './server-process.ts';

const USER = 'postgres';
const DEBIAN_FOLDER = '/usr/lib/postgresql';

/**
 * Makes and starts a private cluster in `folder`. Its locale is not C, so that text paging without COLLATE "C" shows;
 * its durability settings are the defaults, which the store insists on.
 */
export async function startPostgres(folder: string): Promise<RunningServer> {
  await prepareFolder(folder);
  const binaries = await binaryFolder();
  const data = join(folder, 'data');
  const locale = ['--encoding=UTF8', '--locale=C.UTF-8', '--locale-provider=icu', '--icu-locale=en-US'];
  const initdb = ['-D', data, '-U', USER, '-A', 'trust', '--no-sync', ...locale];
  await runToEnd(spawnBound(join(binaries, 'initdb'), initdb, USER));
  return servePostgres(data, folder, await freePort());
}

/** Starts the server of an existing cluster, for tests that stop and restart one of their own. */
export async function servePostgres(data: string, socketFolder: string, port: number): Promise<RunningServer> {
  const settings = ['-c', 'listen_addresses=127.0.0.1', '-c', 'max_connections=300', '-c', 'shared_buffers=64MB'];
  const args = ['-D', data, '-p', String(port), '-k', socketFolder, ...settings];
  const process = spawnBound(join(await binaryFolder(), 'postgres'), args, USER);
  const url = `postgres://${USER}@127.0.0.1:${port}/postgres`;
  await untilReady(process, () => probe(url));
  // SIGQUIT: an immediate stop without a checkpoint; nobody reads this cluster again.
  return { url, process, stop: () => endProcess(process, 'SIGQUIT') };
}

async function probe(url: string): Promise<void> {
  const client = new Client({ connectionString: url });
  try {
    await client.connect();
    await client.query('select 1');
  } finally {
    await client.end();
  }
}

async function prepareFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  if (process.getuid?.() !== 0) return;
  const account = (await readFile('/etc/passwd', 'utf8')).split('\n').find((line) => line.startsWith(`${USER}:`));
  if (account === undefined) throw new MissingPackage('the user postgres', 'postgresql');
  const [, , uid, gid] = account.split(':');
  await chown(folder, Number(uid), Number(gid));
  // The parent was made by mkdtemp for root alone.
  await chmod(join(folder, '..'), 0o711);
}

async function binaryFolder(): Promise<string> {
  const versions = await readdir(DEBIAN_FOLDER).catch(() => []);
  const newest = versions.toSorted((left, right) => Number(right) - Number(left))[0];
  if (newest === undefined) throw new MissingPackage('initdb', 'postgresql');
  return join(DEBIAN_FOLDER, newest, 'bin');
}
