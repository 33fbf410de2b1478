import { StateError } from '../errors/muster-error.ts';
import type { Store, Unit } from '../store/store.ts';
import type { AuthorityRow, AuthorityTables, RolloverMemberRow, RolloverRow } from './tables.ts';

/** An authority that another takes over from. */
export interface RolloverMember {
  readonly predecessor: string;
  readonly successor: string;
  /** Where they are roots: each key certified by the other, DER (RFC 9810 §4.4). */
  readonly crossCertificates: CrossCertificates | undefined;
}

/** OldWithNew and NewWithOld of RFC 9810 §4.4.1, DER. */
export interface CrossCertificates {
  readonly oldWithNew: Uint8Array;
  readonly newWithOld: Uint8Array;
}

/** Authorities that others take over from, all at one moment. Times are epoch milliseconds. */
export interface Rollover {
  readonly id: string;
  readonly tenant: string;
  readonly state: RolloverRow['state'];
  readonly switchAt: number | undefined;
  readonly createdAt: number;
  readonly switchedAt: number | undefined;
  readonly retiredAt: number | undefined;
  /** A root, where there is one, first. */
  readonly members: readonly RolloverMember[];
}

/** The rollovers of a tenant, oldest first. */
export async function listRollovers(store: Store, tenant: string): Promise<Rollover[]> {
  const tables = store.forTenant<AuthorityTables>(tenant);
  const [rows, members] = await Promise.all([
    tables.selectFrom('rollovers').selectAll().orderBy('id').execute(),
    tables.selectFrom('rollover_members').selectAll().orderBy('predecessor').execute(),
  ]);
  return rows.map((row) => rolloverOf(row, members));
}

/** One rollover of a tenant. */
export async function findRollover(store: Store, tenant: string, id: string): Promise<Rollover | undefined> {
  return (await listRollovers(store, tenant)).find((rollover) => rollover.id === id);
}

/** The authority that issues now what this one did at first: itself, or who took over in the end. */
export async function heirOf(store: Store, tenant: string, authority: string): Promise<string> {
  const switched = (await listRollovers(store, tenant)).filter(({ state }) => state !== 'announced');
  const heirs = new Map(
    switched.flatMap(({ members }) => members.map(({ predecessor, successor }) => [predecessor, successor])),
  );
  let heir = authority;
  // An authority is made later than the one before it: there is no way round in a circle.
  for (let next = heirs.get(heir); next !== undefined; next = heirs.get(heir)) heir = next;
  return heir;
}

/** A cross certificate, DER, with the id of the root that issued it. */
export interface CrossCertificate {
  readonly certifier: string;
  readonly der: Uint8Array;
}

/** The cross certificates of a tenant's roots: NewWithOld by each predecessor, OldWithNew by its successor. */
export async function crossCertificatesOf(
  rows: Pick<Store | Unit, 'forTenant'>,
  tenant: string,
): Promise<readonly CrossCertificate[]> {
  const members = await rows
    .forTenant<AuthorityTables>(tenant)
    .selectFrom('rollover_members')
    .select(['predecessor', 'successor', 'old_with_new', 'new_with_old'])
    .where('new_with_old', 'is not', null)
    .execute();
  return members.flatMap(({ predecessor, successor, old_with_new: oldWithNew, new_with_old: newWithOld }) => [
    ...(newWithOld === null ? [] : [{ certifier: predecessor, der: newWithOld }]),
    ...(oldWithNew === null ? [] : [{ certifier: successor, der: oldWithNew }]),
  ]);
}

/** The rollovers of every tenant whose date has come. */
export function dueRollovers(store: Store, now: number): Promise<Pick<RolloverRow, 'tenant' | 'id'>[]> {
  return store
    .read<AuthorityTables>()
    .selectFrom('rollovers')
    .select(['tenant', 'id'])
    .where('state', '=', 'announced')
    .where('switch_at', '<=', now)
    .execute();
}

/** What a rollover begins with. */
export interface NewRollover {
  readonly row: RolloverRow;
  readonly members: readonly RolloverMemberRow[];
  readonly successors: readonly AuthorityRow[];
}

