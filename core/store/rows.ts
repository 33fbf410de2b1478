import type { Kysely } from 'kysely';
import type { Store } from './store.ts';
import type { TenantReader } from './tenant.ts';

/** What is read from: a unit, which sees its own changes, or what is durable. */
export interface Rows {
  db<DB>(): Kysely<DB>;
  forTenant<DB>(tenant: string): TenantReader<DB>;
}

/** What is durable. */
export function durableRows(store: Pick<Store, 'read' | 'forTenant'>): Rows {
  return { db: () => store.read(), forTenant: (tenant) => store.forTenant(tenant) };
}
