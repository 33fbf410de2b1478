import { Type } from 'typebox';
import { FAILURES } from '../../adapters/sdk/failure.ts';
import { findPlan, listPlans, stepsOf, transcriptOf } from '../../adapters/sdk/journal.ts';
import { PHASES, type Plan, type PlanStep } from '../../adapters/sdk/plan.ts';
import { renderActions } from '../../adapters/sdk/render.ts';
import { PLAN_STATES, type PlanRow, type PlanStepRow } from '../../adapters/sdk/tables.ts';
import { PeerError } from '../../core/errors/muster-error.ts';
import { durableRows } from '../../core/store/rows.ts';
import { actorOf } from './access.ts';
import { principalOf, tenantIdOf } from './authentication.ts';
import type { ApiContext } from './context.ts';
import { listQuery, objectQuery, pageFrom, pageOf, readPage } from './paging.ts';
import type { ApiScope } from './type-provider.ts';
import { idParameters, present, presentTime, timestamp, timeText } from './views.ts';

type PlanContext = Pick<ApiContext, 'store' | 'plans'>;

const tags = ['plans'];

const failureMembers = {
  failure: Type.Optional(Type.String({ description: 'Stable code.' })),
  detail: Type.Optional(Type.String({ description: 'What came.' })),
  advice: Type.Optional(Type.String({ description: 'What to do about it.' })),
};

const stepMembers = {
  id: Type.String(),
  phase: Type.Enum(PHASES),
  service: Type.String(),
  title: Type.String(),
};

const plannedStep = Type.Object({
  ...stepMembers,
  danger: Type.Enum(['none', 'service-reload']),
  sends: Type.Array(Type.String(), { description: 'Line by line; {{names}} stand for what is found on the way.' }),
  undoes: Type.Array(Type.String(), { description: 'What is sent to undo it.' }),
});

const planView = Type.Object({
  id: Type.String(),
  device: Type.String(),
  deviceName: Type.String(),
  state: Type.Enum(PLAN_STATES),
  failedStep: Type.Optional(Type.String()),
  ...failureMembers,
  createdBy: Type.String(),
  createdAt: timestamp('When it was begun.'),
  updatedAt: timestamp('When it last turned.'),
});

const wholePlanView = Type.Object({
  ...planView.properties,
  steps: Type.Array(
    Type.Object({
      ...stepMembers,
      state: Type.Enum(['waiting', 'running', 'done', 'failed', 'undone', 'stuck']),
      attempts: Type.Integer(),
      ...failureMembers,
      startedAt: Type.Optional(timestamp('When it was begun first or again.')),
      endedAt: Type.Optional(timestamp('When it ended.')),
    }),
  ),
});

const transcriptView = Type.Object({
  id: Type.String(),
  step: Type.String(),
  way: Type.Enum(['apply', 'compensate']),
  at: timestamp('When it ended.'),
  text: Type.String({ description: 'Seconds, then > sent, < came back, # found by us.' }),
});

/** Plans: what a rotation would do, rotate, and what became of it. */
export function planRoutes(app: ApiScope, context: PlanContext): void {
  previewRoute(app, context);
  rotateRoute(app, context);
  listRoute(app, context);
  showRoute(app, context);
  transcriptRoute(app, context);
}

function previewRoute(app: ApiScope, { plans }: PlanContext): void {
  const schema = {
    tags,
    summary: 'Show what a rotation would do; the device is not asked',
    params: idParameters,
    querystring: objectQuery,
    response: { 200: Type.Object({ driver: Type.String(), steps: Type.Array(plannedStep) }) },
  };
  app.get('/devices/:id/plan', { config: { access: 'devices:read' }, schema }, async (request) => {
    const { driver, steps } = await plans.plan(tenantIdOf(request), request.params.id, 'PREVIEW');
    return { driver, steps: steps.map(plannedStepView) };
  });
}

