import { once } from 'node:events';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';

/** A TLS connection that sends one request at a time and reads the answer by its Content-Length: nothing else costs time. */
export class EstConnection {
  readonly #socket: TLSSocket;
  #received: Buffer = Buffer.alloc(0);
  #answered: ((answer: { status: number; body: Buffer }) => void) | undefined;
  #failed: ((error: Error) => void) | undefined;

  private constructor(socket: TLSSocket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', (error) => this.#failed?.(error));
    socket.on('close', () => this.#failed?.(new RangeError('the server closed the connection')));
  }

  /** Connects; resolves after the handshake. */
  static async open(options: ConnectionOptions): Promise<EstConnection> {
    const socket = connect(options);
    await once(socket, 'secureConnect');
    socket.setNoDelay(true);
    return new EstConnection(socket);
  }

  /** POSTs a base64 request to simpleenroll. */
  enroll(label: string, body: string, authorization: string | undefined): Promise<{ status: number; body: Buffer }> {
    const credentials = authorization === undefined ? {} : { Authorization: authorization };
    const headers = { ...credentials, 'Content-Type': 'application/pkcs10' };
    return this.post(`/.well-known/est/${label}/simpleenroll`, body, headers);
  }

  /** POSTs a text to a path. */
  post(
    path: string,
    body: string,
    headers: Readonly<Record<string, string>>,
  ): Promise<{ status: number; body: Buffer }> {
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    this.#socket.write(
      `POST ${path} HTTP/1.1\r\nHost: localhost\r\n${lines.join('')}Content-Length: ${body.length}\r\n\r\n${body}`,
    );
    return new Promise((resolve, reject) => {
      this.#answered = resolve;
      this.#failed = reject;
    });
  }

  close(): void {
    this.#failed = undefined;
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    const end = this.#received.indexOf('\r\n\r\n');
    if (end < 0) return;
    const head = this.#received.toString('latin1', 0, end);
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1]);
    if (this.#received.length < end + 4 + length) return;
    const body = Buffer.from(this.#received.subarray(end + 4, end + 4 + length));
    this.#received = this.#received.subarray(end + 4 + length);
    this.#answered?.({ status: Number(head.slice(9, 12)), body });
  }
}
