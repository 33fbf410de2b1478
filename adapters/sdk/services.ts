import { PeerError } from '../../core/errors/muster-error.ts';
import type { Rows } from '../../core/store/rows.ts';
import type { Unit } from '../../core/store/store.ts';
import type { PlannedService, ServiceSettings } from './plan.ts';
import type { AdapterTables, ServiceRow } from './tables.ts';

/** The services of a device, by name. */
export function listServices(rows: Rows, tenant: string, device: string): Promise<ServiceRow[]> {
  return rows
    .forTenant<AdapterTables>(tenant)
    .selectFrom('services')
    .selectAll()
    .where('device', '=', device)
    .orderBy('name')
    .execute();
}

/** Adds a service. @throws StateError `conflict` when the device has one of that name. */
export async function addService(tx: Unit, row: ServiceRow): Promise<void> {
  await tx.db<AdapterTables>().insertInto('services').values(row).execute();
}

/** Takes a service away. @throws PeerError `not-found` */
export async function removeService(tx: Unit, tenant: string, device: string, name: string): Promise<void> {
  const { numDeletedRows } = await tx
    .forTenant<AdapterTables>(tenant)
    .deleteFrom('services')
    .where('device', '=', device)
    .where('name', '=', name)
    .executeTakeFirstOrThrow();
  if (numDeletedRows === 0n) throw new PeerError('not-found', `the device has no service ${name}`);
}

/** A stored service as drivers see it; `labels` are the endpoints of the tenant by id. */
export function plannedService(row: ServiceRow, labels: ReadonlyMap<string, string>): PlannedService {
  return {
    name: row.name,
    kind: row.kind,
    at: { host: row.host, port: row.port, ...(row.server_name !== null && { serverName: row.server_name }) },
    endpoint: labels.get(row.endpoint) ?? row.endpoint,
    names: JSON.parse(row.names) as string[],
    settings: JSON.parse(row.settings) as ServiceSettings,
  };
}
