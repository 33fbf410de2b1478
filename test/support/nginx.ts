import type { ChildProcess } from 'node:child_process';
import { access, mkdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';

import { endProcess, freePort, MissingPackage, spawnBound, untilReady } from './server-process.ts';

const PROGRAM = '/usr/sbin/nginx';

/** A private nginx with one TLS server. */
export class Nginx implements AsyncDisposable {
  readonly port: number;
  readonly #process: ChildProcess;

  private constructor(port: number, process: ChildProcess) {
    this.port = port;
    this.#process = process;
  }

  /** Starts it in a folder of its own; `directives` go into its server block. */
  static async start(folder: string, directives: readonly string[]): Promise<Nginx> {
    await access(PROGRAM).catch(() => {
      throw new MissingPackage('nginx', 'nginx-light');
    });
    await mkdir(folder, { recursive: true });
    const port = await freePort();
    const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (name) => `${name}_temp_path ${join(folder, name)};`,
    );
    const file = join(folder, 'nginx.conf');
    await writeFile(
      file,
      `pid ${join(folder, 'pid')};
error_log ${join(folder, 'error.log')} info;
worker_processes 1;
events { worker_connections 64; }
http {
  access_log off;
  ${paths.join('\n  ')}
  server {
    listen 127.0.0.1:${port} ssl;
    ${directives.map((directive) => `${directive};`).join('\n    ')}
    location / { return 200 "welcome\\n"; }
  }
}
`,
    );
    const process = spawnBound(PROGRAM, ['-p', folder, '-c', file, '-g', 'daemon off; master_process off;']);
    await untilReady(process, async () => {
      const socket = connect(port, '127.0.0.1');
      await once(socket, 'connect').finally(() => socket.destroy());
    });
    return new Nginx(port, process);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return endProcess(this.#process, 'SIGKILL');
  }
}
