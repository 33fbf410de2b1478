import { InternalError } from '../errors/muster-error.ts';
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
