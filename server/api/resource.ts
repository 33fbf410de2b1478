import type { FastifyContextConfig, FastifyReply, FastifyRequest, FastifySchema } from 'fastify';
import { type Static, type TObject, type TProperties, type TSchema, Type } from 'typebox';
import { PeerError } from '../../core/errors/muster-error.ts';
import type { Store } from '../../core/store/store.ts';
import type { Scope } from './access.ts';
import { entityTag } from './entity-tags.ts';
import { listQuery, objectQuery, type Page, pageFrom, pageOf, readPage } from './paging.ts';
import { durableRows, type Rows } from '../../core/store/rows.ts';
import type { ApiScope } from './type-provider.ts';

/** One kind of object of the API: where it is, who may see it, and how it is shown. */
export interface ResourceKind<Row, V extends TObject> {
  /** In messages, audit entries (`noun.created`) and summaries. */
  readonly noun: string;
  /** Below `/api/v1`, with the slash. */
  readonly path: string;
  readonly tag: string;
  /** Name and schema of the path parameter. */
  readonly key: { readonly [name: string]: TSchema };
  readonly access: { readonly read: Scope; readonly write: Scope };
  /** Whose objects these are; default: a tenant's. */
  readonly about?: 'installation' | 'either';
  readonly view: V;
  readonly viewOf: (row: Row, now: number) => Static<V>;
  /** What a request for one that is not there is answered with; default: `not-found`. */
  readonly unknown?: 'unknown-endpoint';
  /** What its audit entries name it by; `find` finds it by this, too. */
  readonly keyOf: (row: Row) => string;
  /** The object with this key; undefined where the tenant (empty: the installation) has none. */
  readonly find: (rows: Rows, tenant: string, key: string) => Promise<Row | undefined>;
}

/** The reading half of a kind: which objects there are. */
export interface ResourceList<Row, F extends TProperties> {
  readonly filters: F;
  readonly read: (rows: Rows, tenant: string, page: Page, filters: Static<TObject<F>>) => Promise<readonly Row[]>;
  /** What a page goes on after. */
  readonly cursorOf: (row: Row) => string;
}

/** A path parameter that is an id or a name. */
export const keyParameter = {
  id: Type.String({ description: 'Id or name.', minLength: 1, maxLength: 64, pattern: '^[\\w.@-]+$' }),
};

/** `GET /things` and `GET /things/{key}`. */
export function readResource<Row, V extends TObject, F extends TProperties>(
  app: ApiScope,
  store: Store,
  kind: ResourceKind<Row, V>,
  list: ResourceList<Row, F>,
): void {
  listRoute(app, store, kind, list);
  showRoute(app, store, kind);
}

function listRoute<Row, V extends TObject, F extends TProperties>(
  app: ApiScope,
  store: Store,
  kind: ResourceKind<Row, V>,
  { filters, read, cursorOf }: ResourceList<Row, F>,
): void {
  const schema = {
    tags: [kind.tag],
    summary: `List ${kind.path.slice(1)}`,
    querystring: listQuery(filters),
    response: { 200: pageOf(kind.view) },
  };
  addRoute(app, 'GET', kind.path, { config: configOf(kind, 'read'), schema }, async (request) => {
    const query = request.query as { limit: number; cursor?: string } & Static<TObject<F>>;
    const now = store.clock.now();
    return readPage(
      pageFrom(query),
      (part) => read(durableRows(store), request.tenant ?? '', part, query),
      cursorOf,
      (row) => kind.viewOf(row, now),
    );
  });
}

function showRoute<Row, V extends TObject>(app: ApiScope, store: Store, kind: ResourceKind<Row, V>): void {
  const schema = {
    tags: [kind.tag],
    summary: `Show ${article(kind.noun)}`,
    params: Type.Object(kind.key),
    querystring: objectQuery,
    response: { 200: kind.view },
  };
  addRoute(app, 'GET', memberPath(kind), { config: configOf(kind, 'read'), schema }, async (request, reply) => {
    const row = await found(kind, durableRows(store), request.tenant ?? '', keyInPath(kind, request));
    return sendObject(reply, 200, kind.viewOf(row, store.clock.now()) as object);
  });
}

/** Registers a route of a kind: what the compiler knows of a schema it does not know of any schema. */
export function addRoute(
  app: ApiScope,
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
  url: string,
  { config, schema }: { readonly config: FastifyContextConfig; readonly schema: FastifySchema },
  handler: (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>,
): void {
  app.route({ method, url, config, schema, handler: handler as never });
}

/** The object with a key. @throws PeerError `not-found` */
export async function found<Row, V extends TObject>(
  kind: ResourceKind<Row, V>,
  rows: Rows,
  tenant: string,
  key: string,
): Promise<Row> {
  const row = await kind.find(rows, tenant, key);
  if (row !== undefined) return row;
  throw new PeerError(kind.unknown ?? 'not-found', `no such ${kind.noun}: ${key}`);
}

/** `/things/:key`. */
export function memberPath<Row, V extends TObject>({ path, key }: ResourceKind<Row, V>): string {
  return `${path}/:${Object.keys(key)[0]}`;
}

/** The key in the path of a request. */
export function keyInPath<Row, V extends TObject>({ key }: ResourceKind<Row, V>, { params }: FastifyRequest): string {
  return (params as Record<string, string>)[Object.keys(key)[0]!]!;
}

/** Who may ask. */
export function configOf<Row, V extends TObject>({ access, about }: ResourceKind<Row, V>, what: 'read' | 'write') {
  return { access: access[what], ...(about && { about }) };
}

/** Answers an object with its ETag. */
export function sendObject(reply: FastifyReply, status: number, view: object): FastifyReply {
  return reply.code(status).header('etag', entityTag(view)).send(view);
}

/** `a token`, `an authority`. */
export function article(noun: string): string {
  return `${/^[aeio]/.test(noun) ? 'an' : 'a'} ${noun}`;
}
