import { type Static, Type } from 'typebox';
import { findAccess, putAccess, removeAccess } from '../../adapters/sdk/device-access.ts';
import type { DeviceAccessRow } from '../../adapters/sdk/tables.ts';
import { appendAudit } from '../../core/audit/log.ts';
import { PeerError } from '../../core/errors/muster-error.ts';
import { Secret } from '../../core/keys/secret.ts';
import { durableRows } from '../../core/store/rows.ts';
import { getDevice } from '../../devices/inventory/devices.ts';
import { actorOf } from './access.ts';
import { auditDetails } from './audit-details.ts';
import { principalOf, tenantIdOf } from './authentication.ts';
import type { ApiContext } from './context.ts';
import { objectQuery } from './paging.ts';
import type { ApiScope } from './type-provider.ts';
import { idParameters, present, timestamp, timeText } from './views.ts';

type AccessContext = Pick<ApiContext, 'store' | 'dataKeys' | 'plans'>;

const tags = ['devices'];
const hostMember = Type.String({
  description: 'Name or address, as this server reaches it.',
  minLength: 1,
  maxLength: 253,
  pattern: '^[A-Za-z0-9.:_-]+$',
});
const portMember = Type.Integer({ minimum: 1, maximum: 65_535 });
const hostKeyMember = Type.String({
  description: 'Fingerprint of its SSH host key, as `ssh-keygen -lf` prints it.',
  pattern: '^SHA256:[A-Za-z0-9+/]{43}$',
});

const accessView = Type.Object({
  driver: Type.String({ description: 'Platform of the device.' }),
  maturity: Type.Enum(['simulated', 'lab', 'field'], { description: 'How far the driver was tried.' }),
  host: hostMember,
  port: portMember,
  username: Type.String(),
  credential: Type.Enum(['key', 'password'], { description: 'Its kind; the credential itself is never shown.' }),
  hostKey: Type.Optional(hostKeyMember),
  trustFirstUse: Type.Boolean({ description: 'The first host key that is seen becomes the pinned one.' }),
  updatedAt: timestamp('When it was written.'),
});

const accessBody = Type.Object(
  {
    driver: Type.String({ default: 'linux-gateway', maxLength: 64 }),
    host: hostMember,
    port: Type.Optional(portMember),
    username: Type.String({ minLength: 1, maxLength: 64, pattern: '^[^\\x00-\\x1f]+$' }),
    privateKey: Type.Optional(Type.String({ description: 'OpenSSH or PEM.', minLength: 1, maxLength: 16_384 })),
    password: Type.Optional(Type.String({ minLength: 1, maxLength: 1_024 })),
    hostKey: Type.Optional(hostKeyMember),
    trustFirstUse: Type.Optional(Type.Boolean({ default: false })),
  },
  { additionalProperties: false },
);

/** How Muster reaches devices that do not enrol by themselves. */
export function deviceAccessRoutes(app: ApiScope, context: AccessContext): void {
  showRoute(app, context);
  putRoute(app, context);
  removeRoute(app, context);
}

function showRoute(app: ApiScope, context: AccessContext): void {
  const schema = {
    tags,
    summary: 'Show how a device is reached',
    params: idParameters,
    querystring: objectQuery,
    response: { 200: accessView },
  };
  app.get('/devices/:id/access', { config: { access: 'devices:read' }, schema }, (request) =>
    accessOf(context, tenantIdOf(request), request.params.id),
  );
}

function putRoute(app: ApiScope, context: AccessContext): void {
  const schema = {
    tags,
    summary: 'Say how a device is reached, in place of what was said before',
    description: 'Either privateKey or password; a hostKey, or trustFirstUse.',
    params: idParameters,
    querystring: objectQuery,
    body: accessBody,
    response: { 200: accessView },
  };
  app.put('/devices/:id/access', { config: { access: 'devices:write' }, schema }, async (request) => {
    const tenant = tenantIdOf(request);
    const device = request.params.id;
    await requireDevice(context, tenant, device);
    const { credential, ...draft } = draftOf(context, request.body);
    const { dataKeys, store } = context;
    const sealer = await dataKeys.sealer(tenant);
    const at = store.clock.now();
    const actor = actorOf(principalOf(request));
    await store.unit(async (tx) => {
      await putAccess(tx, sealer, { tenant, device, ...draft, credential }, at);
      const what = { action: 'device.access-changed', object: `device:${device}`, details: auditDetails(draft) };
      await appendAudit(tx, { tenant, at, actor, outcome: 'success', ...what });
    });
    return accessOf(context, tenant, device);
  });
}

function removeRoute(app: ApiScope, { store }: AccessContext): void {
  const schema = {
    tags,
    summary: 'Forget how a device is reached',
    params: idParameters,
    querystring: objectQuery,
    response: { 204: Type.Null() },
  };
  app.delete('/devices/:id/access', { config: { access: 'devices:write' }, schema }, async (request, reply) => {
    const tenant = tenantIdOf(request);
    const { id } = request.params;
    const actor = actorOf(principalOf(request));
    const at = store.clock.now();
    await store.unit(async (tx) => {
      await removeAccess(tx, tenant, id);
      const what = { action: 'device.access-removed', object: `device:${id}`, details: {} };
      await appendAudit(tx, { tenant, at, actor, outcome: 'success', ...what });
    });
    return reply.code(204).send(null);
  });
}

function draftOf({ plans }: AccessContext, body: Static<typeof accessBody>) {
  const { driver, host, port = 22, username, privateKey, password, hostKey, trustFirstUse = false } = body;
  if (plans.driver(driver) === undefined)
    throw new PeerError(
      'malformed-request',
      `expected one of the drivers ${plans.drivers.map(({ id }) => id).join(', ')}`,
    );
  if ((privateKey === undefined) === (password === undefined))
    throw new PeerError('malformed-request', 'expected either privateKey or password');
  if (hostKey === undefined && !trustFirstUse)
    throw new PeerError('malformed-request', 'expected hostKey, or trustFirstUse for the first one that is seen');
  const kind: DeviceAccessRow['credential_kind'] = privateKey === undefined ? 'password' : 'key';
  return {
    driver,
    host,
    port,
    username,
    host_key: hostKey ?? null,
    trustFirstUse,
    credential_kind: kind,
    credential: new Secret((privateKey ?? password)!),
  };
}

async function requireDevice({ store }: AccessContext, tenant: string, id: string): Promise<void> {
  if ((await getDevice(store, tenant, id)) === undefined) throw new PeerError('not-found', 'no such device');
}

async function accessOf({ store, plans }: AccessContext, tenant: string, device: string) {
  const row = await findAccess(durableRows(store), tenant, device);
  if (row === undefined) throw new PeerError('not-found', 'nothing is known of how to reach the device');
  return {
    driver: row.driver,
    maturity: plans.driver(row.driver)?.maturity ?? ('simulated' as const),
    host: row.host,
    port: row.port,
    username: row.username,
    credential: row.credential_kind,
    ...present('hostKey', row.host_key),
    trustFirstUse: row.trust_first_use === 1,
    updatedAt: timeText(row.updated_at),
  };
}
