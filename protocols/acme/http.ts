import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';

import { PeerError } from '../../core/errors/muster-error.ts';
import type { Answer, OpenEndpoint } from './dependencies.ts';
import { problemOf } from './errors.ts';
import { AcmeUrls, parsePath, RESOURCES, type Route } from './path.ts';
import { type AcmeProblem, problemDocument } from './problem.ts';
import type { AcmeService } from './service.ts';

const PREFIX = '/acme';
const JOSE = 'application/jose+json';
/** A list of a hundred long names and a CSR for them fit well. */
const MAX_BODY_OCTETS = 65_536;
const RATE_LIMIT_HELP = 'https://www.rfc-editor.org/rfc/rfc8555#section-6.6';

/** What is known of a request before its body is read. */
interface Admitted {
  readonly route: Route;
  readonly open: OpenEndpoint;
  readonly base: string;
}

/** ACME on a listener with TLS (RFC 8555 §6.1): every path below `/acme`. */
export function acmePlugin(service: AcmeService): FastifyPluginAsync {
  return async (app) => {
    app.addHook('onClose', () => service.close());
    await app.register(async (scope) => registerRoutes(scope, service), { prefix: PREFIX });
  };
}

function registerRoutes(scope: FastifyInstance, service: AcmeService): void {
  scope.decorateRequest('acme');
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: MAX_BODY_OCTETS }, (_request, body, done) =>
    done(null, body),
  );
  scope.setErrorHandler((error, request, reply) => sendError(service, error, request, reply));
  scope.addHook('onRequest', async (request, reply) => admit(service, request, reply));
  scope.all('/*', async (request, reply) => answer(service, request, reply));
}

/** Everything that can be refused before the body is read. */
async function admit(
  service: AcmeService,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply | undefined> {
  const route = parsePath((request.params as { readonly '*'?: string })['*'] ?? '');
  if (route === undefined) throw new PeerError('not-found', 'expected a resource of ACME below this path');
  const base = service.baseUrl(request.headers.host);
  const { methods } = RESOURCES[route.resource];
  if (!(methods as readonly string[]).includes(request.method)) {
    reply.code(405).header('allow', methods.join(', '));
    // RFC 8555 §6.3: a GET where POST-as-GET is due is malformed.
    const detail = `expected ${methods.join(' or ')}, found ${request.method}`;
    const problem = { type: 'urn:ietf:params:acme:error:malformed', detail, status: 405 };
    return sendJson(noncing(service, reply), problem, 'application/problem+json');
  }
  const open = await service.open(route.label);
  if (request.method === 'POST') requireMediaType(request);
  request.setDecorator<Admitted>('acme', { route, open, base });
  return undefined;
}

async function answer(service: AcmeService, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const { route, open, base } = request.getDecorator<Admitted>('acme');
  // V48: of the connection itself, never of a header.
  const sourceAddress = request.raw.socket.remoteAddress ?? '';
  if (request.method !== 'POST') {
    const found = await service.read({ ...open, base, sourceAddress }, route);
    // RFC 8555 §7.2: HEAD to newNonce is answered 200, GET 204.
    const status = request.method === 'HEAD' ? 200 : found.status;
    return send(service, reply, { ...found, status }, { ...open, base, route });
  }
  const path = request.url;
  const call = {
    ...open,
    base,
    requestId: request.id,
    url: `${base}${path}`,
    body: request.body instanceof Uint8Array ? request.body : new Uint8Array(),
    sourceAddress,
  };
  const mark = path.indexOf('?');
  const query = new URLSearchParams(mark < 0 ? '' : path.slice(mark));
  return send(service, reply, await service.answer(call, route, query), { ...open, base, route });
}

function send(
  service: AcmeService,
  reply: FastifyReply,
  { status, body, location, links = [], retryAfterSeconds }: Answer,
  { endpoint, base, route }: OpenEndpoint & Pick<Admitted, 'base' | 'route'>,
): FastifyReply {
  reply.code(status);
  const isInformation = route.resource === 'renewal-info';
  const index = `<${new AcmeUrls(base, endpoint.label).of('directory')}>;rel="index"`;
  const all = route.resource === 'directory' ? links : [index, ...links];
  if (all.length > 0) reply.header('link', all.join(', '));
  if (location !== undefined) reply.header('location', location);
  if (retryAfterSeconds !== undefined) reply.header('retry-after', String(retryAfterSeconds));
  // V46: renewal information may be kept by caches, and so carries no nonce.
  if (isInformation) reply.header('cache-control', `public, max-age=${Math.min(retryAfterSeconds ?? 0, 3600)}`);
  else noncing(service, reply);
  // Without a length the connection would end with the answer: every order begins with HEAD newNonce.
  if (body === undefined) return (status === 204 ? reply : reply.header('content-length', '0')).send();
  if ('text' in body && 'type' in body)
    return reply.header('content-type', String(body.type)).send(Buffer.from(String(body.text)));
  return sendJson(reply, body, 'application/json');
}

/** RFC 8555 §6.5, A3: a fresh nonce goes with every answer, and none of them is kept by a cache. */
function noncing(service: AcmeService, reply: FastifyReply): FastifyReply {
  return reply.headers({ 'replay-nonce': service.nonce(), 'cache-control': 'no-store' });
}

function sendJson(reply: FastifyReply, body: object, type: string): FastifyReply {
  return reply.header('content-type', type).send(Buffer.from(JSON.stringify(body)));
}

function sendError(service: AcmeService, error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const problem = problemOf(frameworkError(error));
  const fields = { err: error, reason: problem.reason, problem: problem.type };
  if (problem.status >= 500 && problem.status !== 501) request.log.error(fields, 'acme request failed');
  else request.log.debug(fields, 'acme request refused');
  const { headers, retryAfterSeconds } = problem.details;
  noncing(service, reply.code(problem.status)).headers({ ...headers });
  if (retryAfterSeconds !== undefined) reply.header('retry-after', String(retryAfterSeconds));
  reply.header('link', linksOf(service, problem, request).join(', '));
  const document = problemDocument(problem);
  const detail = problem.status === 500 ? `${document.detail} (request ${request.id})` : document.detail;
  return sendJson(reply, { ...document, detail }, 'application/problem+json');
}

function linksOf(service: AcmeService, problem: AcmeProblem, request: FastifyRequest): readonly string[] {
  const label = parsePath((request.params as { readonly '*'?: string })['*'] ?? '')?.label;
  const base = service.baseUrl(request.headers.host);
  const { link } = problem.details.headers ?? {};
  return [
    ...(label === undefined ? [] : [`<${new AcmeUrls(base, label).of('directory')}>;rel="index"`]),
    ...(problem.type === 'rateLimited' ? [`<${RATE_LIMIT_HELP}>;rel="help"`] : []),
    ...(link === undefined ? [] : [link]),
  ];
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

// RFC 8555 §6.2: 415 for any other type. V33: no decompression.
function requireMediaType(request: FastifyRequest): void {
  const encoding = request.headers['content-encoding'];
  const [type = ''] = (request.headers['content-type'] ?? '').split(';', 1);
  if (type.trim().toLowerCase() !== JOSE || (encoding !== undefined && encoding.toLowerCase() !== 'identity'))
    throw new PeerError('unsupported-media-type', `expected content type ${JOSE} without encoding`);
}
