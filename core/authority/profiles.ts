import { InternalError, StateError } from '../errors/muster-error.ts';
import type { Rows } from '../store/rows.ts';
import { statement } from '../store/statement.ts';
import type { Store, Unit } from '../store/store.ts';
import type { Profile, ProfileSettings } from './profile.ts';
import type { AuthorityTables, ProfileRow } from './tables.ts';

/** Stores a new profile. */
export async function insertProfile(
  tx: Unit,
  profile: { readonly id: string; readonly tenant: string; readonly name: string; readonly settings: ProfileSettings },
  now: number,
): Promise<void> {
  const { id, tenant, name, settings } = profile;
  await tx
    .db<AuthorityTables>()
    .insertInto('profiles')
    .values({ id, tenant, name, settings: JSON.stringify(settings), revision: 1, created_at: now })
    .execute();
}

/** The profiles of a tenant, oldest first. */
export async function listProfiles(store: Store, tenant: string): Promise<Profile[]> {
  const rows = await store
    .forTenant<AuthorityTables>(tenant)
    .selectFrom('profiles')
    .selectAll()
    .orderBy('id')
    .execute();
  return rows.map(profileOf);
}

/** Profiles in order of id, after `after`. */
export async function pageOfProfiles(
  rows: Rows,
  tenant: string,
  page: { readonly after: string | undefined; readonly limit: number },
): Promise<Profile[]> {
  const found = await rows
    .forTenant<AuthorityTables>(tenant)
    .selectFrom('profiles')
    .selectAll()
    .$if(page.after !== undefined, (query) => query.where('id', '>', page.after!))
    .orderBy('id')
    .limit(page.limit)
    .execute();
  return found.map(profileOf);
}

/** The profile with this id or name. */
export async function findProfile(rows: Rows, tenant: string, key: string): Promise<Profile | undefined> {
  const row = await rows
    .forTenant<AuthorityTables>(tenant)
    .selectFrom('profiles')
    .selectAll()
    .where((eb) => eb.or([eb('id', '=', key), eb('name', '=', key)]))
    .executeTakeFirst();
  return row && profileOf(row);
}

/**
 * Gives a profile other settings under the next revision; what was issued before stays as it is.
 * @throws StateError `conflict` when somebody was faster.
 */
export async function reviseProfile(tx: Unit, profile: Profile, settings: ProfileSettings): Promise<void> {
  const { id, tenant, revision } = profile;
  const result = await tx
    .forTenant<AuthorityTables>(tenant)
    .updateTable('profiles', { settings: JSON.stringify(settings), revision: revision + 1 })
    .where('id', '=', id)
    .where('revision', '=', revision)
    .executeTakeFirst();
  if (result.numUpdatedRows !== 1n)
    throw new StateError('conflict', `the profile is no longer at revision ${revision}`);
}

/** Deletes a profile; the foreign keys of endpoints refuse it while one uses it. */
export async function deleteProfile(tx: Unit, { tenant, id }: Profile): Promise<void> {
  await tx.forTenant<AuthorityTables>(tenant).deleteFrom('profiles').where('id', '=', id).execute();
}

/** Reads profiles as they stand; one revision is parsed once. */
export class ProfileDirectory {
  readonly #store: Store;
  readonly #parsed = new Map<string, Profile>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** @throws InternalError when the tenant has no such profile: endpoints refer to profiles by foreign key. */
  async get(tenant: string, id: string): Promise<Profile> {
    const [row] = await this.#store.query(profileById, { tenant, id });
    if (!row) throw new InternalError(`the profile ${id} of an endpoint is gone`);
    const known = this.#parsed.get(id);
    if (known?.revision === row.revision) return known;
    const fresh = profileOf(row);
    this.#parsed.set(id, fresh);
    return fresh;
  }
}

function profileOf(row: ProfileRow): Profile {
  const settings = JSON.parse(row.settings) as ProfileSettings;
  return { ...settings, id: row.id, tenant: row.tenant, name: row.name, revision: row.revision };
}

const profileById = statement<AuthorityTables>()('profile-by-id', (db, p: { tenant: string; id: string }) =>
  db.selectFrom('profiles').selectAll().where('tenant', '=', p.tenant).where('id', '=', p.id),
);
