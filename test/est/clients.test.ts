import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { type CommandResult, type EstFixture, pemOfKey, run, startEst } from '../support/est-fixture.ts';
import { makeCsr } from '../support/test-pki.ts';

describe('real clients', () => {
  let est: EstFixture;
  let root: string;

  beforeAll(async () => {
    est = await startEst({
      endpoints: [{ label: 'routers' }],
    });
    est.credentials.addPassword('device-password', 'router1');
    root = join(est.folder, 'root.pem');
  });
  afterAll(async () => est[Symbol.asyncDispose]());

  describe('openssl and curl', () => {
    const curl = (...args: string[]): Promise<CommandResult> =>
      run('curl', ['--silent', '--show-error', '--fail-with-body', '--cacert', root, ...args]);

    it('fetch the chain, enrol with a password and renew with the certificate; openssl accepts all of it', async () => {
      const chain = await pemOfPkcs7(await curl(`${est.url}/routers/cacerts`));
      const anchors = await est.file('chain.pem', chain);
      const key = join(est.folder, 'router1.key');
      const csr = join(est.folder, 'router1.csr');
      const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc', '-keyout', key];
      await run('openssl', [
        'req',
        '-new',
        ...newKey,
        '-subj',
        '/CN=router1',
        '-addext',
        'subjectAltName=DNS:router1.example',
        '-out',
        csr,
      ]);
      const post = ['--header', 'Content-Type: application/pkcs10', '--data-binary'];
      const enrolled = await curl(
        '--user',
        'router1:device-password',
        ...post,
        `@${csr}`,
        `${est.url}/routers/simpleenroll`,
      );
      const certificate = await est.file('router1.pem', await pemOfPkcs7(enrolled));
      const verified = await run('openssl', ['verify', '-CAfile', anchors, certificate]);
      expect(verified.stdout.toString()).toMatch(/router1\.pem: OK/);
      const client = ['--cert', certificate, '--key', key];
      const renewed = await pemOfPkcs7(await curl(...client, ...post, `@${csr}`, `${est.url}/routers/simplereenroll`));
      expect(new X509Certificate(renewed).subjectAltName).toBe('DNS:router1.example');
      expect(new X509Certificate(renewed).serialNumber).not.toBe(
        new X509Certificate(await readFile(certificate)).serialNumber,
      );
    });

    it.each([
      ['TLS 1.2 with RSA', ['--tls-max', '1.2', '--ciphers', 'ECDHE-RSA-AES128-GCM-SHA256']],
      ['TLS 1.2 with ECDSA', ['--tls-max', '1.2', '--ciphers', 'ECDHE-ECDSA-AES128-GCM-SHA256']],
      ['TLS 1.3', ['--tlsv1.3']],
    ])('connect by %s (ES-1, E10)', async (_what, args) => {
      expect((await curl(...args, `${est.url}/cacerts`)).status).toBe(0);
    });

    it('are refused below TLS 1.2 (ES-1)', async () => {
      expect((await curl('--tls-max', '1.1', '--ciphers', 'DEFAULT@SECLEVEL=0', `${est.url}/cacerts`)).status).toBe(35);
    });
  });

  describe('strongSwan pki', () => {
    const server = ({ port, folder }: EstFixture): string[] => [
      '--url',
      `https://localhost:${port}`,
      '--cacert',
      join(folder, 'root.pem'),
      '--outform',
      'pem',
    ];
    const pki = (fixture: EstFixture, ...args: string[]): Promise<CommandResult> =>
      run('pki', ['--est', ...server(fixture), ...args]);

    it('fetches the CA certificates', async () => {
      const result = await run('pki', ['--estca', ...server(est), '--caout', join(est.folder, 'ca.pem')]);
      expect(result.status, result.stderr).toBe(0);
      expect(new X509Certificate(await readFile(join(est.folder, 'ca.pem'))).subject).toContain('Test Root');
      expect(new X509Certificate(await readFile(join(est.folder, 'ca-1.pem'))).subject).toContain('Test Issuing CA');
    });

    it('enrols with a password and renews with the certificate', async () => {
      const csr = makeCsr({ subject: 'CN=swan,O=Test', san: ['dns:swan.example'] });
      const request = await est.file('swan.csr', csr.der);
      const enrolled = await pki(est, '--in', request, '--userpass', 'router1:device-password');
      expect(enrolled.status, enrolled.stderr).toBe(0);
      expect(new X509Certificate(enrolled.stdout).subject).toBe('O=Test\nCN=swan');
      const certificate = await est.file('swan.pem', enrolled.stdout);
      const key = await est.file('swan.key', pemOfKey(csr.privateKey));
      const renewal = await est.file(
        'swan2.csr',
        makeCsr({ subject: 'CN=swan,O=Test', san: ['dns:swan.example'] }).der,
      );
      const renewed = await pki(est, '--in', renewal, '--cert', certificate, '--key', key);
      expect(renewed.status, renewed.stderr).toBe(0);
      expect(new X509Certificate(renewed.stdout).subjectAltName).toBe('DNS:swan.example');
      expect(est.hall.requests.at(-1)?.operation).toBe('renew');
    });

    it('polls through a manual approval and gets one certificate (ES-14, E5)', async () => {
      await using manual = await startEst({ defaultEndpoint: { approval: 'manual', retryAfterSeconds: 1 } });
      const password = manual.credentials.addPassword('one-time-password');
      const request = await manual.file('waits.csr', makeCsr({ subject: 'CN=waits' }).der);
      const poll = ['--interval', '1', '--maxpolltime', '10'];
      const polling = pki(manual, '--in', request, '--userpass', `any:${password}`, ...poll);
      await vi.waitUntil(() => manual.hall.requests.length >= 2, { timeout: 10_000, interval: 50 });
      manual.hall.approveAll();
      const issued = await polling;
      expect(issued.status, issued.stderr).toBe(0);
      expect(new X509Certificate(issued.stdout).subject).toBe('CN=waits');
      const keys = manual.hall.requests.map(({ requestKey }) => Buffer.from(requestKey).toString('hex'));
      expect(new Set(keys).size).toBe(1);
    });

    it('is told that it is refused', async () => {
      const request = await est.file('refused.csr', makeCsr({ subject: 'CN=x' }).der);
      const refused = await pki(est, '--in', request, '--userpass', 'router1:wrong');
      expect(refused.status).not.toBe(0);
      expect(refused.stderr).toMatch(/401/);
    });
  });
});

/** The certificates of a base64 certs-only answer, by openssl. */
async function pemOfPkcs7(answer: CommandResult): Promise<string> {
  expect(answer.status, answer.stderr).toBe(0);
  const decoded = await run('openssl', ['base64', '-d'], answer.stdout);
  const printed = await run('openssl', ['pkcs7', '-inform', 'DER', '-print_certs'], decoded.stdout);
  expect(printed.stderr).toBe('');
  return printed.stdout.toString();
}
