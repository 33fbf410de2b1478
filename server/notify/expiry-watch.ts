import { sql } from 'kysely';
import { appendAudit } from '../../core/audit/log.ts';
import type { AuthorityTables } from '../../core/authority/tables.ts';
import { newId } from '../../core/store/id.ts';
import type { Store, Unit } from '../../core/store/store.ts';
import { notify } from './delivery.ts';
import { lineText, type Notification } from './notification.ts';
import type { ExpiryAlertRow, NotifyTables } from './tables.ts';

/** From when on a certificate is about to end: the shorter of both, so that a week's certificate is not announced at birth. */
export interface ExpiryWindow {
  readonly days: number;
  /** Of its life that is left, in percent. */
  readonly percent: number;
}

/** Told of each alert, for log and metrics. */
export type AlertObserver = (event: 'certificate.expiring', fields: Readonly<Record<string, string>>) => void;

const DAY = 86_400_000;
const ALERTS_A_UNIT = 200;

type Tables = AuthorityTables & NotifyTables;

/**
 * Opens an alert for each certificate that came into its window and has no successor, once ever, and closes those whose certificate
 * was replaced, revoked, or has ended. What Muster serves with renews by itself and is not looked at.
 */
export async function watchExpiry(store: Store, window: ExpiryWindow, observe: AlertObserver): Promise<void> {
  await closeAlerts(store);
  let opened: number;
  do opened = await store.unit((tx) => openAlerts(tx, window, observe, store.clock.now()));
  while (opened === ALERTS_A_UNIT);
}

interface Ending {
  readonly tenant: string;
  readonly id: string;
  readonly tenant_name: string;
  readonly subject: string;
  readonly serial_number: string;
  readonly not_after: number;
  readonly device: string | null;
}

async function openAlerts(tx: Unit, window: ExpiryWindow, observe: AlertObserver, now: number): Promise<number> {
  const ending = await endingCertificates(tx, window, now);
  for (const certificate of ending) {
    const { tenant, id: object } = certificate;
    const id = newId(now);
    const row = { id, certificate: object, opened_at: now, closed_at: null, closed_by: null };
    await tx.forTenant<NotifyTables>(tenant).insertInto('expiry_alerts', row).execute();
    await notify(tx, tenant, notificationOf(id, certificate, now));
    const details = { certificate: object, notAfter: certificate.not_after };
    const entry = {
      tenant,
      at: now,
      actor: 'system:expiry-watch',
      action: 'expiry-alert.opened',
      object: `expiry-alert:${id}`,
      details,
    };
    await appendAudit(tx, { ...entry, outcome: 'success' });
    tx.onCommitted(() => observe('certificate.expiring', { tenant, certificate: object, alert: id }));
  }
  return ending.length;
}

/** In the order of their end, by the index on (tenant, status, not_after) of each tenant. */
async function endingCertificates(tx: Unit, { days, percent }: ExpiryWindow, now: number): Promise<readonly Ending[]> {
  const tenants = await tx.db<Tables>().selectFrom('tenants').select(['id', 'name']).orderBy('id').execute();
  const found: Ending[] = [];
  for (const { id: tenant, name } of tenants) {
    if (found.length >= ALERTS_A_UNIT) break;
    const rows = await tx
      .db<Tables>()
      .selectFrom('certificates')
      .leftJoin('expiry_alerts', (join) =>
        join
          .onRef('expiry_alerts.tenant', '=', 'certificates.tenant')
          .onRef('expiry_alerts.certificate', '=', 'certificates.id'),
      )
      .select(['certificates.id', 'subject', 'serial_number', 'not_after', 'device'])
      .where('certificates.tenant', '=', tenant)
      .where('status', '=', 'active')
      .where('not_after', '>', now)
      .where('not_after', '<=', now + days * DAY)
      .where(
        sql<boolean>`(not_after - cast(${now} as bigint)) * 100 <= (not_after - not_before) * cast(${percent} as bigint)`,
      )
      .where('replaced_by', 'is', null)
      .where((eb) => eb.or([eb('device', 'is not', null), eb('source', '!=', 'issued')]))
      .where('expiry_alerts.id', 'is', null)
      .orderBy('not_after')
      .limit(ALERTS_A_UNIT - found.length)
      .execute();
    found.push(...rows.map((row) => ({ ...row, tenant, tenant_name: name })));
  }
  return found;
}

function notificationOf(id: string, certificate: Ending, now: number): Notification {
  const { subject, serial_number: serialNumber, not_after: notAfter, device } = certificate;
  const until = new Date(notAfter).toISOString();
  const days = Math.floor((notAfter - now) / DAY);
  return {
    id,
    type: 'certificate.expiring',
    at: new Date(now).toISOString(),
    tenant: certificate.tenant_name,
    summary: lineText(`${subject} ends in ${days} days, at ${until}, and has no successor`, 400),
    details: {
      certificate: certificate.id,
      subject: lineText(subject, 400),
      serialNumber,
      notAfter: until,
      ...(device !== null && { device }),
    },
  };
}

async function closeAlerts(store: Store): Promise<void> {
  const now = store.clock.now();
  const open = await store
    .read<Tables>()
    .selectFrom('expiry_alerts')
    .innerJoin('certificates', (join) =>
      join
        .onRef('certificates.tenant', '=', 'expiry_alerts.tenant')
        .onRef('certificates.id', '=', 'expiry_alerts.certificate'),
    )
    .select(['expiry_alerts.tenant', 'expiry_alerts.id', 'replaced_by', 'status'])
    .where('expiry_alerts.closed_at', 'is', null)
    .where((eb) => eb.or([eb('replaced_by', 'is not', null), eb('status', '!=', 'active'), eb('not_after', '<=', now)]))
    .execute();
  for (const { tenant, id, replaced_by: replacedBy, status } of open) {
    const closedBy = replacedBy !== null ? 'replaced' : status === 'revoked' ? 'revoked' : 'expired';
    await store.unit((tx) => close(tx, { tenant, id, closedBy, now }));
  }
}

interface Closing {
  readonly tenant: string;
  readonly id: string;
  readonly closedBy: NonNullable<ExpiryAlertRow['closed_by']>;
  readonly now: number;
}

async function close(tx: Unit, { tenant, id, closedBy, now }: Closing): Promise<void> {
  const changes = { closed_at: now, closed_by: closedBy };
  await tx.forTenant<NotifyTables>(tenant).updateTable('expiry_alerts', changes).where('id', '=', id).execute();
  const entry = {
    tenant,
    at: now,
    actor: 'system:expiry-watch',
    action: 'expiry-alert.closed',
    object: `expiry-alert:${id}`,
  };
  await appendAudit(tx, { ...entry, outcome: 'success', details: { closedBy } });
}
