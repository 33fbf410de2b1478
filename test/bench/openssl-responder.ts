import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { encodePem } from '../../core/x509/pem.ts';
import { freePort, spawnBound } from '../support/server-process.ts';
import { TestAuthority } from '../support/test-pki.ts';
import { HttpConnection } from './http-load.ts';
import { hashesOf, ocspRequest, postOf } from './ocsp-requests.ts';

/** The responder that comes with openssl, over an index of some certificates; it signs each answer and keeps no connection. */
export interface OpensslResponder extends AsyncDisposable {
  readonly port: number;
  /** A whole HTTP request. */
  readonly request: Buffer;
}

/** Starts it and waits until it answers. */
export async function startOpensslResponder(): Promise<OpensslResponder> {
  const folder = mkdtempSync(join(tmpdir(), 'muster-ocsp-'));
  const authority = TestAuthority.root();
  const serials = Array.from({ length: 1000 }, (_, index) => (0x4000 + index).toString(16).toUpperCase());
  writeFileSync(
    join(folder, 'index.txt'),
    serials.map((serial) => `V\t491231235959Z\t\t${serial}\tunknown\t/CN=${serial}\n`).join(''),
  );
  const ca = join(folder, 'ca.pem');
  writeFileSync(ca, encodePem('CERTIFICATE', authority.der));
  const key = join(folder, 'ca.key');
  writeFileSync(key, authority.privateKey.export({ type: 'pkcs8', format: 'pem' }));
  const port = await freePort();
  const signer = ['-CA', ca, '-rsigner', ca, '-rkey', key];
  const arguments_ = ['ocsp', '-index', join(folder, 'index.txt'), '-port', String(port), ...signer, '-ndays', '1'];
  const child = spawnBound('openssl', arguments_);
  // It writes a line a request; a full pipe would stop it.
  child.stdout?.resume();
  child.stderr?.resume();
  const request = postOf('', ocspRequest(hashesOf(authority.der), serials[0]!.toLowerCase()));
  for (let attempt = 0; ; attempt++) {
    try {
      await (await HttpConnection.open(port)).send(request);
      break;
    } catch (error) {
      if (attempt === 100) throw error;
      await delay(50);
    }
  }
  return {
    port,
    request,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
