import type { ChildProcess } from 'node:child_process';
import type { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { access, chmod, chown, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { setTimeout as delay } from 'node:timers/promises';

import { endProcess, MissingPackage, spawnBound } from '../support/server-process.ts';
import type { ClientSite } from './acme-site.ts';

/** Web servers that bring their own ACME client, each in a folder and on ports of its own. */

const CONTACT = 'admin@branch.example';
const PATIENCE_MS = 45_000;
const CADDY = '/usr/bin/caddy';
const APACHE = { program: '/usr/sbin/apache2', modules: '/usr/lib/apache2/modules', user: 'www-data' };

/** Debian's Caddy 2.6, http-01 or tls-alpn-01 as it likes. */
export class Caddy implements AsyncDisposable {
  readonly #site: ClientSite;
  readonly #name: string;
  #process: ChildProcess | undefined;

  constructor(site: ClientSite, name: string) {
    this.#site = site;
    this.#name = name;
  }

  /** Starts it; `renewalWindowRatio` is the last part of a certificate's life in which it renews. */
  async start(renewalWindowRatio: number): Promise<void> {
    await requireProgram(CADDY, 'caddy');
    await this[Symbol.asyncDispose]();
    const { folder } = this.#site;
    const file = join(folder, 'caddy.json');
    await writeFile(file, JSON.stringify(this.#configuration(renewalWindowRatio)));
    this.#process = spawnBound('env', [`HOME=${folder}`, `XDG_DATA_HOME=${folder}`, CADDY, 'run', '--config', file]);
    collect(this.#process);
  }

  /** The certificate it presents, once it is another one than `before`. */
  presented(before?: X509Certificate): Promise<X509Certificate> {
    return presentedAt(this.#site, this.#name, before);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process !== undefined) await endProcess(this.#process, 'SIGINT');
    this.#process = undefined;
  }

  #configuration(ratio: number): object {
    const { directory, folder, httpPort, httpsPort, key, root } = this.#site;
    const issuer = {
      module: 'acme',
      ca: directory,
      email: CONTACT,
      trusted_roots_pem_files: [root],
      external_account: { key_id: key.reference, mac_key: key.secret },
    };
    const page = { match: [{ host: [this.#name] }], handle: [{ handler: 'static_response', body: 'welcome' }] };
    const servers = { device: { listen: [`127.0.0.1:${httpsPort}`], protocols: ['h1'], routes: [page] } };
    return {
      admin: { disabled: true },
      storage: { module: 'file_system', root: join(folder, 'store') },
      apps: {
        http: { http_port: httpPort, https_port: httpsPort, servers },
        tls: { automation: { policies: [{ renewal_window_ratio: ratio, key_type: 'p256', issuers: [issuer] }] } },
      },
    };
  }
}

/** Debian's Apache 2.4 with mod_md 2.6: http-01, renewal information and profiles. */
export class ApacheMd implements AsyncDisposable {
  readonly #site: ClientSite;
  readonly #name: string;
  readonly #process: ChildProcess;

  private constructor(site: ClientSite, name: string, process: ChildProcess) {
    this.#site = site;
    this.#name = name;
    this.#process = process;
  }

  /** Starts it with further directives for the managed domain. */
  static async start(site: ClientSite, name: string, directives: readonly string[]): Promise<ApacheMd> {
    await requireProgram(join(APACHE.modules, 'mod_md.so'), 'apache2-bin');
    const { folder } = site;
    await mkdir(join(folder, 'pages'));
    await giveTo(APACHE.user, folder);
    const file = join(folder, 'httpd.conf');
    await writeFile(file, configuration(site, name, directives));
    await chmod(file, 0o644);
    const process = spawnBound(APACHE.program, ['-f', file, '-DFOREGROUND']);
    collect(process);
    return new ApacheMd(site, name, process);
  }

  /** The certificate it presents, once it is another one than `before`: what it staged is taken up by graceful restarts. */
  async presented(before?: X509Certificate): Promise<X509Certificate> {
    await this.#staged();
    this.#process.kill('SIGUSR1');
    return presentedAt(this.#site, this.#name, before);
  }

  /** What it wrote to its error log. */
  log(): Promise<string> {
    return readFile(join(this.#site.folder, 'error.log'), 'utf8');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return endProcess(this.#process, 'SIGTERM');
  }

  async #staged(): Promise<void> {
    const job = join(this.#site.folder, 'md/staging', this.#name, 'job.json');
    for (const start = performance.now(); performance.now() - start < PATIENCE_MS; await delay(100)) {
      const text = await readFile(job, 'utf8').catch(() => '{}');
      if ((JSON.parse(text) as { readonly finished?: boolean }).finished === true) return;
    }
    throw new RangeError(`Apache staged no certificate: ${(await this.log()).slice(-2_000)}`);
  }
}

function configuration(
  { directory, folder, httpPort, httpsPort, key, root }: ClientSite,
  name: string,
  directives: readonly string[],
): string {
  const modules = ['mpm_event', 'authz_core', 'socache_shmcb', 'ssl', 'md'];
  return [
    `ServerRoot ${folder}`,
    `PidFile ${join(folder, 'pid')}`,
    `Mutex file:${folder}`,
    `ErrorLog ${join(folder, 'error.log')}`,
    'LogLevel warn md:debug',
    `ServerName ${name}`,
    `User ${APACHE.user}`,
    `Group ${APACHE.user}`,
    'StartServers 1',
    ...modules.map((module) => `LoadModule ${module}_module ${join(APACHE.modules, `mod_${module}.so`)}`),
    `Listen 127.0.0.1:${httpPort}`,
    `Listen 127.0.0.1:${httpsPort}`,
    'SSLSessionCache none',
    `DocumentRoot ${join(folder, 'pages')}`,
    `MDStoreDir ${join(folder, 'md')}`,
    `MDCertificateAuthority ${directory}`,
    `MDCACertificateFile ${root}`,
    'MDCertificateAgreement accepted',
    `MDContactEmail ${CONTACT}`,
    `MDExternalAccountBinding ${key.reference} ${key.secret}`,
    `MDPortMap http:${httpPort} https:${httpsPort}`,
    'MDPrivateKeys secp256r1',
    'MDRetryDelay 1s',
    'MDCheckInterval 1s',
    ...directives,
    `MDomain ${name}`,
    `<VirtualHost *:${httpsPort}>`,
    `ServerName ${name}`,
    'SSLEngine on',
    '</VirtualHost>',
    '',
  ].join('\n');
}

/** Until it is issued by the authority that the site trusts, and new. */
async function presentedAt(
  { httpsPort }: ClientSite,
  servername: string,
  before: X509Certificate | undefined,
): Promise<X509Certificate> {
  for (const start = performance.now(); performance.now() - start < PATIENCE_MS; await delay(100)) {
    const found = await leafAt(httpsPort, servername).catch(() => undefined);
    const isIssued = found !== undefined && found.issuer !== found.subject && found.subjectAltName !== undefined;
    if (isIssued && found.serialNumber !== before?.serialNumber && !found.issuer.includes('Fallback')) return found;
  }
  throw new RangeError(`${servername} presents no new certificate`);
}

async function leafAt(port: number, servername: string): Promise<X509Certificate> {
  const socket = connect({ host: '127.0.0.1', port, servername, rejectUnauthorized: false });
  try {
    await once(socket, 'secureConnect');
    return socket.getPeerX509Certificate()!;
  } finally {
    socket.destroy();
  }
}

/** Nobody reads what it says; a full pipe would stop it. */
function collect(process: ChildProcess): void {
  process.stdout?.resume();
  process.stderr?.resume();
}

async function requireProgram(file: string, debianPackage: string): Promise<void> {
  await access(file).catch(() => {
    throw new MissingPackage(file, debianPackage);
  });
}

/** Root's Apache works as another user, in whose folder it stores what it gets. */
async function giveTo(user: string, folder: string): Promise<void> {
  if (process.getuid?.() !== 0) return;
  const account = (await readFile('/etc/passwd', 'utf8')).split('\n').find((line) => line.startsWith(`${user}:`));
  if (account === undefined) throw new MissingPackage(`the user ${user}`, 'base-passwd');
  const [, , uid, gid] = account.split(':');
  await chown(folder, Number(uid), Number(gid));
}
