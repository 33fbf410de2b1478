import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';

import { PeerError } from '../../core/errors/muster-error.ts';
import type { Layout } from './base64.ts';
import { encodeBase64 } from './base64.ts';
import { type EstFailure, failureOf, failureOfError } from './errors.ts';
import {
  CERTS_ONLY,
  decodeEnrollmentMessage,
  encodeCertificates,
  encodeKeyAndCertificate,
  MAX_BODY_OCTETS,
} from './messages.ts';
import { decodeNonceRequest, FRESHNESS } from './freshness.ts';
import { MULTIPART_MIXED } from './multipart.ts';
import { type EnrollmentOperation, OPERATIONS, type OperationName, parsePath, type Route } from './operation.ts';
import {
  type EnrollmentAnswer,
  type EnrollmentCall,
  type EstDependencies,
  EstService,
  type OpenEndpoint,
} from './service.ts';
import { type TlsConnection, tlsConnectionOf } from './tls-connection.ts';

const PREFIX = '/.well-known/est';
/** libest copies the realm into a buffer of 255 octets and knows no parameter but it. */
const CHALLENGE = 'Basic realm="Muster"';
const TEXT = 'text/plain';

/**
 * EST on a listener with TLS (RFC 7030 §3.2): every path below `/.well-known/est`. Answers carry Content-Length and few
 * headers; their canonical spelling is the listener's affair.
 */
export function estPlugin(dependencies: EstDependencies): FastifyPluginAsync {
  const service = new EstService(dependencies);
  return async (app) => {
    await app.register(async (scope) => registerRoutes(scope, service), { prefix: PREFIX });
  };
}

/** What is known of a request before its body is read. */
interface Admitted {
  readonly operation: OperationName;
  readonly open: OpenEndpoint;
  readonly layout: Layout;
  readonly connection: TlsConnection;
}

function registerRoutes(scope: FastifyInstance, service: EstService): void {
  scope.decorateRequest('est');
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: MAX_BODY_OCTETS }, (_request, body, done) =>
    done(null, body),
  );
  scope.setErrorHandler(sendError);
  scope.addHook('onRequest', async (request, reply) => admit(service, request, reply));
  // Fastify's wildcard has no limit of length, and a label may be named like an operation: paths are read by parsePath.
  scope.all('/*', async (request, reply) => answer(service, request, reply));
  scope.setNotFoundHandler((_request, reply) => sendFailure(reply, failureOf('not-found', NOT_FOUND)));
}

const NOT_FOUND = 'expected [label/]operation of EST below this path';

/** Everything that can be refused before the body is read, cheapest first. */
async function admit(
  service: EstService,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply | undefined> {
  const connection = tlsConnectionOf(request.raw.socket);
  const route = routeOf(request);
  const { methods } = OPERATIONS[route.operation];
  if (!methods.includes(request.method)) return sendMethodNotAllowed(request, reply, methods);
  // RFC 7030 §4.3: fullcmc is optional.
  if (route.operation === 'fullcmc') throw new PeerError('unsupported-operation', 'fullcmc is not offered here');
  const open = await service.open(route.label);
  requireMediaType(request, route.operation);
  request.setDecorator<Admitted>('est', {
    operation: route.operation,
    open,
    layout: layoutFor(open, request),
    connection,
  });
  return undefined;
}

async function answer(service: EstService, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const { operation, open, layout, connection } = request.getDecorator<Admitted>('est');
  switch (operation) {
    case 'cacerts': {
      const certificates = await service.caCertificates(open, connection);
      return sendBase64(reply, CERTS_ONLY, encodeCertificates(certificates, layout));
    }
    case 'csrattrs': {
      const attributes = await service.csrAttributes(open);
      // RFC 7030 §4.5.2: 204 or 404 when there is nothing to ask for.
      if (attributes === undefined) return reply.code(204).send();
      return sendBase64(reply, 'application/csrattrs', encodeBase64(attributes, layout));
    }
    case 'simpleenroll':
    case 'simplereenroll':
    case 'serverkeygen':
      return sendAnswer(reply, await service.enroll(open, callOf(request, operation, connection)), layout);
    case 'nonce':
      return sendNonce(reply, await service.nonce(open, nonceOctets(request)));
    case 'fullcmc':
      throw new PeerError('unsupported-operation', 'fullcmc is not offered here');
  }
}

/** GET says nothing of the nonce it wants; POST may. */
function nonceOctets(request: FastifyRequest): number | undefined {
  return request.method === 'POST' ? decodeNonceRequest(bodyOf(request)) : undefined;
}

function sendNonce(reply: FastifyReply, json: Uint8Array): FastifyReply {
  return reply.headers({ 'content-type': FRESHNESS, 'cache-control': 'no-store' }).send(asBuffer(json));
}

function callOf(request: FastifyRequest, operation: EnrollmentOperation, connection: TlsConnection): EnrollmentCall {
  return {
    requestId: request.id,
    operation,
    message: () => decodeEnrollmentMessage(bodyOf(request)),
    authorization: request.headers.authorization,
    certificateChain: connection.certificateChain,
    channelBinding: connection.channelBinding,
    evidenceNonce: connection.evidenceNonce,
    // V48: of the connection itself, never of a header.
    sourceAddress: request.raw.socket.remoteAddress ?? '',
  };
}

function sendAnswer(reply: FastifyReply, outcome: EnrollmentAnswer, layout: Layout): FastifyReply {
  switch (outcome.kind) {
    case 'issued': {
      const { certificate, key } = outcome;
      if (key === undefined) return sendBase64(reply, CERTS_ONLY, encodeCertificates([certificate], layout));
      const body = encodeKeyAndCertificate(key, certificate, layout);
      key.der.fill(0);
      reply.raw.once('close', () => body.fill(0));
      return reply.code(200).header('content-type', MULTIPART_MIXED).send(asBuffer(body));
    }
    case 'pending':
      // RFC 7030 §4.2.3; strongSwan and libest read delta-seconds only.
      reply.code(202).header('retry-after', String(Math.max(1, Math.ceil(outcome.retryAfterSeconds))));
      return sendText(reply, 'the request waits for approval; send it again later');
    case 'rejected':
      return sendFailure(reply, failureOf(outcome.reason, outcome.message));
  }
}

function routeOf(request: FastifyRequest): Route {
  const path = (request.params as { readonly '*'?: string })['*'];
  const route = path === undefined ? undefined : parsePath(path);
  if (route === undefined) throw new PeerError('not-found', NOT_FOUND);
  return route;
}

// V33: no decompression; the rest is RFC 7030 §4.2.1.
function requireMediaType(request: FastifyRequest, operation: OperationName): void {
  const expected = OPERATIONS[operation].mediaType;
  if (expected === undefined || request.method !== 'POST') return;
  const encoding = request.headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    throw new PeerError('unsupported-media-type', 'expected no Content-Encoding, found one');
  }
  const [type = ''] = (request.headers['content-type'] ?? '').split(';', 1);
  if (type.trim().toLowerCase() === expected) return;
  throw new PeerError('unsupported-media-type', `expected content type ${expected}, found ${type.trim() || 'none'}`);
}

