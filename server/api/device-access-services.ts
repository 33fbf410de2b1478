import { type Static, Type } from 'typebox';
import type { ServiceSettings } from '../../adapters/sdk/plan.ts';
import { addService, listServices, plannedService, removeService } from '../../adapters/sdk/services.ts';
import type { ServiceRow } from '../../adapters/sdk/tables.ts';
import { appendAudit } from '../../core/audit/log.ts';
import { PeerError } from '../../core/errors/muster-error.ts';
import { newId } from '../../core/store/id.ts';
import { durableRows } from '../../core/store/rows.ts';
import { getDevice } from '../../devices/inventory/devices.ts';
import { actorOf } from './access.ts';
import { auditDetails } from './audit-details.ts';
import { principalOf, tenantIdOf } from './authentication.ts';
import type { ApiContext } from './context.ts';
import { endpointOf } from './endpoints.ts';
import { objectQuery } from './paging.ts';
import type { ApiScope } from './type-provider.ts';
import { idParameters, present } from './views.ts';

type ServiceContext = Pick<ApiContext, 'store' | 'endpoints' | 'plans'>;

const tags = ['devices'];
const members = { additionalProperties: false } as const;
const path = Type.String({ minLength: 2, maxLength: 200, pattern: '^(/[A-Za-z0-9_@+-][A-Za-z0-9._@+-]*)+$' });
const serviceName = Type.String({ minLength: 1, maxLength: 63, pattern: '^[a-z0-9][a-z0-9-]*$' });

const serviceMembers = {
  name: serviceName,
  kind: Type.Enum(['nginx', 'stunnel', 'mosquitto', 'uhttpd'], { description: 'How it is told of a new certificate.' }),
  host: Type.String({
    description: 'Where it is looked at from here.',
    minLength: 1,
    maxLength: 253,
    pattern: '^[A-Za-z0-9.:_-]+$',
  }),
  port: Type.Integer({ minimum: 1, maximum: 65_535 }),
  serverName: Type.Optional(Type.String({ minLength: 1, maxLength: 253, pattern: '^[A-Za-z0-9.:_-]+$' })),
  endpoint: Type.String({ description: 'Label of the endpoint, open for `adapter`.', maxLength: 63 }),
  names: Type.Array(Type.String({ pattern: '^(dns:[A-Za-z0-9.*_-]+|ip:[0-9a-fA-F.:]+)$', maxLength: 260 }), {
    description: 'subjectAltName of its certificates: `dns:…`, `ip:…`.',
    maxItems: 16,
    uniqueItems: true,
  }),
  directory: Type.String({
    ...path,
    description: 'Holds the link `current` to a folder with key.pem and certificate.pem.',
  }),
  key: Type.Enum(['ec-p256', 'ec-p384', 'rsa-2048', 'rsa-3072']),
  configFile: Type.Optional(
    Type.String({ ...path, description: 'nginx: its configuration, where it is not the usual one.' }),
  ),
  pidFile: Type.Optional(Type.String({ ...path, description: 'stunnel, mosquitto: the file with its process id.' })),
  group: Type.Optional(
    Type.String({ description: 'Unix group that may read the key.', pattern: '^[a-z_][a-z0-9_-]{0,31}$' }),
  ),
};
const view = Type.Object(serviceMembers);
const body = Type.Object(
  {
    ...serviceMembers,
    names: Type.Optional(serviceMembers.names),
    key: Type.Optional(Type.Enum(['ec-p256', 'ec-p384', 'rsa-2048', 'rsa-3072'], { default: 'ec-p256' })),
  },
  members,
);

/** The services of a device that adapters bring certificates to: list, add, remove. */
export function deviceServiceRoutes(app: ApiScope, context: ServiceContext): void {
  listRoute(app, context);
  addServiceRoute(app, context);
  removeRoute(app, context);
}