/**
 * Stores a rollover with its successors.
 * @throws StateError `conflict` when one of the authorities is no longer active, has a successor already, or a name was taken
 *   meanwhile
 */
export async function insertRollover(tx: Unit, { row, members, successors }: NewRollover): Promise<void> {
  const db = tx.db<AuthorityTables>();
  await db.insertInto('rollovers').values(row).execute();
  for (const member of members) {
    const added = await db
      .insertInto('rollover_members')
      .values(member)
      .onConflict((conflict) => conflict.columns(['tenant', 'predecessor']).doNothing())
      .executeTakeFirst();
    requireOne(added.numInsertedOrUpdatedRows, 'another has begun to replace this authority');
    // A compare-and-set that changes nothing: on PostgreSQL it holds the row until this unit has ended.
    await moveState(tx, row.tenant, member.predecessor, 'active', 'active');
  }
  for (const authority of successors) {
    const added = await db
      .insertInto('authorities')
      .values(authority)
      .onConflict((conflict) => conflict.columns(['tenant', 'name']).doNothing())
      .executeTakeFirst();
    requireOne(added.numInsertedOrUpdatedRows, `the name ${authority.name} was taken meanwhile`);
  }
}

/** Sets the date of an announced rollover. @throws StateError `conflict` when it is announced no longer. */
export async function setSwitchDate(tx: Unit, tenant: string, id: string, at: number): Promise<void> {
  const changed = await tx
    .forTenant<AuthorityTables>(tenant)
    .updateTable('rollovers', { switch_at: at })
    .where('id', '=', id)
    .where('state', '=', 'announced')
    .executeTakeFirst();
  requireOne(changed.numUpdatedRows, 'the rollover is announced no longer');
}

/** How a rollover goes on, and when. */
export type RolloverStep =
  | { readonly from: 'announced'; readonly to: 'switched'; readonly at: number }
  | { readonly from: 'switched'; readonly to: 'retired'; readonly at: number };

/** Moves a rollover on by compare-and-set; false when somebody else has. */
export async function advanceRollover(tx: Unit, tenant: string, id: string, step: RolloverStep): Promise<boolean> {
  const { from, to, at } = step;
  const changed = await tx
    .forTenant<AuthorityTables>(tenant)
    .updateTable('rollovers', to === 'switched' ? { state: to, switched_at: at } : { state: to, retired_at: at })
    .where('id', '=', id)
    .where('state', '=', from)
    .executeTakeFirst();
  return changed.numUpdatedRows === 1n;
}

/** Moves an authority from one state to another. @throws StateError `conflict` when it is not in the first one. */
export async function moveState(
  tx: Unit,
  tenant: string,
  id: string,
  from: AuthorityRow['state'],
  to: AuthorityRow['state'],
): Promise<void> {
  const changed = await tx
    .forTenant<AuthorityTables>(tenant)
    .updateTable('authorities', { state: to })
    .where('id', '=', id)
    .where('state', '=', from)
    .executeTakeFirst();
  requireOne(changed.numUpdatedRows, `the authority ${id} is not ${from}`);
}

function requireOne(rows: bigint | undefined, otherwise: string): void {
  if (rows !== 1n) throw new StateError('conflict', otherwise);
}

function rolloverOf(row: RolloverRow, members: readonly RolloverMemberRow[]): Rollover {
  const own = members.filter(({ rollover }) => rollover === row.id).map(memberOf);
  return {
    id: row.id,
    tenant: row.tenant,
    state: row.state,
    switchAt: row.switch_at ?? undefined,
    createdAt: row.created_at,
    switchedAt: row.switched_at ?? undefined,
    retiredAt: row.retired_at ?? undefined,
    members: own.toSorted((a, b) => Number(isRoot(b)) - Number(isRoot(a))),
  };
}

function memberOf({ predecessor, successor, old_with_new, new_with_old }: RolloverMemberRow): RolloverMember {
  const crossCertificates =
    old_with_new === null || new_with_old === null ? undefined : { oldWithNew: old_with_new, newWithOld: new_with_old };
  return { predecessor, successor, crossCertificates };
}

function isRoot({ crossCertificates }: RolloverMember): boolean {
  return crossCertificates !== undefined;
}
