import { Type } from 'typebox';
import type { Endpoint } from '../../core/enrollment/endpoint.ts';
import { PeerError } from '../../core/errors/muster-error.ts';
import { REASON_CODES } from '../../core/errors/reasons.ts';
import { durableRows } from '../../core/store/rows.ts';
import { findBatch, listBatches, openBatch } from '../../protocols/batch/batches.ts';
import { type BatchDependencies, enrollBatch } from '../../protocols/batch/service.ts';
import type { BatchRow } from '../../protocols/batch/tables.ts';
import { actorOf } from './access.ts';
import { principalOf, tenantIdOf } from './authentication.ts';
import type { ApiContext } from './context.ts';
import { endpointOf } from './endpoints.ts';
import { tenantParameter } from './paging.ts';
import { createResource } from './resource-changes.ts';
import { found, keyParameter, readResource, type ResourceKind } from './resource.ts';
import type { ApiScope, TypeBoxTypeProvider } from './type-provider.ts';
import { idParameters, timestamp, timeText } from './views.ts';

type BatchContext = Pick<ApiContext, 'store' | 'endpoints'> & BatchDependencies;

/** Largest part of a batch, in octets and lines. */
const MAX_PART = 4 * 1024 * 1024;
const MAX_LINES = 500;

const view = Type.Object({
  id: Type.String(),
  name: Type.String(),
  endpoint: Type.String({ description: 'Id of the endpoint.' }),
  lines: Type.Integer({ description: 'Lines that were answered, from the first on.' }),
  createdBy: Type.String(),
  createdAt: timestamp('When it was opened.'),
  updatedAt: timestamp('When it last went on.'),
});

const answer = Type.Object({
  line: Type.Integer(),
  id: Type.Optional(Type.String()),
  outcome: Type.Enum(['issued', 'pending', 'refused']),
  enrollment: Type.Optional(Type.String()),
  certificate: Type.Optional(Type.String({ description: 'PEM.' })),
  retryAfterSeconds: Type.Optional(Type.Integer()),
  reason: Type.Optional(Type.Enum(REASON_CODES)),
  message: Type.Optional(Type.String()),
});

const kind: ResourceKind<BatchRow, typeof view> = {
  noun: 'batch',
  path: '/batches',
  tag: 'enrollments',
  key: keyParameter,
  access: { read: 'enrollments:read', write: 'batches:write' },
  view,
  viewOf: (row) => ({
    id: row.id,
    name: row.name,
    endpoint: row.endpoint,
    lines: row.lines,
    createdBy: row.created_by,
    createdAt: timeText(row.created_at),
    updatedAt: timeText(row.updated_at),
  }),
  keyOf: ({ id }) => id,
  find: findBatch,
};

/** Batches: requests that an operator hands in together. */
export function batchRoutes(app: ApiScope, context: BatchContext): void {
  const { store, endpoints } = context;
  readResource(app, store, kind, { filters: {}, read: listBatches, cursorOf: ({ id }) => id });
  createResource(app, store, kind, {
    summary: 'Open a batch; its requests come afterwards',
    body: Type.Object(
      {
        name: Type.String({ minLength: 1, maxLength: 255 }),
        endpoint: Type.String({ description: 'Label of an endpoint that is open for batches.', maxLength: 63 }),
      },
      { additionalProperties: false },
    ),
    async create({ name, endpoint: label }, { tenant, actor: created_by, at }) {
      const { id: endpoint } = await endpointOf(endpoints, tenant, label);
      return (tx) => openBatch(tx, { tenant, name, endpoint, created_by }, at);
    },
  });
  void app.register(async (scope) => requestsRoute(scope.withTypeProvider<TypeBoxTypeProvider>(), context));
}

function requestsRoute(app: ApiScope, context: BatchContext): void {
  app.addContentTypeParser('application/x-ndjson', { parseAs: 'string', bodyLimit: MAX_PART }, (_request, body, done) =>
    done(null, body),
  );
  const schema = {
    tags: ['enrollments'],
    summary: 'Ask for the certificates of the next lines of a batch',
    description: `NDJSON, at most ${MAX_LINES} lines, each {"id"?, "csr", "evidence"?}. A part that was interrupted is handed in once more: the same line gets the same certificate.`,
    consumes: ['application/x-ndjson'],
    params: idParameters,
    querystring: Type.Object(
      {
        ...tenantParameter,
        after: Type.Integer({ description: 'Lines that come before these.', minimum: 0, default: 0 }),
      },
      { additionalProperties: false },
    ),
    response: { 200: Type.Object({ items: Type.Array(answer) }) },
  };
  const config = { access: 'batches:write' } as const;
  app.post('/batches/:id/requests', { config, schema, bodyLimit: MAX_PART }, async (request) => {
    const tenant = tenantIdOf(request);
    const batch = await found(kind, durableRows(context.store), tenant, request.params.id);
    const { body } = request;
    if (typeof body !== 'string') throw new PeerError('unsupported-media-type', 'expected application/x-ndjson');
    const lines = body.replace(/\r?\n$/, '').split(/\r?\n/);
    if (lines.length > MAX_LINES) throw new PeerError('too-large', `expected at most ${MAX_LINES} lines`);
    const items = await enrollBatch(context, {
      batch,
      endpoint: await endpointById(context, tenant, batch.endpoint),
      after: request.query.after,
      lines,
      actor: actorOf(principalOf(request)),
      requestId: request.id,
      sourceAddress: request.ip,
    });
    return { items: [...items] };
  });
}

async function endpointById({ endpoints }: BatchContext, tenant: string, id: string): Promise<Endpoint> {
  const endpoint = (await endpoints.list(tenant)).find((candidate) => candidate.id === id);
  if (endpoint !== undefined) return endpoint;
  throw new PeerError('unknown-endpoint', 'the endpoint of the batch is there no more');
}
