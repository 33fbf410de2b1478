import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';

import { PeerError } from '../../core/errors/muster-error.ts';
import { parseBasicAuthorization } from './basic-authorization.ts';
import type { CertificatesBody } from './ca-certificates.ts';
import { failureOfError, type ScepFailure } from './errors.ts';
import type { OpenEndpoint } from './exchange.ts';
import { type ChallengeOffice, ndesPage } from './ndes-page.ts';
import { MAX_MESSAGE_OCTETS } from './pki-message.ts';
import { parsePath, type ScepPath } from './request-path.ts';
import { decodeGetMessage, decodePostMessage, parseQuery, type ScepQuery } from './request-query.ts';
import { type ScepDependencies, ScepService } from './service.ts';

/** Where endpoints are; the others are where routers and NDES look when they are given a host alone (S1). */
const PREFIXES = ['/scep', '/cgi-bin', '/certsrv', '/CertSrv'];
const TEXT = 'text/plain';
const OCTETS = 'application/octet-stream';
const PKI_MESSAGE = 'application/x-pki-message';
const READ = ['GET', 'HEAD'];

/** What the plugin of one listener is made of. */
export interface ScepListener extends ScepDependencies {
  /** Issues challenges on the NDES page; only where the connection is private. */
  readonly challengeOffice?: ChallengeOffice;
}

/**
 * SCEP on a listener, plain or with TLS (RFC 8894 §4.1): every path below `/scep`, lenient in path, query and media type.
 * Answers carry Content-Length; their canonical header names are the listener's affair.
 */
export function scepPlugin(dependencies: ScepListener): FastifyPluginAsync {
  const service = new ScepService(dependencies);
  return async (app) => {
    for (const prefix of PREFIXES) {
      await app.register(async (scope) => registerRoutes(scope, service, dependencies, prefix), { prefix });
    }
  };
}

function registerRoutes(scope: FastifyInstance, service: ScepService, parts: ScepListener, prefix: string): void {
  scope.removeAllContentTypeParsers();
  // S7: a body is one whatever its media type says, or where it says none, or something malformed.
  scope.addHook('onRequest', (request, _reply, done) => {
    request.raw.headers['content-type'] = OCTETS;
    done();
  });
  scope.addContentTypeParser(OCTETS, { parseAs: 'buffer', bodyLimit: MAX_MESSAGE_OCTETS }, (_request, body, done) =>
    done(null, body),
  );
  scope.setErrorHandler(sendError);
  const handler = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const path = parsePath(prefix === '/scep' ? ((request.params as { '*'?: string })['*'] ?? '') : pathOf(request));
    if (path.isNdesPage) return showChallenge(service, parts, path, request, reply);
    return answer(service, path, request, reply);
  };
  scope.all('/*', handler);
  if (prefix === '/scep') scope.all('', handler);
}

async function answer(
  service: ScepService,
  path: ScepPath,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const query = parseQuery(queryOf(request));
  const methods = query.operation === 'PKIOperation' ? ['GET', 'POST'] : READ;
  if (!methods.includes(request.method)) return sendMethodNotAllowed(request, reply, methods);
  refuseEncoding(request);
  const open = await openEndpoint(service, path);
  switch (query.operation) {
    case 'GetCACaps':
      return sendText(reply, await service.capabilities(open));
    case 'GetCACert':
      return sendCertificates(reply, await service.caCertificates(open));
    case 'GetNextCACert':
      return sendCertificates(reply, await service.nextCaCertificates(open));
    case 'PKIOperation':
      return sendCertRep(service, open, query, request, reply);
  }
}

async function sendCertRep(
  service: ScepService,
  open: OpenEndpoint,
  { message }: ScepQuery,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const bytes = request.method === 'GET' ? decodeGetMessage(message) : decodePostMessage(bodyOf(request));
  // V48: the address is the connection's own, never a header's.
  const call = { requestId: request.id, sourceAddress: request.raw.socket.remoteAddress ?? '' };
  const { certRep, failure } = await service.answer(open, bytes, call);
  if (failure !== undefined) {
    const { failInfo, text, detail } = failure;
    request.log.debug({ endpoint: open.endpoint.label, failInfo, text, detail }, 'scep message answered with FAILURE');
  }
  // SC-11: a CertRep is a 200, whatever it says.
  return reply.code(200).header('content-type', PKI_MESSAGE).send(asBuffer(certRep));
}

