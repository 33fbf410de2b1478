import { Type } from 'typebox';
import type { Store } from '../../core/store/store.ts';
import { type ExpiryAlert, findExpiryAlert, pageOfExpiryAlerts } from '../notify/expiry-alerts.ts';
import { keyParameter, readResource, type ResourceKind } from './resource.ts';
import type { ApiScope } from './type-provider.ts';
import { present, presentTime, timestamp, timeText } from './views.ts';

const alertView = Type.Object({
  id: Type.String({ description: 'Also the id of the event that channels are told.' }),
  certificate: Type.String({ description: 'Id.' }),
  subject: Type.String(),
  notAfter: timestamp('When the certificate ends.'),
  state: Type.Enum(['open', 'closed']),
  openedAt: timestamp('When it was announced, once.'),
  closedAt: Type.Optional(timestamp('When it was over.')),
  closedBy: Type.Optional(Type.Enum(['replaced', 'revoked', 'expired'])),
});

const kind: ResourceKind<ExpiryAlert, typeof alertView> = {
  noun: 'expiry alert',
  path: '/expiry-alerts',
  tag: 'alerts',
  key: keyParameter,
  access: { read: 'alerts:read', write: 'alerts:write' },
  view: alertView,
  viewOf: (row) => ({
    id: row.id,
    certificate: row.certificate,
    subject: row.subject,
    notAfter: timeText(row.not_after),
    state: row.closed_at === null ? 'open' : 'closed',
    openedAt: timeText(row.opened_at),
    ...presentTime('closedAt', row.closed_at),
    ...present('closedBy', row.closed_by),
  }),
  keyOf: ({ id }) => id,
  find: findExpiryAlert,
};

/** Certificates that are about to end and have no successor, oldest alert first. */
export function expiryAlertRoutes(app: ApiScope, store: Store): void {
  readResource(app, store, kind, {
    filters: { state: Type.Optional(Type.Enum(['open', 'closed'])) },
    read: (rows, tenant, page, { state }) => pageOfExpiryAlerts(rows, tenant, { ...page, state }),
    cursorOf: ({ id }) => id,
  });
}