function listRoute(app: ApiScope, { store, endpoints }: ServiceContext): void {
  const schema = {
    tags,
    summary: 'List the services of a device',
    params: idParameters,
    querystring: objectQuery,
    response: { 200: Type.Object({ items: Type.Array(view) }) },
  };
  app.get('/devices/:id/services', { config: { access: 'devices:read' }, schema }, async (request) => {
    const tenant = tenantIdOf(request);
    await requireDevice(store, tenant, request.params.id);
    const labels = new Map((await endpoints.list(tenant)).map(({ id, label }) => [id, label]));
    const rows = await listServices(durableRows(store), tenant, request.params.id);
    return { items: rows.map((row) => viewOf(row, labels)) };
  });
}

function addServiceRoute(app: ApiScope, { store, endpoints }: ServiceContext): void {
  const schema = {
    tags,
    summary: 'Add a service to a device',
    params: idParameters,
    querystring: objectQuery,
    body,
    response: { 201: view },
  };
  app.post('/devices/:id/services', { config: { access: 'devices:write' }, schema }, async (request, reply) => {
    const tenant = tenantIdOf(request);
    const device = request.params.id;
    await requireDevice(store, tenant, device);
    const endpoint = await endpointOf(endpoints, tenant, request.body.endpoint);
    const at = store.clock.now();
    const row = rowOf(request.body, { tenant, device, endpoint: endpoint.id, at });
    const actor = actorOf(principalOf(request));
    await store.unit(async (tx) => {
      await addService(tx, row);
      const what = { action: 'device.service-added', object: `device:${device}`, details: auditDetails(request.body) };
      await appendAudit(tx, { tenant, at, actor, outcome: 'success', ...what });
    });
    return reply.code(201).send(viewOf(row, new Map([[endpoint.id, endpoint.label]])));
  });
}

function removeRoute(app: ApiScope, { store }: ServiceContext): void {
  const schema = {
    tags,
    summary: 'Take a service of a device away; what it serves stays',
    params: Type.Object({ ...idParameters.properties, service: serviceName }),
    querystring: objectQuery,
    response: { 204: Type.Null() },
  };
  app.delete(
    '/devices/:id/services/:service',
    { config: { access: 'devices:write' }, schema },
    async (request, reply) => {
      const tenant = tenantIdOf(request);
      const { id, service } = request.params;
      const at = store.clock.now();
      const actor = actorOf(principalOf(request));
      await store.unit(async (tx) => {
        await removeService(tx, tenant, id, service);
        const what = { action: 'device.service-removed', object: `device:${id}`, details: { service } };
        await appendAudit(tx, { tenant, at, actor, outcome: 'success', ...what });
      });
      return reply.code(204).send(null);
    },
  );
}

async function requireDevice(store: ApiContext['store'], tenant: string, id: string): Promise<void> {
  if ((await getDevice(store, tenant, id)) === undefined) throw new PeerError('not-found', 'no such device');
}

function rowOf(
  draft: Static<typeof body>,
  of: { readonly tenant: string; readonly device: string; readonly endpoint: string; readonly at: number },
): ServiceRow {
  const {
    name,
    kind,
    host,
    port,
    serverName,
    names = [],
    directory,
    key = 'ec-p256',
    configFile,
    pidFile,
    group,
  } = draft;
  const settings: ServiceSettings = {
    directory,
    key,
    ...(configFile !== undefined && { configFile }),
    ...(pidFile !== undefined && { pidFile }),
    ...(group !== undefined && { group }),
  };
  return {
    id: newId(of.at),
    tenant: of.tenant,
    device: of.device,
    name,
    kind,
    host,
    port,
    server_name: serverName ?? null,
    endpoint: of.endpoint,
    names: JSON.stringify(names),
    settings: JSON.stringify(settings),
    created_at: of.at,
  };
}

function viewOf(row: ServiceRow, labels: ReadonlyMap<string, string>): Static<typeof view> {
  const { name, at, endpoint, names, settings } = plannedService(row, labels);
  return {
    name,
    kind: row.kind as Static<typeof view>['kind'],
    host: at.host,
    port: at.port,
    ...present('serverName', row.server_name),
    endpoint,
    names: [...names],
    ...settings,
  };
}
