import { revokeCertificate } from '../../core/authority/revocation.ts';
import { appendAudit } from '../../core/audit/log.ts';
import { StateError } from '../../core/errors/muster-error.ts';
import type { Unit } from '../../core/store/store.ts';
import { renewIdentity } from './identities.ts';
import type { ExpectedDeviceRow, InventoryTables } from './tables.ts';

/** Who changes what becomes of an expected device, and when. */
export interface OwnershipChange {
  readonly tenant: string;
  readonly actor: string;
  /** Epoch milliseconds. */
  readonly at: number;
}

interface CertificateTables extends InventoryTables {
  certificates: { tenant: string; id: string; device: string | null; status: string; not_after: number };
  evidence: { tenant: string; id: string; identity: string | null };
  enrollments: { tenant: string; id: string; evidence: string | null };
}

/**
 * A device leaves: its certificates are revoked (`cessationOfOperation`), and it is refused until it is expected again. Another
 * tenant may expect it meanwhile.
 */
export async function releaseDevice(tx: Unit, row: ExpectedDeviceRow, change: OwnershipChange): Promise<void> {
  await revokeAll(tx, row, change, 'cessationOfOperation');
  await setState(tx, row, change, 'released');
}

/**
 * A device is expected anew: after a repair, a reset, or its return. What it enrolled before does not count against it any more, and
 * is revoked (`superseded`).
 */
export async function expectAgain(tx: Unit, row: ExpectedDeviceRow, change: OwnershipChange): Promise<void> {
  if (row.state === 'expected') throw new StateError('conflict', 'the device is expected already');
  await revokeAll(tx, row, change, 'superseded');
  for (const identity of await identitiesOf(tx, row)) await renewIdentity(tx, row.tenant, identity, change.at);
  await setState(tx, row, change, 'expected');
}

/** Nothing is issued to a device from now on, whatever evidence it shows; its certificates stay what they are. */
export async function blockExpected(tx: Unit, row: ExpectedDeviceRow, change: OwnershipChange): Promise<void> {
  await setState(tx, row, change, 'blocked');
}

async function setState(
  tx: Unit,
  { tenant, id }: ExpectedDeviceRow,
  { at }: OwnershipChange,
  state: ExpectedDeviceRow['state'],
): Promise<void> {
  const forgotten = state === 'expected' ? { enrollment: null, device: null } : {};
  await tx
    .forTenant<InventoryTables>(tenant)
    .updateTable('expected_devices', { state, updated_at: at, ...forgotten })
    .where('id', '=', id)
    .execute();
}

async function revokeAll(
  tx: Unit,
  { tenant, device, id }: ExpectedDeviceRow,
  { actor, at }: OwnershipChange,
  reason: 'cessationOfOperation' | 'superseded',
): Promise<void> {
  if (device === null) return;
  const live = await tx
    .forTenant<CertificateTables>(tenant)
    .selectFrom('certificates')
    .select('id')
    .where('device', '=', device)
    .where('status', '=', 'active')
    .where('not_after', '>', at)
    .execute();
  for (const { id: certificateId } of live) await revokeCertificate(tx, { tenant, certificateId, reason, actor, at });
  await appendAudit(tx, {
    tenant,
    at,
    actor,
    action: 'device.certificates-revoked',
    object: `device:${device}`,
    outcome: 'success',
    details: { expectedDevice: id, reason, certificates: live.length },
  });
}

/** What the device was recognised by: what its evidence proved, and what the manifest says. */
async function identitiesOf(tx: Unit, row: ExpectedDeviceRow): Promise<readonly string[]> {
  const said = [
    ...(row.ek_sha256 === null ? [] : [`ek-sha256:${row.ek_sha256}`]),
    ...(row.idevid_sha256 === null ? [] : [`idevid-sha256:${row.idevid_sha256}`]),
  ];
  if (row.enrollment === null) return said;
  const proved = await tx
    .db<CertificateTables>()
    .selectFrom('enrollments')
    .innerJoin('evidence', (join) =>
      join.onRef('evidence.tenant', '=', 'enrollments.tenant').onRef('evidence.id', '=', 'enrollments.evidence'),
    )
    .select('evidence.identity')
    .where('enrollments.tenant', '=', row.tenant)
    .where('enrollments.id', '=', row.enrollment)
    .executeTakeFirst();
  const identity = proved?.identity ?? undefined;
  return [...new Set(identity === undefined ? said : [...said, identity])];
}
