import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AuditTables } from '../../core/audit/tables.ts';
import { encodePem } from '../../core/x509/pem.ts';
import { createRoot } from '../../core/authority/authority-creation.ts';
import { nameFromText } from '../../core/x509/name.ts';
import { EXIT } from '../../server/cli/exit-code.ts';
import { ComposedServer } from '../support/composed-server.ts';
import { api, basic, certificateOf, enroll, type Listed, rest } from '../support/installation.ts';
import { makeCsr } from '../support/test-pki.ts';
import { muster } from '../server/support/terminal.ts';

/** Three tenants: one with a root of its own, one under openssl's root, one whose key a token had before. */
const FLEET = (adopted: string) => `
tenants:
  - name: north
    description: Branches of the north
    authorities:
      - { name: root, kind: root, keyAlgorithm: ec-p384, subject: 'CN=North root CA,O=Example' }
      - { name: issuing, issuer: root, keyAlgorithm: ec-p256, subject: 'CN=North issuing CA,O=Example' }
    profiles:
      - { name: router, validitySeconds: 2592000, extendedKeyUsage: [clientAuth, serverAuth] }
    endpoints:
      - { label: north-routers, profile: router, authority: issuing, protocols: { est: { wrapping: none } } }
  - name: south
    authorities:
      - name: issuing
        keyAlgorithm: ec-p256
        subject: CN=South issuing CA,O=Example
        external: { csr: south.csr, certificates: [south.pem, corporate.pem] }
    profiles:
      - { name: router }
    endpoints:
      - { label: south-routers, profile: router, protocols: { est: {} } }
  - name: west
    authorities:
      - { name: old, adopt: { key: '${adopted}', certificates: [west.pem] } }
      - { name: issuing, issuer: old, keyAlgorithm: ec-p256 }
    profiles:
      - { name: router }
    endpoints:
      - { label: west-routers, profile: router, authority: issuing, protocols: { est: {} } }
    devices:
      - { name: west-hub, site: branch-7, labels: { rack: '12' } }
`;

