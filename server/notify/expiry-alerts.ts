import type { AuthorityTables } from '../../core/authority/tables.ts';
import type { Rows } from '../../core/store/rows.ts';
import type { ExpiryAlertRow, NotifyTables } from './tables.ts';

/** An alert with the certificate it is about. */
export interface ExpiryAlert extends ExpiryAlertRow {
  readonly subject: string;
  readonly not_after: number;
}

/** Alerts of a tenant in order of id, after `after`. */
export function pageOfExpiryAlerts(
  rows: Rows,
  tenant: string,
  page: { readonly after: string | undefined; readonly limit: number; readonly state?: 'open' | 'closed' | undefined },
): Promise<ExpiryAlert[]> {
  return alertsOf(rows, tenant)
    .$if(page.after !== undefined, (query) => query.where('expiry_alerts.id', '>', page.after!))
    .$if(page.state !== undefined, (query) => query.where('closed_at', page.state === 'open' ? 'is' : 'is not', null))
    .orderBy('expiry_alerts.id')
    .limit(page.limit)
    .execute();
}

/** One of them. */
export function findExpiryAlert(rows: Rows, tenant: string, id: string): Promise<ExpiryAlert | undefined> {
  return alertsOf(rows, tenant).where('expiry_alerts.id', '=', id).executeTakeFirst();
}

function alertsOf(rows: Rows, tenant: string) {
  return rows
    .db<AuthorityTables & NotifyTables>()
    .selectFrom('expiry_alerts')
    .innerJoin('certificates', (join) =>
      join
        .onRef('certificates.tenant', '=', 'expiry_alerts.tenant')
        .onRef('certificates.id', '=', 'expiry_alerts.certificate'),
    )
    .select(['expiry_alerts.tenant', 'expiry_alerts.id', 'certificate', 'opened_at', 'closed_at', 'closed_by'])
    .select(['subject', 'not_after'])
    .where('expiry_alerts.tenant', '=', tenant);
}
