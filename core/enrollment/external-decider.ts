import { createHmac } from 'node:crypto';

import { MusterError, PeerError, UpstreamError } from '../errors/muster-error.ts';
import type { Secret } from '../keys/secret.ts';
import type { ExternalDecider } from './endpoint.ts';

/** What an external decider is asked: may this device have a certificate? */
export interface DeciderQuestion {
  /** Unique; a decider that sees it twice sees a repeat. */
  readonly id: string;
  readonly endpoint: string;
  readonly protocol: string;
  readonly deviceName: string;
  readonly transactionId: string;
  readonly sourceAddress: string;
  readonly challenge: Secret;
  /** PKCS #10, DER. */
  readonly request: Uint8Array;
}

/** What it answered. */
export interface DeciderAnswer {
  readonly allow: boolean;
  /** What it calls its decision. */
  readonly reference: string;
}

const TIMEOUT_MS = 5_000;
const MAX_ANSWER_OCTETS = 16_384;
const MAX_REFERENCE_CHARACTERS = 128;
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/**
 * The address of a decider.
 * @throws PeerError `malformed-request` for one that is neither https nor loopback, or that holds a user name or password.
 */
export function deciderUrl({ url: text }: ExternalDecider): URL {
  const url = URL.parse(text);
  const fault = 'decider.url: expected https, or http to a loopback address, without user name and fragment';
  if (!url || url.username !== '' || url.password !== '' || url.hash !== '')
    throw new PeerError('malformed-request', fault);
  if (url.protocol === 'https:' || (url.protocol === 'http:' && LOOPBACK.test(url.hostname))) return url;
  throw new PeerError('malformed-request', fault);
}

/**
 * Asks the decider: one POST of JSON, its text signed by HMAC-SHA-256 over `time.body` under the endpoint's decider key (header
 * `muster-signature: t=EPOCH-SECONDS,v1=HEX`). The answer is `{"allow": true | false, "reference"?: "…"}` with status 200.
 * Redirects are not followed.
 * @throws UpstreamError `decider-unavailable` for anything but such an answer within five seconds.
 */
export async function askDecider(
  decider: ExternalDecider,
  key: Secret,
  question: DeciderQuestion,
  now: number,
): Promise<DeciderAnswer> {
  const url = deciderUrl(decider);
  const { challenge, request, ...rest } = question;
  const body = JSON.stringify({
    version: 1,
    ...rest,
    challenge: challenge.reveal(),
    request: Buffer.from(request).toString('base64'),
  });
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'muster-signature': signatureOf(key, body, now) },
      body,
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    if (response.status !== 200) throw unavailable(url, `answered with status ${response.status}`);
    return parseAnswer(url, await boundedText(url, response));
  } catch (error) {
    if (error instanceof MusterError) throw error;
    throw unavailable(url, 'did not answer', error);
  }
}

function signatureOf(key: Secret, body: string, now: number): string {
  const time = Math.floor(now / 1000);
  return `t=${time},v1=${createHmac('sha256', key.reveal()).update(`${time}.${body}`).digest('hex')}`;
}

async function boundedText(url: URL, response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let octets = 0;
  for await (const chunk of response.body ?? []) {
    octets += chunk.length;
    if (octets > MAX_ANSWER_OCTETS) throw unavailable(url, `answered with more than ${MAX_ANSWER_OCTETS} octets`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseAnswer(url: URL, text: string): DeciderAnswer {
  const answer: unknown = JSON.parse(text);
  if (typeof answer !== 'object' || answer === null || !('allow' in answer) || typeof answer.allow !== 'boolean')
    throw unavailable(url, 'did not answer with {"allow": true} or {"allow": false}');
  const reference = 'reference' in answer && typeof answer.reference === 'string' ? answer.reference : '';
  return { allow: answer.allow, reference: reference.slice(0, MAX_REFERENCE_CHARACTERS).toWellFormed() };
}

function unavailable(url: URL, what: string, cause?: unknown): UpstreamError {
  return new UpstreamError('decider-unavailable', `the external decider at ${url.host} ${what}`, {
    ...(cause !== undefined && { cause }),
    retryAfterSeconds: 30,
  });
}
