import { sql } from 'kysely';

import { StateError } from '../errors/muster-error.ts';
import type { Unit } from '../store/store.ts';
import type { Rows } from '../store/rows.ts';
import type { AuthorityTables, Tenant, TenantRow } from './tables.ts';

/** What may be changed of a tenant; absent stays. */
export interface TenantChanges {
  readonly name?: string | undefined;
  readonly description?: string | null | undefined;
  /** Label of the token that new authorities are made in; null: that of the installation. */
  readonly token?: string | null | undefined;
}

/** The tenant with this id or name. */
export function findTenant(rows: Rows, key: string): Promise<Tenant | undefined> {
  return rows
    .db<AuthorityTables>()
    .selectFrom('tenants')
    .selectAll()
    .where((eb) => eb.or([eb('id', '=', key), eb('name', '=', key)]))
    .executeTakeFirst();
}

/** Tenants in order of id, after `after`. */
export function pageOfTenants(
  rows: Rows,
  page: { readonly after: string | undefined; readonly limit: number },
): Promise<Tenant[]> {
  return rows
    .db<AuthorityTables>()
    .selectFrom('tenants')
    .selectAll()
    .$if(page.after !== undefined, (query) => query.where('id', '>', page.after!))
    .orderBy('id')
    .limit(page.limit)
    .execute();
}

/** Stores a tenant with nothing in it. @throws StateError `conflict` when the name is in use. */
export async function createTenant(
  tx: Unit,
  tenant: TenantRow & Pick<TenantChanges, 'description' | 'token'>,
): Promise<void> {
  await requireFreeName(tx, tenant.name);
  const { description = null, token = null, ...row } = tenant;
  await tx
    .db<AuthorityTables>()
    .insertInto('tenants')
    .values({ ...row, description, token })
    .execute();
}

/** Changes a tenant and counts its revision on. @throws StateError `conflict` when the new name is in use. */
export async function changeTenant(tx: Unit, tenant: Tenant, changes: TenantChanges): Promise<void> {
  if (changes.name !== undefined && changes.name !== tenant.name) await requireFreeName(tx, changes.name);
  const { name = tenant.name, description = tenant.description, token = tenant.token } = changes;
  await tx
    .db<AuthorityTables>()
    .updateTable('tenants')
    .set({ name, description, token, revision: sql<number>`revision + 1` })
    .where('id', '=', tenant.id)
    .execute();
}

/**
 * Removes a tenant in which nothing is left but its profiles and the key that seals its secrets. Its audit log stays.
 * @throws StateError `conflict` that says what is left.
 */
export async function removeTenant(tx: Unit, { id, name }: Tenant): Promise<void> {
  const left: string[] = [];
  for (const table of ['authorities', 'certificates'] as const) {
    const row = await tx
      .forTenant<AuthorityTables>(id)
      .selectFrom(table)
      .select(sql<number>`count(*)`.as('count'))
      .executeTakeFirst();
    if (row !== undefined && row.count > 0) left.push(`${row.count} ${table}`);
  }
  if (left.length > 0) throw new StateError('conflict', `the tenant ${name} still has ${left.join(' and ')}`);
  const mine = tx.forTenant<AuthorityTables>(id);
  await mine.deleteFrom('profiles').execute();
  await mine.deleteFrom('data_keys').execute();
  // Whatever else belongs to a tenant refuses this by its foreign key: a conflict, too.
  await tx.db<AuthorityTables>().deleteFrom('tenants').where('id', '=', id).execute();
}

async function requireFreeName(tx: Unit, name: string): Promise<void> {
  if ((await findTenant(tx, name)) !== undefined) throw new StateError('conflict', `the tenant ${name} exists already`);
}
