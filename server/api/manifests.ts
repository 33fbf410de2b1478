import { Type } from 'typebox';
import { PeerError } from '../../core/errors/muster-error.ts';
import { durableRows } from '../../core/store/rows.ts';
import type { Store } from '../../core/store/store.ts';
import {
  finishManifest,
  findManifest,
  listManifestFaults,
  listManifests,
  openManifest,
  takeLines,
} from '../../devices/inventory/manifests.ts';
import type { ManifestRow } from '../../devices/inventory/tables.ts';
import { tenantIdOf } from './authentication.ts';
import { listQuery, pageFrom, pageOf, readPage, tenantParameter } from './paging.ts';
import { actOnResource, createResource } from './resource-changes.ts';
import { found, keyParameter, readResource, type ResourceKind } from './resource.ts';
import type { ApiScope, TypeBoxTypeProvider } from './type-provider.ts';
import { idParameters, timestamp, timeText } from './views.ts';

/** Largest part of a manifest, in octets: some 50,000 lines. */
const MAX_PART = 16 * 1024 * 1024;

const view = Type.Object({
  id: Type.String(),
  name: Type.String(),
  format: Type.Enum(['csv', 'ndjson']),
  state: Type.Enum(['open', 'finished']),
  lines: Type.Integer({ description: 'Lines that are dealt with: the next part goes on after them.' }),
  added: Type.Integer({ description: 'Devices that are expected since.' }),
  unchanged: Type.Integer({ description: 'Devices that were expected before, exactly so.' }),
  refused: Type.Integer({ description: 'Lines that were not taken.' }),
  createdBy: Type.String(),
  createdAt: timestamp('When it was opened.'),
  updatedAt: timestamp('When it last went on.'),
});

const kind: ResourceKind<ManifestRow, typeof view> = {
  noun: 'manifest',
  path: '/manifests',
  tag: 'devices',
  key: keyParameter,
  access: { read: 'devices:read', write: 'devices:write' },
  view,
  viewOf: (row) => ({
    id: row.id,
    name: row.name,
    format: row.format,
    state: row.state,
    lines: row.lines,
    added: row.added,
    unchanged: row.unchanged,
    refused: row.refused,
    createdBy: row.created_by,
    createdAt: timeText(row.created_at),
    updatedAt: timeText(row.updated_at),
  }),
  keyOf: ({ id }) => id,
  find: findManifest,
};

/** Manifests: devices that a factory announces, in parts, and which lines were not taken. */
export function manifestRoutes(app: ApiScope, store: Store): void {
  readResource(app, store, kind, { filters: {}, read: listManifests, cursorOf: ({ id }) => id });
  createResource(app, store, kind, {
    summary: 'Open a manifest; its lines come afterwards',
    body: Type.Object(
      { name: Type.String({ minLength: 1, maxLength: 255 }), format: view.properties.format },
      { additionalProperties: false },
    ),
    create:
      async (draft, { tenant, actor, at }) =>
      (tx) =>
        openManifest(tx, { ...draft, tenant, createdBy: actor }, at),
  });
  actOnResource(app, store, kind, {
    verb: 'finish',
    done: 'finished',
    summary: 'No more lines come',
    body: Type.Object({}, { additionalProperties: false, default: {} }),
    apply:
      async (_body, { at }) =>
      (tx, { tenant, id }) =>
        finishManifest(tx, tenant, id, at),
  });
  void app.register(async (scope) => linesRoute(scope.withTypeProvider<TypeBoxTypeProvider>(), store));
  faultsRoute(app, store);
}

function linesRoute(app: ApiScope, store: Store): void {
  app.addContentTypeParser(
    ['text/csv', 'application/x-ndjson'],
    { parseAs: 'string', bodyLimit: MAX_PART },
    (_request, body, done) => done(null, body),
  );
  const schema = {
    tags: ['devices'],
    summary: 'Take the next lines of a manifest',
    description:
      'Whole lines, in a media type of the format. The answer says how far the manifest is; a part that was interrupted goes on after `lines`.',
    consumes: ['text/csv', 'application/x-ndjson'],
    params: idParameters,
    querystring: Type.Object(
      {
        ...tenantParameter,
        after: Type.Integer({ description: 'Lines that come before these.', minimum: 0, default: 0 }),
      },
      { additionalProperties: false },
    ),
    response: { 200: view },
  };
  app.post(
    '/manifests/:id/lines',
    { config: { access: 'devices:write' }, schema, bodyLimit: MAX_PART },
    async (request) => {
      const tenant = tenantIdOf(request);
      const { id } = request.params;
      await found(kind, durableRows(store), tenant, id);
      const { body } = request;
      if (typeof body !== 'string')
        throw new PeerError('unsupported-media-type', 'expected text/csv or application/x-ndjson');
      await takeLines(store, { tenant, id, after: request.query.after, text: body });
      return kind.viewOf(await found(kind, durableRows(store), tenant, id), store.clock.now());
    },
  );
}

function faultsRoute(app: ApiScope, store: Store): void {
  const schema = {
    tags: ['devices'],
    summary: 'List the lines of a manifest that were not taken',
    params: idParameters,
    querystring: listQuery({}),
    response: { 200: pageOf(Type.Object({ line: Type.Integer(), fault: Type.String() })) },
  };
  app.get('/manifests/:id/faults', { config: { access: 'devices:read' }, schema }, async (request) => {
    const tenant = tenantIdOf(request);
    const { id } = request.params;
    await found(kind, durableRows(store), tenant, id);
    return readPage(
      pageFrom(request.query),
      ({ after = '0', limit }) => listManifestFaults(store, tenant, { manifest: id, after: Number(after), limit }),
      ({ line }) => String(line),
      ({ line, fault }) => ({ line, fault }),
    );
  });
}
