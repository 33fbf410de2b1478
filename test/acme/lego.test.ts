import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

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
    const issued = await lego('run');
    expect(issued.status, issued.stderr).toBe(0);
    const certificate = (): Promise<string> =>
      readFile(join(lego.folder, 'certificates/r7.branch.example.crt'), 'utf8');
    const first = new X509Certificate(await certificate());
    expect(first.subjectAltName).toBe('DNS:r7.branch.example');
    const renewed = await lego('renew', '--days', '3650', '--no-random-sleep');
    expect(renewed.status, renewed.stderr).toBe(0);
    const second = new X509Certificate(await certificate());
    expect(second.serialNumber).not.toBe(first.serialNumber);
    const revoked = await lego('revoke');
    expect(revoked.status, revoked.stderr).toBe(0);
    const rows = await server.certificatesOf('r7.branch.example');
    expect(rows.map(({ status }) => status)).toEqual(['active', 'revoked']);
  });

  it('is refused a name that its key does not cover', async () => {
    const key = await api<Eab>(server, 'POST', '/secrets', { kind: 'eab', subject: 'r8.branch.example' });
    const lego = await legoOf(server, key, ['r9.branch.example']);
    const refused = await lego('run');
    expect(refused.status).not.toBe(0);
    expect(refused.stdout + refused.stderr).toContain('rejectedIdentifier');
  });
});

interface Eab {
  readonly reference: string;
  readonly secret: string;
}

async function legoOf(server: ComposedServer, key: Eab, names: readonly string[]) {
  const folder = await mkdtemp(join(server.folder, 'lego-'));
  const options = [
    '--server',
    `${server.server.urls.tls}/acme/default/directory`,
    '--path',
    folder,
    '--accept-tos',
    '--email',
    'admin@branch.example',
    '--http',
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
