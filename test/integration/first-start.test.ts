import { execFile } from 'node:child_process';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { decodePem } from '../../core/x509/pem.ts';
import { provisionSoftHsm } from '../../core/keys/softhsm.ts';
import { type CommandResult, run } from '../support/est-fixture.ts';
import {
  api,
  basic,
  certificateOf,
  enroll,
  type Listed,
  type ListedCertificate,
  send,
} from '../support/installation.ts';
import { MusterServer } from '../support/muster-server.ts';
import { makeCsr } from '../support/test-pki.ts';
import { filesBelow, filesWithPrivateKeys, holdsPrivateKey } from './private-key-search.ts';

describe('the first start', () => {
  let server: MusterServer;
  let scratch: string;
  /** How the printed line ended. */
  let printed: CommandResult;

  beforeAll(async () => {
    server = await MusterServer.start();
    scratch = join(server.folder, 'scratch');
    mkdirSync(scratch);
    // The line makes its files where TMPDIR points.
    printed = await run('env', [`TMPDIR=${scratch}`, 'sh', '-c', server.ready.commands['est']!]);
  });
  afterAll(async () => server[Symbol.asyncDispose]());

  it('writes for scripts whatever is needed to enrol, closed to others', async () => {
    expect(server.ready).toEqual({
      plain: expect.stringMatching(/^http:\/\/localhost:\d+$/),
      mtls: expect.stringMatching(/^https:\/\/localhost:\d+$/),
      tls: expect.stringMatching(/^https:\/\/localhost:\d+$/),
      admin: expect.stringMatching(/^https:\/\/localhost:\d+$/),
      rootCertificate: join(server.dataFolder, 'root.pem'),
      rootSha256: fingerprintOf(server.ca),
      adminTokenFile: join(server.dataFolder, 'admin-token'),
      endpoint: 'default',
      enrollmentPassword: expect.stringMatching(/^[0-9a-z]{32}$/),
      commands: expect.objectContaining({ est: expect.any(String), scep: expect.any(String) }),
    });
    const ports = [server.plain, server.mtls, server.ready.tls, server.admin].map((url) => Number(new URL(url).port));
    expect(ports).toEqual([0, 1, 2, 3].map((offset) => ports[0]! + offset));
    expect(modeOf(server.readyFile)).toBe(0o600);
    expect(modeOf(server.ready.adminTokenFile)).toBe(0o600);
    expect(modeOf(server.dataFolder)).toBe(0o700);
  });

  it('prints a line that enrols a device over SCEP by itself', async () => {
    const enrolled = await run('env', [`TMPDIR=${scratch}`, 'sh', '-c', server.ready.commands['scep']!]);
    expect(enrolled.stderr).toContain('Issued certificate is trusted');
    expect([enrolled.status, enrolled.stdout.toString()]).toEqual([0, expect.stringMatching(/switch1\.pem: OK\n$/)]);
  });

  it('answers on each of its listeners with certificates of its own CA', async () => {
    expect((await fetch(`${server.plain}/healthz`)).status).toBe(200);
    for (const url of [`${server.mtls}/.well-known/est/cacerts`, `${server.admin}/healthz`]) {
      expect((await send(server, url)).status, url).toBe(200);
    }
    expect((await send(server, `${server.ready.tls}/`)).status).toBe(404);
  });

  it('prints a line that enrols a device by itself; openssl accepts the chain', async () => {
    expect(printed.stderr).toBe('');
    expect(printed.stdout.toString()).toMatch(/router1\.pem: OK\n$/);
    expect(printed.status).toBe(0);
    const folder = dirname(/(\S+): OK\n$/.exec(printed.stdout.toString())![1]!);
    const [certificate, ca] = [join(folder, 'router1.pem'), join(folder, 'ca.pem')];
    const strict = ['verify', '-x509_strict', '-purpose', 'sslclient', '-verify_hostname', 'router1.example'];
    const verified = await run('openssl', [
      ...strict,
      '-CAfile',
      server.ready.rootCertificate,
      '-untrusted',
      ca,
      certificate,
    ]);
    expect(verified.stdout.toString(), verified.stderr).toContain('OK');
    const enrolled = new X509Certificate(readFileSync(certificate));
    expect(enrolled.subject).toBe('CN=router1');
    const { items } = await api<Listed<ListedCertificate>>(server, 'GET', '/certificates?name=dns:router1.example');
    expect(items.map(({ fingerprint }) => fingerprint)).toEqual([fingerprintOf(readFileSync(certificate, 'utf8'))]);
  });

  it('gives the printed line a password that serves once', async () => {
    const again = await run('env', [`TMPDIR=${scratch}`, 'sh', '-c', server.ready.commands['est']!]);
    expect(again.status).not.toBe(0);
    expect(again.stderr).toContain('401');
  });

  it('gives the password of the ready file to one device with any user name', async () => {
    const headers = basic('whoever', server.ready.enrollmentPassword);
    const first = makeCsr({ subject: 'CN=router2' });
    expect(certificateOf(await enroll(server, 'simpleenroll', first.der, { headers })).subject).toBeDefined();
    expect((await enroll(server, 'simpleenroll', makeCsr({ subject: 'CN=router3' }).der, { headers })).status).toBe(
      401,
    );
  });

  describe('keys', () => {
    it('of the CAs are in the token, sensitive and never extractable, seen by another program', async () => {
      const listed = await privateKeysInToken(server);
      expect(listed.map(({ label }) => label).filter((label) => /root|issuing/.test(label))).toHaveLength(2);
      for (const { label, access } of listed) {
        expect(access, label).toEqual(['sensitive', 'always sensitive', 'never extractable', 'local']);
      }
    });

    it('are nowhere else: no file of the data folder holds a private key but those of our own TLS', async () => {
      const found = filesWithPrivateKeys(server.dataFolder);
      expect(found.sort()).toEqual(['ec.key', 'rsa.key'].map((name) => join(server.dataFolder, 'tls', name)));
      for (const path of found) expect(modeOf(path), path).toBe(0o600);
      expect(filesBelow(server.dataFolder).length).toBeGreaterThan(10);
    });

    it.each(['pkcs8', 'pkcs1', 'sec1'] as const)('would be found as %s in the middle of a file', (type) => {
      const { privateKey } =
        type === 'pkcs1'
          ? generateKeyPairSync('rsa', { modulusLength: 1024 })
          : generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const der = privateKey.export({ format: 'der', type: type as 'pkcs8' });
      const noise = Buffer.alloc(100, 0x30);
      expect(holdsPrivateKey(Buffer.concat([noise, der, noise]))).toBe(true);
      expect(holdsPrivateKey(Buffer.concat([noise, noise]))).toBe(false);
    });
  });

  it('tells its secrets to nobody but the files that are for them', () => {
    const { secrets } = secretsOf(server);
    for (const [what, secret] of Object.entries(secrets)) {
      expect(secret.length, what).toBeGreaterThan(20);
      expect(server.output.includes(secret), `${what} in the log`).toBe(false);
      const files = filesBelow(server.dataFolder).filter((path) => readFileSync(path).includes(secret));
      expect(files.filter((path) => modeOf(path) !== 0o600)).toEqual([]);
      expect(files.length, `${what} in ${files.join(', ')}`).toBe(what.endsWith('password') ? 0 : 1);
    }
    expect(server.output).toContain('"event":"server.started"');
  });

  it('is a first start only once: the second has the same CA, token, administrator and certificates', async () => {
    const before = await state(server);
    expect(await server.stop(), server.output).toBe(0);
    await using second = await MusterServer.start({ folder: server.folder });
    expect(second.ready.rootSha256).toBe(server.ready.rootSha256);
    expect(await state(second)).toEqual(before);
    expect(await privateKeysInToken(second)).toHaveLength(before.keysInToken);
    expect(second.ready.enrollmentPassword).not.toBe(server.ready.enrollmentPassword);
    const again = await run('env', [`TMPDIR=${scratch}`, 'sh', '-c', second.ready.commands['est']!]);
    expect(again.stdout.toString(), again.stderr).toMatch(/router1\.pem: OK\n$/);
    expect(await second.stop(), second.output).toBe(0);
  });
});

