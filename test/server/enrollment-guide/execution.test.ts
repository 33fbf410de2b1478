import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseCertificate } from '../../../core/x509/certificate.ts';
import { nameToText } from '../../../core/x509/name.ts';
import { decodePem } from '../../../core/x509/pem.ts';
import type { PlatformName } from '../../../server/enrollment-guide/platform-names.ts';
import { ComposedServer } from '../../support/composed-server.ts';
import { api, type Listed } from '../../support/installation.ts';
import { muster } from '../support/terminal.ts';

const execute = promisify(execFile);

/** A challenge password in the request: it is not kept, and counts for the fingerprint all the same. */
const CHALLENGE_CONFIGURATION = `
  [req]
  distinguished_name = dn
  attributes = attributes
  prompt = no
  [dn]
  CN = waits.example
  [attributes]
  challengePassword = not to be kept`;

/** The lines a guide prints, run as they are by a shell in a folder that holds nothing but the secret. */
describe('the lines of guides enrol at a running server', () => {
  let server: ComposedServer;
  beforeAll(async () => {
    server = await ComposedServer.start();
    for (const label of ['default', 'branch']) {
      const protocols = { est: {}, scep: {}, cmp: {}, acme: {} };
      if (label === 'default') await api(server, 'PATCH', `/endpoints/${label}`, { protocols });
      else await api(server, 'POST', '/endpoints', { label, protocols });
    }
    await server.addTenant('acme');
  });
  afterAll(() => server[Symbol.asyncDispose]());

  async function guide(platform: PlatformName, label: string, tenant = 'default'): Promise<string> {
    const path = `/endpoints/${label}/configuration?platform=${platform}&tenant=${tenant}`;
    return (await api<{ text: string }>(server, 'GET', path)).text;
  }

  /** The section about one protocol, without the others. */
  function sectionOf(text: string, protocol: string): string {
    const sections = text.split(/^(?=# --- )/m);
    return sections.find((section) => section.startsWith(`# --- ${protocol}\n`))!;
  }

  async function folderFor(name: string, label: string): Promise<string> {
    const folder = join(server.folder, name);
    await mkdir(folder);
    await writeFile(join(folder, 'enrollment-secret'), `${await server.password(label)}\n`, { mode: 0o600 });
    return folder;
  }

  async function runIn(folder: string, name: string, lines: string, variables: object = {}): Promise<string> {
    const env = { ...process.env, name, ...variables };
    const { stdout } = await execute('sh', ['-c', lines], { cwd: folder, env });
    const [certificate] = decodePem(await readFile(join(folder, `${name}.pem`), 'utf8'));
    const { subject } = parseCertificate(certificate!.der);
    expect(nameToText(subject)).toBe(`CN=${name}`);
    return stdout;
  }

  it.each<[PlatformName, string]>([
    ['openssl', 'default'],
    ['openssl', 'branch'],
    ['strongswan', 'default'],
  ])('%s by EST at the endpoint %s', async (platform, label) => {
    const name = `${platform}-${label}.example`;
    const folder = await folderFor(name, label);
    const lines = sectionOf(await guide(platform, label), 'EST');
    expect(await runIn(folder, name, lines)).toContain(`${name}.pem: OK`);
    expect(await server.certificatesOf(name)).toHaveLength(1);
    // Nothing of the private key is readable by others.
    const { stdout } = await execute('stat', ['-c', '%a', join(folder, `${name}.key`)]);
    expect(stdout.trim()).toBe('600');
  });

  it('strongswan by SCEP', async () => {
    const name = 'swan-scep.example';
    const folder = await folderFor(name, 'branch');
    const lines = sectionOf(await guide('strongswan', 'branch'), 'SCEP');
    expect(await runIn(folder, name, lines)).toContain('muster-ra.pem: OK');
    expect(await server.certificatesOf(name)).toHaveLength(1);
  });

  it('openssl by CMP', async () => {
    const name = 'ossl-cmp.example';
    const folder = await folderFor(name, 'branch');
    const draft = { endpoint: 'branch', kind: 'mac' };
    const { reference, secret } = await api<{ reference: string; secret: string }>(server, 'POST', '/secrets', draft);
    await writeFile(join(folder, 'enrollment-secret'), `${secret}\n`);
    const lines = sectionOf(await guide('openssl', 'branch'), 'CMP');
    expect(await runIn(folder, name, lines, { reference })).toContain(`subject=CN = ${name}`);
    expect(await server.certificatesOf(name)).toHaveLength(1);
  });

  it('lego by ACME', async () => {
    const name = 'lego-acme.example';
    const folder = await folderFor(name, 'branch');
    const draft = { endpoint: 'branch', kind: 'eab', subject: name };
    const { reference, secret } = await api<{ reference: string; secret: string }>(server, 'POST', '/secrets', draft);
    await writeFile(join(folder, 'enrollment-secret'), `${secret}\n`);
    const lines = sectionOf(await guide('lego', 'branch'), 'ACME');
    expect(await runIn(folder, name, lines, { reference })).toContain(`${name}.pem: OK`);
    expect(await server.certificatesOf(name)).toHaveLength(1);
  });

  it.each(['PEM', 'DER'])('curl by EST, with a request in %s that a device made', async (form) => {
    const name = `carried-${form.toLowerCase()}.example`;
    const folder = await folderFor(name, 'branch');
    const request = [
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-subj',
      `/CN=${name}`,
      '-keyout',
      `${name}.key`,
    ];
    await execute('openssl', ['req', '-new', ...request, '-outform', form, '-out', `${name}.csr`], { cwd: folder });
    const lines = sectionOf(await guide('curl', 'branch'), 'EST');
    expect(await runIn(folder, name, lines)).toContain(`${name}.pem: OK`);
  });

  it('at the endpoint of a tenant whose root is not that of the server’s TLS', async () => {
    const name = 'acme-router.example';
    await api(server, 'PATCH', '/endpoints/acme?tenant=acme', { protocols: { est: {} } });
    const folder = await folderFor(name, 'acme');
    const text = await guide('openssl', 'acme', 'acme');
    expect(text).toContain("Root of the server's TLS");
    expect(await runIn(folder, name, sectionOf(text, 'EST'))).toContain(`${name}.pem: OK`);
  });

  it('a request that waits is shown with the fingerprints that openssl computes of what the device sent', async () => {
    const name = 'waits.example';
    await api(server, 'POST', '/endpoints', { label: 'slow', protocols: { est: {} }, approval: 'manual' });
    const folder = await folderFor(name, 'slow');
    const request = [
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-subj',
      `/CN=${name}`,
      '-keyout',
      `${name}.key`,
    ];
    await writeFile(join(folder, 'req.cnf'), CHALLENGE_CONFIGURATION);
    const openssl = (...args: string[]) => execute('openssl', args, { cwd: folder, encoding: 'latin1' });
    await openssl('req', '-new', '-config', 'req.cnf', ...request, '-outform', 'DER', '-out', `${name}.csr`);
    // Nothing is issued yet: the lines end without a certificate.
    const lines = sectionOf(await guide('curl', 'slow'), 'EST');
    await expect(runIn(folder, name, lines)).rejects.toThrow();
    await openssl('pkey', '-in', `${name}.key`, '-pubout', '-outform', 'DER', '-out', 'key.der');

    const { items } = await api<Listed<{ id: string }>>(server, 'GET', '/enrollments?status=pending&endpoint=slow');
    expect(items).toHaveLength(1);
    const environment = { MUSTER_DATA: join(server.folder, 'data') };
    const shown = await muster(['enrollment', 'show', items[0]!.id], { environment });
    expect(shown.code, shown.err).toBe(0);
    for (const [of, file] of [
      ['request', `${name}.csr`],
      ['public key', 'key.der'],
    ] as const) {
      for (const [digest, title] of [
        ['md5', 'MD5'],
        ['sha1', 'SHA-1'],
        ['sha256', 'SHA-256'],
      ] as const) {
        const { stdout } = await openssl('dgst', `-${digest}`, '-c', file);
        const colons = stdout.trim().split('= ')[1]!.toUpperCase();
        expect(shown.out).toMatch(new RegExp(`^${of} ${title} +${colons}$`, 'm'));
        const words = colons.replaceAll(':', '').match(/.{8}/g)!;
        expect(shown.out).toMatch(new RegExp(`^ +${words.join(' ')}$`, 'm'));
      }
    }
  });

  it('stops at a wrong secret, and leaves no certificate', async () => {
    const folder = await folderFor('wrong.example', 'default');
    await writeFile(join(folder, 'enrollment-secret'), 'wrong\n');
    const lines = sectionOf(await guide('openssl', 'default'), 'EST');
    await expect(runIn(folder, 'wrong.example', lines)).rejects.toThrow(/401/);
    expect(await server.certificatesOf('wrong.example')).toHaveLength(0);
  });
});
