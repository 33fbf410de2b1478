import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ServerCertificate, TlsIdentity } from '../../../server/http/tls-settings.ts';

const keyOptions = {
  rsa: ['-newkey', 'rsa:2048'],
  ec: ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
} as const;

/** A self-signed certificate for localhost, made by openssl. */
export function selfSigned(kind: keyof typeof keyOptions, commonName = 'localhost'): ServerCertificate {
  const folder = mkdtempSync(join(tmpdir(), 'muster-tls-'));
  const key = join(folder, 'key.pem');
  const chain = join(folder, 'chain.pem');
  const names = 'subjectAltName=DNS:localhost,IP:127.0.0.1';
  const output = ['-keyout', key, '-out', chain, '-days', '2', '-subj', `/CN=${commonName}`, '-addext', names];
  execFileSync('openssl', ['req', '-x509', '-noenc', ...keyOptions[kind], ...output], { stdio: 'pipe' });
  return { key: readFileSync(key, 'utf8'), chain: readFileSync(chain, 'utf8') };
}

/** What a TLS listener serves: an RSA-2048 and a P-256 certificate. */
export function serverIdentity(): TlsIdentity {
  return { certificates: [selfSigned('rsa'), selfSigned('ec')] };
}
