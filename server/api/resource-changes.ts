import type { FastifyRequest } from 'fastify';
import { type Static, type TObject, type TSchema, Type } from 'typebox';
import { appendAudit } from '../../core/audit/log.ts';
import type { Store, Unit } from '../../core/store/store.ts';
import { actorOf, type Scope } from './access.ts';
import { auditDetails } from './audit-details.ts';
import { principalOf } from './authentication.ts';
import { applyChange, changeQuery } from './changes.ts';
import { ifMatchHeader, requireMatch } from './entity-tags.ts';
import {
  addRoute,
  article,
  configOf,
  found,
  keyInPath,
  memberPath,
  type ResourceKind,
  sendObject,
} from './resource.ts';
import { durableRows } from '../../core/store/rows.ts';
import type { ApiScope } from './type-provider.ts';

/** Who asks for what, and when. */
export interface ResourceCall {
  /** Id of the tenant; empty for objects of the installation. */
  readonly tenant: string;
  readonly actor: string;
  /** Epoch milliseconds. */
  readonly at: number;
  readonly request: FastifyRequest;
}

interface Described<B> {
  readonly summary?: string;
  readonly description?: string;
  /** What the audit entry says of the body; default: all of it. */
  readonly audited?: (body: B) => object;
}

/** How an object comes to be. `create` prepares what takes time and returns what the unit does: it answers the key. */
export interface ResourceCreation<B extends TSchema> extends Described<Static<B>> {
  /** Below the path of the kind; default: the path itself. */
  readonly way?: string;
  readonly body: B;
  readonly create: (draft: Static<B>, call: ResourceCall) => Promise<(tx: Unit) => Promise<string>>;
}

/** How an object changes. `apply` prepares what takes time and returns what the unit does to the row as it stands there. */
export interface ResourceChange<Row, B extends TSchema> extends Described<Static<B>> {
  readonly body: B;
  readonly apply: (changes: Static<B>, call: ResourceCall) => Promise<(tx: Unit, row: Row) => Promise<void>>;
}

/** One step of an object's life: `POST /things/{key}/{verb}`. */
export interface ResourceAction<Row, B extends TSchema> extends ResourceChange<Row, B> {
  readonly verb: string;
  /** Of the audit entry: `noun.done`. */
  readonly done: string;
  readonly access?: Scope;
}

/** `POST /things`. */
export function createResource<Row, V extends TObject, B extends TSchema>(
  app: ApiScope,
  store: Store,
  kind: ResourceKind<Row, V>,
  creation: ResourceCreation<B>,
): void {
  const schema = {
    ...describe(kind, creation, `Create ${article(kind.noun)}`),
    querystring: changeQuery,
    body: creation.body,
    response: { 201: kind.view },
  };
  const path = kind.path + (creation.way ?? '');
  addRoute(app, 'POST', path, { config: configOf(kind, 'write'), schema }, async (request, reply) => {
    const draft = request.body as Static<B>;
    const call = callOf(store, request);
    const create = await creation.create(draft, call);
    const { key, view } = await applyChange(store, request, reply, async (tx) => {
      const made = await create(tx);
      await record(tx, kind, call, { done: 'created', key: made, details: audited(creation, draft) });
      return { key: made, view: kind.viewOf(await found(kind, tx, call.tenant, made), call.at) as object };
    });
    return sendObject(reply.header('location', `/api/v1${kind.path}/${encodeURIComponent(key)}`), 201, view);
  });
}

/** `PATCH /things/{key}` (RFC 7396), under If-Match. */
export function changeResource<Row, V extends TObject, B extends TSchema>(
  app: ApiScope,
  store: Store,
  kind: ResourceKind<Row, V>,
  change: ResourceChange<Row, B>,
): void {
  const description = 'A JSON merge patch (RFC 7396): absent members stay, null takes away what may be absent.';
  const schema = schemaOfChange(kind, { description, ...change }, `Change ${article(kind.noun)}`);
  const handler = changing(store, kind, { ...change, done: 'changed' });
  addRoute(app, 'PATCH', memberPath(kind), { config: configOf(kind, 'write'), schema }, handler);
}

/** `POST /things/{key}/{verb}`, under If-Match. */
export function actOnResource<Row, V extends TObject, B extends TSchema>(
  app: ApiScope,
  store: Store,
  kind: ResourceKind<Row, V>,
  action: ResourceAction<Row, B>,
): void {
  const config = { ...configOf(kind, 'write'), ...(action.access && { access: action.access }) };
  const schema = schemaOfChange(kind, action, `${action.verb} ${article(kind.noun)}`);
  addRoute(app, 'POST', `${memberPath(kind)}/${action.verb}`, { config, schema }, changing(store, kind, action));
}

