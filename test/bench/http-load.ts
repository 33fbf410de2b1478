import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** An HTTP connection that sends one request at a time and reads the answer by its Content-Length: nothing else costs time. */
export class HttpConnection {
  readonly #socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  #answered: ((body: Buffer) => void) | undefined;
  #failed: ((error: Error) => void) | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', (error) => this.#failed?.(error));
    socket.on('close', () => this.#failed?.(new RangeError('the server closed the connection')));
  }

  /** Connects to a port of this machine, from an address of its own where one is given. */
  static async open(port: number, localAddress = '127.0.0.1'): Promise<HttpConnection> {
    const socket = connect({ host: '127.0.0.1', port, localAddress, noDelay: true });
    await once(socket, 'connect');
    return new HttpConnection(socket);
  }

  /** Sends a whole request and resolves with the body of its answer, which must be 200. */
  send(request: string | Buffer): Promise<Buffer> {
    this.#socket.write(request);
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
    const head = this.#received.indexOf('\r\n\r\n');
    if (head < 0) return;
    const text = this.#received.toString('latin1', 0, head);
    const length = Number(/\r\ncontent-length: *(\d+)/i.exec(text)?.[1]);
    const end = head + 4 + length;
    if (this.#received.length < end) return;
    const body = this.#received.subarray(head + 4, end);
    this.#received = this.#received.subarray(end);
    if (/^HTTP\/1\.[01] 200/.test(text)) this.#answered?.(body);
    else this.#failed?.(new RangeError(`answered ${text.slice(0, 60)}`));
  }
}

/** How a load is made. */
export interface Load {
  readonly connections?: number;
  readonly milliseconds?: number;
  /** Whether each connection comes from an address of its own, 127.0.1.x. */
  readonly sources?: boolean;
  /** Looks at an answer; throws where it is none. */
  readonly check?: (body: Buffer, index: number) => void;
}

/** Requests on kept-alive connections for a while, each chosen by `next`; returns answers a second. */
export async function keptAliveRate(
  port: number,
  next: (index: number) => string | Buffer,
  { connections = 64, milliseconds = 3000, sources = false, check }: Load = {},
): Promise<number> {
  const open = await Promise.all(
    Array.from({ length: connections }, (_, at) =>
      HttpConnection.open(port, sources ? `127.0.1.${at + 1}` : undefined),
    ),
  );
  const start = performance.now();
  let done = 0;
  await Promise.all(
    open.map(async (connection) => {
      while (performance.now() - start < milliseconds) {
        const index = done++;
        const body = await connection.send(next(index));
        check?.(body, index);
      }
    }),
  );
  const rate = done / ((performance.now() - start) / 1000);
  for (const connection of open) connection.close();
  return rate;
}

/** The same with a connection for each request, for servers that keep none alive. */
export async function newConnectionRate(
  port: number,
  next: (index: number) => string | Buffer,
  { connections = 8, milliseconds = 3000 }: Load = {},
): Promise<number> {
  const start = performance.now();
  let done = 0;
  const worker = async (): Promise<void> => {
    while (performance.now() - start < milliseconds) {
      const connection = await HttpConnection.open(port);
      await connection.send(next(done));
      connection.close();
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: connections }, worker));
  return done / ((performance.now() - start) / 1000);
}
