import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { DnsServer } from '../fakes/dns-server.ts';
import { ComposedServer } from '../support/composed-server.ts';
import { type CommandResult, run } from '../support/est-fixture.ts';
import { api } from '../support/installation.ts';

/** Debian's lego 4.9 as a router-shaped client: a key that vouches for its name, no DNS, no challenge. */
describe('lego', () => {
  let server: ComposedServer;

  beforeAll(async () => {
    server = await ComposedServer.start();
  }, 60_000);
  afterAll(async () => server?.[Symbol.asyncDispose]());

  it('enrols with the command that the server prints at its start', async () => {
    const { commands } = await server.server.announce();
    const { status, stderr } = await run('sh', ['-c', commands['acme']!]);
    expect(status, stderr).toBe(0);
  });

  it('registers, enrols, renews with a new key and revokes while nonces are refused and answers are slow', async () => {
    await api(server, 'PATCH', '/endpoints/default', { protocols: { acme: { rehearsal: 'on' } } });
    const key = await api<Eab>(server, 'POST', '/secrets', { kind: 'eab', allowed: ['*.branch.example'] });
    const lego = await legoOf(server, key, ['r7.branch.example']);
    const issued = await lego('--http', 'run');
    expect(issued.status, issued.stderr).toBe(0);
    const certificate = (): Promise<string> =>
      readFile(join(lego.folder, 'certificates/r7.branch.example.crt'), 'utf8');
    const first = new X509Certificate(await certificate());
    expect(first.subjectAltName).toBe('DNS:r7.branch.example');
    const renewed = await lego('--http', 'renew', '--days', '3650', '--no-random-sleep');
    expect(renewed.status, renewed.stderr).toBe(0);
    const second = new X509Certificate(await certificate());
    expect(second.serialNumber).not.toBe(first.serialNumber);
    const revoked = await lego('revoke');
    expect(revoked.status, revoked.stderr).toBe(0);
    const rows = await server.certificatesOf('r7.branch.example');
    expect(rows.map(({ status }) => status)).toEqual(['active', 'revoked']);
  });

  it.each(['http', 'tls'])('answers the challenge of --%s by itself', async (solver) => {
    await using dns = await DnsServer.start();
    const name = `${solver}.field.example`;
    dns.addresses.set(name, ['127.0.0.1']);
    const port = await freePort();
    const acme = {
      resolvers: [dns.address],
      specialAddresses: 'as-listed',
      allowedNetworks: ['127.0.0.1'],
      ...(solver === 'http' ? { httpPort: port } : { tlsAlpnPort: port }),
    };
    await api(server, 'POST', '/endpoints', { label: solver, protocols: { acme } });
    const key = await api<Eab>(server, 'POST', '/secrets', { endpoint: solver, kind: 'eab' });
    const lego = await legoOf(server, key, [name], solver);
    const issued = await lego(`--${solver}`, `--${solver}.port`, `127.0.0.1:${port}`, 'run');
    expect(issued.status, issued.stderr).toBe(0);
    expect(issued.stderr).toContain('The server validated our request');
    expect(await server.certificatesOf(name)).toHaveLength(1);
  });

  it('is refused a name that its key does not cover', async () => {
    const key = await api<Eab>(server, 'POST', '/secrets', { kind: 'eab', subject: 'r8.branch.example' });
    const lego = await legoOf(server, key, ['r9.branch.example']);
    const refused = await lego('--http', 'run');
    expect(refused.status).not.toBe(0);
    expect(refused.stdout + refused.stderr).toContain('rejectedIdentifier');
  });
});

interface Eab {
  readonly reference: string;
  readonly secret: string;
}

async function legoOf(server: ComposedServer, key: Eab, names: readonly string[], label = 'default') {
  const folder = await mkdtemp(join(server.folder, 'lego-'));
  const options = [
    '--server',
    `${server.server.urls.tls}/acme/${label}/directory`,
    '--path',
    folder,
    '--accept-tos',
    '--email',
    'admin@branch.example',
    '--eab',
    '--kid',
    key.reference,
    '--hmac',
    key.secret,
    ...names.flatMap((name) => ['--domains', name]),
  ];
  const trust = `LEGO_CA_CERTIFICATES=${join(server.folder, 'data/root.pem')}`;
  const execute = (...command: string[]): Promise<CommandResult> => run('env', [trust, 'lego', ...options, ...command]);
  return Object.assign(execute, { folder });
}

/** A port that nobody listens on at this moment. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
