import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { freePort } from '../support/server-process.ts';
import { figure, type Figure } from './figure.ts';

const RUNS = 5;
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** From `npm start` (its script) to the ready file, packages present: with an empty data folder, and with one that is set up. */
export async function measureStart(): Promise<Figure[]> {
  const first = [];
  const second = [];
  const node = await Promise.all(Array.from({ length: RUNS }, () => bareNode()));
  for (let run = 0; run < RUNS; run++) {
    const folder = await mkdtemp(join(tmpdir(), 'muster-start-'));
    first.push(await secondsToReady(folder));
    second.push(await secondsToReady(folder));
    await rm(folder, { recursive: true, force: true });
  }
  const peer = { name: 'node -e 0', runs: node };
  return [figure('first start, RSA-3072 CAs made', 's', first, peer), figure('second start', 's', second, peer)];
}

async function secondsToReady(folder: string): Promise<number> {
  const ready = join(folder, `ready-${Date.now()}.json`);
  const start = performance.now();
  const child = spawn(
    'sh',
    [
      'config/run',
      'start',
      'node',
      'server/main.ts',
      '--data',
      folder,
      '--port-base',
      String(await freePort()),
      '--ready-file',
      ready,
    ],
    { cwd: ROOT, stdio: 'ignore' },
  );
  while (!existsSync(ready)) {
    if (child.exitCode !== null) throw new RangeError(`the server ended with ${child.exitCode}`);
    await delay(5);
  }
  const seconds = (performance.now() - start) / 1000;
  child.kill('SIGTERM');
  await once(child, 'close');
  return seconds;
}

async function bareNode(): Promise<number> {
  const start = performance.now();
  await once(spawn(process.execPath, ['-e', '0']), 'close');
  return (performance.now() - start) / 1000;
}
