import type { AuthorityTables } from '../../core/authority/tables.ts';
import { statement } from '../../core/store/statement.ts';
import type { Store } from '../../core/store/store.ts';

const tenantByNameOrId = statement<AuthorityTables>()('api-tenant', (db, p: { name: string }) =>
  db
    .selectFrom('tenants')
    .select(['id'])
    .where((eb) => eb.or([eb('id', '=', p.name), eb('name', '=', p.name)])),
);

/** The id of the tenant with this name or id; undefined when there is none. */
export async function resolveTenant(store: Store, name: string): Promise<string | undefined> {
  // PostgreSQL refuses NUL in text; no tenant has one.
  if (name.includes('\0')) return undefined;
  const [row] = await store.query(tenantByNameOrId, { name });
  return row?.id;
}
