import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { PeerError } from '../../core/errors/muster-error.ts';
import { type FaultRendering, sendFault } from './fault-rendering.ts';

interface KnownPath {
  readonly pattern: RegExp;
  readonly methods: Set<string>;
}

/**
 * Answers 405 with Allow (RFC 9110 §15.5.6) where the path exists under another method, else 404. To be called before
 * the routes are registered: it learns them as they come.
 */
export function answerUnknownRoutes(app: FastifyInstance, rendering: FaultRendering): void {
  const paths = new Map<string, KnownPath>();
  app.addHook('onRoute', (route) => {
    const known = paths.get(route.url) ?? { pattern: pathPattern(route.url), methods: new Set() };
    for (const method of [route.method].flat()) known.methods.add(method);
    paths.set(route.url, known);
  });
  app.setNotFoundHandler((request, reply) => {
    const methods = allowedMethods(paths.values(), request);
    if (methods.length === 0) {
      return sendFault(new PeerError('not-found', 'nothing is served at this path'), request, reply, rendering);
    }
    return sendMethodNotAllowed(methods, request, reply, rendering);
  });
}

function sendMethodNotAllowed(
  methods: readonly string[],
  request: FastifyRequest,
  reply: FastifyReply,
  rendering: FaultRendering,
): FastifyReply {
  reply.header('allow', methods.join(', '));
  const error = new PeerError('unsupported-operation', `expected ${methods.join(' or ')}, found ${request.method}`);
  return sendFault(error, request, reply, rendering);
}

function allowedMethods(paths: Iterable<KnownPath>, request: FastifyRequest): string[] {
  const path = request.url.split('?', 1)[0] ?? '';
  const methods = new Set<string>();
  for (const known of paths) {
    if (known.pattern.test(path)) for (const method of known.methods) methods.add(method);
  }
  return [...methods].sort();
}

/** `/a/:b/*` as a linear-time expression over the raw path. */
function pathPattern(url: string): RegExp {
  const source = url
    .split('/')
    .map((segment) => {
      if (segment === '*') return '.*';
      if (segment.startsWith(':')) return '[^/]+';
      return segment.replace(/[^\w-]/g, String.raw`\$&`);
    })
    .join('/');
  return new RegExp(`^${source}$`);
}
