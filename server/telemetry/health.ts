import type { FastifyInstance } from 'fastify';

/** What readiness asks. */
export interface HealthSources {
  /** Resolves when the database answers. */
  readonly store: () => Promise<unknown>;
  /** The state of each token, without asking it. */
  readonly tokens: () => readonly { readonly state: string }[];
}

/** Milliseconds within which the database must answer. */
const storeDeadlineMilliseconds = 1_000;

/**
 * `/healthz`: the process answers (no I/O; restart it when it does not). `/readyz`: it can serve: the database answers
 * and a token is up (send it no requests while it is not). Both need no credential and tell no names.
 */
export function registerHealth(app: FastifyInstance, sources: HealthSources): void {
  const config = { alwaysAnswers: true, access: 'public' } as const;
  const schema = { hide: true };
  // Load balancers like to ask by HEAD.
  const route = { method: ['GET', 'HEAD'], config, schema };
  app.route({ ...route, url: '/healthz', handler: (_request, reply) => reply.type('text/plain').send('ok\n') });
  app.route({
    ...route,
    url: '/readyz',
    handler: async (_request, reply) => {
      const faults = [...(await storeFault(sources)), ...tokenFault(sources)];
      reply.type('text/plain').code(faults.length === 0 ? 200 : 503);
      return faults.length === 0 ? 'ready\n' : `not ready: ${faults.join(', ')}\n`;
    },
  });
}

async function storeFault(sources: HealthSources): Promise<string[]> {
  const { promise: late, resolve } = Promise.withResolvers<string[]>();
  const timer = setTimeout(() => resolve(['the database does not answer']), storeDeadlineMilliseconds);
  const answer = sources.store().then(
    () => [],
    () => ['the database does not answer'],
  );
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

function tokenFault(sources: HealthSources): string[] {
  return sources.tokens().some((token) => token.state === 'up') ? [] : ['no token is up'];
}
