import { spawn } from 'node:child_process';
import { request as httpsRequest } from 'node:https';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  createAdminListener,
  createMutualTlsListener,
  createTlsListener,
  type Listener,
} from '../../../server/http/listener.ts';
import { listen, stopListeners } from '../../../server/http/listening.ts';
import { listenerContext } from '../support/listener-context.ts';
import { selfSigned, serverIdentity } from '../support/tls-identity.ts';

const identity = serverIdentity();
const device = selfSigned('ec', 'router1');

describe('the TLS listeners', () => {
  let listeners: Listener[];
  let ports: Record<'mtls' | 'tls' | 'admin', number>;

  beforeAll(async () => {
    const context = listenerContext({ headersTimeoutSeconds: 10, requestTimeoutSeconds: 10 });
    listeners = [
      createMutualTlsListener(context, identity),
      createTlsListener(context, identity),
      createAdminListener(context, identity),
    ];
    const bound: number[] = [];
    for (const listener of listeners) {
      listener.app.get('/peer', (request) => {
        const socket = request.raw.socket as TLSSocket;
        return `${socket.getPeerX509Certificate()?.subject ?? 'none'} ${socket.isSessionReused()}`;
      });
      bound.push(await listen(listener, { host: '127.0.0.1', port: 0 }));
    }
    ports = { mtls: bound[0]!, tls: bound[1]!, admin: bound[2]! };
  });
  afterAll(() => stopListeners(listeners, 1));

  const open = (port: number, options: ConnectionOptions = {}): Promise<TLSSocket> => {
    const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options }, () => resolve(socket));
    socket.on('error', reject);
    return promise;
  };
  const peer = async (port: number, options: ConnectionOptions = {}): Promise<string> => {
    const socket = await open(port, options);
    socket.write('GET /peer HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    const answer = (await socket.toArray()).join('');
    return answer.slice(answer.indexOf('\r\n\r\n') + 4);
  };

  it('mtls: takes a client certificate that no authority of ours signed, and none at all', async () => {
    expect(await peer(ports.mtls, { key: device.key, cert: device.chain })).toContain('CN=router1');
    expect(await peer(ports.mtls)).toContain('none');
  });

  it('mtls: asks for a certificate and names no acceptable authority', async () => {
    for (const version of ['-tls1_2', '-tls1_3']) {
      const stdout = await openssl(ports.mtls, version, '-trace');
      expect(stdout).toContain('CertificateRequest');
      expect(stdout).toContain('No client certificate CA names sent');
    }
  });

  it('tls and admin: never ask for a certificate (S10)', async () => {
    for (const port of [ports.tls, ports.admin]) {
      expect(await peer(port, { key: device.key, cert: device.chain })).toContain('none');
    }
  });

  it('mtls: resumes no session, in TLS 1.2 and 1.3', async () => {
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const first = await open(ports.mtls, { maxVersion });
      const session = first.getSession();
      first.destroy();
      expect(await peer(ports.mtls, { maxVersion, ...(session && { session }) })).toContain('false');
    }
  });

  it('mtls: sends no session ticket that openssl could resume by', async () => {
    const stdout = await openssl(ports.mtls, '-tls1_2', '-reconnect');
    expect(stdout).toContain('New, TLSv1.2');
    expect(stdout).not.toContain('Reused');
  });

  it('serves the RSA certificate to old stacks and the P-256 one to the others', async () => {
    const keyTypeWith = async (ciphers: string) => {
      const socket = await open(ports.mtls, { ciphers, maxVersion: 'TLSv1.2' });
      const type = socket.getPeerX509Certificate()?.publicKey.asymmetricKeyType;
      socket.destroy();
      return type;
    };
    expect(await keyTypeWith('ECDHE-RSA-AES128-GCM-SHA256')).toBe('rsa');
    expect(await keyTypeWith('ECDHE-ECDSA-AES128-GCM-SHA256')).toBe('ec');
    expect(await keyTypeWith('AES128-SHA')).toBe('rsa');
  });

  it('refuses TLS 1.1 and a client that speaks HTTP/2 only', async () => {
    await expect(
      open(ports.mtls, { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }),
    ).rejects.toThrow(/protocol version|alert/);
    await expect(open(ports.mtls, { ALPNProtocols: ['h2'] })).rejects.toThrow(/no application protocol/);
    const both = await open(ports.mtls, { ALPNProtocols: ['h2', 'http/1.1'] });
    expect(both.alpnProtocol).toBe('http/1.1');
    both.destroy();
  });

  it('refuses renegotiation', async () => {
    const socket = await open(ports.mtls, { maxVersion: 'TLSv1.2' });
    const { promise, resolve } = Promise.withResolvers<Error | null>();
    socket.on('error', resolve);
    socket.renegotiate({}, resolve);
    expect(await promise).toBeInstanceOf(Error);
    socket.destroy();
  });

  it('spells header names canonically on device listeners', async () => {
    const socket = await open(ports.tls);
    socket.write('GET /peer HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    expect((await socket.toArray()).join('')).toContain(
      '\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ',
    );
  });

  it('admin: demands a Host header and words errors as problem+json', async () => {
    const socket = await open(ports.admin);
    socket.write('GET /peer HTTP/1.1\r\nConnection: close\r\n\r\n');
    expect((await socket.toArray()).join('')).toMatch(/^HTTP\/1\.1 400 /);
    const problem = await problemOf(ports.admin, '/nothing');
    expect(problem).toMatchObject({ status: 404, code: 'not-found', type: 'urn:muster:reason:not-found' });
    expect(problem.requestId).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('puts renewed certificates in force without a restart, and keeps the settings', async () => {
    const renewed = selfSigned('ec', 'renewed');
    listeners[0]!.renew({ certificates: [renewed] });
    const socket = await open(ports.mtls, { key: device.key, cert: device.chain, maxVersion: 'TLSv1.2' });
    expect(socket.getPeerX509Certificate()?.subject).toBe('CN=renewed');
    const session = socket.getSession();
    socket.destroy();
    expect(
      await peer(ports.mtls, {
        key: device.key,
        cert: device.chain,
        maxVersion: 'TLSv1.2',
        ...(session && { session }),
      }),
    ).toBe('CN=router1 false');
  });
});

async function problemOf(port: number, path: string): Promise<Record<string, unknown>> {
  const { promise, resolve, reject } = Promise.withResolvers<Record<string, unknown>>();
  const request = httpsRequest({ port, host: '127.0.0.1', path, rejectUnauthorized: false }, (response) => {
    expect(response.headers['content-type']).toMatch(/^application\/problem\+json/);
    void response.toArray().then((chunks) => resolve(JSON.parse(chunks.join('')) as Record<string, unknown>), reject);
  });
  request.on('error', reject).end();
  return promise;
}

/** What `openssl s_client` prints of one connection. */
async function openssl(port: number, ...options: string[]): Promise<string> {
  const client = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, ...options], { timeout: 5_000 });
  client.stdin.end();
  return (await client.stdout.toArray()).join('');
}