function bodyOf(request: FastifyRequest): Uint8Array {
  return request.body instanceof Uint8Array ? request.body : new Uint8Array();
}

/** Reference clients disagree: strongSwan before 5.9.11 wants one line and names no User-Agent, libest wants lines. */
function layoutFor({ settings: { wrapping } }: OpenEndpoint, request: FastifyRequest): Layout {
  if (wrapping !== 'auto') return wrapping;
  return request.headers['user-agent'] === undefined ? 'none' : 'columns-64';
}

function sendBase64(reply: FastifyReply, contentType: string, base64: Uint8Array): FastifyReply {
  // RFC 8951 §3 gives the second header no meaning; clients from before it look for it.
  return reply
    .code(200)
    .headers({ 'content-type': contentType, 'content-transfer-encoding': 'base64' })
    .send(asBuffer(base64));
}

function sendMethodNotAllowed(request: FastifyRequest, reply: FastifyReply, methods: readonly string[]): FastifyReply {
  reply.code(405).header('allow', methods.join(', '));
  return sendText(reply, `expected ${methods.join(' or ')}, found ${request.method}`);
}

function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const failure = failureOfError(frameworkError(error));
  const fields = { err: error, reason: failure.reason };
  if (failure.status >= 500 && failure.status !== 501) request.log.error(fields, 'est request failed');
  else request.log.debug(fields, 'est request refused');
  return sendFailure(reply, failure);
}

/** What the HTTP framework refuses, in our words. */
function frameworkError(error: unknown): unknown {
  if (!(error instanceof Error) || !('code' in error) || !('statusCode' in error)) return error;
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new PeerError('too-large', `expected a body of at most ${MAX_BODY_OCTETS} octets, found more`);
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new PeerError('unsupported-media-type', 'the Content-Type header is malformed');
    default:
      return error.statusCode === 400 ? new PeerError('malformed-request', 'the HTTP request is malformed') : error;
  }
}

function sendFailure(reply: FastifyReply, failure: EstFailure): FastifyReply {
  reply.code(failure.status);
  if (failure.status === 401) reply.header('www-authenticate', CHALLENGE);
  if (failure.retryAfterSeconds !== undefined) reply.header('retry-after', String(failure.retryAfterSeconds));
  return sendText(reply, failure.status === 500 ? `${failure.text} (request ${reply.request.id})` : failure.text);
}

/** RFC 7030 §4.2.3: a human-readable message, never HTML. */
function sendText(reply: FastifyReply, text: string): FastifyReply {
  return reply.header('content-type', TEXT).send(Buffer.from(`${text}\n`));
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
