import { type Static, Type } from 'typebox';
import { newId } from '../../core/store/id.ts';
import { durableRows } from '../../core/store/rows.ts';
import type { Store } from '../../core/store/store.ts';
import {
  type DescribedDevice,
  describedDevice,
  describedDevices,
  describeDevice,
  type DeviceDescription,
  expectDevice,
  forgetDevice,
} from '../../devices/inventory/descriptions.ts';
import { setBlocked } from '../../devices/inventory/devices.ts';
import { actorOf } from './access.ts';
import { principalOf, tenantIdOf } from './authentication.ts';
import { objectQuery } from './paging.ts';
import { changeResource, createResource, removeResource } from './resource-changes.ts';
import { addRoute, found, keyInPath, memberPath, readResource, type ResourceKind } from './resource.ts';
import type { ApiScope } from './type-provider.ts';
import { present, presentTime, timestamp, timeText } from './views.ts';

const members = { additionalProperties: false } as const;
const state = Type.Enum(['expected', 'enrolled', 'blocked']);
const line = { minLength: 1, maxLength: 255, pattern: '^[^\\u0000-\\u001f\\u007f]+$' } as const;
const name = Type.String({
  ...line,
  description: 'How its requests name it: serialNumber, else CN, else the first subjectAltName.',
});
const owner = Type.String({ ...line, examples: ['Network operations'] });
const site = Type.String({ ...line, examples: ['branch-7'] });
const labels = Type.Record(Type.String({ pattern: '^[a-z0-9][a-z0-9._-]{0,62}$' }), Type.String({ maxLength: 200 }), {
  description: 'What anybody wants to note, by name.',
  maxProperties: 50,
  examples: [{ rack: '12' }],
});

const deviceView = Type.Object({
  id: Type.String(),
  name,
  state,
  owner: Type.Optional(owner),
  site: Type.Optional(site),
  labels: Type.Record(Type.String(), Type.String(), { examples: [{ rack: '12' }] }),
  revision: Type.Integer({ description: 'Counts changes of owner, site and labels; also the ETag.' }),
  certificate: Type.Optional(Type.String({ description: 'Id of the certificate it got last.' })),
  certificateNotAfter: Type.Optional(timestamp('When that certificate ends.')),
  createdAt: timestamp('When it was first seen.'),
  updatedAt: timestamp('When its state last changed.'),
});

const changes = Type.Object(
  {
    owner: Type.Optional(Type.Union([owner, Type.Null()])),
    site: Type.Optional(Type.Union([site, Type.Null()])),
    labels: Type.Optional(labels),
  },
  members,
);
const draft = Type.Object({ name, ...changes.properties }, members);

const kind: ResourceKind<DescribedDevice, typeof deviceView> = {
  noun: 'device',
  path: '/devices',
  tag: 'devices',
  key: { id: Type.String({ description: 'Id, or name.', minLength: 1, maxLength: 255 }) },
  access: { read: 'devices:read', write: 'devices:write' },
  view: deviceView,
  viewOf: (row) => ({
    id: row.id,
    name: row.name,
    state: row.state,
    ...present('owner', row.owner),
    ...present('site', row.site),
    labels: { ...row.labels },
    revision: row.revision,
    ...present('certificate', row.certificate),
    ...presentTime('certificateNotAfter', row.certificate_not_after),
    createdAt: timeText(row.created_at),
    updatedAt: timeText(row.updated_at),
  }),
  keyOf: ({ id }) => id,
  find: async (rows, tenant, key) => (key.includes('\0') ? undefined : describedDevice(rows, tenant, key)),
};

/** Devices: list, show, make known, describe, block, unblock, forget. */
export function deviceRoutes(app: ApiScope, store: Store): void {
  readResource(app, store, kind, {
    filters: { state: Type.Optional(state), name: Type.Optional(name), site: Type.Optional(site) },
    read: (rows, tenant, page, { state: wanted, name: called, site: where }) =>
      describedDevices(rows, tenant, { ...page, state: wanted, name: called, site: where }),
    cursorOf: ({ id }) => id,
  });
  createResource(app, store, kind, {
    summary: 'Make a device known before it enrols',
    body: draft,
    async create({ name: called, ...said }, { tenant, at }) {
      const id = newId(at);
      return async (tx) => {
        await expectDevice(tx, { tenant, id, name: called }, descriptionOf(undefined, said), at);
        return id;
      };
    },
  });
  changeResource(app, store, kind, {
    body: changes,
    apply:
      async (said, { tenant }) =>
      async (tx, row) => {
        const after = descriptionOf(row, said);
        const isSame = after.owner === row.owner && after.site === row.site && after.labels === row.labels;
        if (!isSame) await describeDevice(tx, tenant, row.id, after);
      },
  });
  blockRoute(app, store, 'block');
  blockRoute(app, store, 'unblock');
  removeResource(app, store, kind, { summary: 'Forget a device that never had a certificate', remove: forgetDevice });
}

function blockRoute(app: ApiScope, store: Store, verb: 'block' | 'unblock'): void {
  const summary =
    verb === 'block' ? 'Block a device: nothing more is issued to it' : 'Let a blocked device enrol again';
  const params = Type.Object(kind.key);
  const schema = { tags: [kind.tag], summary, params, querystring: objectQuery, response: { 200: deviceView } };
  const config = { access: 'devices:write' } as const;
  addRoute(app, 'POST', `${memberPath(kind)}/${verb}`, { config, schema }, async (request) => {
    const tenant = tenantIdOf(request);
    const { id } = await found(kind, durableRows(store), tenant, keyInPath(kind, request));
    const actor = actorOf(principalOf(request));
    const change = { tenant, id, blocked: verb === 'block', actor, now: store.clock.now() };
    await store.unit((tx) => setBlocked(tx, change));
    return kind.viewOf(await found(kind, durableRows(store), tenant, id), change.now);
  });
}

function descriptionOf(before: DeviceDescription | undefined, said: Static<typeof changes>): DeviceDescription {
  const isEqual = before !== undefined && JSON.stringify(said.labels) === JSON.stringify(before.labels);
  return {
    owner: said.owner === undefined ? (before?.owner ?? null) : said.owner,
    site: said.site === undefined ? (before?.site ?? null) : said.site,
    labels: said.labels === undefined || isEqual ? (before?.labels ?? {}) : said.labels,
  };
}
