import { sql } from 'kysely';

import { newId } from '../../core/store/id.ts';
import type { Rows } from '../../core/store/rows.ts';
import type { Unit } from '../../core/store/store.ts';
import type { AlertRow, InventoryTables } from './tables.ts';

/** Something that an operator must look at. */
export interface NewAlert {
  readonly tenant: string;
  readonly kind: string;
  /** What it is about, `kind:value`. */
  readonly object: string;
  readonly details: Readonly<Record<string, unknown>>;
  /** Epoch milliseconds. */
  readonly at: number;
}

/** Records an alert; one about the same object that stands already is opened again and counted. */
export async function raiseAlert(tx: Unit, { tenant, kind, object, details, at }: NewAlert): Promise<void> {
  const text = JSON.stringify(details);
  await tx
    .db<InventoryTables>()
    .insertInto('alerts')
    .values({
      id: newId(at),
      tenant,
      kind,
      object,
      state: 'open',
      occurrences: 1,
      details: text,
      acknowledged_by: null,
      first_at: at,
      last_at: at,
    })
    .onConflict((conflict) =>
      conflict.columns(['tenant', 'kind', 'object']).doUpdateSet({
        state: 'open',
        occurrences: sql<number>`alerts.occurrences + 1`,
        details: text,
        acknowledged_by: null,
        last_at: at,
      }),
    )
    .execute();
}

/** What a list of alerts may be narrowed by. */
export interface AlertFilter {
  readonly after?: string | undefined;
  readonly limit: number;
  readonly state?: AlertRow['state'] | undefined;
}

/** The alerts of a tenant in order of id, after `after`. */
export function listAlerts(rows: Rows, tenant: string, { after, limit, state }: AlertFilter): Promise<AlertRow[]> {
  let query = rows.forTenant<InventoryTables>(tenant).selectFrom('alerts').selectAll();
  if (after !== undefined) query = query.where('id', '>', after);
  if (state !== undefined) query = query.where('state', '=', state);
  return query.orderBy('id').limit(limit).execute();
}

/** One alert of a tenant. */
export function findAlert(rows: Rows, tenant: string, id: string): Promise<AlertRow | undefined> {
  return rows.forTenant<InventoryTables>(tenant).selectFrom('alerts').selectAll().where('id', '=', id).executeTakeFirst();
}

/** Notes that an operator has looked at an alert. */
export async function acknowledgeAlert(tx: Unit, { tenant, id }: AlertRow, actor: string): Promise<void> {
  await tx
    .forTenant<InventoryTables>(tenant)
    .updateTable('alerts', { state: 'acknowledged', acknowledged_by: actor })
    .where('id', '=', id)
    .execute();
}
