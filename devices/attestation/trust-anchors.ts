import type { TrustAnchorRow } from '../../core/enrollment/tables.ts';
import { StateError } from '../../core/errors/muster-error.ts';
import { newId } from '../../core/store/id.ts';
import type { Rows } from '../../core/store/rows.ts';
import type { Unit } from '../../core/store/store.ts';
import type { AttestationTables } from './tables.ts';
import { trustChanged } from './trust-store.ts';

/** An anchor that is to be trusted: DER, and what the gate is told of it. */
export type NewTrustAnchor = Pick<TrustAnchorRow, 'tenant' | 'purpose' | 'name' | 'certificate'> & {
  readonly settings: object | undefined;
};

/**
 * Trusts an anchor from now on. Returns its id.
 * @throws StateError `conflict` when it is trusted for the purpose already.
 */
export async function addTrustAnchor(tx: Unit, { settings, ...anchor }: NewTrustAnchor, now: number): Promise<string> {
  const { tenant, purpose, certificate } = anchor;
  const known = await tx
    .forTenant<AttestationTables>(tenant)
    .selectFrom('trust_anchors')
    .select(['id', 'certificate'])
    .where('purpose', '=', purpose)
    .execute();
  const same = known.find((row) => Buffer.compare(row.certificate, certificate) === 0);
  if (same !== undefined) throw new StateError('conflict', `it is trusted for ${purpose} already, as ${same.id}`);
  const id = newId(now);
  await tx
    .db<AttestationTables>()
    .insertInto('trust_anchors')
    .values({ ...anchor, id, settings: settings === undefined ? null : JSON.stringify(settings), created_at: now })
    .execute();
  await trustChanged(tx, tenant);
  return id;
}

/** Replaces what the gate is told of an anchor. */
export async function changeTrustAnchor(
  tx: Unit,
  { tenant, id }: TrustAnchorRow,
  changes: { readonly name: string; readonly settings: object },
): Promise<void> {
  await tx
    .forTenant<AttestationTables>(tenant)
    .updateTable('trust_anchors', { name: changes.name, settings: JSON.stringify(changes.settings) })
    .where('id', '=', id)
    .execute();
  await trustChanged(tx, tenant);
}

/** Trusts an anchor no more. What it admitted stays. */
export async function removeTrustAnchor(tx: Unit, { tenant, id }: TrustAnchorRow): Promise<void> {
  await tx.forTenant<AttestationTables>(tenant).deleteFrom('trust_anchors').where('id', '=', id).execute();
  await trustChanged(tx, tenant);
}

/** One anchor of a tenant, by id or name. */
export async function findTrustAnchor(rows: Rows, tenant: string, key: string): Promise<TrustAnchorRow | undefined> {
  const table = rows.forTenant<AttestationTables>(tenant).selectFrom('trust_anchors').selectAll();
  return (
    (await table.where('id', '=', key).executeTakeFirst()) ??
    table.where('name', '=', key).orderBy('id').executeTakeFirst()
  );
}

/** The anchors of a tenant in order of id, after `after`. */
export function listTrustAnchors(
  rows: Rows,
  tenant: string,
  filter: { readonly after?: string | undefined; readonly limit: number; readonly purpose?: string | undefined },
): Promise<TrustAnchorRow[]> {
  let query = rows.forTenant<AttestationTables>(tenant).selectFrom('trust_anchors').selectAll();
  if (filter.after !== undefined) query = query.where('id', '>', filter.after);
  if (filter.purpose !== undefined) query = query.where('purpose', '=', filter.purpose);
  return query.orderBy('id').limit(filter.limit).execute();
}