/** What must not change from one start to the next. */
async function state(server: MusterServer) {
  const { items } = await api<Listed<ListedCertificate>>(server, 'GET', '/certificates?limit=500');
  const tokens = join(server.dataFolder, 'softhsm', 'tokens');
  return {
    certificates: items.map(({ fingerprint }) => fingerprint),
    tokens: readdirSync(tokens),
    keysInToken: (await privateKeysInToken(server)).length,
    adminToken: server.adminToken,
    root: server.ca,
    tls: ['ec.pem', 'rsa.pem'].map((name) => readFileSync(join(server.dataFolder, 'tls', name), 'utf8')),
  };
}

function secretsOf(server: MusterServer) {
  const pinOf = (name: string): string => readFileSync(join(server.dataFolder, 'softhsm', name), 'utf8').trim();
  const [, printedPassword = ''] = /' ([0-9a-z]{32}) \|/.exec(server.ready.commands['est']!) ?? [];
  return {
    secrets: {
      'one-time password': server.ready.enrollmentPassword,
      'printed password': printedPassword,
      'administrator token': server.adminToken,
      PIN: pinOf('muster.pin'),
      'SO PIN': pinOf('muster.so-pin'),
    },
  };
}

interface TokenObject {
  readonly label: string;
  readonly access: readonly string[];
}

/** The private keys of the server's token as OpenSC's pkcs11-tool sees them. */
async function privateKeysInToken(server: MusterServer): Promise<TokenObject[]> {
  const folder = join(server.dataFolder, 'softhsm');
  const { module, pin } = await provisionSoftHsm(folder, { label: 'muster' });
  const args = [
    '--module',
    module,
    '--token-label',
    'muster',
    '--login',
    '--pin',
    pin.reveal(),
    '--list-objects',
    '--type',
    'privkey',
  ];
  const env = { ...process.env, SOFTHSM2_CONF: join(folder, 'softhsm2.conf') };
  const { stdout } = await promisify(execFile)('pkcs11-tool', args, { env });
  return stdout
    .split(/^Private Key Object/m)
    .slice(1)
    .map((text) => ({
      label: /label: *(.*)/.exec(text)?.[1] ?? '',
      access: (/Access: *(.*)/.exec(text)?.[1] ?? '').split(', '),
    }));
}

function fingerprintOf(pem: string): string {
  return new X509Certificate(decodePem(pem)[0]!.der).fingerprint256.replaceAll(':', '').toLowerCase();
}

function modeOf(path: string): number {
  return statSync(path).mode & 0o777;
}
