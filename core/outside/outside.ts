import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import { connect as tlsConnect, type TLSSocket } from 'node:tls';

import { OutsideError } from './outside-error.ts';
import { addressFault, type OutsidePolicy } from './policy.ts';
import type { CaaRecord, OutsideResolver } from './resolver.ts';

/** A page that was fetched. */
export interface OutsidePage {
  readonly status: number;
  readonly body: Uint8Array;
}

/** What one conversation may take. */
export interface OutsideLimits {
  readonly signal: AbortSignal;
  /** A longer body is a fault. */
  readonly maxOctets: number;
  readonly maxRedirects: number;
}

/** How a TLS connection is to be opened. */
export interface TlsGreeting {
  readonly serverName: string;
  readonly protocols: readonly string[];
}

/** Addresses of one name that are tried, one after the other. */
const MAX_ATTEMPTS = 3;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const DEFAULT_PORT: Readonly<Record<string, number>> = { 'http:': 80, 'https:': 443 };

/**
 * The one way to talk to a host that a peer named (V40): its name is resolved once, every address is held against the policy, and
 * the connection goes to an address that was checked. Each redirect is a new host to be checked.
 */
export class Outside {
  readonly #policy: OutsidePolicy;
  readonly #resolver: OutsideResolver;

  constructor(policy: OutsidePolicy, resolver: OutsideResolver) {
    this.#policy = policy;
    this.#resolver = resolver;
  }

  /** TXT records of a name. @throws OutsideError `name`. */
  texts(name: string, signal: AbortSignal): Promise<readonly string[]> {
    return this.#resolver.texts(name, signal);
  }

  /** CAA records of this very name. @throws OutsideError `name`. */
  caa(name: string, signal: AbortSignal): Promise<readonly CaaRecord[]> {
    return this.#resolver.caa(name, signal);
  }

  /**
   * Fetches a page by GET. Certificates of servers are not verified: who asks for the page knows what it must say.
   * @throws OutsideError
   */
  async get(start: URL, limits: OutsideLimits): Promise<OutsidePage> {
    let url = start;
    for (let hops = 0; hops <= limits.maxRedirects; hops += 1) {
      const response = await this.#ask(url, limits.signal);
      const status = response.statusCode ?? 0;
      if (!REDIRECTS.has(status)) return { status, body: await bodyOf(response, limits.maxOctets) };
      response.destroy();
      url = redirectTarget(url, response.headers.location);
    }
    throw new OutsideError('answer', `expected at most ${limits.maxRedirects} redirects, found more`);
  }

  /**
   * Opens a TLS connection without verifying the certificate: who asks looks at it. The caller destroys the socket.
   * @throws OutsideError
   */
  async tls(host: string, port: number, greeting: TlsGreeting, signal: AbortSignal): Promise<TLSSocket> {
    return this.#reach(host, port, signal, (address) => handshake(address, port, greeting, signal));
  }

  #ask(url: URL, signal: AbortSignal): Promise<IncomingMessage> {
    const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
    const port = url.port === '' ? DEFAULT_PORT[url.protocol]! : Number(url.port);
    return this.#reach(host, port, signal, (address) => ask(url, { host: address, port, signal }, host));
  }

  async #reach<T>(
    host: string,
    port: number,
    signal: AbortSignal,
    attempt: (address: string) => Promise<T>,
  ): Promise<T> {
    if (!this.#policy.ports.includes(port)) throw new OutsideError('address', `port ${port} is not one to connect to`);
    const addresses = isIP(host) === 0 ? await this.#resolver.addresses(host, signal) : [host];
    for (const address of addresses) {
      const fault = addressFault(this.#policy, address);
      // One bad address among good ones is how rebinding looks: none of them is used.
      if (fault !== undefined) throw new OutsideError('address', `${host} may not be connected to: ${fault}`);
    }
    let last: unknown;
    for (const address of addresses.slice(0, MAX_ATTEMPTS)) {
      try {
        return await attempt(address);
      } catch (error) {
        if (!(error instanceof OutsideError) || error.fault !== 'connection' || signal.aborted) throw error;
        last = error;
      }
    }
    throw last;
  }
}

function ask(url: URL, to: Pick<RequestOptions, 'host' | 'port' | 'signal'>, host: string): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const options = {
    ...to,
    path: `${url.pathname}${url.search}`,
    headers: { host: url.host, 'user-agent': 'Muster', accept: '*/*', connection: 'close' },
    agent: false,
    // `host` is an address that was checked: it is not looked up again.
    lookup: refuseLookup,
  } as const;
  const outgoing =
    url.protocol === 'https:'
      ? httpsRequest({ ...options, rejectUnauthorized: false, servername: isIP(host) === 0 ? host : '' }, resolve)
      : httpRequest(options, resolve);
  outgoing.on('error', (error) => reject(new OutsideError('connection', `${host} did not answer`, error)));
  outgoing.end();
  return promise;
}

function refuseLookup(
  _name: string,
  _options: unknown,
  done: (error: NodeJS.ErrnoException | null, address: string, family: number) => void,
): void {
  done(new OutsideError('address', 'a name was to be resolved a second time'), '', 4);
}

function redirectTarget(from: URL, location: string | undefined): URL {
  const target = location === undefined ? null : URL.parse(location, from);
  if (target === null || !(target.protocol in DEFAULT_PORT) || target.username !== '' || target.password !== '')
    throw new OutsideError('answer', 'expected a redirect to http or https, found another');
  return target;
}

async function bodyOf(response: IncomingMessage, maxOctets: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let octets = 0;
  try {
    for await (const chunk of response as AsyncIterable<Uint8Array>) {
      octets += chunk.length;
      if (octets > maxOctets) break;
      chunks.push(chunk);
    }
  } catch (error) {
    throw new OutsideError('connection', 'the answer broke off', error);
  }
  if (octets > maxOctets) throw new OutsideError('answer', `expected at most ${maxOctets} octets, found more`);
  return Buffer.concat(chunks);
}

function handshake(host: string, port: number, greeting: TlsGreeting, signal: AbortSignal): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  const { serverName: servername, protocols } = greeting;
  let connected = false;
  const socket = tlsConnect({
    host,
    port,
    servername,
    ALPNProtocols: [...protocols],
    rejectUnauthorized: false,
    minVersion: 'TLSv1.2',
  });
  const abort = (): void => {
    socket.destroy();
    reject(new OutsideError('connection', 'no answer came in time'));
  };
  signal.addEventListener('abort', abort, { once: true });
  socket.once('connect', () => (connected = true));
  socket.once('secureConnect', () => {
    signal.removeEventListener('abort', abort);
    resolve(socket);
  });
  socket.on('error', (error) => {
    signal.removeEventListener('abort', abort);
    reject(
      connected
        ? new OutsideError('tls', 'the TLS handshake failed', error)
        : new OutsideError('connection', 'the connection failed', error),
    );
  });
  return promise;
}
