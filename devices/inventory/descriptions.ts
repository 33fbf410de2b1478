import { sql } from 'kysely';

import { PeerError, StateError } from '../../core/errors/muster-error.ts';
import { columnTypes } from '../../core/store/column-types.ts';
import type { Migration } from '../../core/store/migrations.ts';
import type { Rows } from '../../core/store/rows.ts';
import type { Unit } from '../../core/store/store.ts';
import { announceDevice } from './announce.ts';
import type { DeviceRow, InventoryTables } from './tables.ts';

/** Tables of what people say of devices. */
interface DescriptionTables extends InventoryTables {
  device_descriptions: {
    tenant: string;
    device: string;
    owner: string | null;
    site: string | null;
    /** JSON object of texts. */
    labels: string;
    revision: number;
  };
}

/** The schema of descriptions; after that of the devices. */
export const descriptionMigrations: readonly Migration[] = [
  {
    id: 'device-descriptions-0001',
    async up(db, engine) {
      const { textKey, text, integer } = columnTypes(engine);
      await db.schema
        .createTable('device_descriptions')
        .addColumn('tenant', textKey, (column) => column.notNull().references('tenants.id'))
        .addColumn('device', textKey, (column) => column.notNull())
        .addColumn('owner', text)
        .addColumn('site', textKey)
        .addColumn('labels', text, (column) => column.notNull())
        .addColumn('revision', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('device_descriptions_pk', ['tenant', 'device'])
        .addForeignKeyConstraint('device_descriptions_device', ['tenant', 'device'], 'devices', ['tenant', 'id'])
        .execute();
    },
  },
];

/** What people say of a device. */
export interface DeviceDescription {
  readonly owner: string | null;
  readonly site: string | null;
  readonly labels: Readonly<Record<string, string>>;
}

/** A device with what people say of it. */
export interface DescribedDevice extends DeviceRow, DeviceDescription {
  /** Counts changes of the description. */
  readonly revision: number;
}

/** What a list of devices may be narrowed by. */
export interface DescribedFilter {
  readonly after: string | undefined;
  readonly limit: number;
  readonly state?: DeviceRow['state'] | undefined;
  readonly name?: string | undefined;
  readonly site?: string | undefined;
}

/** Devices of a tenant in order of id, after `after`. */
export async function describedDevices(
  rows: Rows,
  tenant: string,
  filter: DescribedFilter,
): Promise<DescribedDevice[]> {
  const found = await described(rows, tenant)
    .$if(filter.after !== undefined, (query) => query.where('devices.id', '>', filter.after!))
    .$if(filter.state !== undefined, (query) => query.where('state', '=', filter.state!))
    .$if(filter.name !== undefined, (query) => query.where('name', '=', filter.name!))
    .$if(filter.site !== undefined, (query) => query.where('site', '=', filter.site!))
    .orderBy('devices.id')
    .limit(filter.limit)
    .execute();
  return found.map(describedOf);
}

/** One device, by id or name. */
export async function describedDevice(rows: Rows, tenant: string, key: string): Promise<DescribedDevice | undefined> {
  const row = await described(rows, tenant)
    .where((eb) => eb.or([eb('devices.id', '=', key), eb('devices.name', '=', key)]))
    .executeTakeFirst();
  return row && describedOf(row);
}

/** Makes a device known before it enrols. @throws StateError `conflict` when the name is in use */
export async function expectDevice(
  tx: Unit,
  device: Pick<DeviceRow, 'tenant' | 'id' | 'name'>,
  description: DeviceDescription,
  now: number,
): Promise<void> {
  const { tenant } = device;
  if ((await describedDevice(tx, tenant, device.name)) !== undefined)
    throw new StateError('conflict', `the device ${device.name} exists already`);
  await announceDevice(tx, { ...device, now });
  await describeDevice(tx, tenant, device.id, description);
}

/** Says something else of a device. */
export async function describeDevice(
  tx: Unit,
  tenant: string,
  device: string,
  { owner, site, labels }: DeviceDescription,
): Promise<void> {
  const said = { owner, site, labels: JSON.stringify(labels) };
  await tx
    .forTenant<DescriptionTables>(tenant)
    .insertInto('device_descriptions', { device, ...said, revision: 1 })
    .onConflict((conflict) =>
      conflict
        .columns(['tenant', 'device'])
        .doUpdateSet({ ...said, revision: sql<number>`device_descriptions.revision + 1` }),
    )
    .execute();
}

/** Forgets a device that never had a certificate. @throws StateError `conflict` for another */
export async function forgetDevice(tx: Unit, { tenant, id, name, certificate }: DescribedDevice): Promise<void> {
  if (certificate !== null) throw new StateError('conflict', `${name} has had certificates: block it instead`);
  const mine = tx.forTenant<DescriptionTables>(tenant);
  await mine.deleteFrom('device_descriptions').where('device', '=', id).execute();
  const { numDeletedRows } = await mine.deleteFrom('devices').where('id', '=', id).executeTakeFirstOrThrow();
  if (numDeletedRows === 0n) throw new PeerError('not-found', 'no such device');
}

function described(rows: Rows, tenant: string) {
  return rows
    .db<DescriptionTables>()
    .selectFrom('devices')
    .leftJoin('device_descriptions', (join) =>
      join
        .onRef('device_descriptions.tenant', '=', 'devices.tenant')
        .onRef('device_descriptions.device', '=', 'devices.id'),
    )
    .select(['devices.id', 'devices.tenant', 'name', 'state', 'certificate', 'certificate_not_after'])
    .select(['created_at', 'updated_at', 'owner', 'site', 'labels', 'revision'])
    .where('devices.tenant', '=', tenant);
}

function describedOf(
  row: DeviceRow & { owner: string | null; site: string | null; labels: string | null; revision: number | null },
): DescribedDevice {
  const labels = row.labels === null ? {} : (JSON.parse(row.labels) as Record<string, string>);
  return { ...row, labels, revision: row.revision ?? 0 };
}
