import { Type } from 'typebox';
import { PeerError } from '../../core/errors/muster-error.ts';
import { getDevice, listDevices, setBlocked } from '../../devices/inventory/devices.ts';
import type { DeviceRow } from '../../devices/inventory/tables.ts';
import type { Store } from '../../core/store/store.ts';
import { actorOf } from './access.ts';
import { principalOf, tenantIdOf } from './authentication.ts';
import { listQuery, objectQuery, pageFrom, pageOf, readPage } from './paging.ts';
import type { ApiScope } from './type-provider.ts';
import { idParameters, present, presentTime, timestamp, timeText } from './views.ts';

const tags = ['devices'];
const state = Type.Enum(['expected', 'enrolled', 'blocked']);

const deviceView = Type.Object({
  id: Type.String(),
  name: Type.String({ description: 'How its requests name it: serialNumber, else CN, else the first subjectAltName.' }),
  state,
  certificate: Type.Optional(Type.String({ description: 'Id of the certificate it got last.' })),
  certificateNotAfter: Type.Optional(timestamp('When that certificate ends.')),
  createdAt: timestamp('When it was first seen.'),
  updatedAt: timestamp('When it last changed.'),
});

/** Devices: list, show, block, unblock. */
export function deviceRoutes(app: ApiScope, store: Store): void {
  listRoute(app, store);
  getRoute(app, store);
  blockRoute(app, store, 'block');
  blockRoute(app, store, 'unblock');
}

function listRoute(app: ApiScope, store: Store): void {
  const filters = { state: Type.Optional(state), name: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })) };
  const schema = {
    tags,
    summary: 'List devices',
    querystring: listQuery(filters),
    response: { 200: pageOf(deviceView) },
  };
  app.get('/devices', { config: { access: 'devices:read' }, schema }, (request) => {
    const { state: wanted, name } = request.query;
    return readPage(
      pageFrom(request.query),
      (page) => listDevices(store, tenantIdOf(request), { ...page, state: wanted, name }),
      (row) => row.id,
      viewOf,
    );
  });
}

function getRoute(app: ApiScope, store: Store): void {
  const schema = {
    tags,
    summary: 'Show a device',
    params: idParameters,
    querystring: objectQuery,
    response: { 200: deviceView },
  };
  app.get('/devices/:id', { config: { access: 'devices:read' }, schema }, (request) =>
    deviceOf(store, tenantIdOf(request), request.params.id),
  );
}

function blockRoute(app: ApiScope, store: Store, verb: 'block' | 'unblock'): void {
  const summary =
    verb === 'block' ? 'Block a device: nothing more is issued to it' : 'Let a blocked device enrol again';
  const schema = { tags, summary, params: idParameters, querystring: objectQuery, response: { 200: deviceView } };
  app.post(`/devices/:id/${verb}`, { config: { access: 'devices:write' }, schema }, async (request) => {
    const tenant = tenantIdOf(request);
    const change = {
      tenant,
      id: request.params.id,
      blocked: verb === 'block',
      actor: actorOf(principalOf(request)),
      now: store.clock.now(),
    };
    await store.unit((tx) => setBlocked(tx, change));
    return deviceOf(store, tenant, request.params.id);
  });
}

async function deviceOf(store: Store, tenant: string, id: string) {
  const row = await getDevice(store, tenant, id);
  if (row === undefined) throw new PeerError('not-found', 'no such device');
  return viewOf(row);
}

function viewOf(row: DeviceRow) {
  return {
    id: row.id,
    name: row.name,
    state: row.state,
    ...present('certificate', row.certificate),
    ...presentTime('certificateNotAfter', row.certificate_not_after),
    createdAt: timeText(row.created_at),
    updatedAt: timeText(row.updated_at),
  };
}
