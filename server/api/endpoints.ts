import { Type } from 'typebox';
import type { FastifyRequest } from 'fastify';
import { listAuthorities } from '../../core/authority/authorities.ts';
import { listProfiles } from '../../core/authority/profiles.ts';
import { appendAudit } from '../../core/audit/log.ts';
import type { Endpoint, EndpointSettings } from '../../core/enrollment/endpoint.ts';
import { createEndpoint, deleteEndpoint, updateEndpoint } from '../../core/enrollment/endpoints.ts';
import { PeerError, StateError } from '../../core/errors/muster-error.ts';
import type { Store, Unit } from '../../core/store/store.ts';
import { actorOf } from './access.ts';
import { principalOf, tenantIdOf } from './authentication.ts';
import type { ApiContext } from './context.ts';
import {
  changedSettings,
  CLOSED_ENDPOINT,
  endpointChanges,
  endpointDraft,
  endpointView,
  type EndpointView,
} from './endpoint-schema.ts';
import { listQuery, objectQuery, pageFrom, pageOf, readPage } from './paging.ts';
import type { ApiScope } from './type-provider.ts';

type EndpointContext = Pick<ApiContext, 'store' | 'endpoints'>;

const tags = ['endpoints'];
const labelParameters = Type.Object({ label: Type.String({ pattern: '^[a-z0-9-]{1,63}$' }) });
const revisionHeader = Type.Object({
  'if-match': Type.Optional(
    Type.String({ description: 'The ETag the change is based on; without it, whatever stands is changed.' }),
  ),
});

/** Endpoints: the labels under which devices enrol. */
export function endpointRoutes(app: ApiScope, context: EndpointContext): void {
  listRoute(app, context);
  getRoute(app, context);
  createRoute(app, context);
  changeRoute(app, context);
  deleteRoute(app, context);
}

/** The endpoint of this tenant with this label. Throws PeerError `unknown-endpoint`, also for another tenant's. */
export async function endpointOf(
  endpoints: EndpointContext['endpoints'],
  tenant: string,
  label: string,
): Promise<Endpoint> {
  const endpoint = await endpoints.resolve(label);
  if (endpoint !== undefined && endpoint.tenant === tenant) return endpoint;
  throw new PeerError('unknown-endpoint', `no endpoint has the label ${label}`);
}

function listRoute(app: ApiScope, { endpoints }: EndpointContext): void {
  const schema = {
    tags,
    summary: 'List endpoints',
    querystring: listQuery({}),
    response: { 200: pageOf(endpointView) },
  };
  app.get('/endpoints', { config: { access: 'endpoints:read' }, schema }, async (request) => {
    const all = await endpoints.list(tenantIdOf(request));
    return readPage(
      pageFrom(request.query),
      async ({ after, limit }) => all.filter((endpoint) => after === undefined || endpoint.id > after).slice(0, limit),
      (endpoint) => endpoint.id,
      viewOf,
    );
  });
}

function getRoute(app: ApiScope, { endpoints }: EndpointContext): void {
  const schema = {
    tags,
    summary: 'Show an endpoint',
    params: labelParameters,
    querystring: objectQuery,
    response: { 200: endpointView },
  };
  app.get('/endpoints/:label', { config: { access: 'endpoints:read' }, schema }, async (request, reply) => {
    const endpoint = await endpointOf(endpoints, tenantIdOf(request), request.params.label);
    return reply.header('etag', etagOf(endpoint)).send(viewOf(endpoint));
  });
}

function createRoute(app: ApiScope, { store, endpoints }: EndpointContext): void {
  const schema = {
    tags,
    summary: 'Create an endpoint',
    querystring: objectQuery,
    body: endpointDraft,
    response: { 201: endpointView },
  };
  app.post('/endpoints', { config: { access: 'endpoints:write' }, schema }, async (request, reply) => {
    const tenant = tenantIdOf(request);
    const { label, profile: profileName, authority: authorityName, ...changes } = request.body;
    const profile = await profileOf(store, tenant, profileName);
    const authority = await authorityOf(store, tenant, authorityName);
    const settings = changedSettings(CLOSED_ENDPOINT, changes);
    await store.unit(async (tx) => {
      await createEndpoint(tx, { tenant, label, profile, authority, settings, isDefault: false }, store.clock.now());
      await audit(tx, request, store.clock.now(), 'endpoint.created', label, settings);
    });
    const created = await endpointOf(endpoints, tenant, label);
    return reply
      .code(201)
      .header('etag', etagOf(created))
      .header('location', `/api/v1/endpoints/${label}`)
      .send(viewOf(created));
  });
}

