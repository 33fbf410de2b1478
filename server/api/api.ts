import fastifyHelmet from '@fastify/helmet';
import fastifyRateLimit from '@fastify/rate-limit';
import type { FastifyInstance } from 'fastify';
import { StateError } from '../../core/errors/muster-error.ts';
import { auditRoutes } from './audit.ts';
import { requireTokens } from './authentication.ts';
import { certificateRoutes } from './certificates.ts';
import type { ApiContext } from './context.ts';
import { deviceRoutes } from './devices.ts';
import { doctorRoutes } from './doctor.ts';
import { endpointConfigurationRoutes } from './endpoint-configuration.ts';
import { endpointRoutes } from './endpoints.ts';
import { enrollmentRoutes } from './enrollments.ts';
import { registerOpenApi } from './openapi.ts';
import { compileRequestSchema } from './schema-validation.ts';
import { revocationRoutes } from './revocations.ts';
import { rolloverRoutes } from './rollovers.ts';
import { secretRoutes } from './secrets.ts';
import { statusRoutes } from './status.ts';
import { tokenRoutes } from './token-routes.ts';
import type { ApiScope, TypeBoxTypeProvider } from './type-provider.ts';

/** Registers REST under `/api/v1`, its documentation under `/api/docs` and `/metrics` on the admin listener. */
export async function registerApi(app: FastifyInstance, context: ApiContext): Promise<void> {
  await app.register(fastifyHelmet, {
    contentSecurityPolicy: { directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] } },
  });
  app.addHook('onRequest', (request, reply, done) => {
    void reply.header('x-request-id', request.id);
    done();
  });
  await limitRequests(app, context.requestsPerMinute);
  await registerOpenApi(app, context.version);
  await app.register(async (scope) => {
    const api = scope.withTypeProvider<TypeBoxTypeProvider>();
    api.setValidatorCompiler(compileRequestSchema);
    requireTokens(api, context.store, (refusal) => context.telemetry.event('api.refused', { ...refusal }));
    metricsRoute(api, context);
    await api.register(async (v1) => registerResources(v1.withTypeProvider<TypeBoxTypeProvider>(), context), {
      prefix: '/api/v1',
    });
  });
}

function registerResources(api: ApiScope, context: ApiContext): void {
  const { store } = context;
  statusRoutes(api, context.version);
  endpointRoutes(api, context);
  endpointConfigurationRoutes(api, context);
  secretRoutes(api, context);
  deviceRoutes(api, store);
  enrollmentRoutes(api, context);
  certificateRoutes(api, context);
  revocationRoutes(api, context);
  rolloverRoutes(api, context);
  auditRoutes(api, context);
  tokenRoutes(api, store);
  doctorRoutes(api, context.doctor);
}

/** The scrape token is a bearer token with the scope `metrics:read`. */
function metricsRoute(api: ApiScope, { metrics }: ApiContext): void {
  const config = { access: 'metrics:read', about: 'installation' } as const;
  api.get('/metrics', { config, schema: { hide: true } }, async (_request, reply) =>
    reply.type(metrics.contentType).send(await metrics.expose()),
  );
}

async function limitRequests(app: FastifyInstance, requestsPerMinute: number): Promise<void> {
  if (requestsPerMinute === 0) return;
  await app.register(fastifyRateLimit, {
    max: requestsPerMinute,
    timeWindow: 60_000,
    allowList: (request) => request.routeOptions.config.alwaysAnswers === true,
    errorResponseBuilder: (_request, { ttl }) =>
      new StateError('quota-exceeded', 'too many requests from this address', {
        retryAfterSeconds: Math.ceil(ttl / 1000),
      }),
  });
}
