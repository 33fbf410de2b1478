import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';

import { PeerError } from '../../core/errors/muster-error.ts';
import type { CmpDependencies } from './dependencies.ts';
import { parseAlias, parseWellKnownPath, type Route } from './path.ts';
import { MAX_MESSAGE_OCTETS } from './pki-message.ts';
import { CmpService, type OpenEndpoint } from './service.ts';

/** RFC 9811 §3.2, §3.3. OpenSSL takes no other, and no parameter behind it (C1). */
const PKIXCMP = 'application/pkixcmp';
/** C2: some clients poll under the name of the TCP transport of old. */
const ACCEPTED_TYPES: readonly string[] = [PKIXCMP, 'application/pkixcmp-poll'];

/** The paths of CMP with what of them names the endpoint (RFC 9811 §3.4; C2: those of other CAs). */
const PATHS: readonly { readonly url: string; readonly route: (rest: string) => Route | undefined }[] = [
  { url: '/.well-known/cmp', route: parseWellKnownPath },
  { url: '/.well-known/cmp/*', route: parseWellKnownPath },
  { url: '/pkix', route: defaultRoute },
  { url: '/pkix/', route: defaultRoute },
  { url: '/ejbca/publicweb/cmp', route: defaultRoute },
  { url: '/ejbca/publicweb/cmp/*', route: parseAlias },
  { url: '/app/cert/cmp2', route: defaultRoute },
  { url: '/app/cert/cmp2/', route: defaultRoute },
];

/**
 * CMP over HTTP (RFC 9811), for listeners with or without TLS: it protects its messages itself. One plugin serves them all: a
 * device may poll at another than it asked at.
 */
export function cmpPlugin(dependencies: CmpDependencies): FastifyPluginAsync {
  const service = new CmpService(dependencies);
  return async (app) => {
    app.addHook('onClose', () => service[Symbol.asyncDispose]());
    await app.register(async (scope) => registerRoutes(scope, service));
  };
}

function registerRoutes(scope: FastifyInstance, service: CmpService): void {
  scope.decorateRequest('cmp');
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: MAX_MESSAGE_OCTETS }, (_request, body, done) =>
    done(null, body),
  );
  for (const { url, route } of PATHS) {
    scope.route({
      method: ['GET', 'POST'],
      url,
      onRequest: (request, reply) => admit(service, route, request, reply),
      handler: (request, reply) => answer(service, request, reply),
    });
  }
}

/** What is known of a request before its body is read. */
interface Admitted {
  readonly open: OpenEndpoint;
  readonly route: Route;
}

async function admit(
  service: CmpService,
  route: (rest: string) => Route | undefined,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply | undefined> {
  // RFC 9811 §3.2: POST alone.
  if (request.method !== 'POST') {
    return reply.code(405).header('allow', 'POST').header('content-type', 'text/plain').send('expected POST\n');
  }
  const found = route((request.params as { readonly '*'?: string })['*'] ?? '');
  if (found === undefined) throw new PeerError('not-found', 'expected a path of CMP (RFC 9811 §3.4)');
  requireMediaType(request);
  request.setDecorator<Admitted>('cmp', { open: await service.open(found.label), route: found });
  return undefined;
}

async function answer(service: CmpService, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const { open, route } = request.getDecorator<Admitted>('cmp');
  const message = request.body instanceof Uint8Array ? request.body : new Uint8Array();
  const call = {
    requestId: request.id,
    message,
    operation: route.operation,
    // V48: of the connection itself, never of a header.
    sourceAddress: request.raw.socket.remoteAddress ?? '',
  };
  const der = await service.answer(open, call, ({ reason, failInfo }, err) => {
    const fields = { err, reason, failInfo, endpoint: open.endpoint.label };
    if (failInfo === 'systemFailure' || failInfo === 'systemUnavail') request.log.error(fields, 'cmp request failed');
    else request.log.debug(fields, 'cmp request refused');
  });
  // RFC 9811 §3.5: an announcement was received, and nothing goes back.
  if (der === undefined) return reply.code(202).send();
  // C1: OpenSSL drops the body of any other status, and with it the cause.
  return reply
    .code(200)
    .header('content-type', PKIXCMP)
    .send(Buffer.from(der.buffer, der.byteOffset, der.byteLength));
}

// V33: no decompression. A parameter of the type is not looked at.
function requireMediaType(request: FastifyRequest): void {
  const encoding = request.headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    throw new PeerError('unsupported-media-type', 'expected no Content-Encoding, found one');
  }
  const [type = ''] = (request.headers['content-type'] ?? '').split(';', 1);
  if (ACCEPTED_TYPES.includes(type.trim().toLowerCase())) return;
  throw new PeerError('unsupported-media-type', `expected content type ${PKIXCMP}`);
}

function defaultRoute(): Route {
  return { label: undefined, operation: undefined };
}
