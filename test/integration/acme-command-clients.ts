import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { type ClientResult, type ClientSite, runClient, writeHook } from './acme-site.ts';

/** ACME clients that nobody here wrote, each the way its users call it: obtain, renew, revoke. */
export interface CommandClient {
  /** Registers an account, and orders a certificate for the name. */
  obtain(): Promise<ClientResult>;
  renew(): Promise<ClientResult>;
  revoke(): Promise<ClientResult>;
  /** PEM of the chain, leaf first. */
  certificate(): Promise<string>;
}

const CONTACT = 'admin@branch.example';

/** Debian's certbot 2.1, http-01 by a manual hook. */
export async function certbot(site: ClientSite, name: string): Promise<CommandClient> {
  const { directory, folder, key, root } = site;
  const members = { token: '$CERTBOT_TOKEN', content: '$CERTBOT_VALIDATION' };
  const hook = await writeHook(site, '[ -n "$CERTBOT_TOKEN" ]', 'add-http01', members);
  const folders = ['--config-dir', 'config', '--work-dir', 'work', '--logs-dir', 'logs'].map((word) =>
    word.startsWith('--') ? word : join(folder, word),
  );
  const common = ['--non-interactive', '--agree-tos', '--email', CONTACT, '--server', directory, ...folders];
  const binding = ['--eab-kid', key.reference, '--eab-hmac-key', key.secret];
  const how = ['--manual', '--preferred-challenges', 'http', '--manual-auth-hook', hook, '--domain', name];
  const run = (...args: string[]): Promise<ClientResult> =>
    runClient({ REQUESTS_CA_BUNDLE: root }, 'certbot', [...args, ...common]);
  return {
    obtain: () => run('certonly', ...binding, ...how),
    renew: () => run('renew', '--force-renewal', '--no-random-sleep-on-renew'),
    revoke: () => run('revoke', '--cert-name', name, '--reason', 'superseded', '--no-delete-after-revoke'),
    certificate: () => readFile(join(folder, 'config/live', name, 'fullchain.pem'), 'utf8'),
  };
}

/** Debian's lego 4.9, dns-01 by a program that writes the record. */
export async function lego(site: ClientSite, name: string): Promise<CommandClient> {
  const { directory, folder, key, resolver, root } = site;
  const hook = await writeHook(site, '[ "$1" = present ]', 'set-txt', { host: '$2', value: '$3' });
  const account = ['--accept-tos', '--email', CONTACT, '--eab', '--kid', key.reference, '--hmac', key.secret];
  const how = ['--dns', 'exec', '--dns.disable-cp', '--dns.resolvers', resolver, '--domains', name];
  const environment = { LEGO_CA_CERTIFICATES: root, EXEC_PATH: hook, EXEC_POLLING_INTERVAL: '1', HOME: folder };
  const run = (...args: string[]): Promise<ClientResult> =>
    runClient(environment, 'lego', ['--server', directory, '--path', folder, ...account, ...how, ...args]);
  return {
    obtain: () => run('run'),
    renew: () => run('renew', '--days', '3650', '--no-random-sleep'),
    revoke: () => run('revoke', '--keep', '--reason', '4'),
    certificate: () => readFile(join(folder, 'certificates', `${name.replace('*', '_')}.crt`), 'utf8'),
  };
}

/** Debian's uacme 1.7, http-01 by a hook. It trusts what the host trusts and nothing else: it runs where that is our root. */
export async function uacme(site: ClientSite, name: string): Promise<CommandClient> {
  const { directory, folder, key, root } = site;
  const isChallenge = '[ "$2" = http-01 ] || exit 1; [ "$1" = begin ]';
  const hook = await writeHook(site, isChallenge, 'add-http01', { token: '$4', content: '$5' });
  const common = ['--acme-url', directory, '--confdir', folder, '--verbose', '--yes'];
  const script = `mount --bind "$0" /etc/ssl/certs/ca-certificates.crt && exec uacme "$@"`;
  const asRoot = process.getuid?.() === 0 ? [] : ['--map-root-user'];
  const run = (...args: string[]): Promise<ClientResult> =>
    runClient({}, 'unshare', ['--mount', ...asRoot, 'sh', '-c', script, root, ...common, ...args]);
  const issue = (...args: string[]): Promise<ClientResult> =>
    run('--type', 'EC', '--no-ocsp', '--hook', hook, ...args, 'issue', name);
  const file = join(folder, name, 'cert.pem');
  return {
    obtain: async () => {
      const made = await run('--eab', `${key.reference}:${key.secret}`, 'new', CONTACT);
      return made.status === 0 ? issue() : made;
    },
    renew: () => issue('--force'),
    revoke: () => run('--reason', '4', 'revoke', file),
    // uacme renames what it revoked.
    certificate: () => readFile(file, 'utf8'),
  };
}

/** Debian's dehydrated 0.7.0, http-01 by a hook. It never repeats a request. */
export async function dehydrated(site: ClientSite, name: string): Promise<CommandClient> {
  const { directory, folder, key, root } = site;
  const members = { token: '$3', content: '$4' };
  const hook = await writeHook(site, '[ "$1" = deploy_challenge ]', 'add-http01', members);
  const settings = {
    CA: directory,
    BASEDIR: folder,
    WELLKNOWN: folder,
    CURL_OPTS: `"--cacert ${root}"`,
    CHALLENGETYPE: 'http-01',
    HOOK: hook,
    KEY_ALGO: 'prime256v1',
    ACCOUNT_KEYSIZE: '2048',
    CONTACT_EMAIL: CONTACT,
    EAB_KID: key.reference,
    EAB_HMAC_KEY: key.secret,
  };
  const file = join(folder, 'config');
  const lines = Object.entries(settings).map(([member, value]) => `${member}=${value}\n`);
  await writeFile(file, lines.join(''));
  const run = (...args: string[]): Promise<ClientResult> => runClient({}, 'dehydrated', ['--config', file, ...args]);
  const certificate = join(folder, 'certs', name, 'fullchain.pem');
  return {
    obtain: async () => {
      const registered = await run('--register', '--accept-terms');
      return registered.status === 0 ? run('--cron', '--domain', name) : registered;
    },
    renew: () => run('--cron', '--force', '--domain', name),
    revoke: () => run('--revoke', join(folder, 'certs', name, 'cert.pem')),
    certificate: () => readFile(certificate, 'utf8'),
  };
}
