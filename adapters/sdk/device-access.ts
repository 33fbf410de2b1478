import { appendAudit } from '../../core/audit/log.ts';
import type { DataKeys } from '../../core/authority/data-keys.ts';
import { PeerError, PolicyError } from '../../core/errors/muster-error.ts';
import type { Sealer } from '../../core/keys/sealing.ts';
import type { Secret } from '../../core/keys/secret.ts';
import type { Rows } from '../../core/store/rows.ts';
import { durableRows } from '../../core/store/rows.ts';
import { statement } from '../../core/store/statement.ts';
import type { Store, Unit } from '../../core/store/store.ts';
import type { SshTarget } from '../transport/ssh/session.ts';
import type { AdapterTables, DeviceAccessRow } from './tables.ts';

/** How a device is to be reached from now on. */
export interface AccessDraft extends Pick<
  DeviceAccessRow,
  'tenant' | 'device' | 'driver' | 'host' | 'port' | 'username' | 'host_key' | 'credential_kind'
> {
  readonly trustFirstUse: boolean;
  readonly credential: Secret;
}

/** How a device is reached; undefined where nobody said. */
export function findAccess(rows: Rows, tenant: string, device: string): Promise<DeviceAccessRow | undefined> {
  return rows
    .forTenant<AdapterTables>(tenant)
    .selectFrom('device_access')
    .selectAll()
    .where('device', '=', device)
    .executeTakeFirst();
}

/** Writes how a device is reached, in place of what was there. */
export async function putAccess(tx: Unit, sealer: Sealer, draft: AccessDraft, now: number): Promise<void> {
  const { tenant, device, credential, trustFirstUse, ...rest } = draft;
  const sealed = sealer.seal(placeOf(device), credential);
  const row = { ...rest, trust_first_use: trustFirstUse ? 1 : 0, credential: sealed, updated_at: now };
  await tx
    .db<AdapterTables>()
    .insertInto('device_access')
    .values({ tenant, device, ...row, created_at: now })
    .onConflict((conflict) => conflict.columns(['tenant', 'device']).doUpdateSet(row))
    .execute();
}

/** Forgets how a device is reached. @throws PeerError `not-found` */
export async function removeAccess(tx: Unit, tenant: string, device: string): Promise<void> {
  const { numDeletedRows } = await tx
    .forTenant<AdapterTables>(tenant)
    .deleteFrom('device_access')
    .where('device', '=', device)
    .executeTakeFirstOrThrow();
  if (numDeletedRows === 0n) throw new PeerError('not-found', 'nothing is known of how to reach the device');
}

/** What opens the credentials of devices. */
export interface AccessParts {
  readonly store: Store;
  readonly dataKeys: Pick<DataKeys, 'sealer'>;
}

/**
 * Where to log in. The credential is a handle: it is opened when it is sent. A first host key is pinned before anything secret is
 * sent to it.
 * @throws PolicyError `policy-refused` when nothing is known of how to reach the device.
 */
export async function sshTarget(
  { store, dataKeys }: AccessParts,
  tenant: string,
  device: string,
  connectTimeoutMs: number,
): Promise<SshTarget> {
  const access = await findAccess(durableRows(store), tenant, device);
  if (access === undefined) throw new PolicyError('policy-refused', 'nothing is known of how to reach the device');
  const { host, port, username, credential_kind: kind, credential } = access;
  return {
    host,
    port,
    username,
    connectTimeoutMs,
    credential: async () => ({ kind, secret: (await dataKeys.sealer(tenant)).open(placeOf(device), credential) }),
    acceptsHostKey: async (fingerprint) => {
      if (access.host_key !== null) return access.host_key === fingerprint;
      return access.trust_first_use === 1 && pinFirst(store, { tenant, device, fingerprint });
    },
  };
}

interface Pin extends Record<string, string> {
  tenant: string;
  device: string;
  fingerprint: string;
}

/** Pins a first host key; false when another was pinned meanwhile. */
async function pinFirst(store: Store, pin: Pin): Promise<boolean> {
  const { tenant, device, fingerprint } = pin;
  return store.unit(async (tx) => {
    if ((await tx.affected(pinHostKey, pin)) !== 1)
      return (await findAccess(tx, tenant, device))?.host_key === fingerprint;
    await appendAudit(tx, {
      tenant,
      at: store.clock.now(),
      actor: 'system:adapters',
      action: 'device.host-key-pinned',
      object: `device:${device}`,
      outcome: 'success',
      details: { hostKey: fingerprint },
    });
    return true;
  });
}

const pinHostKey = statement<AdapterTables>()('device-host-key-pin', (db, p: Pin) =>
  db
    .updateTable('device_access')
    .set({ host_key: p.fingerprint })
    .where('tenant', '=', p.tenant)
    .where('device', '=', p.device)
    .where('host_key', 'is', null)
    .where('trust_first_use', '=', 1),
);

function placeOf(device: string): { readonly table: string; readonly row: string } {
  return { table: 'device_access', row: device };
}
