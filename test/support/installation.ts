import { readFile } from 'node:fs/promises';
import { Agent, type AgentOptions, request } from 'node:https';

import { decodeCertsOnly } from '../../core/cms/signed-data.ts';
import { type Certificate, parseCertificate } from '../../core/x509/certificate.ts';
import { encodePem } from '../../core/x509/pem.ts';
import { pemOfKey } from './est-fixture.ts';
import type { IssuedCertificate } from './test-pki.ts';

/** A running Muster as its peers see it: where it listens, whom to trust, and the administrator's token. */
export interface Installation {
  /** Base URLs of the listeners. */
  readonly plain: string;
  readonly mtls: string;
  readonly admin: string;
  /** PEM of the root that the listeners' certificates lead to. */
  readonly ca: string;
  readonly adminToken: string;
}

/** One answer; header names in lower case. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  readonly text: string;
}

/** What one request is made of. */
export interface Call {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** An agent of {@link connection}; default: a connection of its own. */
  readonly agent?: Agent;
}

/** Ends a test in which a server stopped to answer. */
const ANSWER_LIMIT_MS = 20_000;

/** One TLS connection, kept alive, with a client certificate where one is given (RFC 7030 §3.3.2). */
export function connection(
  { ca }: Pick<Installation, 'ca'>,
  client?: ClientCertificate,
  tls: AgentOptions = {},
): Agent {
  const presented = client && {
    key: pemOfKey(client.privateKey),
    cert: [client.der, ...(client.chain ?? [])].map((der) => encodePem('CERTIFICATE', der)).join(''),
  };
  return new Agent({ keepAlive: true, maxSockets: 1, ca, ...presented, ...tls });
}

/** A certificate to present in the handshake, with what stands between it and the root. */
export interface ClientCertificate extends Pick<IssuedCertificate, 'der' | 'privateKey'> {
  readonly chain?: readonly Uint8Array[];
}

/** Sends one request and reads the whole answer. */
export async function send(installation: Pick<Installation, 'ca'>, url: string, call: Call = {}): Promise<Answer> {
  const agent = call.agent ?? connection(installation);
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const signal = AbortSignal.timeout(ANSWER_LIMIT_MS);
  const options = { method: call.method ?? 'GET', headers: call.headers ?? {}, agent, signal };
  const outgoing = request(url, options, (response) => {
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => chunks.push(chunk));
    response.on('error', reject);
    response.on('end', () => {
      const body = Buffer.concat(chunks);
      const headers = Object.fromEntries(
        Object.entries(response.headers).map(([name, value]) => [name, [value].flat().join(', ')]),
      );
      resolve({ status: response.statusCode ?? 0, headers, body, text: body.toString('latin1') });
    });
  });
  outgoing.on('error', reject);
  outgoing.end(call.body);
  try {
    return await promise;
  } finally {
    if (call.agent === undefined) agent.destroy();
  }
}

/** Sends a request to a path below `/.well-known/est/`. */
export function est(installation: Installation, path: string, call: Call = {}): Promise<Answer> {
  return send(installation, `${installation.mtls}/.well-known/est/${path}`, call);
}

/** Posts a PKCS #10 request, in base64 as RFC 8951 §3.1 has it. */
export function enroll(installation: Installation, path: string, csr: Uint8Array, call: Call = {}): Promise<Answer> {
  return est(installation, path, {
    method: 'POST',
    body: Buffer.from(csr).toString('base64'),
    ...call,
    headers: { 'Content-Type': 'application/pkcs10', ...call.headers },
  });
}

/** The Authorization header of HTTP Basic. */
export function basic(username: string, password: string): { Authorization: string } {
  return { Authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}` };
}

/** The one certificate of a certs-only answer. */
export function certificateOf({ status, text }: Answer): Certificate {
  if (status !== 200) throw new UnexpectedAnswer(`expected a certificate, found ${status} ${text}`);
  const { certificates } = decodeCertsOnly(Buffer.from(text, 'base64'));
  if (certificates.length !== 1) throw new UnexpectedAnswer(`expected one certificate, found ${certificates.length}`);
  return parseCertificate(certificates[0]!);
}

/** Sends a request to a path below `/api/v1` with a bearer token (default: the administrator's). */
export function rest(
  installation: Installation,
  method: string,
  path: string,
  body?: object,
  token: string = installation.adminToken,
): Promise<Answer> {
  return send(installation, `${installation.admin}/api/v1${path}`, {
    method,
    headers: { Authorization: `Bearer ${token}`, ...(body && { 'Content-Type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
  });
}

/** Like {@link rest}, for a request that must succeed; answers the JSON. */
export async function api<T>(installation: Installation, method: string, path: string, body?: object): Promise<T> {
  const { status, text } = await rest(installation, method, path, body);
  if (status >= 300) throw new UnexpectedAnswer(`${method} ${path}: ${status} ${text}`);
  return JSON.parse(text) as T;
}

/** What a list of the API answers. */
export interface Listed<T> {
  readonly items: readonly T[];
}

/** A certificate as the API shows it, as far as tests look at it. */
export interface ListedCertificate {
  readonly id: string;
  readonly serialNumber: string;
  readonly subject: string;
  readonly fingerprint: string;
  readonly status: string;
  readonly replacedBy?: string;
  readonly enrollment?: string;
}

/** Makes an enrolment secret through the API. Default: a one-time password for the endpoint `default`. */
export async function createPassword(
  installation: Installation,
  draft: { readonly endpoint?: string; readonly kind?: 'one-time' | 'device'; readonly username?: string } = {},
): Promise<string> {
  const { secret } = await api<{ secret: string }>(installation, 'POST', '/secrets', draft);
  return secret;
}

/** Reads a PEM file or another text file. */
export async function readText(file: string): Promise<string> {
  return (await readFile(file, 'utf8')).trim();
}

class UnexpectedAnswer extends Error {}
