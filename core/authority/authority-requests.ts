import type { Rows } from '../store/rows.ts';
import type { Unit } from '../store/store.ts';
import type { AuthorityRequestRow, AuthorityTables } from './tables.ts';

/** Stores an authority to be. */
export async function insertAuthorityRequest(tx: Unit, { tenant, ...row }: AuthorityRequestRow): Promise<void> {
  await tx.forTenant<AuthorityTables>(tenant).insertInto('authority_requests', row).execute();
}

/** The authorities of a tenant that wait for a certificate, in order of id, after `after`. */
export function authorityRequestsOf(
  rows: Rows,
  tenant: string,
  page: { readonly after: string | undefined; readonly limit: number },
): Promise<AuthorityRequestRow[]> {
  return rows
    .forTenant<AuthorityTables>(tenant)
    .selectFrom('authority_requests')
    .selectAll()
    .$if(page.after !== undefined, (query) => query.where('id', '>', page.after!))
    .orderBy('id')
    .limit(page.limit)
    .execute();
}

/** One of them, by id or name. */
export function findAuthorityRequest(
  rows: Rows,
  tenant: string,
  key: string,
): Promise<AuthorityRequestRow | undefined> {
  return rows
    .forTenant<AuthorityTables>(tenant)
    .selectFrom('authority_requests')
    .selectAll()
    .where((eb) => eb.or([eb('id', '=', key), eb('name', '=', key)]))
    .executeTakeFirst();
}

/** Takes a request away: installed, or given up. */
export async function deleteAuthorityRequest(tx: Unit, { tenant, id }: AuthorityRequestRow): Promise<void> {
  await tx.forTenant<AuthorityTables>(tenant).deleteFrom('authority_requests').where('id', '=', id).execute();
}
