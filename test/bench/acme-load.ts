import { once } from 'node:events';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { setTimeout as delay } from 'node:timers/promises';

import { bind, ClientKey, jws } from '../acme/acme-client.ts';

/** How long a client waits before it asks again. */
const POLL_MS = 5;
const PATIENCE_MS = 20_000;
const END_OF_HEAD = '\r\n\r\n';

/** An answer, as far as a client of the bench looks at it. */
interface Answer {
  readonly status: number;
  readonly nonce: string | undefined;
  readonly location: string | undefined;
  readonly body: Buffer;
}

/** Where orders go. */
export interface LoadTarget {
  readonly directory: string;
  readonly ca: string;
  /** A key that accounts are bound to. */
  readonly eab?: { readonly reference: string; readonly secret: string };
}

/** Who answers http-01: told the token's key authorization before the server is told to look. */
export type Prover = (token: string, keyAuthorization: string) => void;

interface OrderView {
  readonly status: string;
  readonly authorizations: readonly string[];
  readonly finalize: string;
  readonly certificate?: string;
}

/** An ACME client with one account and one kept-alive connection, which does nothing but what an order takes. */
export class LoadClient {
  readonly #connection: TlsExchange;
  readonly #directory: Readonly<Record<string, string>>;
  readonly #target: LoadTarget;
  #key = new ClientKey();
  #account: string | undefined;
  #nonce: string | undefined;

  private constructor(connection: TlsExchange, directory: Readonly<Record<string, string>>, target: LoadTarget) {
    this.#connection = connection;
    this.#directory = directory;
    this.#target = target;
  }

  /** Connects and reads the directory. */
  static async open(target: LoadTarget): Promise<LoadClient> {
    const { hostname, port } = new URL(target.directory);
    const tls = { host: hostname, port: Number(port), servername: 'localhost', ca: target.ca };
    const connection = await TlsExchange.open(tls);
    const { body } = await connection.exchange('GET', target.directory);
    return new LoadClient(connection, JSON.parse(body.toString()) as Record<string, string>, target);
  }

