import { Agent, request as httpsRequest } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import { decodeCertsOnly } from '../../core/cms/certs-only.ts';
import { certificateFingerprint } from '../../core/x509/certificate.ts';
import { parseCertificationRequest } from '../../core/x509/certification-request.ts';
import { spkiSha256 } from '../../core/x509/public-key.ts';
import type { Credential } from '../support/crashing-server.ts';
import { makeCsr } from '../support/test-pki.ts';

/** One enrolment as its device sees it: the same key, request and credential however often it asks. */
export interface DeviceRequest {
  readonly name: string;
  readonly body: string;
  /** Lower-case hex; no two requests share a key. */
  readonly spkiSha256: string;
  readonly credential: Credential;
  /** Certificates it was given, by fingerprint: more than one is a fault of the server. */
  readonly answers: Map<string, Uint8Array>;
  tries: number;
}

/** What became of one try. */
export type Try =
  | { readonly kind: 'issued'; readonly fingerprint: string; readonly localPort: number }
  /** 202 or 503: ask again. */
  | { readonly kind: 'later'; readonly status: number; readonly afterMs: number }
  /** The connection broke, or there is nobody: whether it was issued is unknown. */
  | { readonly kind: 'lost'; readonly code: string };

/** Where a server is reached. */
export interface Door {
  readonly port: number;
  readonly agent: Agent;
}

/** A server refused for good, or answered what is no certificate. */
class EnrollmentFailed extends Error {}

let made = 0;

/** A request with a new key. */
export function newRequest(credential: Credential): DeviceRequest {
  made += 1;
  const name = `router${made}`;
  const { der } = makeCsr({ subject: `CN=${name}`, san: [`dns:${name}.example`] });
  const body = Buffer.from(der).toString('base64');
  const spki = spkiSha256(parseCertificationRequest(der).publicKey);
  return { name, body, spkiSha256: spki, credential, answers: new Map(), tries: 0 };
}

/** A door with at most `connections` kept-alive TLS connections. */
export function openDoor(port: number, ca: string, connections: number): Door {
  return { port, agent: new Agent({ keepAlive: true, maxSockets: connections, ca }) };
}

/** Asks once. The answer is noted in the request. @throws EnrollmentFailed for an answer that no repeat will mend. */
export async function tryOnce(door: Door, device: DeviceRequest): Promise<Try> {
  device.tries += 1;
  let answer: HttpAnswer;
  try {
    answer = await post(door, device);
  } catch (error) {
    return { kind: 'lost', code: (error as NodeJS.ErrnoException).code ?? String(error) };
  }
  const { status, retryAfterSeconds, body, localPort } = answer;
  if (status === 202 || status === 503)
    return { kind: 'later', status, afterMs: Math.min(retryAfterSeconds, 2) * 1000 };
  if (status !== 200) throw new EnrollmentFailed(`${device.name}: ${status} ${body}`);
  const [certificate] = decodeCertsOnly(Buffer.from(body, 'base64')).certificates;
  if (certificate === undefined) throw new EnrollmentFailed(`${device.name}: 200 without a certificate`);
  const fingerprint = certificateFingerprint(certificate);
  device.answers.set(fingerprint, certificate);
  return { kind: 'issued', fingerprint, localPort };
}

/** Asks at one door after the other, beginning with any, until there is a certificate, at most `limitMs`. */
export async function askUntilIssued(
  doors: () => readonly Door[],
  device: DeviceRequest,
  limitMs = 60_000,
): Promise<void> {
  const until = performance.now() + limitMs;
  let last: Try | undefined;
  for (let turn = made + device.tries; performance.now() < until; turn += 1) {
    const open = doors();
    const door = open[turn % open.length];
    last = door && (await tryOnce(door, device));
    if (last?.kind === 'issued') return;
    await delay(last?.kind === 'later' ? last.afterMs : 100);
  }
  throw new EnrollmentFailed(`${device.name}: no certificate within ${limitMs} ms, last: ${JSON.stringify(last)}`);
}

/** Runs `work` on every item, `width` at a time. */
export async function inParallel<T>(
  items: readonly T[],
  width: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const left = items.values();
  const worker = async (): Promise<void> => {
    for (const item of left) await work(item);
  };
  await Promise.all(Array.from({ length: width }, worker));
}

/** Asks for the CA certificates; returns the client's port. */
export async function askCaCertificates(door: Door): Promise<number> {
  const { status, body, localPort } = await ask(door, { path: 'cacerts', method: 'GET' });
  if (status !== 200) throw new EnrollmentFailed(`cacerts: ${status} ${body}`);
  return localPort;
}

interface HttpAnswer {
  readonly status: number;
  readonly retryAfterSeconds: number;
  readonly body: string;
  readonly localPort: number;
}

interface HttpCall {
  readonly path: string;
  readonly method: string;
  readonly auth?: string;
  readonly headers?: Readonly<Record<string, string | number>>;
  readonly body?: string;
}

const ANSWER_LIMIT_MS = 60_000;

function post(door: Door, { body, credential }: DeviceRequest): Promise<HttpAnswer> {
  const auth = `${credential.username}:${credential.password}`;
  const headers = { 'Content-Type': 'application/pkcs10', 'Content-Length': body.length };
  return ask(door, { path: 'simpleenroll', method: 'POST', auth, headers, body });
}

function ask({ port, agent }: Door, { path, body, ...call }: HttpCall): Promise<HttpAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>();
  const target = { host: '127.0.0.1', port, path: `/.well-known/est/${path}`, agent, ...call };
  const outgoing = httpsRequest(target, (response) => {
    const localPort = response.socket.localPort ?? 0;
    const retryAfterSeconds = Number(response.headers['retry-after'] ?? 1);
    let text = '';
    response.setEncoding('latin1');
    response.on('data', (chunk: string) => (text += chunk));
    response.on('error', reject);
    response.on('end', () => resolve({ status: response.statusCode ?? 0, retryAfterSeconds, body: text, localPort }));
  });
  outgoing.setTimeout(ANSWER_LIMIT_MS, () => outgoing.destroy(new EnrollmentFailed('no answer in time')));
  outgoing.on('error', reject);
  outgoing.end(body);
  return promise;
}
