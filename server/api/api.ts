import fastifyHelmet from '@fastify/helmet';
import fastifyRateLimit from '@fastify/rate-limit';
import type { FastifyInstance } from 'fastify';
import { StateError } from '../../core/errors/muster-error.ts';
import { acmeAccountRoutes } from './acme-accounts.ts';
import { acmeOrderRoutes } from './acme-orders.ts';
import { auditRoutes } from './audit.ts';
import { authorityRoutes } from './authorities.ts';
import { authorityRequestRoutes } from './authority-requests.ts';
import { requireTokens } from './authentication.ts';
import { authorityStatusRoutes } from './authority-status.ts';
import { certificateExportRoutes } from './certificate-export.ts';
import { batchRoutes } from './batches.ts';
import { certificateRoutes } from './certificates.ts';
import { channelRoutes } from './channels.ts';
import type { ApiContext } from './context.ts';
import { deviceAccessRoutes } from './device-access.ts';
import { deviceServiceRoutes } from './device-access-services.ts';
import { deviceAlarmRoutes } from './device-alarms.ts';
import { deviceRevocationRoutes } from './device-revocations.ts';
import { deviceRoutes } from './devices.ts';
import { doctorRoutes } from './doctor.ts';
import { endpointConfigurationRoutes } from './endpoint-configuration.ts';
import { endpointRoutes } from './endpoints.ts';
import { enrollmentRoutes } from './enrollments.ts';
import { evidenceRoutes } from './evidence.ts';
import { expectedDeviceRoutes } from './expected-devices.ts';
import { expiryAlertRoutes } from './expiry-alerts.ts';
import { selectFields } from './fields.ts';
import { keepIdempotency } from './idempotency.ts';
import { jobRoutes } from './jobs.ts';
import { manifestRoutes } from './manifests.ts';
import { registerOpenApi } from './openapi.ts';
import { planRoutes } from './plans.ts';
import { profileRoutes } from './profiles.ts';
import { tenantRoutes } from './tenant-routes.ts';
import { compileRequestSchema } from './schema-validation.ts';
import { referenceValueRoutes } from './reference-values.ts';
import { renewalWindowRoutes } from './renewal-windows.ts';
import { revocationRoutes } from './revocations.ts';
import { rolloverRoutes } from './rollovers.ts';
import { secretRoutes } from './secrets.ts';
import { statusRoutes } from './status.ts';
import { tokenRoutes } from './token-routes.ts';
import { trustAnchorRoutes } from './trust-anchors.ts';
import { userRoutes } from './users.ts';
import type { ApiScope, TypeBoxTypeProvider } from './type-provider.ts';
import { WATCHER_ADDRESS, watchAnswers } from './watching.ts';

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
    selectFields(api);
    watchAnswers(api);
    keepIdempotency(api, context.store);
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
  deviceAccessRoutes(api, context);
  deviceServiceRoutes(api, context);
  planRoutes(api, context);
  expectedDeviceRoutes(api, store);
  manifestRoutes(api, store);
  trustAnchorRoutes(api, store);
  referenceValueRoutes(api, store);
  deviceRevocationRoutes(api, store);
  evidenceRoutes(api, store);
  deviceAlarmRoutes(api, store);
  enrollmentRoutes(api, context);
  batchRoutes(api, context);
  certificateRoutes(api, context);
  certificateExportRoutes(api, store);
  revocationRoutes(api, context);
  renewalWindowRoutes(api, context);
  acmeAccountRoutes(api, context);
  acmeOrderRoutes(api, context);
  rolloverRoutes(api, context);
  authorityStatusRoutes(api, context);
  auditRoutes(api, context);
  tokenRoutes(api, store);
  userRoutes(api, store);
  tenantRoutes(api, context);
  authorityRoutes(api, context);
  authorityRequestRoutes(api, context);
  profileRoutes(api, store);
  jobRoutes(api, store);
  expiryAlertRoutes(api, store);
  channelRoutes(api, context);
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
    allowList: (request) => request.routeOptions.config.alwaysAnswers === true || request.ip === WATCHER_ADDRESS,
    errorResponseBuilder: (_request, { ttl }) =>
      new StateError('quota-exceeded', 'too many requests from this address', {
        retryAfterSeconds: Math.ceil(ttl / 1000),
      }),
  });
}
