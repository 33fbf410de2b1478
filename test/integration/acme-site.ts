import { chmod, copyFile, mkdir, writeFile } from 'node:fs/promises';
import { execFile } from 'node:child_process';
import { join } from 'node:path';

import { ComposedServer } from '../support/composed-server.ts';
import { api, type Listed, type ListedCertificate } from '../support/installation.ts';
import { ChallengeServer } from '../support/pebble.ts';
import { freePort } from '../support/server-process.ts';

/** A key for external account binding, as the API shows it once. */
export interface BindingKey {
  readonly reference: string;
  readonly secret: string;
}

/** What a client is told of its endpoint. */
export interface ClientSite {
  readonly directory: string;
  readonly key: BindingKey;
  /** A folder of its own, which other users may enter. */
  readonly folder: string;
  /** The root certificate, PEM, readable by all. */
  readonly root: string;
  /** Where pebble-challtestsrv is told which challenges to answer. */
  readonly management: string;
  readonly resolver: string;
  /** Ports for a client that answers challenges by itself. */
  readonly httpPort: number;
  readonly httpsPort: number;
}

/** How a client's run ended, and all that it said. */
export interface ClientResult {
  readonly status: number;
  readonly output: string;
}

const RUN_LIMIT_MS = 60_000;

/** The whole server and pebble-challtestsrv, for any number of ACME clients with an endpoint each. */
export class AcmeSite implements AsyncDisposable {
  readonly server: ComposedServer;
  readonly challenges: ChallengeServer;

  private constructor(server: ComposedServer, challenges: ChallengeServer) {
    this.server = server;
    this.challenges = challenges;
  }

  static async start(): Promise<AcmeSite> {
    const challenges = await ChallengeServer.start();
    const server = await ComposedServer.start();
    // Apache's children run as another user.
    await chmod(server.folder, 0o711);
    await copyFile(join(server.folder, 'data/root.pem'), join(server.folder, 'root.pem'));
    await chmod(join(server.folder, 'root.pem'), 0o644);
    return new AcmeSite(server, challenges);
  }

  /**
   * An endpoint whose names resolve to loopback, with its key. A client that answers challenges by itself listens on ports
   * of its own; otherwise pebble-challtestsrv answers for it.
   */
  async endpoint(label: string, answers: 'itself' | 'challtestsrv', acme: object = {}): Promise<ClientSite> {
    const { challenges, server } = this;
    const [httpPort, httpsPort] =
      answers === 'itself' ? [await freePort(), await freePort()] : [challenges.httpPort, challenges.tlsAlpnPort];
    const settings = {
      resolvers: [challenges.resolver],
      specialAddresses: 'as-listed',
      allowedNetworks: ['127.0.0.1'],
      httpPort,
      httpsPort,
      tlsAlpnPort: httpsPort,
      authorizationReuseSeconds: 0,
      ...acme,
    };
    await api(server, 'POST', '/endpoints', { label, protocols: { acme: settings } });
    const key = await api<BindingKey>(server, 'POST', '/secrets', { endpoint: label, kind: 'eab' });
    const folder = join(server.folder, label);
    await mkdir(folder, { mode: 0o711 });
    return {
      directory: `${server.server.urls.tls}/acme/${label}/directory`,
      key,
      folder,
      root: join(server.folder, 'root.pem'),
      management: challenges.management,
      resolver: challenges.resolver,
      httpPort,
      httpsPort,
    };
  }

  /** The certificates of a name, oldest first. */
  async certificatesOf(name: string): Promise<readonly ListedCertificate[]> {
    const query = new URLSearchParams({ name }).toString();
    const { items } = await api<Listed<ListedCertificate>>(this.server, 'GET', `/certificates?${query}`);
    return items.toSorted((one, other) => (one.id < other.id ? -1 : 1));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.challenges[Symbol.asyncDispose]();
    await this.server[Symbol.asyncDispose]();
  }
}

/** Runs a client to its end in an environment of its own; never rejects for its exit status. */
export function runClient(
  environment: Readonly<Record<string, string>>,
  program: string,
  args: readonly string[],
): Promise<ClientResult> {
  const { promise, resolve } = Promise.withResolvers<ClientResult>();
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8', ...environment };
  execFile(program, args, { env, timeout: RUN_LIMIT_MS }, (error, stdout, stderr) => {
    const missing = error?.code === 'ENOENT' ? `${program} is not installed: apt-get install ${program}\n` : '';
    resolve({ status: error === null ? 0 : Number(error.code) || 1, output: missing + stdout + stderr });
  });
  return promise;
}

/** A shell script that tells pebble-challtestsrv to answer a challenge; its words are the shell's own expressions. */
export async function writeHook(
  { folder, management }: Pick<ClientSite, 'folder' | 'management'>,
  when: string,
  what: 'add-http01' | 'set-txt',
  members: Readonly<Record<string, string>>,
): Promise<string> {
  const path = join(folder, 'hook');
  const pairs = Object.entries(members).map(([name, word]) => `\\"${name}\\":\\"${word}\\"`);
  const tell = `exec curl --silent --show-error --fail --data "{${pairs.join(',')}}" ${management}/${what}`;
  await writeFile(path, `#!/bin/sh\nif ${when}; then ${tell}; fi\n`, { mode: 0o755 });
  return path;
}
