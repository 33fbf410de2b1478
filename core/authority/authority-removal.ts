import { StateError } from '../errors/muster-error.ts';
import type { Unit } from '../store/store.ts';
import { recordEnd } from './authority-end.ts';
import type { AuthorityRow, AuthorityTables } from './tables.ts';

/**
 * Ends an authority that nobody follows: `retiring` while a certificate of a device has not ended, `retired` after that.
 * @throws StateError `conflict` for one that is external, part of a rollover, or above an authority that has not ended
 */
export async function retireAuthority(tx: Unit, row: AuthorityRow, now: number): Promise<void> {
  const { tenant, id, name, kind, state } = row;
  if (kind === 'external') throw new StateError('conflict', `${name} is external: its key is not ours to retire`);
  if (state === 'retired') return;
  await requireNoRollover(tx, row);
  await requireNothingBelow(tx, row, 'has not retired');
  const mine = tx.forTenant<AuthorityTables>(tenant);
  const valid = await mine
    .selectFrom('certificates')
    .select('id')
    .where('authority', '=', id)
    .where('device', 'is not', null)
    .where('not_after', '>', now)
    .limit(1)
    .executeTakeFirst();
  const next = valid === undefined ? 'retired' : 'retiring';
  await mine.updateTable('authorities', { state: next }).where('id', '=', id).execute();
  if (next === 'retired') await recordEnd(tx, tenant, id);
}

/**
 * Deletes an authority that issued nothing but what Muster serves with; its key stays in its token.
 * @throws StateError `conflict` that says what stands against it
 */
export async function deleteAuthority(tx: Unit, row: AuthorityRow): Promise<void> {
  const { tenant, id, name } = row;
  await requireNoRollover(tx, row);
  await requireNothingBelow(tx, row, 'is there');
  const mine = tx.forTenant<AuthorityTables>(tenant);
  const identities = await mine
    .selectFrom('service_identities')
    .select(['purpose', 'certificate'])
    .where('authority', '=', id)
    .execute();
  if (identities.some(({ purpose }) => purpose.startsWith('tls')))
    throw new StateError('conflict', `${name} issued the TLS certificates of this server`);
  for (const { certificate } of identities) {
    if (certificate === null) continue;
    await mine.deleteFrom('certificate_names').where('certificate', '=', certificate).execute();
    await mine.deleteFrom('certificates').where('id', '=', certificate).execute();
  }
  const issued = await mine.selectFrom('certificates').select('id').where('authority', '=', id).limit(1).execute();
  if (issued.length > 0) throw new StateError('conflict', `${name} has issued certificates: retire it instead`);
  await deleteLists(tx, row);
  await mine.deleteFrom('authorities').where('id', '=', id).execute();
  await deleteUnusedExternal(tx, tenant, row.parent);
}

async function deleteLists(tx: Unit, { tenant, id }: AuthorityRow): Promise<void> {
  await tx.forTenant<AuthorityTables>(tenant).deleteFrom('service_identities').where('authority', '=', id).execute();
  for (const table of ['authority_status', 'crls', 'crl_parts', 'crl_bases', 'crl_series'] as const)
    await tx.db<AuthorityTables>().deleteFrom(table).where('authority', '=', id).execute();
}

/** Certificates above an authority are there for its sake. */
async function deleteUnusedExternal(tx: Unit, tenant: string, parent: string | null): Promise<void> {
  if (parent === null) return;
  const mine = tx.forTenant<AuthorityTables>(tenant);
  const row = await mine.selectFrom('authorities').selectAll().where('id', '=', parent).executeTakeFirst();
  if (row?.kind !== 'external' || (await below(tx, row)).length > 0) return;
  await mine.deleteFrom('authorities').where('id', '=', parent).execute();
  await deleteUnusedExternal(tx, tenant, row.parent);
}

async function requireNoRollover(tx: Unit, { tenant, id, name }: AuthorityRow): Promise<void> {
  const member = await tx
    .forTenant<AuthorityTables>(tenant)
    .selectFrom('rollover_members')
    .select('rollover')
    .where((eb) => eb.or([eb('predecessor', '=', id), eb('successor', '=', id)]))
    .executeTakeFirst();
  if (member !== undefined) throw new StateError('conflict', `${name} is part of the rollover ${member.rollover}`);
}

async function requireNothingBelow(tx: Unit, row: AuthorityRow, what: string): Promise<void> {
  const [child] = (await below(tx, row)).filter(({ state }) => what === 'is there' || state !== 'retired');
  if (child !== undefined) throw new StateError('conflict', `${child.name} below ${row.name} ${what}`);
}

function below(tx: Unit, { tenant, id }: AuthorityRow): Promise<Pick<AuthorityRow, 'name' | 'state'>[]> {
  return tx
    .forTenant<AuthorityTables>(tenant)
    .selectFrom('authorities')
    .select(['name', 'state'])
    .where('parent', '=', id)
    .execute();
}
