import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { type RevocationReason, revokeCertificate } from '../../core/authority/revocation.ts';
import { encodePem } from '../../core/x509/pem.ts';
import { ComposedServer } from '../support/composed-server.ts';
import { basic, certificateOf, createPassword, enroll } from '../support/installation.ts';
import { makeCsr } from '../support/test-pki.ts';
import { Scratch } from '../x509/openssl.ts';

const run = promisify(execFile);

describe('openssl ocsp', () => {
  let server: ComposedServer;
  let scratch: Scratch;
  let authority: string;
  let chain: readonly Uint8Array[];

  beforeAll(async () => {
    server = await ComposedServer.start();
    scratch = new Scratch();
    const endpoint = (await server.server.kernel.endpoints.resolve(undefined))!;
    authority = endpoint.authority;
    chain = await server.server.kernel.authorities.caCertificates(endpoint.tenant, authority);
    scratch.file('issuer.pem', encodePem('CERTIFICATE', chain[0]!));
    scratch.file('root.pem', encodePem('CERTIFICATE', chain[1]!));
  });
  afterAll(async () => {
    scratch[Symbol.dispose]();
    await server[Symbol.asyncDispose]();
  });

  async function device(name: string): Promise<string> {
    const headers = basic('any', await createPassword(server));
    const certificate = certificateOf(
      await enroll(server, 'simpleenroll', makeCsr({ subject: `CN=${name}` }).der, { headers }),
    );
    return scratch.file(`${name}.pem`, encodePem('CERTIFICATE', certificate.der));
  }

  async function revoke(name: string, reason: RevocationReason): Promise<void> {
    const [row] = await server.certificatesOf(name);
    const { store } = server.server.kernel;
    await store.unit((tx) =>
      revokeCertificate(tx, { tenant: row!.tenant, certificateId: row!.id, reason, actor: 'test', at: Date.now() }),
    );
    await server.server.kernel.revocations.look();
  }

  /** What openssl prints, its verification of the answer among it. */
  async function ask(...args: readonly string[]): Promise<string> {
    const files = ['-issuer', scratch.path('issuer.pem'), '-CAfile', scratch.path('root.pem')];
    const url = `${server.plain}/ocsp/${authority}`;
    const { stdout, stderr } = await run('openssl', ['ocsp', ...files, '-url', url, ...args]).catch(
      (error: { stdout: string; stderr: string }) => error,
    );
    return stdout + stderr;
  }

  it.each([
    ['a nonce', []],
    ['no nonce', ['-no_nonce']],
    ['SHA-256', ['-sha256']],
    ['SHA-256, no nonce', ['-sha256', '-no_nonce']],
  ])('gets good, then revoked, with %s', async (name, options) => {
    const id = `ossl-${name.replaceAll(/\W+/g, '-')}`;
    const file = await device(id);
    // The hash is of the certificates that follow it.
    const question = [
      ...options.filter((option) => option.startsWith('-sha')),
      '-cert',
      file,
      ...options.filter((option) => !option.startsWith('-sha')),
    ];
    const good = await ask(...question);
    expect(good).toContain('Response verify OK');
    expect(good).toContain(': good');
    await revoke(id, 'keyCompromise');
    const revoked = await ask(...question);
    expect(revoked).toContain('Response verify OK');
    expect(revoked).toContain(': revoked');
    expect(revoked).toContain('Reason: keyCompromise');
  });
});
