import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { type CommandResult, pemOfKey, run } from '../support/est-fixture.ts';
import { api, createPassword, type Listed, type ListedCertificate, rest } from '../support/installation.ts';
import { MusterServer } from '../support/muster-server.ts';
import { makeCsr } from '../support/test-pki.ts';

const CLI = fileURLToPath(new URL('../../server/cli/main.ts', import.meta.url));

interface Enrollment {
  readonly id: string;
  readonly status: string;
  readonly deviceName: string;
  readonly serialNumber?: string;
}

describe('strongSwan pki against the whole product', () => {
  let server: MusterServer;
  let password: string;

  beforeAll(async () => {
    server = await MusterServer.start();
    password = await createPassword(server, { kind: 'device', username: 'swan' });
  });
  afterAll(async () => server[Symbol.asyncDispose]());

  const pki = (operation: string, ...args: string[]): Promise<CommandResult> =>
    run('pki', [
      operation,
      '--url',
      server.mtls,
      '--cacert',
      server.ready.rootCertificate,
      '--outform',
      'pem',
      ...args,
    ]);
  const muster = (...args: string[]): Promise<CommandResult> =>
    run(process.execPath, [CLI, '--data', server.dataFolder, ...args]);
  it('fetches the CA certificates with --estca', async () => {
    const result = await pki('--estca', '--caout', join(server.folder, 'ca.pem'));
    expect(result.status, result.stderr).toBe(0);
    const [root, issuing] = await Promise.all(
      ['ca.pem', 'ca-1.pem'].map(async (name) => new X509Certificate(await readFile(join(server.folder, name)))),
    );
    expect(root!.fingerprint256).toBe(new X509Certificate(server.ca).fingerprint256);
    expect(issuing!.verify(root!.publicKey)).toBe(true);
  });

  it('enrols with a password, and renews with the certificate; openssl accepts both', async () => {
    const names = { subject: 'CN=swan,O=Test', san: ['dns:swan.example', 'ip:192.0.2.7'] };
    const first = makeCsr(names);
    const enrolled = await pki(
      '--est',
      '--in',
      await server.file('swan.csr', first.der),
      '--userpass',
      `swan:${password}`,
    );
    expect(enrolled.status, enrolled.stderr).toBe(0);
    const certificate = await server.file('swan.pem', enrolled.stdout);
    const key = await server.file('swan.key', pemOfKey(first.privateKey));
    const request = await server.file('swan2.csr', makeCsr(names).der);
    const renewed = await pki('--est', '--in', request, '--cert', certificate, '--key', key);
    expect(renewed.status, renewed.stderr).toBe(0);
    const renewal = await server.file('swan2.pem', renewed.stdout);
    const chain = ['-CAfile', join(server.folder, 'ca.pem'), '-untrusted', join(server.folder, 'ca-1.pem')];
    const verified = await run('openssl', ['verify', '-x509_strict', ...chain, certificate, renewal]);
    expect(verified.stdout.toString(), verified.stderr).toBe(`${certificate}: OK\n${renewal}: OK\n`);
    expect(new X509Certificate(renewed.stdout).subjectAltName).toBe('DNS:swan.example, IP Address:192.0.2.7');

    const { items } = await api<Listed<ListedCertificate>>(server, 'GET', '/certificates?name=swan');
    expect(items.map(({ status }) => status)).toEqual(['active', 'active']);
    expect(items[0]!.replacedBy).toBe(items[1]!.id);
    expect(items[1]!.replacedBy).toBeUndefined();
  });

  it('is refused with a wrong password', async () => {
    const request = await server.file('refused.csr', makeCsr({ subject: 'CN=x' }).der);
    const refused = await pki('--est', '--in', request, '--userpass', 'swan:wrong');
    expect(refused.status).not.toBe(0);
    expect(refused.stderr).toContain('401');
  });

  // strongSwan 5.9 puts the path of its URL before /.well-known/est, so it reaches the default endpoint only.
  describe('while an operator approves each request', () => {
    beforeAll(() => api(server, 'PATCH', '/endpoints/default', { approval: 'manual', retryAfterSeconds: 1 }));
    afterAll(() => api(server, 'PATCH', '/endpoints/default', { approval: 'automatic' }));

    const ask = (request: string, secret: string, maxPollSeconds: number): Promise<CommandResult> => {
      const poll = ['--interval', '1', '--maxpolltime', String(maxPollSeconds)];
      return pki('--est', '--in', request, '--userpass', `any:${secret}`, ...poll);
    };
    const enrollmentsOf = async (deviceName: string): Promise<Enrollment[]> => {
      const { items } = await api<Listed<Enrollment>>(server, 'GET', '/enrollments?endpoint=default&limit=500');
      return items.filter((enrollment) => enrollment.deviceName === deviceName);
    };
    const waitingOf = (deviceName: string): Promise<Enrollment> =>
      vi.waitFor(
        async () => {
          const [enrollment] = await enrollmentsOf(deviceName);
          expect(enrollment?.status).toBe('pending');
          return enrollment!;
        },
        { timeout: 10_000, interval: 100 },
      );

    it('polls until an operator approves by the command line, and gets one certificate', async () => {
      const oneTime = await createPassword(server);
      const request = await server.file('waits.csr', makeCsr({ subject: 'CN=waits' }).der);
      const polling = ask(request, oneTime, 30);
      const { id } = await waitingOf('waits');
      const approved = await muster('enrollment', 'approve', id, '--comment', 'rack 12');
      expect(approved.status, approved.stderr).toBe(0);
      const issued = await polling;
      expect(issued.status, issued.stderr).toBe(0);
      const certificate = new X509Certificate(issued.stdout);
      expect(certificate.subject).toBe('CN=waits');
      const enrollments = await enrollmentsOf('waits');
      expect(enrollments.map(({ status, serialNumber }) => [status, serialNumber])).toEqual([
        ['issued', certificate.serialNumber.toLowerCase()],
      ]);
    });

    it('is told when an operator rejects it, and again when it asks again', async () => {
      const oneTime = await createPassword(server);
      const request = await server.file('unwanted.csr', makeCsr({ subject: 'CN=unwanted' }).der);
      const polling = ask(request, oneTime, 30);
      const { id } = await waitingOf('unwanted');
      expect((await rest(server, 'POST', `/enrollments/${id}/reject`, { comment: 'not ours' })).status).toBe(200);
      for (const refused of [await polling, await ask(request, oneTime, 30)]) {
        expect(refused.status).not.toBe(0);
        expect(refused.stderr).toContain('403');
        expect(refused.stdout.toString()).toBe('');
      }
      expect((await enrollmentsOf('unwanted')).map(({ status }) => status)).toEqual(['rejected']);
    });

    it('gives up waiting by itself; the request keeps its place', async () => {
      const oneTime = await createPassword(server);
      const request = await server.file('patient.csr', makeCsr({ subject: 'CN=patient' }).der);
      const gaveUp = await ask(request, oneTime, 1);
      expect(gaveUp.status).not.toBe(0);
      const { id } = await waitingOf('patient');
      await api(server, 'POST', `/enrollments/${id}/approve`, {});
      const issued = await ask(request, oneTime, 10);
      expect(new X509Certificate(issued.stdout).subject, issued.stderr).toBe('CN=patient');
      expect(await enrollmentsOf('patient')).toHaveLength(1);
    });
  });

  it('has left nothing secret in the log', () => {
    expect(server.output).toContain('"event":"enrollment.pending"');
    expect(server.output).not.toContain(password);
    expect(server.output).not.toContain(server.adminToken);
  });
});
