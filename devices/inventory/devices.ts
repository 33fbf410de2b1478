import { appendAudit } from '../../core/audit/log.ts';
import { InternalError, PeerError } from '../../core/errors/muster-error.ts';
import type { Inventory } from '../../core/enrollment/ports.ts';
import { newId } from '../../core/store/id.ts';
import { statement } from '../../core/store/statement.ts';
import type { Store, Unit } from '../../core/store/store.ts';
import { noteEnrolled } from './expectations.ts';
import type { DeviceRow, InventoryTables } from './tables.ts';

/** The inventory as the hall sees it, over the store. */
export function storedInventory(store: Store): Inventory {
  return {
    async find({ tenant, name }) {
      const [row] = await store.query(deviceByName, { tenant, name });
      return row;
    },
    async recordIssued(tx, { tenant, name }, { enrollmentId: enrollment, certificateId, notAfter, evidenceId, at }) {
      const [row] = await tx.run(upsertIssued, {
        id: newId(at),
        tenant,
        name,
        certificate: certificateId,
        notAfter,
        at,
      });
      if (!row) throw new InternalError(`the device of the certificate ${certificateId} was not recorded`);
      if (evidenceId !== undefined) await noteEnrolled(tx, { tenant, enrollment, device: row.id, at });
      return row.id;
    },
  };
}

/** What a list of devices may be narrowed by. */
export interface DeviceFilter {
  readonly after?: string | undefined;
  readonly limit: number;
  readonly state?: DeviceRow['state'] | undefined;
  readonly name?: string | undefined;
}

/** The devices of a tenant in order of id, after `after`. */
export function listDevices(store: Store, tenant: string, filter: DeviceFilter): Promise<DeviceRow[]> {
  let query = store.forTenant<InventoryTables>(tenant).selectFrom('devices').selectAll();
  if (filter.after !== undefined) query = query.where('id', '>', filter.after);
  if (filter.state !== undefined) query = query.where('state', '=', filter.state);
  if (filter.name !== undefined) query = query.where('name', '=', filter.name);
  return query.orderBy('id').limit(filter.limit).execute();
}

/** One device of a tenant. */
export function getDevice(store: Store, tenant: string, id: string): Promise<DeviceRow | undefined> {
  return store
    .forTenant<InventoryTables>(tenant)
    .selectFrom('devices')
    .selectAll()
    .where('id', '=', id)
    .executeTakeFirst();
}

/**
 * Blocks a device (nothing more is issued to it) or lets it enrol again.
 * @throws PeerError `not-found` when the tenant has no such device.
 */
export async function setBlocked(
  tx: Unit,
  change: {
    readonly tenant: string;
    readonly id: string;
    readonly blocked: boolean;
    readonly actor: string;
    readonly now: number;
  },
): Promise<void> {
  const { tenant, id, blocked, actor, now } = change;
  const devices = tx.forTenant<InventoryTables>(tenant);
  const current = await devices.selectFrom('devices').select(['certificate']).where('id', '=', id).executeTakeFirst();
  if (!current) throw new PeerError('not-found', 'there is no such device');
  const state = blocked ? 'blocked' : current.certificate === null ? 'expected' : 'enrolled';
  await devices.updateTable('devices', { state, updated_at: now }).where('id', '=', id).execute();
  await appendAudit(tx, {
    tenant,
    at: now,
    actor,
    action: blocked ? 'device.blocked' : 'device.unblocked',
    object: `device:${id}`,
    outcome: 'success',
    details: {},
  });
}

const deviceByName = statement<InventoryTables>()('device-by-name', (db, p: { tenant: string; name: string }) =>
  db.selectFrom('devices').select(['id', 'state']).where('tenant', '=', p.tenant).where('name', '=', p.name),
);

const upsertIssued = statement<InventoryTables>()(
  'device-issued',
  (db, p: { id: string; tenant: string; name: string; certificate: string; notAfter: number; at: number }) =>
    db
      .insertInto('devices')
      .values({
        id: p.id,
        tenant: p.tenant,
        name: p.name,
        state: 'enrolled',
        certificate: p.certificate,
        certificate_not_after: p.notAfter,
        created_at: p.at,
        updated_at: p.at,
      })
      .onConflict((conflict) =>
        conflict.columns(['tenant', 'name']).doUpdateSet((eb) => ({
          // A device blocked between admission and issue stays blocked.
          state: eb
            .case()
            .when('devices.state', '=', 'blocked')
            .then('blocked' as const)
            .else('enrolled' as const)
            .end(),
          certificate: p.certificate,
          certificate_not_after: p.notAfter,
          updated_at: p.at,
        })),
      )
      .returning('id'),
);
