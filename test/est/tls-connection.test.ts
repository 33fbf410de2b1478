import { connect, type ConnectionOptions, createServer, type Server, type TLSSocket } from 'node:tls';

import { fastify } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { encodePem } from '../../core/x509/pem.ts';
import { estPlugin } from '../../protocols/est/http.ts';
import { type TlsConnection, tlsConnectionOf } from '../../protocols/est/tls-connection.ts';
import { InMemoryCredentials, InMemoryHall } from '../support/est-hall.ts';
import { pemOfKey } from '../support/est-fixture.ts';
import { TestAuthority } from '../support/test-pki.ts';

const root = TestAuthority.root();
const issuing = root.intermediate();
const identity = issuing.leaf({ subject: 'CN=localhost', san: ['dns:localhost'] });

describe('the TLS connection of a request', () => {
  let server: Server;
  const accepted: TLSSocket[] = [];

  beforeAll(async () => {
    server = createServer({
      key: pemOfKey(identity.privateKey),
      cert: pemOf([identity.der, issuing.der]),
      requestCert: true,
      rejectUnauthorized: false,
      maxVersion: 'TLSv1.2',
    });
    server.on('secureConnection', (socket) => {
      accepted.push(socket);
      socket.on('error', () => undefined);
      socket.write('hello');
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  });
  afterAll(() => void server.close());

  it('has no chain where the client presents none', async () => {
    const { connection } = await open();
    expect(connection.certificateChain).toEqual([]);
  });

  it('has the chain as presented, leaf first, once for the life of the connection', async () => {
    const leaf = issuing.leaf();
    const { connection, accepted: socket } = await open({
      key: pemOfKey(leaf.privateKey),
      cert: pemOf([leaf.der, issuing.der, root.der]),
    });
    expect(connection.certificateChain.map(Buffer.from)).toEqual([leaf.der, issuing.der, root.der].map(Buffer.from));
    expect(tlsConnectionOf(socket)).toBe(connection);
  });

  it('has a bounded chain, however long the one presented', async () => {
    let authority = root;
    const chain: Uint8Array[] = [];
    for (let i = 0; i < 14; i++) {
      authority = authority.intermediate({ name: `CN=CA ${i}` });
      chain.unshift(authority.der);
    }
    const leaf = authority.leaf();
    const { connection } = await open({ key: pemOfKey(leaf.privateKey), cert: pemOf([leaf.der, ...chain]) });
    expect(connection.certificateChain).toHaveLength(10);
  });

  it('binds to the first Finished message: the client’s, in an abbreviated handshake the server’s (RFC 5929 §3.1)', async () => {
    const full = await open();
    expect(full.client.isSessionReused()).toBe(false);
    expect(full.connection.channelBinding()).toEqual(full.client.getFinished());
    const session = full.client.getSession()!;
    const resumed = await open({ session });
    expect(resumed.client.isSessionReused()).toBe(true);
    expect(resumed.connection.channelBinding()).toEqual(resumed.client.getPeerFinished());
  });

  async function open(
    options: ConnectionOptions = {},
  ): Promise<{ client: TLSSocket; accepted: TLSSocket; connection: TlsConnection }> {
    const { port } = server.address() as { port: number };
    const client = connect({ port, host: '127.0.0.1', servername: 'localhost', ca: pemOf([root.der]), ...options });
    await new Promise((done, fail) => client.once('data', done).once('error', fail));
    const socket = accepted.at(-1)!;
    const connection = tlsConnectionOf(socket);
    return { client, accepted: socket, connection };
  }
});

it('serves nothing where there is no TLS (ES-1, ES-8)', async () => {
  const app = fastify();
  await app.register(
    estPlugin({
      endpoints: { resolve: async () => undefined },
      credentials: new InMemoryCredentials(issuing, root),
      hall: new InMemoryHall(issuing),
      authorities: { caCertificates: async () => [root.der] },
    }),
  );
  const answer = await app.inject('/.well-known/est/cacerts');
  expect(answer.statusCode).toBe(501);
  expect(answer.body).toMatch(/over TLS only/);
  await app.close();
});

function pemOf(ders: readonly Uint8Array[]): string {
  return ders.map((der) => encodePem('CERTIFICATE', der)).join('');
}
