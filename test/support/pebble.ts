import type { ChildProcess } from 'node:child_process';
import { access, mkdir, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';

import { encodePem } from '../../core/x509/pem.ts';
import { pemOfKey } from './est-fixture.ts';
import { endProcess, freePort, MissingPackage, spawnBound, untilReady } from './server-process.ts';
import { TestAuthority } from './test-pki.ts';

const FOLDER = '/usr/bin';

/** Debian's `pebble-challtestsrv` on loopback: a name server whose every name is 127.0.0.1, and who answers challenges for others. */
export class ChallengeServer implements AsyncDisposable {
  /** Base URL of what it is told by. */
  readonly management: string;
  /** As a resolver setting has it. */
  readonly resolver: string;
  readonly httpPort: number;
  readonly tlsAlpnPort: number;
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess, [management, dns, http, tlsAlpn]: readonly [number, ...number[]]) {
    this.#process = process;
    this.management = `http://127.0.0.1:${management}`;
    this.resolver = `127.0.0.1:${dns}`;
    this.httpPort = http!;
    this.tlsAlpnPort = tlsAlpn!;
  }

  static async start(): Promise<ChallengeServer> {
    await requireProgram('pebble-challtestsrv');
    const ports = [await freePort(), await freePort(), await freePort(), await freePort()] as const;
    const [management, dns, http, tlsAlpn] = ports.map((port) => `127.0.0.1:${port}`);
    const bound = [
      '-management',
      management!,
      '-dns01',
      dns!,
      '-http01',
      http!,
      '-tlsalpn01',
      tlsAlpn!,
      '-https01',
      '',
    ];
    const process = spawnBound(join(FOLDER, 'pebble-challtestsrv'), [...bound, '-defaultIPv6', '']);
    await untilReady(process, () => Promise.all(ports.map(reachable)).then(() => undefined));
    return new ChallengeServer(process, ports);
  }

  /** Tells it something: `add-http01`, `set-txt`, `add-a`, `http-request-history`; answers what it says. */
  async tell(what: string, content: object): Promise<string> {
    const answer = await fetch(`${this.management}/${what}`, { method: 'POST', body: JSON.stringify(content) });
    const text = await answer.text();
    if (!answer.ok) throw new RangeError(`${what}: ${answer.status} ${text}`);
    return text;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return endProcess(this.#process, 'SIGKILL');
  }
}

/** How a pebble is to behave. */
export interface PebbleOptions {
  /** Where it asks for names, `address:port`. */
  readonly resolver: string;
  /** Where it looks for answers to http-01. */
  readonly httpPort: number;
  /** Per cent of orders that take a valid authorization as it stands. */
  readonly authorizationReuse: number;
}

/** Debian's `pebble`, which never waits nor refuses a nonce: RSA-2048 authorities and all that it knows are in its memory. */
export class Pebble implements AsyncDisposable {
  readonly directory: string;
  /** PEM of the authority of its TLS certificate. */
  readonly ca: string;
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess, port: number, ca: string) {
    this.#process = process;
    this.directory = `https://localhost:${port}/dir`;
    this.ca = ca;
  }

  /** Starts one in a folder of its own. */
  static async start(folder: string, options: PebbleOptions): Promise<Pebble> {
    await requireProgram('pebble');
    await mkdir(folder, { recursive: true });
    const port = await freePort();
    const ca = await writeIdentity(folder);
    const configuration = {
      listenAddress: `127.0.0.1:${port}`,
      managementListenAddress: '',
      certificate: join(folder, 'cert.pem'),
      privateKey: join(folder, 'key.pem'),
      httpPort: options.httpPort,
      tlsPort: 1,
      ocspResponderURL: '',
      externalAccountBindingRequired: false,
    };
    await writeFile(join(folder, 'pebble.json'), JSON.stringify({ pebble: configuration }));
    const settings = [
      'PEBBLE_VA_NOSLEEP=1',
      'PEBBLE_WFE_NONCEREJECT=0',
      `PEBBLE_AUTHZREUSE=${options.authorizationReuse}`,
    ];
    const program = [join(FOLDER, 'pebble'), '-config', join(folder, 'pebble.json'), '-dnsserver', options.resolver];
    const process = spawnBound('env', [...settings, ...program]);
    await untilReady(process, () => reachable(port));
    // It logs a line for each request, which nobody reads.
    process.stdout?.resume();
    process.stderr?.resume();
    return new Pebble(process, port, ca);
  }

  get processId(): number {
    return this.#process.pid!;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return endProcess(this.#process, 'SIGKILL');
  }
}

async function writeIdentity(folder: string): Promise<string> {
  const authority = TestAuthority.root();
  const san = ['dns:localhost', 'ip:127.0.0.1'];
  const leaf = authority.leaf({ subject: 'CN=localhost', san, eku: ['1.3.6.1.5.5.7.3.1'] });
  await writeFile(join(folder, 'cert.pem'), encodePem('CERTIFICATE', leaf.der));
  await writeFile(join(folder, 'key.pem'), pemOfKey(leaf.privateKey));
  return encodePem('CERTIFICATE', authority.der);
}

async function requireProgram(name: string): Promise<void> {
  await access(join(FOLDER, name)).catch(() => {
    throw new MissingPackage(name, 'pebble');
  });
}

async function reachable(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect').finally(() => socket.destroy());
}
