import { Type } from 'typebox';

import { devicesOf, type Readiness, readinessOf } from '../../core/authority/rollover-readiness.ts';
import { findRollover, listRollovers, type Rollover } from '../../core/authority/rollover-records.ts';
import type { RolloverSightings } from '../../core/authority/rollover-sightings.ts';
import type { CaRollover } from '../../core/authority/rollover.ts';
import { PeerError, StateError } from '../../core/errors/muster-error.ts';
import type { Store } from '../../core/store/store.ts';
import { type Name, nameFromText } from '../../core/x509/name.ts';
import { actorOf } from './access.ts';
import { principalOf, tenantIdOf } from './authentication.ts';
import { listQuery, objectQuery, pageFrom, readPage } from './paging.ts';
import { deviceReadinessPage, rolloverBody, rolloverView, switchBody } from './rollover-schema.ts';
import type { ApiScope } from './type-provider.ts';
import { idParameters, present, presentTime, timeText } from './views.ts';

/** What the routes of rollovers stand on. */
export interface RolloverContext {
  readonly store: Store;
  readonly rollover: CaRollover;
  readonly sightings: Pick<RolloverSightings, 'flush'>;
}

const tags = ['authorities'];
const reading = { access: 'authorities:read' } as const;
const writing = { access: 'authorities:write' } as const;

/** How one authority takes over from another. */
export function rolloverRoutes(app: ApiScope, context: RolloverContext): void {
  startRoute(app, context);
  listRoute(app, context);
  statusRoute(app, context);
  devicesRoute(app, context);
  switchRoute(app, context);
  retireRoute(app, context);
}

function startRoute(app: ApiScope, { store, rollover }: RolloverContext): void {
  const schema = {
    tags,
    summary: 'Make and announce the successor of an authority',
    description: 'Where one is announced already, that one is answered, and nothing is made.',
    querystring: objectQuery,
    body: rolloverBody,
    response: { 200: rolloverView },
  };
  app.post('/rollovers', { config: writing, schema }, async (request) => {
    const { authority, keyAlgorithm, subject, switchAt } = request.body;
    const made = await rollover.start({
      tenant: tenantIdOf(request),
      authority,
      keyAlgorithm,
      subject: subject === undefined ? undefined : nameOf(subject),
      switchAt: switchAt === undefined ? undefined : Date.parse(switchAt),
      actor: actorOf(principalOf(request)),
    });
    return viewOf(made, await readinessOf(store, made));
  });
}

function listRoute(app: ApiScope, { store }: RolloverContext): void {
  const schema = {
    tags,
    summary: 'The rollovers, oldest first',
    querystring: objectQuery,
    response: { 200: Type.Object({ items: Type.Array(rolloverView) }) },
  };
  app.get('/rollovers', { config: reading, schema }, async (request) => ({
    items: (await listRollovers(store, tenantIdOf(request))).map((rollover) => viewOf(rollover, undefined)),
  }));
}

function statusRoute(app: ApiScope, context: RolloverContext): void {
  const schema = {
    tags,
    summary: 'A rollover, with who is ready',
    params: idParameters,
    querystring: objectQuery,
    response: { 200: rolloverView },
  };
  app.get('/rollovers/:id', { config: reading, schema }, async (request) => {
    const rollover = await rolloverOf(context, tenantIdOf(request), request.params.id);
    return viewOf(rollover, await freshReadiness(context, rollover));
  });
}

