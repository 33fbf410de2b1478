import { Agent, type AgentOptions, request } from 'node:https';

import { encodePem } from '../../core/x509/pem.ts';
import { type EstFixture, pemOfKey } from '../support/est-fixture.ts';
import type { IssuedCertificate } from '../support/test-pki.ts';

/** One answer, with its header names as they came. */
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

/** One TLS connection, kept alive, with a client certificate where one is given. */
export function connection(fixture: EstFixture, client?: IssuedCertificate, tls: AgentOptions = {}): Agent {
  const presented =
    client === undefined
      ? {}
      : {
          key: pemOfKey(client.privateKey),
          cert: encodePem('CERTIFICATE', client.der) + encodePem('CERTIFICATE', fixture.issuing.der),
        };
  const ca = encodePem('CERTIFICATE', fixture.root.der);
  return new Agent({ keepAlive: true, maxSockets: 1, ca, ...presented, ...tls });
}

/** Sends one request to a path below `/.well-known/est/`. */
export async function send(fixture: EstFixture, path: string, call: Call = {}): Promise<Answer> {
  const agent = call.agent ?? connection(fixture);
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const url = new URL(`/.well-known/est/${path}`, `https://localhost:${fixture.port}`);
  const outgoing = request(url, { method: call.method ?? 'GET', headers: call.headers ?? {}, agent }, (response) => {
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => chunks.push(chunk));
    response.on('error', reject);
    response.on('end', () => {
      const body = Buffer.concat(chunks);
      resolve({
        status: response.statusCode ?? 0,
        headers: pairs(response.rawHeaders),
        body,
        text: body.toString('latin1'),
      });
    });
  });
  outgoing.on('error', reject);
  outgoing.end(call.body);
  const answer = await promise;
  if (call.agent === undefined) agent.destroy();
  return answer;
}

/** Posts a PKCS #10 request. */
export function enroll(fixture: EstFixture, path: string, body: string | Uint8Array, call: Call = {}): Promise<Answer> {
  return send(fixture, path, {
    method: 'POST',
    body,
    ...call,
    headers: { 'Content-Type': 'application/pkcs10', ...call.headers },
  });
}

/** The Authorization header of HTTP Basic. */
export function basic(username: string, password: string): { Authorization: string } {
  return { Authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}` };
}

function pairs(raw: readonly string[]): Record<string, string> {
  return Object.fromEntries(Array.from({ length: raw.length / 2 }, (_, i) => [raw[2 * i]!, raw[2 * i + 1]!]));
}
