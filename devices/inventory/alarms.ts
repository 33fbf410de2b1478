import { sql } from 'kysely';

import { newId } from '../../core/store/id.ts';
import type { Rows } from '../../core/store/rows.ts';
import type { Unit } from '../../core/store/store.ts';
import type { AlarmRow, InventoryTables } from './tables.ts';

/** Something that an operator must look at. */
export interface NewAlarm {
  readonly tenant: string;
  readonly kind: string;
  /** What it is about, `kind:value`. */
  readonly object: string;
  readonly details: Readonly<Record<string, unknown>>;
  /** Epoch milliseconds. */
  readonly at: number;
}

/** Records an alarm; one about the same object that stands already is opened again and counted. */
export async function raiseAlarm(tx: Unit, { tenant, kind, object, details, at }: NewAlarm): Promise<void> {
  const text = JSON.stringify(details);
  await tx
    .db<InventoryTables>()
    .insertInto('device_alarms')
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
        occurrences: sql<number>`device_alarms.occurrences + 1`,
        details: text,
        acknowledged_by: null,
        last_at: at,
      }),
    )
    .execute();
}

/** What a list of alarms may be narrowed by. */
export interface AlarmFilter {
  readonly after?: string | undefined;
  readonly limit: number;
  readonly state?: AlarmRow['state'] | undefined;
}

/** The alarms of a tenant in order of id, after `after`. */
export function listAlarms(rows: Rows, tenant: string, { after, limit, state }: AlarmFilter): Promise<AlarmRow[]> {
  let query = rows.forTenant<InventoryTables>(tenant).selectFrom('device_alarms').selectAll();
  if (after !== undefined) query = query.where('id', '>', after);
  if (state !== undefined) query = query.where('state', '=', state);
  return query.orderBy('id').limit(limit).execute();
}

/** One alarm of a tenant. */
export function findAlarm(rows: Rows, tenant: string, id: string): Promise<AlarmRow | undefined> {
  return rows
    .forTenant<InventoryTables>(tenant)
    .selectFrom('device_alarms')
    .selectAll()
    .where('id', '=', id)
    .executeTakeFirst();
}

/** Notes that an operator has looked at an alarm. */
export async function acknowledgeAlarm(tx: Unit, { tenant, id }: AlarmRow, actor: string): Promise<void> {
  await tx
    .forTenant<InventoryTables>(tenant)
    .updateTable('device_alarms', { state: 'acknowledged', acknowledged_by: actor })
    .where('id', '=', id)
    .execute();
}
