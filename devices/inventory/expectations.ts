import { statement } from '../../core/store/statement.ts';
import type { Store, Unit } from '../../core/store/store.ts';
import type { ExpectedDeviceRow, InventoryTables } from './tables.ts';

/** What evidence proves of a device, by the kinds that a manifest knows. */
export interface ProvedIdentity {
  readonly serialNumber: string | undefined;
  /** Where a serial number may stand as well; another thing there is no contradiction. */
  readonly permanentIdentifier: string | undefined;
  readonly ekSha256: string | undefined;
  readonly idevidSha256: string | undefined;
  readonly vendorId: string | undefined;
  readonly productId: string | undefined;
  readonly model: string | undefined;
}

/** What the manifest makes of a device. */
export interface Expectation {
  /** The row that the evidence proves the device to be. */
  readonly device: ExpectedDeviceRow | undefined;
  /** What speaks against it, by the gate's codes. */
  readonly faults: readonly ExpectationFault[];
}

type ExpectationFault = 'device-mismatch' | 'device-name-mismatch' | 'device-blocked' | 'device-released';

/**
 * Holds a device against the manifest: the rows of what it proves, and the row of the name it asks for. A row that says a
 * key is met by that key alone; what a row says, evidence must not contradict.
 */
export async function expectationOf(
  store: Store,
  tenant: string,
  name: string,
  proved: ProvedIdentity,
): Promise<Expectation> {
  const rows = await store.query(expectedBy, {
    tenant,
    name,
    serialNumber: proved.serialNumber ?? null,
    permanentIdentifier: proved.permanentIdentifier ?? null,
    ekSha256: proved.ekSha256 ?? null,
    idevidSha256: proved.idevidSha256 ?? null,
  });
  const met = rows.filter((row) => isProved(row, proved));
  const [device] = met;
  if (met.length > 1 || rows.some((row) => contradicts(row, proved))) return { device, faults: ['device-mismatch'] };
  if (device === undefined) return { device, faults: [] };
  const faults: ExpectationFault[] = [];
  const expectedName = device.name ?? device.serial_number;
  if (expectedName !== null && expectedName !== name) faults.push('device-name-mismatch');
  if (device.state === 'blocked') faults.push('device-blocked');
  if (device.state === 'released') faults.push('device-released');
  return { device, faults };
}

/** Whether the tenant's manifest holds a key; and the model it gives the device. */
export async function expectedKey(
  store: Store,
  tenant: string,
  kind: 'ek' | 'idevid',
  sha256: string,
): Promise<{ readonly model: string | null } | undefined> {
  const [row] = await store.query(kind === 'ek' ? expectedEk : expectedIdevid, { tenant, sha256 });
  return row;
}

/** In the unit that admits it: the device has shown evidence. */
export async function noteAttested(
  tx: Unit,
  { tenant, id, enrollment, at }: { tenant: string; id: string; enrollment: string | null; at: number },
): Promise<void> {
  await tx.affected(markAttested, { tenant, id, enrollment, at });
}

/** In the unit that issues: the device has its certificate. */
export async function noteEnrolled(
  tx: Unit,
  enrolled: { tenant: string; enrollment: string; device: string; at: number },
): Promise<void> {
  await tx.affected(markEnrolled, enrolled);
}

/** A row is met by one of its keys; where it has none, by its serial number. */
function isProved(row: ExpectedDeviceRow, proved: ProvedIdentity): boolean {
  if (row.ek_sha256 !== null || row.idevid_sha256 !== null)
    return isSame(row.ek_sha256, proved.ekSha256) || isSame(row.idevid_sha256, proved.idevidSha256);
  return isSame(row.serial_number, proved.serialNumber) || isSame(row.serial_number, proved.permanentIdentifier);
}

/** What is said on both sides and differs; or a key that the row has and the evidence does not prove. */
function contradicts(row: ExpectedDeviceRow, proved: ProvedIdentity): boolean {
  const hasKey = row.ek_sha256 !== null || row.idevid_sha256 !== null;
  return (
    (hasKey && !isProved(row, proved)) ||
    differs(row.serial_number, proved.serialNumber) ||
    differs(row.ek_sha256, proved.ekSha256) ||
    differs(row.idevid_sha256, proved.idevidSha256) ||
    differs(row.vendor_id, proved.vendorId) ||
    differs(row.product_id, proved.productId) ||
    differs(row.model, proved.model)
  );
}

function isSame(said: string | null, proved: string | undefined): boolean {
  return said !== null && said === proved;
}

function differs(said: string | null, proved: string | undefined): boolean {
  return said !== null && proved !== undefined && said !== proved;
}

const expectedBy = statement<InventoryTables>()(
  'expected-device-by-identity',
  (
    db,
    p: {
      tenant: string;
      name: string;
      serialNumber: string | null;
      permanentIdentifier: string | null;
      ekSha256: string | null;
      idevidSha256: string | null;
    },
  ) => {
    const by = (column: 'serial_number' | 'ek_sha256' | 'idevid_sha256' | 'name', value: string | null) =>
      db.selectFrom('expected_devices').selectAll().where('tenant', '=', p.tenant).where(column, '=', value);
    // UNION drops the row that several columns find; each branch is one look-up in its own index.
    return by('serial_number', p.serialNumber)
      .union(by('serial_number', p.permanentIdentifier))
      .union(by('serial_number', p.name))
      .union(by('ek_sha256', p.ekSha256))
      .union(by('idevid_sha256', p.idevidSha256))
      .union(by('name', p.name));
  },
);

const expectedEk = statement<InventoryTables>()('expected-device-by-ek', (db, p: { tenant: string; sha256: string }) =>
  db.selectFrom('expected_devices').select('model').where('tenant', '=', p.tenant).where('ek_sha256', '=', p.sha256),
);

const expectedIdevid = statement<InventoryTables>()(
  'expected-device-by-idevid',
  (db, p: { tenant: string; sha256: string }) =>
    db
      .selectFrom('expected_devices')
      .select('model')
      .where('tenant', '=', p.tenant)
      .where('idevid_sha256', '=', p.sha256),
);

const markAttested = statement<InventoryTables>()(
  'expected-device-attested',
  (db, p: { tenant: string; id: string; enrollment: string | null; at: number }) =>
    db
      .updateTable('expected_devices')
      .set((eb) => ({
        state: eb
          .case()
          .when('state', '=', 'expected')
          .then('attested' as const)
          .else(eb.ref('state'))
          .end(),
        enrollment: p.enrollment,
        updated_at: p.at,
      }))
      .where('tenant', '=', p.tenant)
      .where('id', '=', p.id),
);

const markEnrolled = statement<InventoryTables>()(
  'expected-device-enrolled',
  (db, p: { tenant: string; enrollment: string; device: string; at: number }) =>
    db
      .updateTable('expected_devices')
      .set((eb) => ({
        // One that was blocked while its certificate was signed stays blocked.
        state: eb
          .case()
          .when('state', 'in', ['blocked', 'released'])
          .then(eb.ref('state'))
          .else('enrolled' as const)
          .end(),
        device: p.device,
        updated_at: p.at,
      }))
      .where('tenant', '=', p.tenant)
      .where('enrollment', '=', p.enrollment),
);
