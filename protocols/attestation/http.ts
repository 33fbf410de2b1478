import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';

import { PeerError } from '../../core/errors/muster-error.ts';
import type { AttestationDependencies, OpenEndpoint } from './dependencies.ts';
import { type AttestationFailure, failureOf, failureOfError } from './errors.ts';
import {
  decodeMatterRequest,
  decodeNonceRequest,
  decodeRegistration,
  decodeSecret,
  decodeTicketRequest,
  MAX_BODY_OCTETS,
} from './messages.ts';
import { OPERATIONS, type OperationName, parsePath } from './path.ts';
import { AttestationDoor, type CertificateAnswer } from './service.ts';

const PREFIX = '/attestation';
const JSON_TYPE = 'application/json';
const NOT_FOUND = 'expected LABEL/operation of the attestation front door below this path';

/** The attestation front door on a listener with TLS that asks for no client certificate: every path below `/attestation`. */
export function attestationPlugin(dependencies: AttestationDependencies): FastifyPluginAsync {
  const door = new AttestationDoor(dependencies);
  return async (app) => {
    await app.register(async (scope) => registerRoutes(scope, door), { prefix: PREFIX });
  };
}

/** What is known of a request before its body is read. */
interface Admitted {
  readonly operation: OperationName;
  readonly open: OpenEndpoint;
}

function registerRoutes(scope: FastifyInstance, door: AttestationDoor): void {
  scope.decorateRequest('attestation');
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: MAX_BODY_OCTETS }, (_request, body, done) =>
    done(null, body),
  );
  scope.setErrorHandler(sendError);
  scope.addHook('onRequest', async (request, reply) => admit(door, request, reply));
  scope.all('/*', async (request, reply) => answer(door, request, reply));
}

/** Everything that can be refused before the body is read. */
async function admit(
  door: AttestationDoor,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply | undefined> {
  const route = parsePath((request.params as { readonly '*'?: string })['*'] ?? '');
  if (route === undefined) throw new PeerError('not-found', NOT_FOUND);
  const { methods } = OPERATIONS[route.operation];
  if (!(methods as readonly string[]).includes(request.method)) {
    reply.code(405).header('allow', methods.join(', '));
    return sendJson(reply, { status: 405, detail: `expected ${methods.join(' or ')}, found ${request.method}` });
  }
  requireMediaType(request);
  const open = await door.open(route.label, sourceOf(request));
  request.setDecorator<Admitted>('attestation', { operation: route.operation, open });
  return undefined;
}

async function answer(door: AttestationDoor, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const { operation, open } = request.getDecorator<Admitted>('attestation');
  const call = { ...open, requestId: request.id, sourceAddress: sourceOf(request) };
  const body = request.body instanceof Uint8Array ? request.body : new Uint8Array();
  switch (operation) {
    case 'nonce': {
      const { nonce, expirySeconds } = await door.nonce(open, decodeNonceRequest(body));
      return sendJson(reply, { nonce: Buffer.from(nonce).toString('base64url'), expiry: expirySeconds });
    }
    case 'attest': {
      const { credential, secret } = await door.beginActivation(open, decodeRegistration(body));
      return sendJson(reply, { credential: base64(credential), secret: base64(secret) });
    }
    case 'secret':
      return sendAnswer(reply, await door.completeActivation(call, decodeSecret(body)));
    case 'ticket': {
      const { device, reference, secret, expiresAt } = await door.ticket(call, decodeTicketRequest(body));
      const name = reference === undefined ? {} : { reference };
      const expires = new Date(expiresAt).toISOString();
      return sendJson(reply, { device, ...name, challengePassword: secret.reveal(), expires });
    }
    case 'matter':
      return sendAnswer(reply, await door.matter(call, decodeMatterRequest(body)));
  }
}

/** V48: of the connection itself, never of a header. */
function sourceOf(request: FastifyRequest): string {
  return request.raw.socket.remoteAddress ?? '';
}

// V33: no decompression.
function requireMediaType(request: FastifyRequest): void {
  if (request.method !== 'POST') return;
  const encoding = request.headers['content-encoding'];
  const [type = ''] = (request.headers['content-type'] ?? '').split(';', 1);
  const isPlain = encoding === undefined || encoding.toLowerCase() === 'identity';
  if (isPlain && type.trim().toLowerCase() === JSON_TYPE) return;
  throw new PeerError('unsupported-media-type', `expected content type ${JSON_TYPE} without encoding`);
}

function sendAnswer(reply: FastifyReply, outcome: CertificateAnswer): FastifyReply {
  switch (outcome.kind) {
    case 'issued':
      return sendJson(reply, { chain: outcome.chain.map(base64) });
    case 'pending': {
      const seconds = Math.max(1, Math.ceil(outcome.retryAfterSeconds));
      reply.code(202).header('retry-after', String(seconds));
      return sendJson(reply, { detail: 'the request waits for approval; attest again later' });
    }
    case 'rejected':
      return sendFailure(reply, failureOf(outcome.reason, outcome.message));
  }
}

function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const failure = failureOfError(frameworkError(error));
  const fields = { err: error, reason: failure.reason, findings: failure.findings };
  if (failure.status >= 500 && failure.status !== 501) request.log.error(fields, 'attestation request failed');
  else request.log.debug(fields, 'attestation request refused');
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

function sendFailure(reply: FastifyReply, failure: AttestationFailure): FastifyReply {
  const { status, reason, findings, detail, retryAfterSeconds } = failure;
  reply.code(status);
  if (retryAfterSeconds !== undefined) reply.header('retry-after', String(retryAfterSeconds));
  const text = status === 500 ? `${detail} (request ${reply.request.id})` : detail;
  const document = { status, detail: text, reason, ...(findings.length > 0 && { findings }) };
  return sendJson(reply, document, 'application/problem+json');
}

function sendJson(reply: FastifyReply, body: object, type = JSON_TYPE): FastifyReply {
  reply.headers({ 'content-type': type, 'cache-control': 'no-store' });
  return reply.send(Buffer.from(JSON.stringify(body)));
}

function base64(octets: Uint8Array): string {
  return Buffer.from(octets).toString('base64');
}