describe('muster apply', () => {
  let server: ComposedServer;
  let folder: string;

  beforeAll(async () => {
    server = await ComposedServer.start();
    folder = server.folder;
    const { keys } = server.server;
    const token = keys.health()[0]!.label;
    const specification = {
      tenant: 'elsewhere',
      name: 'west',
      subject: nameFromText('CN=West old root,O=Example'),
      token,
      keyAlgorithm: 'ec-p256' as const,
      validitySeconds: 86_400 * 3_650,
      crlShards: 1,
    };
    const old = await createRoot(keys, specification, Date.now());
    writeFileSync(join(folder, 'west.pem'), encodePem('CERTIFICATE', old.certificate));
    writeFileSync(join(folder, 'fleet.yaml'), FLEET(old.key_uri));
    openssl(
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-keyout',
      'corporate.key',
      '-out',
      'corporate.pem',
      '-days',
      '3650',
      '-subj',
      '/CN=Corporate root',
    );
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const openssl = (...argv: string[]) => execFileSync('openssl', argv, { cwd: folder, stdio: 'pipe' });
  const apply = (...argv: string[]) =>
    muster(['apply', '-f', 'fleet.yaml', ...argv], { folder, environment: { MUSTER_DATA: join(folder, 'data') } });

  /** What the corporate CA does when the request arrives. */
  async function signWhenAsked(): Promise<void> {
    for (let turn = 0; turn < 200 && !existsSync(join(folder, 'south.csr')); turn += 1) await sleep(50);
    writeFileSync(
      join(folder, 'ca.cnf'),
      'basicConstraints=critical,CA:true,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n',
    );
    openssl(
      'x509',
      '-req',
      '-in',
      'south.csr',
      '-CA',
      'corporate.pem',
      '-CAkey',
      'corporate.key',
      '-CAcreateserial',
      '-days',
      '1800',
      '-extfile',
      'ca.cnf',
      '-out',
      'south.tmp',
    );
    execFileSync('mv', ['south.tmp', 'south.pem'], { cwd: folder });
  }

  it('shows what it would do, and does nothing', async () => {
    const { code, out } = await apply('--dry-run');
    expect(code).toBe(EXIT.pending);
    expect(out).toContain('+ tenant north\n');
    expect(out).toContain('+ authority issuing of south\n    under an external CA\n');
    expect((await rest(server, 'GET', '/tenants/north')).status).toBe(404);
  });

  it('makes three tenants, each with its CA, by one file', async () => {
    const signing = signWhenAsked();
    const { code, out, err } = await apply('--wait', '60s');
    await signing;
    expect(code, err + out).toBe(EXIT.ok);
    expect(out).toMatch(/^15 steps done$/m);
    const { items } = await api<Listed<{ name: string; kind: string; state: string }>>(
      server,
      'GET',
      '/authorities?tenant=south',
    );
    expect(new Set(items.map(({ kind, state }) => `${kind} ${state}`))).toEqual(
      new Set(['external elsewhere', 'issuing active']),
    );
  });

  /** What anybody made, changed or deleted, as the audit log has it. */
  async function changes(): Promise<string[]> {
    const { store } = server.server.kernel;
    const entries = await store.read<AuditTables>().selectFrom('audit_entries').select(['action', 'object']).execute();
    const all = entries.map(({ action, object }) => `${action} ${object}`);
    return all.filter((one) => /^(tenant|authority|authority-request|profile|endpoint)\./.test(one)).toSorted();
  }

  it('run twice, changes nothing', async () => {
    const before = await changes();
    const { code, out } = await apply();
    expect({ code, out }).toEqual({ code: EXIT.ok, out: 'everything is as the file says\n' });
    expect(await changes()).toEqual(before);
    expect(await api(server, 'GET', '/endpoints/north-routers?tenant=north')).toMatchObject({ revision: 1 });
  });

  it('each of them issues, and openssl verifies it up to its root', async () => {
    for (const [label, roots] of [
      ['north-routers', 'north.pem'],
      ['south-routers', 'corporate.pem'],
      ['west-routers', 'west.pem'],
    ] as const) {
      const endpoint = (await server.server.kernel.endpoints.resolve(label))!;
      const chain = await server.server.kernel.authorities.caCertificates(endpoint.tenant, endpoint.authority);
      const csr = makeCsr({ subject: `CN=${label}` });
      const headers = basic('any', await server.password(label));
      const { der } = certificateOf(await enroll(server, `${label}/simpleenroll`, csr.der, { headers }));
      writeFileSync(join(folder, 'device.pem'), encodePem('CERTIFICATE', der));
      writeFileSync(join(folder, 'chain.pem'), chain.map((one) => encodePem('CERTIFICATE', one)).join(''));
      if (label === 'north-routers') writeFileSync(join(folder, roots), encodePem('CERTIFICATE', chain.at(-1)!));
      const verified = openssl('verify', '-CAfile', roots, '-untrusted', 'chain.pem', 'device.pem').toString();
      expect(verified).toContain('device.pem: OK');
    }
  });

  it('changes what differs, prunes when asked to, and says so first', async () => {
    const file = join(folder, 'fleet.yaml');
    const text = readFileSync(file, 'utf8');
    writeFileSync(file, text.replace('wrapping: none', 'wrapping: auto').replace('2592000', '5184000'));
    await api(server, 'POST', '/endpoints?tenant=north', { label: 'north-lab' });
    const { code, out } = await apply('--prune');
    expect(code).toBe(EXIT.ok);
    expect(out).toContain('~ profile router of north\n    validitySeconds: 2592000 → 5184000\n');
    expect(out).toMatch(/~ endpoint north-routers of north\n {4}protocols: /);
    expect(out).toContain('- endpoint north-lab of north\n');
    expect((await apply('--prune')).out).toBe('everything is as the file says\n');
  });

  it('a key, a chain or a constraint that does not fit is refused by name', async () => {
    await api(server, 'POST', '/authority-requests?tenant=south', { name: 'second', keyAlgorithm: 'ec-p256' });
    const install = async (certificates: string) =>
      (await rest(server, 'POST', '/authority-requests/second/install?tenant=south', { certificates })).text;
    const pem = (name: string) => readFileSync(join(folder, name), 'utf8');
    expect(await install(pem('south.pem') + pem('corporate.pem'))).toContain('expected a certificate of the key');
    const { csr } = await api<{ csr: string }>(server, 'GET', '/authority-requests/second?tenant=south');
    writeFileSync(join(folder, 'second.csr'), csr);
    const sign = (extensions: string) => {
      writeFileSync(join(folder, 'bad.cnf'), extensions);
      openssl(
        'x509',
        '-req',
        '-in',
        'second.csr',
        '-CA',
        'corporate.pem',
        '-CAkey',
        'corporate.key',
        '-CAcreateserial',
        '-days',
        '30',
        '-extfile',
        'bad.cnf',
        '-out',
        'second.pem',
      );
      return pem('second.pem');
    };
    const usage = 'keyUsage=critical,keyCertSign,cRLSign\n';
    expect(await install(sign(`basicConstraints=CA:false\n${usage}`) + pem('corporate.pem'))).toContain(
      'does not say cA',
    );
    expect(await install(sign('basicConstraints=critical,CA:true\nkeyUsage=keyCertSign\n'))).toContain('lacks cRLSign');
    expect(await install(sign(`basicConstraints=critical,CA:true\n${usage}`))).toContain('found no root');
    expect(await install(pem('second.pem') + pem('west.pem'))).toContain('the chain is not valid');
    expect(await install(`${pem('second.pem')}${pem('corporate.key')}`)).toContain('expected no private key');
    const dry = await rest(server, 'POST', '/authority-requests/second/install?tenant=south&dryRun=true', {
      certificates: pem('second.pem') + pem('corporate.pem'),
    });
    expect(dry.status, dry.text).toBe(201);
    expect((await rest(server, 'GET', '/authorities/second?tenant=south')).status).toBe(404);
    const adopt = { name: 'x', keyUri: 'pkcs11:token=muster;object=nothing', certificates: pem('west.pem') };
    expect((await rest(server, 'POST', '/authorities/adopt?tenant=west', adopt)).text).toContain('holds no key');
  });
});