/** NDES's page: one fresh challenge for each time it is read, and only over TLS. */
async function showChallenge(
  service: ScepService,
  { challengeOffice, authorities }: ScepListener,
  path: ScepPath,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  if (!['GET', 'POST'].includes(request.method)) return sendMethodNotAllowed(request, reply, ['GET', 'POST']);
  const open = await openEndpoint(service, path);
  const { endpoint, settings } = open;
  if (challengeOffice === undefined || settings.ndesPage === 'off')
    throw new PeerError('not-found', 'no such page here');
  const authorization = parseBasicAuthorization(request.headers.authorization);
  if (authorization === undefined) throw new PeerError('authentication-required', 'expected HTTP Basic authentication');
  const source = request.raw.socket.remoteAddress ?? '';
  const issued = await challengeOffice.issue(endpoint, authorization, source);
  const [certificate] = await authorities.caCertificates(endpoint.tenant, endpoint.authority);
  const { mediaType, body } = ndesPage(issued, certificate ?? new Uint8Array(), settings.ndesPage);
  return reply.code(200).headers({ 'content-type': mediaType, 'cache-control': 'no-store' }).send(body);
}

/** S1: what a device appends by itself may look like a label. */
async function openEndpoint(service: ScepService, { label, isUsualSegment }: ScepPath): Promise<OpenEndpoint> {
  try {
    return await service.open(label);
  } catch (error) {
    if (isUsualSegment && error instanceof PeerError && error.reason === 'unknown-endpoint') {
      return service.open(undefined);
    }
    throw error;
  }
}

/** V33: no decompression. */
function refuseEncoding(request: FastifyRequest): void {
  const encoding = request.headers['content-encoding'];
  if (encoding === undefined || encoding.toLowerCase() === 'identity') return;
  throw new PeerError('unsupported-media-type', 'expected no Content-Encoding, found one');
}

function pathOf({ raw }: FastifyRequest): string {
  return (raw.url ?? '').split('?', 1)[0]!.slice(1);
}

function queryOf({ raw }: FastifyRequest): string {
  const url = raw.url ?? '';
  const at = url.indexOf('?');
  return at === -1 ? '' : url.slice(at + 1);
}

function bodyOf({ body }: FastifyRequest): Uint8Array {
  return body instanceof Uint8Array ? body : new Uint8Array();
}

function sendCertificates(reply: FastifyReply, { mediaType, body }: CertificatesBody): FastifyReply {
  return reply.code(200).header('content-type', mediaType).send(asBuffer(body));
}

function sendMethodNotAllowed(request: FastifyRequest, reply: FastifyReply, methods: readonly string[]): FastifyReply {
  reply.code(405).header('allow', methods.join(', '));
  return sendText(reply, `expected ${methods.join(' or ')}, found ${request.method}\n`);
}

function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const failure = failureOfError(frameworkError(error));
  const fields = { err: error, reason: failure.reason };
  if (failure.status >= 500) request.log.error(fields, 'scep request failed');
  else request.log.debug(fields, 'scep request refused');
  return sendFailure(reply, failure);
}

/** What the HTTP framework refuses, in our words. */
function frameworkError(error: unknown): unknown {
  if (!(error instanceof Error) || !('code' in error) || !('statusCode' in error)) return error;
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    return new PeerError('too-large', `expected a body of at most ${MAX_MESSAGE_OCTETS} octets, found more`);
  }
  return error.statusCode === 400 || error.statusCode === 415
    ? new PeerError('malformed-request', 'the HTTP request is malformed')
    : error;
}

function sendFailure(reply: FastifyReply, failure: ScepFailure): FastifyReply {
  reply.code(failure.status);
  if (failure.status === 401) reply.header('www-authenticate', 'Basic realm="Muster"');
  if (failure.retryAfterSeconds !== undefined) reply.header('retry-after', String(failure.retryAfterSeconds));
  const text = failure.status === 500 ? `${failure.text} (request ${reply.request.id})` : failure.text;
  return sendText(reply, `${text}\n`);
}

/** S8, S11: exactly `text/plain`, never HTML. */
function sendText(reply: FastifyReply, text: string): FastifyReply {
  return reply.header('content-type', TEXT).send(Buffer.from(text));
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
