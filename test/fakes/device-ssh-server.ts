import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server as TcpServer, type Socket } from 'node:net';

import { Server, type ServerChannel } from 'ssh2';

/** What a badly behaved device does with a command. */
export type Behaviour = (command: string, channel: ServerChannel) => void;

/** An SSH server that does with each command what it is told to, and lets in who says the password. */
export class DeviceSshServer implements AsyncDisposable {
  readonly #server: Server;
  readonly port: number;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  static async start(password: string, behave: Behaviour): Promise<DeviceSshServer> {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const hostKey = privateKey.export({ type: 'sec1', format: 'pem' });
    const server = new Server({ hostKeys: [hostKey] }, (client) => {
      // A peer that leaves is what these tests are about.
      client.on('error', () => undefined);
      client.on('authentication', (attempt) => {
        if (attempt.method === 'password' && attempt.password === password) attempt.accept();
        else attempt.reject(['password']);
      });
      client.on('session', (accept) => {
        accept().on('exec', (acceptExec, _reject, { command }) => behave(command, acceptExec()));
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new DeviceSshServer(server, (server.address() as AddressInfo).port);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    return Promise.resolve();
  }
}

/** A port that takes connections and says nothing. */
export class SilentPort implements AsyncDisposable {
  readonly #server: TcpServer;
  readonly #sockets: Socket[];
  readonly port: number;

  private constructor(server: TcpServer, sockets: Socket[]) {
    this.#server = server;
    this.#sockets = sockets;
    this.port = (server.address() as AddressInfo).port;
  }

  static async start(): Promise<SilentPort> {
    const sockets: Socket[] = [];
    const server = createServer((socket) => sockets.push(socket.on('error', () => undefined)));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new SilentPort(server, sockets);
  }

  [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    return Promise.resolve();
  }
}
