import { Type } from 'typebox';
import type { Store } from '../../core/store/store.ts';
import { acknowledgeAlarm, findAlarm, listAlarms } from '../../devices/inventory/alarms.ts';
import type { AlarmRow } from '../../devices/inventory/tables.ts';
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

const kind: ResourceKind<AlarmRow, typeof view> = {
  noun: 'device alarm',
  path: '/device-alarms',
  tag: 'attestation',
  key: keyParameter,
  access: { read: 'attestation:read', write: 'devices:write' },
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
  find: findAlarm,
};

/** Alarms about devices: what an operator must look at. */
export function deviceAlarmRoutes(app: ApiScope, store: Store): void {
  readResource(app, store, kind, {
    filters: { state: Type.Optional(state) },
    read: (rows, tenant, page, { state: wanted }) => listAlarms(rows, tenant, { ...page, state: wanted }),
    cursorOf: ({ id }) => id,
  });
  actOnResource(app, store, kind, {
    verb: 'acknowledge',
    done: 'acknowledged',
    summary: 'Note that an alarm was looked at; it opens again when it happens again',
    body: Type.Object({}, { additionalProperties: false, default: {} }),
    apply:
      async (_body, { actor }) =>
      (tx, row) =>
        acknowledgeAlarm(tx, row, actor),
  });
}
