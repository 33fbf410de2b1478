import { createHash, createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { Agent } from 'node:https';

import { type Answer, connection, send } from '../support/installation.ts';

/** The kinds of account key a test client may have, by their JWS algorithm. */
export type ClientAlgorithm = 'ES256' | 'ES384' | 'ES512' | 'RS256' | 'EdDSA';

/** A key pair of an account, with its public JWK. */
export class ClientKey {
  readonly algorithm: ClientAlgorithm;
  readonly privateKey: KeyObject;
  readonly jwk: Readonly<Record<string, string>>;

  constructor(algorithm: ClientAlgorithm = 'ES256', privateKey: KeyObject = makeKey(algorithm)) {
    this.algorithm = algorithm;
    this.privateKey = privateKey;
    const { crv, e, kty, n, x, y } = privateKey.export({ format: 'jwk' }) as Record<string, string | undefined>;
    this.jwk = JSON.parse(JSON.stringify({ crv, e, kty, n, x, y })) as Record<string, string>;
  }

  get thumbprint(): string {
    return createHash('sha256').update(JSON.stringify(this.jwk)).digest('base64url');
  }

  sign(data: string): string {
    const hash = { ES256: 'sha256', ES384: 'sha384', ES512: 'sha512', RS256: 'sha256', EdDSA: null }[this.algorithm];
    return sign(hash, Buffer.from(data), { key: this.privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url');
  }
}

/** What a test changes of a request that would be right. */
export interface Tampering {
  readonly header?: Readonly<Record<string, unknown>>;
  /** Members of the JWS besides the three. */
  readonly members?: Readonly<Record<string, unknown>>;
  readonly signature?: string;
  readonly contentType?: string;
  readonly body?: string;
  readonly path?: string;
}

export interface Problem {
  readonly type: string;
  readonly detail: string;
  readonly status: number;
  readonly algorithms?: readonly string[];
  readonly subproblems?: readonly { readonly type: string; readonly identifier: { readonly value: string } }[];
}

export interface OrderView {
  readonly status: string;
  readonly identifiers: readonly { readonly type: string; readonly value: string }[];
  readonly authorizations: readonly string[];
  readonly finalize: string;
  readonly certificate?: string;
  readonly error?: Problem;
  readonly replaces?: string;
  readonly profile?: string;
}

export interface AuthorizationView {
  readonly status: string;
  readonly identifier: { readonly type: string; readonly value: string };
  readonly wildcard?: boolean;
  readonly challenges: readonly ChallengeView[];
}

export interface ChallengeView {
  readonly type: string;
  readonly url: string;
  readonly token: string;
  readonly status: string;
  readonly error?: Problem;
}

/** An ACME client that does what it is told, right or wrong. */
export class AcmeClient {
  readonly directoryUrl: string;
  readonly key: ClientKey;
  account: string | undefined;
  directory: Readonly<Record<string, string>> = {};
  /** Of the last answer. */
  nonce: string | undefined;
  readonly #ca: string;
  readonly #agent: Agent;

  /** Without an agent it has a connection of its own. */
  constructor(server: { readonly ca: string }, directoryUrl: string, key = new ClientKey(), agent?: Agent) {
    this.#ca = server.ca;
    this.directoryUrl = directoryUrl;
    this.key = key;
    this.#agent = agent ?? connection(server);
  }

  async get(url: string, method = 'GET'): Promise<Answer> {
    const answer = await send({ ca: this.#ca }, url, { method, agent: this.#agent });
    this.nonce = answer.headers['replay-nonce'] ?? this.nonce;
    return answer;
  }

  async start(): Promise<this> {
    this.directory = JSON.parse((await this.get(this.directoryUrl)).text) as Record<string, string>;
    return this;
  }

  async freshNonce(): Promise<string> {
    const { headers } = await this.get(this.directory['newNonce']!, 'HEAD');
    return headers['replay-nonce']!;
  }

  /** A signed POST; an undefined payload is POST-as-GET. */
  async post(url: string, payload?: unknown, tampering: Tampering = {}, key = this.key): Promise<Answer> {
    const nonce = this.nonce ?? (await this.freshNonce());
    this.nonce = undefined;
    const signer = this.account === undefined || key !== this.key ? { jwk: key.jwk } : { kid: this.account };
    const header = { alg: key.algorithm, nonce, url, ...signer, ...tampering.header };
    const body =
      tampering.body ?? JSON.stringify({ ...jws(key, header, payload, tampering.signature), ...tampering.members });
    const answer = await send({ ca: this.#ca }, tampering.path ?? url, {
      method: 'POST',
      headers: { 'Content-Type': tampering.contentType ?? 'application/jose+json' },
      body,
      agent: this.#agent,
    });
    this.nonce = answer.headers['replay-nonce'];
    return answer;
  }

  /** newAccount, with an external account binding where a key is given. */
  async register(eab?: { reference: string; secret: string }, members: object = {}): Promise<Answer> {
    const url = this.directory['newAccount']!;
    const binding = eab && { externalAccountBinding: bind(this.key, url, eab) };
    const answer = await this.post(url, { ...members, ...binding });
    this.account = answer.headers['location'];
    return answer;
  }

  order(names: readonly string[], members: object = {}): Promise<Answer> {
    const identifiers = names.map((value) => ({ type: /^[\d.]+$|:/.test(value) ? 'ip' : 'dns', value }));
    return this.post(this.directory['newOrder']!, { identifiers, ...members });
  }

  finalize({ finalize }: OrderView, csr: Uint8Array): Promise<Answer> {
    return this.post(finalize, { csr: Buffer.from(csr).toString('base64url') });
  }

  /** Asks until what is under way is over. */
  async settled<T extends { readonly status: string }>(url: string): Promise<T> {
    for (let attempt = 0; attempt < 100; attempt += 1) {
      const view = json<T>(await this.post(url));
      if (view.status !== 'pending' && view.status !== 'processing') return view;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new RangeError(`${url} is never over`);
  }

  keyAuthorization(token: string): string {
    return `${token}.${this.key.thumbprint}`;
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** A JWS in flattened JSON. */
export function jws(key: ClientKey, header: object, payload: unknown, signature?: string) {
  const [head, body] = [header, payload].map((part) =>
    part === undefined ? '' : Buffer.from(JSON.stringify(part)).toString('base64url'),
  );
  return { protected: head!, payload: body!, signature: signature ?? key.sign(`${head}.${body}`) };
}

/** An external account binding (RFC 8555 §7.3.4). */
export function bind(key: ClientKey, url: string, { reference, secret }: { reference: string; secret: string }) {
  const head = Buffer.from(JSON.stringify({ alg: 'HS256', kid: reference, url })).toString('base64url');
  const body = Buffer.from(JSON.stringify(key.jwk)).toString('base64url');
  const mac = createHmac('sha256', Buffer.from(secret, 'base64url')).update(`${head}.${body}`).digest('base64url');
  return { protected: head, payload: body, signature: mac };
}

export function json<T>({ text }: Answer): T {
  return JSON.parse(text) as T;
}

/** Status and short type of a problem. */
export function problemOf(answer: Answer): string {
  const { type = 'none', status } = json<Partial<Problem>>(answer);
  return `${status} ${type.replace('urn:ietf:params:acme:error:', '')}`;
}

function makeKey(algorithm: ClientAlgorithm): KeyObject {
  if (algorithm === 'RS256') return generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  if (algorithm === 'EdDSA') return generateKeyPairSync('ed25519').privateKey;
  const namedCurve = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }[algorithm];
  return generateKeyPairSync('ec', { namedCurve }).privateKey;
}