function devicesRoute(app: ApiScope, context: RolloverContext): void {
  const standings = ['unknown', 'proved'] as const;
  const standing = Type.Enum(standings, {
    description: 'Those not known to be ready, or those that are.',
    default: 'unknown',
  });
  const schema = {
    tags,
    summary: 'Devices that are ready, or are not known to be',
    params: idParameters,
    querystring: listQuery({ standing }),
    response: { 200: deviceReadinessPage },
  };
  app.get('/rollovers/:id/devices', { config: reading, schema }, async (request) => {
    const rollover = await rolloverOf(context, tenantIdOf(request), request.params.id);
    await context.sightings.flush();
    return readPage(
      pageFrom(request.query),
      (page) => devicesOf(context.store, rollover, { standing: request.query.standing, ...page }),
      ({ device }) => device,
      ({ device, evidence }) => ({
        device,
        evidence: evidence.map(({ at, ...rest }) => ({ ...rest, at: timeText(at) })),
      }),
    );
  });
}

function switchRoute(app: ApiScope, context: RolloverContext): void {
  const schema = {
    tags,
    summary: 'Have the successor issue, now or on a date',
    params: idParameters,
    querystring: objectQuery,
    body: switchBody,
    response: { 200: rolloverView },
  };
  app.post('/rollovers/:id/switch', { config: writing, schema }, async (request) => {
    const { at, acceptUnready } = request.body;
    const { rollover } = context;
    const call = { tenant: tenantIdOf(request), id: request.params.id, actor: actorOf(principalOf(request)) };
    if (at !== undefined) return viewOf(await rollover.schedule(call, Date.parse(at)), undefined);
    if (!acceptUnready) await requireReady(context, await rolloverOf(context, call.tenant, call.id));
    return viewOf(await rollover.switch(call), undefined);
  });
}

function retireRoute(app: ApiScope, { rollover }: RolloverContext): void {
  const schema = {
    tags,
    summary: 'End the authority that was replaced',
    description: 'Refused until the last certificate of a device that it issued has ended.',
    params: idParameters,
    querystring: objectQuery,
    response: { 200: rolloverView },
  };
  app.post('/rollovers/:id/retire', { config: writing, schema }, async (request) => {
    const call = { tenant: tenantIdOf(request), id: request.params.id, actor: actorOf(principalOf(request)) };
    return viewOf(await rollover.retire(call), undefined);
  });
}

async function rolloverOf({ store }: RolloverContext, tenant: string, id: string): Promise<Rollover> {
  const rollover = await findRollover(store, tenant, id);
  if (!rollover) throw new PeerError('not-found', 'no such rollover');
  return rollover;
}

/** With what this node has seen in the last seconds. */
async function freshReadiness({ store, sightings }: RolloverContext, rollover: Rollover): Promise<Readiness> {
  await sightings.flush();
  return readinessOf(store, rollover);
}

async function requireReady(context: RolloverContext, rollover: Rollover): Promise<void> {
  if (rollover.state !== 'announced') return;
  const { unknown, devices } = await freshReadiness(context, rollover);
  if (unknown > 0)
    throw new StateError('conflict', `${unknown} of ${devices} devices are not known to be ready (acceptUnready)`);
}

function nameOf(text: string): Name {
  try {
    return nameFromText(text);
  } catch (cause) {
    throw new PeerError('malformed-request', 'subject: expected a name such as CN=Issuing CA,O=Example', { cause });
  }
}

function viewOf(rollover: Rollover, readiness: Readiness | undefined) {
  return {
    id: rollover.id,
    state: rollover.state,
    members: rollover.members.map(({ crossCertificates, ...member }) => ({
      ...member,
      crossCertificates: crossCertificates !== undefined,
    })),
    createdAt: timeText(rollover.createdAt),
    ...presentTime('switchAt', rollover.switchAt),
    ...presentTime('switchedAt', rollover.switchedAt),
    ...presentTime('retiredAt', rollover.retiredAt),
    ...present('readiness', readiness && readinessView(readiness)),
  };
}

function readinessView({ anonymousFetches, lastNotAfter, ...counts }: Readiness) {
  return {
    ...counts,
    anonymousFetches: anonymousFetches.map(({ lastAt, ...rest }) => ({ ...rest, lastAt: timeText(lastAt) })),
    ...presentTime('lastNotAfter', lastNotAfter),
  };
}
