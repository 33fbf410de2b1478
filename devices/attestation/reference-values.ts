import { newId } from '../../core/store/id.ts';
import type { Rows } from '../../core/store/rows.ts';
import type { Unit } from '../../core/store/store.ts';
import type { AttestationTables, ReferenceValuesRow } from './tables.ts';
import { trustChanged } from './trust-store.ts';
import type { ReferenceValues } from './verifier.ts';

/** Adds what one firmware of a model measures. Returns its id. */
export async function addReferenceValues(
  tx: Unit,
  tenant: string,
  { model, firmware, pcrs, claims }: Omit<ReferenceValues, 'id'>,
  now: number,
): Promise<string> {
  const id = newId(now);
  await tx
    .db<AttestationTables>()
    .insertInto('reference_values')
    .values({
      id,
      tenant,
      model,
      firmware,
      pcrs: JSON.stringify(pcrs),
      claims: JSON.stringify(claims),
      created_at: now,
    })
    .execute();
  await trustChanged(tx, tenant);
  return id;
}

/** Takes reference values away: what a device measures so is right no more. */
export async function removeReferenceValues(tx: Unit, { tenant, id }: ReferenceValuesRow): Promise<void> {
  await tx.forTenant<AttestationTables>(tenant).deleteFrom('reference_values').where('id', '=', id).execute();
  await trustChanged(tx, tenant);
}

/** One set of reference values of a tenant. */
export function findReferenceValues(rows: Rows, tenant: string, id: string): Promise<ReferenceValuesRow | undefined> {
  return rows
    .forTenant<AttestationTables>(tenant)
    .selectFrom('reference_values')
    .selectAll()
    .where('id', '=', id)
    .executeTakeFirst();
}

/** The reference values of a tenant in order of id, after `after`. */
export function listReferenceValues(
  rows: Rows,
  tenant: string,
  filter: { readonly after?: string | undefined; readonly limit: number; readonly model?: string | undefined },
): Promise<ReferenceValuesRow[]> {
  let query = rows.forTenant<AttestationTables>(tenant).selectFrom('reference_values').selectAll();
  if (filter.after !== undefined) query = query.where('id', '>', filter.after);
  if (filter.model !== undefined) query = query.where('model', '=', filter.model);
  return query.orderBy('id').limit(filter.limit).execute();
}