function changeRoute(app: ApiScope, { store, endpoints }: EndpointContext): void {
  const schema = {
    tags,
    summary: 'Change the settings of an endpoint',
    description: 'A JSON merge patch (RFC 7396): absent members stay, null closes a protocol or lifts a limit.',
    params: labelParameters,
    querystring: objectQuery,
    headers: revisionHeader,
    body: endpointChanges,
    response: { 200: endpointView },
  };
  app.patch('/endpoints/:label', { config: { access: 'endpoints:write' }, schema }, async (request, reply) => {
    const tenant = tenantIdOf(request);
    const before = await endpointOf(endpoints, tenant, request.params.label);
    assertUnchanged(before, request.headers['if-match']);
    const settings = changedSettings(settingsOf(before), request.body);
    await store.unit(async (tx) => {
      await updateEndpoint(tx, tenant, before.id, before.revision, settings);
      await audit(tx, request, store.clock.now(), 'endpoint.changed', before.label, settings);
    });
    const after = await endpointOf(endpoints, tenant, before.label);
    return reply.header('etag', etagOf(after)).send(viewOf(after));
  });
}

function deleteRoute(app: ApiScope, { store, endpoints }: EndpointContext): void {
  const schema = {
    tags,
    summary: 'Delete an endpoint that never enrolled anything',
    params: labelParameters,
    querystring: objectQuery,
    headers: revisionHeader,
    response: { 204: Type.Null() },
  };
  app.delete('/endpoints/:label', { config: { access: 'endpoints:write' }, schema }, async (request, reply) => {
    const tenant = tenantIdOf(request);
    const endpoint = await endpointOf(endpoints, tenant, request.params.label);
    assertUnchanged(endpoint, request.headers['if-match']);
    await store.unit(async (tx) => {
      await deleteEndpoint(tx, tenant, endpoint.id);
      await audit(tx, request, store.clock.now(), 'endpoint.deleted', endpoint.label, undefined);
    });
    return reply.code(204).send(null);
  });
}

async function profileOf(store: Store, tenant: string, name: string | undefined): Promise<string> {
  const profiles = await listProfiles(store, tenant);
  const found =
    name === undefined ? profiles[0] : profiles.find((profile) => profile.id === name || profile.name === name);
  if (found !== undefined) return found.id;
  throw new PeerError(
    'malformed-request',
    `profile: expected one of ${profiles.map((profile) => profile.name).join(', ')}`,
  );
}

async function authorityOf(store: Store, tenant: string, name: string | undefined): Promise<string> {
  const issuing = (await listAuthorities(store, tenant)).filter(
    (authority) => authority.kind === 'issuing' && authority.state === 'active',
  );
  const found =
    name === undefined ? issuing.at(-1) : issuing.find((authority) => authority.id === name || authority.name === name);
  if (found !== undefined) return found.id;
  throw new PeerError(
    'malformed-request',
    `authority: expected one of ${issuing.map((authority) => authority.name).join(', ')}`,
  );
}

function assertUnchanged(endpoint: Endpoint, ifMatch: string | undefined): void {
  if (ifMatch === undefined || ifMatch === '*' || ifMatch === etagOf(endpoint)) return;
  throw new StateError(
    'conflict',
    `the endpoint is at revision ${endpoint.revision}, the change is based on ${ifMatch}`,
  );
}

function audit(
  tx: Unit,
  request: FastifyRequest,
  at: number,
  action: string,
  label: string,
  settings: EndpointSettings | undefined,
): Promise<void> {
  const details = settings === undefined ? {} : { settings: JSON.stringify(settings) };
  const actor = actorOf(principalOf(request));
  return appendAudit(tx, {
    tenant: tenantIdOf(request),
    at,
    actor,
    action,
    object: `endpoint:${label}`,
    outcome: 'success',
    details,
  });
}

function etagOf(endpoint: Endpoint): string {
  return `"${endpoint.revision}"`;
}

function settingsOf(endpoint: Endpoint): EndpointSettings {
  const { id: _id, tenant: _tenant, label: _label, profile: _profile, authority: _authority, ...rest } = endpoint;
  const { revision: _revision, isDefault: _isDefault, keyRules: _keyRules, ...settings } = rest;
  return settings;
}

/** A copy that may be changed: the endpoint itself is shared with the doors. What is stored came in by the same schema. */
function viewOf(endpoint: Endpoint): EndpointView {
  const { tenant: _tenant, keyRules: _keyRules, ...shown } = endpoint;
  return structuredClone<unknown>(shown) as EndpointView;
}
