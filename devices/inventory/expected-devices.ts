import { sql } from 'kysely';

import { newId } from '../../core/store/id.ts';
import { statement } from '../../core/store/statement.ts';
import type { Engine, Unit } from '../../core/store/store.ts';
import type { Rows } from '../../core/store/rows.ts';
import type { AnnouncedDevice } from './manifest-line.ts';
import type { ExpectedDeviceRow, InventoryTables } from './tables.ts';

/** Devices to be added together. */
export interface Announcement {
  readonly tenant: string;
  /** Id of the manifest; null for devices that were added by hand. */
  readonly manifest: string | null;
  readonly devices: readonly AnnouncedDevice[];
  /** Epoch milliseconds. */
  readonly at: number;
}

/** What became of one announced device, in the order of the announcement. */
export type Announced =
  | { readonly kind: 'added'; readonly id: string }
  /** It stands there already, exactly so. */
  | { readonly kind: 'unchanged'; readonly id: string }
  /** Something of it is said of another device, or another thing of it. */
  | { readonly kind: 'conflict' };

/** Adds expected devices with one statement; those whose serial number, key or name is known are left as they stand. */
export async function announce(
  tx: Unit,
  { tenant, manifest, devices, at }: Announcement,
): Promise<readonly Announced[]> {
  const rows = devices.map((device) => ({ id: newId(at), ...device }));
  const inserted = await tx.run(insertExpected, { tenant, manifest, at, rows: JSON.stringify(rows) });
  const added = new Set(inserted.map(({ id }) => id));
  if (added.size === rows.length) return rows.map(({ id }) => ({ kind: 'added', id }));
  const outcomes: Announced[] = [];
  for (const row of rows)
    outcomes.push(added.has(row.id) ? { kind: 'added', id: row.id } : await standing(tx, tenant, row));
  return outcomes;
}

/** What a list of expected devices may be narrowed by. */
export interface ExpectedFilter {
  readonly after?: string | undefined;
  readonly limit: number;
  readonly state?: ExpectedDeviceRow['state'] | undefined;
  readonly serialNumber?: string | undefined;
  readonly ekSha256?: string | undefined;
  readonly idevidSha256?: string | undefined;
  readonly manifest?: string | undefined;
}

/** The expected devices of a tenant in order of id, after `after`. */
export function listExpected(rows: Rows, tenant: string, filter: ExpectedFilter): Promise<ExpectedDeviceRow[]> {
  let query = rows.forTenant<InventoryTables>(tenant).selectFrom('expected_devices').selectAll();
  if (filter.after !== undefined) query = query.where('id', '>', filter.after);
  if (filter.state !== undefined) query = query.where('state', '=', filter.state);
  if (filter.serialNumber !== undefined) query = query.where('serial_number', '=', filter.serialNumber);
  if (filter.ekSha256 !== undefined) query = query.where('ek_sha256', '=', filter.ekSha256);
  if (filter.idevidSha256 !== undefined) query = query.where('idevid_sha256', '=', filter.idevidSha256);
  if (filter.manifest !== undefined) query = query.where('manifest', '=', filter.manifest);
  return query.orderBy('id').limit(filter.limit).execute();
}

/** One expected device of a tenant, by its id or its serial number. */
export async function findExpected(rows: Rows, tenant: string, key: string): Promise<ExpectedDeviceRow | undefined> {
  const table = rows.forTenant<InventoryTables>(tenant).selectFrom('expected_devices').selectAll();
  return (
    (await table.where('id', '=', key).executeTakeFirst()) ?? table.where('serial_number', '=', key).executeTakeFirst()
  );
}

/** The row that kept an announced device from being added, and whether it says the same. */
async function standing(tx: Unit, tenant: string, device: AnnouncedDevice): Promise<Announced> {
  const { serialNumber: serial_number, ekSha256: ek_sha256, idevidSha256: idevid_sha256, name } = device;
  const found = await tx
    .forTenant<InventoryTables>(tenant)
    .selectFrom('expected_devices')
    .selectAll()
    .where((eb) =>
      eb.or(
        Object.entries({ serial_number, ek_sha256, idevid_sha256, name }).flatMap(([column, value]) =>
          value === null ? [] : [eb(column as 'serial_number', '=', value)],
        ),
      ),
    )
    .execute();
  const same = found.find((row) => saysSame(row, device));
  return same !== undefined && found.length === 1 ? { kind: 'unchanged', id: same.id } : { kind: 'conflict' };
}

function saysSame(row: ExpectedDeviceRow, device: AnnouncedDevice): boolean {
  return (
    row.serial_number === device.serialNumber &&
    row.ek_sha256 === device.ekSha256 &&
    row.idevid_sha256 === device.idevidSha256 &&
    row.vendor_id === device.vendorId &&
    row.product_id === device.productId &&
    row.model === device.model &&
    row.name === device.name
  );
}

/** One parameter carries all rows: a statement with eleven placeholders a row would be compiled anew for each number of rows. */
const insertExpected = statement<InventoryTables>()(
  'expected-devices-insert',
  (db, p: { tenant: string; manifest: string | null; at: number; rows: string }, engine) =>
    db
      .insertInto('expected_devices')
      .columns([
        'tenant',
        'id',
        'serial_number',
        'ek_sha256',
        'idevid_sha256',
        'vendor_id',
        'product_id',
        'model',
        'name',
        'state',
        'manifest',
        'created_at',
        'updated_at',
      ])
      .expression((eb) =>
        eb
          .selectFrom(announcedRows(p.rows, engine).as('announced'))
          .select([
            sql<string>`cast(${p.tenant} as text)`.as('tenant'),
            member('id', engine).as('id'),
            member('serialNumber', engine).as('serial_number'),
            member('ekSha256', engine).as('ek_sha256'),
            member('idevidSha256', engine).as('idevid_sha256'),
            member('vendorId', engine).as('vendor_id'),
            member('productId', engine).as('product_id'),
            member('model', engine).as('model'),
            member('name', engine).as('name'),
            sql<ExpectedDeviceRow['state']>`'expected'`.as('state'),
            sql<string | null>`cast(${p.manifest} as text)`.as('manifest'),
            sql<number>`cast(${p.at} as bigint)`.as('created_at'),
            sql<number>`cast(${p.at} as bigint)`.as('updated_at'),
          ])
          // SQLite would take ON CONFLICT for the condition of a join.
          .where(sql<boolean>`1 = 1`),
      )
      .onConflict((conflict) => conflict.doNothing())
      .returning('id'),
);

/** A JSON array as rows of one column `value`. */
function announcedRows(rows: string, engine: Engine) {
  return engine === 'sqlite'
    ? sql<object>`json_each(${rows})`
    : sql<object>`jsonb_array_elements(cast(${rows} as jsonb))`;
}

function member(name: keyof AnnouncedDevice | 'id', engine: Engine) {
  return engine === 'sqlite'
    ? sql<string>`announced.value ->> ${sql.lit(`$.${name}`)}`
    : sql<string>`announced.value ->> ${sql.lit(name)}`;
}
