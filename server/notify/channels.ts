import { sql } from 'kysely';
import { StateError } from '../../core/errors/muster-error.ts';
import type { Rows } from '../../core/store/rows.ts';
import type { Unit } from '../../core/store/store.ts';
import type { ChannelRow, NotifyTables } from './tables.ts';

/** The channel of a tenant with this id or name. */
export function findChannel(
  rows: Pick<Rows, 'forTenant'>,
  tenant: string,
  key: string,
): Promise<ChannelRow | undefined> {
  return rows
    .forTenant<NotifyTables>(tenant)
    .selectFrom('notification_channels')
    .selectAll()
    .where((eb) => eb.or([eb('id', '=', key), eb('name', '=', key)]))
    .executeTakeFirst();
}

/** Channels of a tenant in order of id, after `after`. */
export function pageOfChannels(
  rows: Pick<Rows, 'forTenant'>,
  tenant: string,
  page: { readonly after: string | undefined; readonly limit: number },
): Promise<ChannelRow[]> {
  return rows
    .forTenant<NotifyTables>(tenant)
    .selectFrom('notification_channels')
    .selectAll()
    .$if(page.after !== undefined, (query) => query.where('id', '>', page.after!))
    .orderBy('id')
    .limit(page.limit)
    .execute();
}

/** Stores a channel. @throws StateError `conflict` when the name is in use */
export async function insertChannel(tx: Unit, { tenant, ...row }: ChannelRow): Promise<void> {
  if ((await findChannel(tx, tenant, row.name)) !== undefined)
    throw new StateError('conflict', `the channel ${row.name} exists already`);
  await tx.forTenant<NotifyTables>(tenant).insertInto('notification_channels', row).execute();
}

/** Changes a channel and counts its revision on. */
export async function changeChannel(
  tx: Unit,
  { tenant, id }: ChannelRow,
  changes: Partial<Pick<ChannelRow, 'settings' | 'sealed' | 'enabled'>>,
): Promise<void> {
  await tx
    .forTenant<NotifyTables>(tenant)
    .updateTable('notification_channels', { ...changes, revision: sql<number>`revision + 1` })
    .where('id', '=', id)
    .execute();
}

/** Deletes a channel; what waits for it is dropped when its turn comes. */
export async function deleteChannel(tx: Unit, { tenant, id }: ChannelRow): Promise<void> {
  await tx.forTenant<NotifyTables>(tenant).deleteFrom('notification_channels').where('id', '=', id).execute();
}
