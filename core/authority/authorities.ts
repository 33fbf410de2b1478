import type { Rows } from '../store/rows.ts';
import type { Store, Unit } from '../store/store.ts';
import type { AuthorityRow, AuthorityTables, TenantRow } from './tables.ts';

/** Stores a tenant. */
export async function insertTenant(tx: Unit, tenant: TenantRow): Promise<void> {
  await tx.db<AuthorityTables>().insertInto('tenants').values(tenant).execute();
}

/** All tenants, by id. */
export function listTenants(store: Store): Promise<TenantRow[]> {
  return store.read<AuthorityTables>().selectFrom('tenants').selectAll().orderBy('id').execute();
}

/** Stores an authority made by a ceremony. */
export async function insertAuthority(tx: Unit, authority: AuthorityRow): Promise<void> {
  await tx.db<AuthorityTables>().insertInto('authorities').values(authority).execute();
}

/** The authorities of a tenant, oldest first. */
export function listAuthorities(rows: Pick<Rows, 'forTenant'>, tenant: string): Promise<AuthorityRow[]> {
  return rows.forTenant<AuthorityTables>(tenant).selectFrom('authorities').selectAll().orderBy('id').execute();
}

/** Those after `after`, at most `limit`. */
export function authoritiesOf(
  rows: Pick<Rows, 'forTenant'>,
  tenant: string,
  page: { readonly after: string | undefined; readonly limit: number },
): Promise<AuthorityRow[]> {
  return rows
    .forTenant<AuthorityTables>(tenant)
    .selectFrom('authorities')
    .selectAll()
    .$if(page.after !== undefined, (query) => query.where('id', '>', page.after!))
    .orderBy('id')
    .limit(page.limit)
    .execute();
}

/** The authority of a tenant with this id or name. */
export function findAuthority(
  rows: Pick<Rows, 'forTenant'>,
  tenant: string,
  key: string,
): Promise<AuthorityRow | undefined> {
  return rows
    .forTenant<AuthorityTables>(tenant)
    .selectFrom('authorities')
    .selectAll()
    .where((eb) => eb.or([eb('id', '=', key), eb('name', '=', key)]))
    .executeTakeFirst();
}

/** Whether any authority of the installation signs with this key (lower-case hex SHA-256 of its SubjectPublicKeyInfo). */
export async function isAuthorityKey(store: Store, spkiSha256: string): Promise<boolean> {
  const row = await store
    .read<AuthorityTables>()
    .selectFrom('authorities')
    .select('id')
    .where('spki_sha256', '=', spkiSha256)
    .executeTakeFirst();
  return row !== undefined;
}

/** An authority of any tenant, for what is public of it. */
export function authorityById(store: Store, id: string): Promise<AuthorityRow | undefined> {
  return store.read<AuthorityTables>().selectFrom('authorities').selectAll().where('id', '=', id).executeTakeFirst();
}