  /** A new key and an account for it. */
  async register(): Promise<void> {
    this.#key = new ClientKey();
    this.#account = undefined;
    const url = this.#directory['newAccount']!;
    const { eab } = this.#target;
    const binding = eab && { externalAccountBinding: bind(this.#key, url, eab) };
    const { location } = await this.#post(url, { termsOfServiceAgreed: true, ...binding }, 201);
    this.#account = location;
  }

  /** A new nonce, and an order with it. */
  async order(name: string): Promise<{ readonly url: string; readonly view: OrderView }> {
    this.#nonce = undefined;
    const identifiers = [{ type: 'dns', value: name }];
    const { location, body } = await this.#post(this.#directory['newOrder']!, { identifiers }, 201);
    return { url: location!, view: JSON.parse(body.toString()) as OrderView };
  }

  /** From a new nonce to the certificate, PEM. Names that are not authorized are proved by http-01. */
  async certificate(name: string, csr: string, prove: Prover): Promise<string> {
    const { url, view } = await this.order(name);
    if (view.status === 'pending') {
      for (const authorization of view.authorizations) await this.#prove(authorization, prove);
    }
    const begun = await this.#read<OrderView>(view.finalize, { csr });
    const { certificate } = begun.status === 'valid' ? begun : await this.#settled<OrderView>(url);
    return (await this.#post(certificate!, undefined)).body.toString();
  }

  close(): void {
    this.#connection.close();
  }

  async #prove(authorization: string, prove: Prover): Promise<void> {
    type Challenge = { readonly type: string; readonly url: string; readonly token: string };
    const { challenges } = await this.#read<{ challenges: readonly Challenge[] }>(authorization, undefined);
    const { token, url } = challenges.find(({ type }) => type === 'http-01')!;
    prove(token, `${token}.${this.#key.thumbprint}`);
    await this.#post(url, {});
    await this.#settled(authorization);
  }

  async #settled<T extends { readonly status: string }>(url: string): Promise<T> {
    for (const start = performance.now(); ; await delay(POLL_MS)) {
      const view = await this.#read<T>(url, undefined);
      if (view.status === 'valid') return view;
      if (view.status === 'invalid' || performance.now() - start > PATIENCE_MS)
        throw new RangeError(`the bench waited for ${url}, and it is ${JSON.stringify(view)}`);
    }
  }

  async #read<T>(url: string, payload: object | undefined): Promise<T> {
    return JSON.parse((await this.#post(url, payload)).body.toString()) as T;
  }

  async #post(url: string, payload: object | undefined, expected = 200): Promise<Answer> {
    this.#nonce ??= (await this.#connection.exchange('HEAD', this.#directory['newNonce']!)).nonce;
    const signer = this.#account === undefined ? { jwk: this.#key.jwk } : { kid: this.#account };
    const header = { alg: this.#key.algorithm, nonce: this.#nonce, url, ...signer };
    const answer = await this.#connection.exchange('POST', url, JSON.stringify(jws(this.#key, header, payload)));
    this.#nonce = answer.nonce;
    if (answer.status === expected) return answer;
    throw new RangeError(`the bench was answered ${answer.status} ${answer.body.toString().slice(0, 300)}`);
  }
}

/** A TLS connection that carries one request at a time: nothing else costs time. */
class TlsExchange {
  readonly #socket: TLSSocket;
  #received: Buffer = Buffer.alloc(0);
  #pending: { readonly isHead: boolean; resolve(answer: Answer): void; reject(error: Error): void } | undefined;

  private constructor(socket: TLSSocket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', (error) => this.#pending?.reject(error));
    socket.on('close', () => this.#pending?.reject(new RangeError('the server closed the connection')));
  }

  static async open(options: ConnectionOptions): Promise<TlsExchange> {
    const socket = connect({ ...options, ALPNProtocols: ['http/1.1'] });
    await once(socket, 'secureConnect');
    socket.setNoDelay(true);
    return new TlsExchange(socket);
  }

  exchange(method: string, url: string, body = ''): Promise<Answer> {
    const { host, pathname } = new URL(url);
    const content = body && `Content-Type: application/jose+json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`;
    // Pebble refuses requests without User-Agent.
    this.#socket.write(`${method} ${pathname} HTTP/1.1\r\nHost: ${host}\r\nUser-Agent: bench\r\n${content}\r\n${body}`);
    return new Promise((resolve, reject) => (this.#pending = { isHead: method === 'HEAD', resolve, reject }));
  }

  close(): void {
    this.#pending = undefined;
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    const end = this.#received.indexOf(END_OF_HEAD);
    if (end < 0) return;
    const head = this.#received.toString('latin1', 0, end);
    const header = (name: string): string | undefined => new RegExp(`\r\n${name}: *([^\r]*)`, 'i').exec(head)?.[1];
    const rest = this.#received.subarray(end + END_OF_HEAD.length);
    const isEmpty = this.#pending?.isHead === true || head.startsWith('HTTP/1.1 204');
    const body = isEmpty ? Buffer.alloc(0) : bodyOf(rest, header('content-length'));
    if (body === undefined) return;
    this.#received = Buffer.alloc(0);
    const status = Number(head.slice(9, 12));
    this.#pending?.resolve({ status, nonce: header('replay-nonce'), location: header('location'), body });
  }
}

/** A whole body by its length or in chunks (RFC 9112 §7.1); undefined while more is to come. */
function bodyOf(received: Buffer, contentLength: string | undefined): Buffer | undefined {
  if (contentLength !== undefined) {
    const length = Number(contentLength);
    return received.length >= length ? received.subarray(0, length) : undefined;
  }
  if (!received.toString('latin1', Math.max(0, received.length - 5)).endsWith('0\r\n\r\n')) return undefined;
  const parts: Buffer[] = [];
  for (let at = 0; ;) {
    const line = received.indexOf('\r\n', at);
    const size = Number.parseInt(received.toString('latin1', at, line), 16);
    if (size === 0) return Buffer.concat(parts);
    parts.push(received.subarray(line + 2, line + 2 + size));
    at = line + 2 + size + 2;
  }
}
