import { execFileSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';

import { hostKeyFingerprint } from '../../adapters/transport/ssh/session.ts';
import { servedCertificate } from '../../adapters/transport/tls/handshake.ts';
import { endProcess, freePort, spawnBound, untilReady } from '../support/server-process.ts';

/** The kinds of services a gateway of tests runs. */
export type GatewayServiceKind = 'nginx' | 'stunnel' | 'mosquitto';

/** A TLS service with its factory certificate (P-384). */
export interface GatewayService {
  readonly kind: GatewayServiceKind;
  readonly port: number;
  readonly directory: string;
  readonly configFile: string;
  readonly pidFile: string;
}

/** How a service is set up. */
interface ServiceWish {
  readonly kind: GatewayServiceKind;
  /** Takes keys of 192 bits of strength only: the factory's, and no P-256. */
  readonly strict?: boolean;
}

/** A Linux gateway of real parts on loopback: OpenSSH's sshd, and nginx, stunnel and mosquitto, in a folder of its own. */
export class DeviceGateway implements AsyncDisposable {
  readonly folder: string;
  readonly sshPort: number;
  readonly username = userInfo().username;
  readonly #processes: ChildProcess[] = [];

  private constructor(folder: string, sshPort: number) {
    this.folder = folder;
    this.sshPort = sshPort;
  }

  static async start(): Promise<DeviceGateway> {
    const folder = mkdtempSync(join(tmpdir(), 'muster-gateway-'));
    const gateway = new DeviceGateway(folder, await freePort());
    makeSshKey(join(folder, 'host'));
    makeSshKey(join(folder, 'login'));
    // sshd wants it as root, and a container has not booted.
    if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true });
    const file = join(folder, 'sshd_config');
    writeFileSync(
      file,
      `Port ${gateway.sshPort}
ListenAddress 127.0.0.1
HostKey ${join(folder, 'host')}
AuthorizedKeysFile ${join(folder, 'login.pub')}
PidFile none
UsePAM no
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
MaxStartups 100
`,
    );
    const sshd = spawnBound('/usr/sbin/sshd', ['-D', '-e', '-f', file]);
    gateway.#processes.push(sshd);
    await untilReady(sshd, () => reach(gateway.sshPort));
    return gateway;
  }

  /** `SHA256:…` of its host key. */
  get hostKey(): string {
    const [, key] = readFileSync(join(this.folder, 'host.pub'), 'utf8').split(' ');
    return hostKeyFingerprint(Buffer.from(key!, 'base64'));
  }

  /** The private key that it lets in. */
  get loginKey(): string {
    return readFileSync(join(this.folder, 'login'), 'utf8');
  }

  /** Starts a service that serves a certificate of the factory. */
  async service({ kind, strict = false }: ServiceWish): Promise<GatewayService> {
    const directory = join(this.folder, kind + this.#processes.length);
    mkdirSync(join(directory, 'factory'), { recursive: true });
    makeFactoryCertificate(join(directory, 'factory'));
    symlinkSync('factory', join(directory, 'current'));
    const service = {
      kind,
      directory,
      port: await freePort(),
      configFile: join(directory, 'service.conf'),
      pidFile: join(directory, 'service.pid'),
    };
    writeFileSync(service.configFile, CONFIGURATIONS[kind](service, strict));
    const process = spawnBound(...PROGRAMS[kind](service.configFile));
    this.#processes.push(process);
    await untilReady(process, () => reach(service.port));
    // mosquitto leaves this to what starts it in the background.
    if (kind === 'mosquitto') writeFileSync(service.pidFile, `${process.pid}\n`);
    return service;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const process of this.#processes.toReversed()) await endProcess(process, 'SIGTERM');
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** SHA-256 of what a service serves in a new handshake. */
export function served({ port }: Pick<GatewayService, 'port'>): Promise<string> {
  return servedCertificate({ host: '127.0.0.1', port }, 5_000, new AbortController().signal);
}

/** Where its link leads. */
export function currentOf({ directory }: GatewayService): string {
  return readlinkSync(join(directory, 'current'));
}

const PROGRAMS: Readonly<Record<GatewayServiceKind, (file: string) => [string, string[]]>> = {
  nginx: (file) => ['/usr/sbin/nginx', ['-c', file, '-g', 'daemon off;']],
  stunnel: (file) => ['/usr/bin/stunnel4', [file]],
  mosquitto: (file) => ['/usr/sbin/mosquitto', ['-c', file]],
};

const CONFIGURATIONS: Readonly<Record<GatewayServiceKind, (service: GatewayService, strict: boolean) => string>> = {
  nginx: ({ directory, port, pidFile }, strict) => `pid ${pidFile};
error_log ${join(directory, 'error.log')};
worker_processes 1;
events { worker_connections 64; }
http {
  access_log off;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${join(directory, name)};`).join(' ')}
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${join(directory, 'current', 'certificate.pem')};
    ssl_certificate_key ${join(directory, 'current', 'key.pem')};
    ${strict ? 'ssl_ciphers DEFAULT:@SECLEVEL=4;' : ''}
  }
}
`,
  stunnel: ({ directory, port, pidFile }, strict) => `foreground = yes
pid = ${pidFile}
${strict ? 'securityLevel = 4' : ''}
[tls]
accept = 127.0.0.1:${port}
connect = 127.0.0.1:1
cert = ${join(directory, 'current', 'certificate.pem')}
key = ${join(directory, 'current', 'key.pem')}
`,
  mosquitto: ({ directory, port }) => `listener ${port} 127.0.0.1
allow_anonymous true
user ${userInfo().username}
certfile ${join(directory, 'current', 'certificate.pem')}
keyfile ${join(directory, 'current', 'key.pem')}
`,
};

function makeSshKey(file: string): void {
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file]);
}

function makeFactoryCertificate(folder: string): void {
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384', '-sha384', '-nodes', '-days', '30'];
  const files = ['-keyout', join(folder, 'key.pem'), '-out', join(folder, 'certificate.pem')];
  execFileSync('openssl', ['req', '-x509', ...curve, '-subj', '/CN=factory', ...files], { stdio: 'ignore' });
}

async function reach(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect').finally(() => socket.destroy());
}
