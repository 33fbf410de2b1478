import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

import type { BenchServerReady } from './bench-server.ts';

/** Starts bench-server.ts as `npm start` would; it ends when it is disconnected. */
export async function startBenchServer(): Promise<{ child: ChildProcess; ready: BenchServerReady }> {
  const child = fork(new URL('./bench-server.ts', import.meta.url), {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    execArgv: startFlags(),
  });
  const ended = once(child, 'exit').then(([code]) => {
    throw new RangeError(`the server ended with ${code}`);
  });
  const [ready] = (await Promise.race([once(child, 'message'), ended])) as [BenchServerReady];
  ended.catch(() => undefined);
  return { child, ready };
}

/** Its resident set in MB. */
export async function memoryOf(child: ChildProcess): Promise<number> {
  child.send('memory');
  const [megabytes] = (await once(child, 'message')) as [number];
  return megabytes;
}

/** What `npm start` tells Node about memory. */
function startFlags(): string[] {
  const { scripts } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    readonly scripts: Readonly<Record<'start', string>>;
  };
  return scripts.start.split(' ').filter((word) => word.startsWith('--'));
}