/** `DELETE /things/{key}`, under If-Match. */
export function removeResource<Row, V extends TObject>(
  app: ApiScope,
  store: Store,
  kind: ResourceKind<Row, V>,
  removal: Pick<Described<void>, 'summary'> & {
    readonly remove: (tx: Unit, row: Row, call: ResourceCall) => Promise<void>;
  },
): void {
  const schema = {
    ...describe(kind, removal, `Delete ${article(kind.noun)}`),
    params: Type.Object(kind.key),
    querystring: changeQuery,
    headers: ifMatchHeader,
    response: { 204: Type.Null() },
  };
  addRoute(app, 'DELETE', memberPath(kind), { config: configOf(kind, 'write'), schema }, async (request, reply) => {
    const call = callOf(store, request);
    const key = keyInPath(kind, request);
    await applyChange(store, request, reply, async (tx) => {
      const row = await matching(tx, kind, call, key);
      await removal.remove(tx, row, call);
      await record(tx, kind, call, { done: 'deleted', key: kind.keyOf(row), details: {} });
    });
    return reply.code(204).send(null);
  });
}

function changing<Row, V extends TObject, B extends TSchema>(
  store: Store,
  kind: ResourceKind<Row, V>,
  change: ResourceChange<Row, B> & { readonly done: string },
) {
  return async (request: FastifyRequest, reply: Parameters<typeof sendObject>[0]) => {
    const body = request.body as Static<B>;
    const call = callOf(store, request);
    const key = keyInPath(kind, request);
    // Before what takes time, and again in the unit, where it counts.
    await found(kind, durableRows(store), call.tenant, key);
    const apply = await change.apply(body, call);
    const view = await applyChange(store, request, reply, async (tx) => {
      const row = await matching(tx, kind, call, key);
      const name = kind.keyOf(row);
      const before = JSON.stringify(kind.viewOf(row, call.at));
      await apply(tx, row);
      const after = kind.viewOf(await found(kind, tx, call.tenant, name), call.at) as object;
      // A change to what already stands is no event.
      if (JSON.stringify(after) !== before)
        await record(tx, kind, call, { done: change.done, key: name, details: audited(change, body) });
      return after;
    });
    return sendObject(reply, 200, view);
  };
}

/** The object as the unit sees it, which is the state that the change is based on. */
async function matching<Row, V extends TObject>(
  tx: Unit,
  kind: ResourceKind<Row, V>,
  { tenant, at, request }: ResourceCall,
  key: string,
): Promise<Row> {
  const row = await found(kind, tx, tenant, key);
  requireMatch(kind.noun, kind.viewOf(row, at) as object, request.headers['if-match']);
  return row;
}

function callOf(store: Store, request: FastifyRequest): ResourceCall {
  return { tenant: request.tenant ?? '', actor: actorOf(principalOf(request)), at: store.clock.now(), request };
}

function record<Row, V extends TObject>(
  tx: Unit,
  { noun }: ResourceKind<Row, V>,
  { tenant, at, actor }: ResourceCall,
  { done, key, details }: { readonly done: string; readonly key: string; readonly details: object },
): Promise<void> {
  return appendAudit(tx, {
    tenant: tenant === '' ? null : tenant,
    at,
    actor,
    action: `${noun.replaceAll(' ', '-')}.${done}`,
    object: `${noun.replaceAll(' ', '-')}:${key}`,
    outcome: 'success',
    details: auditDetails(details),
  });
}

function audited<B>({ audited: show }: Described<B>, body: B): object {
  return show ? show(body) : (body as object);
}

function schemaOfChange<Row, V extends TObject, B extends TSchema>(
  kind: ResourceKind<Row, V>,
  change: ResourceChange<Row, B>,
  summary: string,
) {
  return {
    ...describe(kind, change, summary),
    params: Type.Object(kind.key),
    querystring: changeQuery,
    headers: ifMatchHeader,
    body: change.body,
    response: { 200: kind.view },
  };
}

function describe<Row, V extends TObject>(
  { tag }: ResourceKind<Row, V>,
  { summary, description }: Pick<Described<void>, 'summary' | 'description'>,
  otherwise: string,
) {
  return { tags: [tag], summary: summary ?? otherwise, ...(description !== undefined && { description }) };
}
