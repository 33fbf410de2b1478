import { Type } from 'typebox';
import { appendAudit } from '../../core/audit/log.ts';
import { PeerError } from '../../core/errors/muster-error.ts';
import type { JobRecord } from '../../core/store/jobs.ts';
import type { Store } from '../../core/store/store.ts';
import { actorOf } from './access.ts';
import { principalOf } from './authentication.ts';
import { pageFrom, pageOf, pageParameters, readPage } from './paging.ts';
import type { ApiScope } from './type-provider.ts';
import { idParameters, present, timestamp, timeText } from './views.ts';

const tags = ['jobs'];
const about = 'installation';
const state = Type.Enum(['ready', 'running', 'dead'], {
  description: '`dead`: set aside after its last attempt.',
});

const jobView = Type.Object({
  id: Type.String(),
  kind: Type.String({ examples: ['publish-crl'] }),
  key: Type.Optional(Type.String({ description: 'Of several with one key, one waits.' })),
  state,
  attempts: Type.Integer(),
  maxAttempts: Type.Integer(),
  runAt: timestamp('Not before this.'),
  lastError: Type.Optional(Type.String()),
  createdAt: timestamp('When it was asked for.'),
});

/** Background work: list, show, retry or discard what is dead. Payloads may hold what a tenant sends, so they are not shown. */
export function jobRoutes(app: ApiScope, store: Store): void {
  listRoute(app, store);
  showRoute(app, store);
  retryRoute(app, store);
  discardRoute(app, store);
}

function listRoute(app: ApiScope, store: Store): void {
  const kind = Type.Optional(Type.String({ pattern: '^[a-z0-9-]{1,64}$' }));
  const querystring = Type.Object(
    { ...pageParameters, state: Type.Optional(state), kind },
    { additionalProperties: false },
  );
  const schema = { tags, summary: 'List jobs', querystring, response: { 200: pageOf(jobView) } };
  app.get('/jobs', { config: { access: 'jobs:read', about }, schema }, ({ query }) =>
    readPage(
      pageFrom(query),
      ({ after, limit }) =>
        store.jobs.list({
          limit,
          ...present('after', after),
          ...present('state', query.state),
          ...present('kind', query.kind),
        }),
      (job) => job.id,
      viewOf,
    ),
  );
}

function showRoute(app: ApiScope, store: Store): void {
  const schema = { tags, summary: 'Show a job', params: idParameters, response: { 200: jobView } };
  app.get('/jobs/:id', { config: { access: 'jobs:read', about }, schema }, async ({ params }) =>
    viewOf(await jobOf(store, params.id)),
  );
}

function retryRoute(app: ApiScope, store: Store): void {
  const summary = 'Give a dead job its attempts back';
  const schema = { tags, summary, params: idParameters, response: { 200: jobView } };
  app.post('/jobs/:id/retry', { config: { access: 'jobs:write', about }, schema }, async (request) => {
    const { id } = await jobOf(store, request.params.id);
    await store.jobs.retry(id);
    await record(store, id, 'job.retried', actorOf(principalOf(request)));
    return viewOf(await jobOf(store, id));
  });
}

function discardRoute(app: ApiScope, store: Store): void {
  const schema = { tags, summary: 'Discard a dead job', params: idParameters, response: { 204: Type.Null() } };
  app.delete('/jobs/:id', { config: { access: 'jobs:write', about }, schema }, async (request, reply) => {
    const { id } = await jobOf(store, request.params.id);
    await store.jobs.discard(id);
    await record(store, id, 'job.discarded', actorOf(principalOf(request)));
    return reply.code(204).send(null);
  });
}

async function jobOf(store: Store, id: string): Promise<JobRecord> {
  const job = await store.jobs.find(id);
  if (job !== undefined) return job;
  throw new PeerError('not-found', 'no such job, or it is done');
}

function record(store: Store, id: string, action: string, actor: string): Promise<void> {
  const entry = { tenant: null, at: store.clock.now(), actor, action, object: `job:${id}`, details: {} };
  return store.unit((tx) => appendAudit(tx, { ...entry, outcome: 'success' }));
}

function viewOf(job: JobRecord) {
  return {
    id: job.id,
    kind: job.kind,
    ...present('key', job.key),
    state: job.state,
    attempts: job.attempts,
    maxAttempts: job.maxAttempts,
    runAt: timeText(job.runAt),
    ...present('lastError', job.lastError),
    createdAt: timeText(job.createdAt),
  };
}
