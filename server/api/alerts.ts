import { Type } from 'typebox';
import type { Store } from '../../core/store/store.ts';
import { acknowledgeAlert, findAlert, listAlerts } from '../../devices/inventory/alerts.ts';
import type { AlertRow } from '../../devices/inventory/tables.ts';
import { actOnResource } from './resource-changes.ts';
import { keyParameter, readResource, type ResourceKind } from './resource.ts';
import type { ApiScope } from './type-provider.ts';
import { present, timestamp, timeText } from './views.ts';

const state = Type.Enum(['open', 'acknowledged']);

const view = Type.Object({
  id: Type.String(),
  kind: Type.String({ description: '`identity-cloned`: two devices seem to show one identity.' }),
  object: Type.String({ description: 'What it is about.' }),
  state,
  occurrences: Type.Integer({ description: 'How often it happened.' }),
  details: Type.Record(Type.String(), Type.Unknown(), { description: 'Of the last time.' }),
  acknowledgedBy: Type.Optional(Type.String()),
  firstAt: timestamp('The first time.'),
  lastAt: timestamp('The last time.'),
});

const kind: ResourceKind<AlertRow, typeof view> = {
  noun: 'alert',
  path: '/alerts',
  tag: 'alerts',
  key: keyParameter,
  access: { read: 'alerts:read', write: 'alerts:write' },
  view,
  viewOf: (row) => ({
    id: row.id,
    kind: row.kind,
    object: row.object,
    state: row.state,
    occurrences: row.occurrences,
    details: JSON.parse(row.details) as Record<string, unknown>,
    ...present('acknowledgedBy', row.acknowledged_by),
    firstAt: timeText(row.first_at),
    lastAt: timeText(row.last_at),
  }),
  keyOf: ({ id }) => id,
  find: findAlert,
};

/** Alerts: what an operator must look at. */
export function alertRoutes(app: ApiScope, store: Store): void {
  readResource(app, store, kind, {
    filters: { state: Type.Optional(state) },
    read: (rows, tenant, page, { state: wanted }) => listAlerts(rows, tenant, { ...page, state: wanted }),
    cursorOf: ({ id }) => id,
  });
  actOnResource(app, store, kind, {
    verb: 'acknowledge',
    done: 'acknowledged',
    summary: 'Note that an alert was looked at; it opens again when it happens again',
    body: Type.Object({}, { additionalProperties: false, default: {} }),
    apply: async (_body, { actor }) => (tx, row) => acknowledgeAlert(tx, row, actor),
  });
}
