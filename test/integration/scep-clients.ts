import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type CommandResult, run } from '../support/est-fixture.ts';
import { endProcess, freePort, MissingPackage, runToEnd, spawnBound, untilReady } from '../support/server-process.ts';

/** SCEP clients, and a server, that nobody here wrote, each the way its users call it. */

/** Debian's `scepclient` (micromdm): one folder a device, where it keeps its key, its request and its certificate. */
export class ScepClient {
  readonly folder: string;
  readonly #url: string;

  private constructor(folder: string, url: string) {
    this.folder = folder;
    this.#url = url;
  }

  static async create(folder: string, url: string): Promise<ScepClient> {
    await mkdir(folder, { recursive: true });
    return new ScepClient(folder, url);
  }

  get certificate(): string {
    return join(this.folder, 'device.pem');
  }

  /** Asks for a certificate; where it has one already it renews that one, with the same key. */
  ask(commonName: string, challenge?: string): Promise<CommandResult> {
    const files = ['-private-key', join(this.folder, 'device.key'), '-certificate', this.certificate];
    const secret = challenge === undefined ? [] : ['-challenge', challenge];
    return run('scepclient', ['-server-url', this.#url, ...files, '-cn', commonName, ...secret]);
  }
}

/** The certificates that `pki --scepca` wrote. */
export interface StrongSwanTrust {
  readonly root: string;
  readonly issuing: string;
  readonly ra: string;
}

/** strongSwan's `pki`. */
export class StrongSwan {
  readonly folder: string;
  readonly #url: string;

  constructor(folder: string, url: string) {
    this.folder = folder;
    this.#url = url;
  }

  /** GetCACert: writes the chain and the RA certificate. */
  async authorities(): Promise<{ readonly result: CommandResult; readonly trust: StrongSwanTrust }> {
    const file = (name: string): string => join(this.folder, name);
    const out = ['--caout', file('ca.pem'), '--raout', file('ra.pem'), '--outform', 'pem', '--force'];
    const result = await run('pki', ['--scepca', '--url', this.#url, ...out]);
    return { result, trust: { root: file('ca.pem'), issuing: file('ca-1.pem'), ra: file('ra.pem') } };
  }

  /** PKCSReq with `--password`, RenewalReq with `--cert` and `--key`. Without polling it gives up at once. */
  ask(trust: StrongSwanTrust, key: string, dn: string, ...options: string[]): Promise<CommandResult> {
    const { root, issuing, ra } = trust;
    const authorities = ['--cacert-enc', ra, '--cacert-sig', ra, '--cacert', issuing, '--cacert', root];
    const request = ['--in', key, '--dn', dn, '--outform', 'pem'];
    return run('pki', ['--scep', '--url', this.#url, ...request, ...authorities, ...options]);
  }
}

/** How a request of certmonger stands. */
export interface CertmongerRequest {
  /** `MONITORING` once there is a certificate, `CA_REJECTED` after a refusal. */
  readonly status: string;
  readonly error: string | undefined;
}

/** certmonger's session service with a bus of its own, and `getcert` to drive it. */
export class Certmonger implements AsyncDisposable {
  readonly #environment: readonly string[];
  readonly #children: readonly ChildProcess[];

  private constructor(environment: readonly string[], children: readonly ChildProcess[]) {
    this.#environment = environment;
    this.#children = children;
  }

  /** Starts it with `folder` as home; everything it remembers is there. */
  static async start(folder: string): Promise<Certmonger> {
    await mkdir(folder, { recursive: true });
    const bus = spawnBound('dbus-daemon', ['--session', '--nofork', '--print-address=1']);
    bus.once('exit', (code) => {
      if (code !== null && code !== 0) throw new MissingPackage('dbus-daemon', 'dbus');
    });
    const [address] = (await once(bus.stdout!, 'data')) as [Buffer];
    const environment = [`HOME=${folder}`, `DBUS_SESSION_BUS_ADDRESS=${address.toString().trim()}`];
    const socket = `unix:path=${join(folder, 'socket')}`;
    const service = spawnBound('env', [...environment, '/usr/lib/certmonger/certmonger-session', '-n', '-P', socket]);
    return new Certmonger(environment, [service, bus]);
  }

  /** Makes a SCEP server known under a name. */
  addAuthority(name: string, url: string): Promise<CommandResult> {
    return this.getcert('add-scep-ca', '-c', name, '-u', url);
  }

  /** Runs `getcert` on the session's bus. */
  getcert(command: string, ...args: string[]): Promise<CommandResult> {
    return run('env', [...this.#environment, 'getcert', command, '-s', ...args]);
  }

  /** How the request for a certificate file stands. */
  async state(certificate: string): Promise<CertmongerRequest> {
    const { stdout } = await this.getcert('list', '-f', certificate);
    const text = stdout.toString();
    return {
      status: /status: (.*)/.exec(text)?.[1] ?? 'none',
      error: /ca-error: (.*)/.exec(text)?.[1],
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) await endProcess(child, 'SIGTERM');
  }
}

/** Debian's `scepserver` (micromdm) over a depot of its own: another server to judge our clients and our speed by. */
export class ScepServer implements AsyncDisposable {
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #folder: string;

  private constructor(url: string, child: ChildProcess, folder: string) {
    this.url = url;
    this.#child = child;
    this.#folder = folder;
  }

  /** Starts it with an RSA-2048 CA and one challenge for all. */
  static async start(challenge: string): Promise<ScepServer> {
    const folder = await mkdtemp(join(tmpdir(), 'scepserver-'));
    const depot = ['-depot', join(folder, 'depot')];
    const password = 'depot';
    await runToEnd(spawnBound('scepserver', ['ca', '-init', '-keySize', '2048', '-key-password', password, ...depot]));
    const port = String(await freePort());
    const options = ['-port', port, '-challenge', challenge, '-allowrenew', '0', '-capass', password];
    const child = spawnBound('scepserver', [...depot, ...options]);
    const url = `http://127.0.0.1:${port}/scep`;
    await untilReady(child, async () => void (await fetch(`${url}?operation=GetCACaps`)));
    return new ScepServer(url, child, folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await endProcess(this.#child, 'SIGTERM');
    await rm(this.#folder, { recursive: true, force: true });
  }
}
