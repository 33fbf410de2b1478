import type { ChildProcess } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { run } from '../support/est-fixture.ts';
import { endProcess, freePort, spawnBound, untilReady } from '../support/server-process.ts';
import type { MacSecret, Signer } from './cmp-protection.ts';

/** `openssl cmp -port`: a server that accepts a secret and a signer, and answers every request with the same certificate. */
export interface CmpMockServer extends AsyncDisposable {
  readonly url: string;
  readonly secret: MacSecret;
  /** The one client whose signature it takes. */
  readonly client: Signer;
  /** The certificate it answers with, and its key. */
  readonly answered: Signer;
}

/** Starts it on a free port, with a small CA of its own. */
export async function startCmpMockServer(): Promise<CmpMockServer> {
  const folder = await mkdtemp(join(tmpdir(), 'muster-cmp-mock-'));
  const path = (name: string): string => join(folder, name);
  await makeAuthority(path);
  for (const name of ['server', 'client', 'device']) await makeCertificate(path, name);
  const port = await freePort();
  const secret = { reference: 'mock', secret: 'correct horse battery staple' };
  const itself = ['-srv_cert', path('server.pem'), '-srv_key', path('server.key'), '-srv_trusted', path('ca.pem')];
  const shared = ['-srv_ref', secret.reference, '-srv_secret', `pass:${secret.secret}`];
  const answers = ['-rsp_cert', path('device.pem'), '-grant_implicitconf'];
  const child = spawnBound('openssl', ['cmp', '-port', String(port), ...itself, ...shared, ...answers]);
  await untilReady(child, () => isListening(port));
  return {
    url: `http://127.0.0.1:${port}/pkix/`,
    secret,
    client: await signer(path, 'client'),
    answered: await signer(path, 'device'),
    async [Symbol.asyncDispose]() {
      await stop(child);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

type Path = (name: string) => string;

async function makeAuthority(path: Path): Promise<void> {
  const isAuthority = ['-addext', 'keyUsage=keyCertSign,cRLSign'];
  const files = [...newKey(path('ca.key')), '-out', path('ca.pem')];
  await openssl('req', ['-x509', '-days', '2', '-subj', '/CN=mock CA', ...isAuthority, ...files]);
}

async function makeCertificate(path: Path, name: string): Promise<void> {
  const extensions = 'keyUsage=digitalSignature\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n';
  await writeFile(path('extensions'), extensions);
  await openssl('req', ['-new', '-subj', `/CN=${name}`, ...newKey(path(`${name}.key`)), '-out', path(`${name}.csr`)]);
  const files = ['-in', path(`${name}.csr`), '-extfile', path('extensions'), '-out', path(`${name}.pem`)];
  const issuer = ['-CA', path('ca.pem'), '-CAkey', path('ca.key'), '-CAcreateserial'];
  await openssl('x509', ['-req', '-days', '2', ...files, ...issuer]);
}

const newKey = (file: string): string[] => [
  '-newkey',
  'ec',
  '-pkeyopt',
  'ec_paramgen_curve:P-256',
  '-noenc',
  '-keyout',
  file,
];

async function openssl(command: string, args: readonly string[]): Promise<void> {
  const { status, stderr } = await run('openssl', [command, ...args]);
  if (status !== 0) throw new RangeError(`openssl ${command}: ${stderr}`);
}

async function signer(path: Path, name: string): Promise<Signer> {
  return {
    key: createPrivateKey(await readFile(path(`${name}.key`))),
    certificate: new X509Certificate(await readFile(path(`${name}.pem`))).raw,
    chain: [new X509Certificate(await readFile(path('ca.pem'))).raw],
  };
}

async function isListening(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
  } finally {
    socket.destroy();
  }
}

const stop = (child: ChildProcess): Promise<void> => endProcess(child, 'SIGKILL');