function rotateRoute(app: ApiScope, context: PlanContext): void {
  const schema = {
    tags,
    summary: 'Begin to bring new certificates to every service of a device',
    params: idParameters,
    querystring: objectQuery,
    response: { 202: wholePlanView },
  };
  app.post('/devices/:id/rotate', { config: { access: 'devices:write' }, schema }, async (request, reply) => {
    const tenant = tenantIdOf(request);
    const id = await context.plans.rotate(tenant, request.params.id, actorOf(principalOf(request)));
    return reply
      .code(202)
      .header('location', `/api/v1/plans/${id}`)
      .send(await planOf(context, tenant, id));
  });
}

function listRoute(app: ApiScope, { store }: PlanContext): void {
  const filters = { device: Type.Optional(Type.String({ description: 'Id.', minLength: 1, maxLength: 64 })) };
  const schema = { tags, summary: 'List plans', querystring: listQuery(filters), response: { 200: pageOf(planView) } };
  app.get('/plans', { config: { access: 'devices:read' }, schema }, (request) => {
    const { device } = request.query;
    return readPage(
      pageFrom(request.query),
      (page) =>
        listPlans(durableRows(store), tenantIdOf(request), { ...page, ...(device !== undefined && { device }) }),
      ({ id }) => id,
      viewOf,
    );
  });
}

function showRoute(app: ApiScope, context: PlanContext): void {
  const schema = {
    tags,
    summary: 'Show a plan with its steps',
    params: idParameters,
    querystring: objectQuery,
    response: { 200: wholePlanView },
  };
  app.get('/plans/:id', { config: { access: 'devices:read' }, schema }, (request) =>
    planOf(context, tenantIdOf(request), request.params.id),
  );
}

function transcriptRoute(app: ApiScope, { store }: PlanContext): void {
  const schema = {
    tags,
    summary: 'Show what was said with the device',
    params: idParameters,
    querystring: listQuery({}),
    response: { 200: pageOf(transcriptView) },
  };
  app.get('/plans/:id/transcript', { config: { access: 'devices:read' }, schema }, async (request) => {
    const tenant = tenantIdOf(request);
    const rows = durableRows(store);
    const { id } = await requirePlan({ store }, tenant, request.params.id);
    return readPage(
      pageFrom(request.query),
      (page) => transcriptOf(rows, tenant, id, page),
      (row) => row.id,
      ({ id: entry, step, way, at, text }) => ({ id: entry, step, way, at: timeText(at), text }),
    );
  });
}

async function requirePlan({ store }: Pick<PlanContext, 'store'>, tenant: string, id: string): Promise<PlanRow> {
  const row = await findPlan(durableRows(store), tenant, id);
  if (row === undefined) throw new PeerError('not-found', 'no such plan');
  return row;
}

async function planOf(parts: PlanContext, tenant: string, id: string) {
  const row = await requirePlan(parts, tenant, id);
  const { steps: planned } = JSON.parse(row.document) as Plan;
  const steps = await stepsOf(durableRows(parts.store), tenant, id);
  return { ...viewOf(row), steps: steps.map((step) => stepView(step, planned[step.position]!)) };
}

function viewOf(row: PlanRow) {
  return {
    id: row.id,
    device: row.device,
    deviceName: row.device_name,
    state: row.state,
    ...present('failedStep', row.failure_step),
    ...failureView(row),
    createdBy: row.created_by,
    createdAt: timeText(row.created_at),
    updatedAt: timeText(row.updated_at),
  };
}

function stepView(row: PlanStepRow, { title }: PlanStep) {
  const { id, phase, service, state, attempts } = row;
  const times = { ...presentTime('startedAt', row.started_at), ...presentTime('endedAt', row.ended_at) };
  return { id, phase, service, title, state, attempts, ...failureView(row), ...times };
}

function failureView({ failure, detail }: Pick<PlanRow, 'failure' | 'detail'>) {
  if (failure === null) return {};
  return { failure, ...present('detail', detail), advice: FAILURES[failure].text };
}

function plannedStepView({ id, phase, service, title, danger, actions, compensation }: PlanStep) {
  const sends = [...renderActions(actions)];
  return { id, phase, service, title, danger, sends, undoes: [...renderActions(compensation)] };
}
