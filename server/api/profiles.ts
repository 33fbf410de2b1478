import { DEVICE_PROFILE, type Profile, type ProfileSettings } from '../../core/authority/profile.ts';
import {
  deleteProfile,
  findProfile,
  insertProfile,
  pageOfProfiles,
  reviseProfile,
} from '../../core/authority/profiles.ts';
import { StateError } from '../../core/errors/muster-error.ts';
import { newId } from '../../core/store/id.ts';
import type { Store } from '../../core/store/store.ts';
import { changedProfile, profileChanges, profileDraft, profileView } from './profile-schema.ts';
import { changeResource, createResource, removeResource } from './resource-changes.ts';
import { keyParameter, readResource, type ResourceKind } from './resource.ts';
import type { ApiScope } from './type-provider.ts';

const kind: ResourceKind<Profile, typeof profileView> = {
  noun: 'profile',
  path: '/profiles',
  tag: 'profiles',
  key: keyParameter,
  access: { read: 'profiles:read', write: 'profiles:write' },
  view: profileView,
  viewOf: (profile) => structuredClone<unknown>(shown(profile)) as never,
  keyOf: ({ id }) => id,
  find: findProfile,
};

/** Profiles: what the certificates of one kind of device look like. A change is a new revision. */
export function profileRoutes(app: ApiScope, store: Store): void {
  readResource(app, store, kind, { filters: {}, read: pageOfProfiles, cursorOf: ({ id }) => id });
  createResource(app, store, kind, {
    body: profileDraft,
    async create({ name, ...changes }, { tenant, at }) {
      const settings = changedProfile(DEVICE_PROFILE, changes);
      const id = newId(at);
      return async (tx) => {
        if ((await findProfile(tx, tenant, name)) !== undefined)
          throw new StateError('conflict', `the profile ${name} exists already`);
        await insertProfile(tx, { id, tenant, name, settings }, at);
        return id;
      };
    },
  });
  changeResource(app, store, kind, {
    body: profileChanges,
    async apply(changes) {
      return async (tx, profile) => {
        const before = settingsOf(profile);
        const after = changedProfile(before, changes);
        if (JSON.stringify(sorted(after)) !== JSON.stringify(sorted(before))) await reviseProfile(tx, profile, after);
      };
    },
  });
  removeResource(app, store, kind, {
    summary: 'Delete a profile that no endpoint uses',
    remove: (tx, profile) => deleteProfile(tx, profile),
  });
}

function settingsOf({
  id: _id,
  tenant: _tenant,
  name: _name,
  revision: _revision,
  ...settings
}: Profile): ProfileSettings {
  return settings;
}

function shown({ tenant: _tenant, ...profile }: Profile): object {
  return profile;
}

function sorted(settings: object): object {
  return Object.fromEntries(Object.entries(settings).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
