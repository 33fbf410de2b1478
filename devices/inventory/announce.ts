import type { Unit } from '../../core/store/store.ts';
import type { InventoryTables } from './tables.ts';

/**
 * Makes a device known before it has a certificate: one that does not enrol by itself would never be.
 * @throws StateError `conflict` when the tenant has one of that name.
 */
export async function announceDevice(
  tx: Unit,
  {
    id,
    tenant,
    name,
    now,
  }: { readonly id: string; readonly tenant: string; readonly name: string; readonly now: number },
): Promise<void> {
  const none = { certificate: null, certificate_not_after: null };
  await tx
    .db<InventoryTables>()
    .insertInto('devices')
    .values({ id, tenant, name, state: 'expected', ...none, created_at: now, updated_at: now })
    .execute();
}
