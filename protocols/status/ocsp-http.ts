import type { IncomingMessage, ServerResponse } from 'node:http';

import { PeerError } from '../../core/errors/muster-error.ts';
import { CachingClock, isUnchanged } from './caching-headers.ts';
import { failureOf } from './errors.ts';
import {
  decodeOcspRequest,
  encodeFailure,
  type FailureStatus,
  MAX_REQUEST_OCTETS,
  RESPONSE_STATUS,
} from './messages.ts';
import { decodeGetRequest, parseStatusPath } from './request-path.ts';
import type { CachedResponse } from './response-cache.ts';
import type { OcspDependencies, OcspResponder, OcspSource } from './service.ts';

/** Told how each request was answered; `error` where that was a failure. */
export type OcspObserver = (source: OcspSource, error?: unknown) => void;

/** Answers one HTTP request. */
export type HttpHandler = (request: IncomingMessage, response: ServerResponse) => void;

const CONTENT_TYPE = ['Content-Type', 'application/ocsp-response'] as const;
/** Answers are latin1 text: Node sends it together with the header, in one call of the system instead of two. */
const ENCODING = 'latin1';

const FAILURES: ReadonlyMap<FailureStatus, string> = new Map(
  (Object.keys(RESPONSE_STATUS) as (keyof typeof RESPONSE_STATUS)[])
    .filter((status) => status !== 'successful')
    .map((status) => [status, Buffer.from(encodeFailure(status)).toString(ENCODING)]),
);

/**
 * OCSP over HTTP (RFC 6960 appendix A): GET with the request in the path, POST with it in the body. Straight on Node's
 * server: a pre-signed answer costs less than a framework around it.
 */
export function ocspHandler(
  responder: OcspResponder,
  {
    store: { clock },
    observe = () => undefined,
  }: Pick<OcspDependencies, 'store'> & { readonly observe?: OcspObserver },
): HttpHandler {
  const caching = new CachingClock();

  const sendCached: Send<CachedResponse> = (request, response, cached) => {
    const { cacheControl, expires } = caching.headers(clock.now(), cached.nextUpdate, cached.maxAgeSeconds);
    const unchanged = request.method !== 'POST' && isUnchanged(request.headers, cached.etag, cached.thisUpdate);
    const body = unchanged ? '' : cached.body;
    const headers = [...CONTENT_TYPE, 'Cache-Control', cacheControl, 'Expires', expires];
    headers.push('Last-Modified', cached.lastModified, 'ETag', cached.etag);
    if (!unchanged) headers.push('Content-Length', String(body.length));
    response.writeHead(unchanged ? 304 : 200, headers);
    response.end(body, ENCODING);
  };
  const answer = async (
    request: IncomingMessage,
    response: ServerResponse,
    body: Buffer | undefined,
  ): Promise<void> => {
    const spelling = spellingOf(request, body);
    try {
      const path = parseStatusPath(request.url ?? '');
      if (path === undefined) throw new PeerError('malformed-request', 'the path names no authority');
      const meanings = body ? ([decodeOcspRequest(body)] as const) : decodeGetRequest(path.encoded);
      const source = request.socket.remoteAddress ?? '';
      const answered = await responder.answer(path.authority, meanings, source, spelling);
      observe(answered.source);
      if (answered.cacheable) sendCached(request, response, answered.cacheable);
      else sendUncached(response, answered.body);
    } catch (error) {
      const failure = failureOf(error);
      observe(failure, error);
      sendUncached(response, FAILURES.get(failure)!);
    }
  };
  const recall = (request: IncomingMessage, response: ServerResponse, body?: Buffer): void => {
    const cached = responder.recall(spellingOf(request, body));
    if (cached === undefined) return void answer(request, response, body);
    observe('cache');
    sendCached(request, response, cached);
  };
  return (request, response) => {
    if (request.method === 'GET' || request.method === 'HEAD') recall(request, response);
    else if (request.method === 'POST') readBody(request, response, (body) => recall(request, response, body));
    else response.writeHead(405, ['Allow', 'GET, HEAD, POST', 'Content-Length', '0']).end();
  };
}

type Send<T> = (request: IncomingMessage, response: ServerResponse, value: T) => void;

function spellingOf({ url = '' }: IncomingMessage, body: Buffer | undefined): string {
  return body === undefined ? url : `${url} ${body.toString('latin1')}`;
}

/** RFC 6960 appendix A.2: an answer is an answer, whatever it says: HTTP has not failed. */
function sendUncached(response: ServerResponse, body: string): void {
  response.writeHead(200, [...CONTENT_TYPE, 'Content-Length', String(body.length), 'Cache-Control', 'no-store']);
  response.end(body, ENCODING);
}

function readBody(request: IncomingMessage, response: ServerResponse, done: (body: Buffer) => void): void {
  const chunks: Buffer[] = [];
  let length = 0;
  request.on('data', (chunk: Buffer) => {
    length += chunk.length;
    if (length <= MAX_REQUEST_OCTETS) return void chunks.push(chunk);
    request.removeAllListeners('data').removeAllListeners('end');
    // What is still to come is not read: the connection ends with the answer.
    response.shouldKeepAlive = false;
    sendUncached(response, FAILURES.get('malformedRequest')!);
  });
  request.on('end', () => done(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)));
}
