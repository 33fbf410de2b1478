import { isDeepStrictEqual } from 'node:util';
import { listAuthorities } from '../../core/authority/authorities.ts';
import { listProfiles } from '../../core/authority/profiles.ts';
import { attestationPolicy } from '../../core/enrollment/attestation-policy.ts';
import type { Endpoint, EndpointSettings } from '../../core/enrollment/endpoint.ts';
import {
  createEndpoint,
  deleteEndpoint,
  findEndpoint,
  pageOfEndpoints,
  updateEndpoint,
} from '../../core/enrollment/endpoints.ts';
import type { EndpointRow } from '../../core/enrollment/tables.ts';
import { PeerError } from '../../core/errors/muster-error.ts';
import type { Store } from '../../core/store/store.ts';
import { Type } from 'typebox';
import type { ApiContext } from './context.ts';
import {
  changedSettings,
  CLOSED_ENDPOINT,
  endpointChanges,
  endpointDraft,
  endpointView,
  type EndpointView,
} from './endpoint-schema.ts';
import { changeResource, createResource, removeResource } from './resource-changes.ts';
import { readResource, type ResourceKind } from './resource.ts';
import type { ApiScope } from './type-provider.ts';

type EndpointContext = Pick<ApiContext, 'store' | 'endpoints'>;

const kind: ResourceKind<EndpointRow, typeof endpointView> = {
  noun: 'endpoint',
  path: '/endpoints',
  tag: 'endpoints',
  key: { label: Type.String({ pattern: '^[a-z0-9-]{1,63}$' }) },
  access: { read: 'endpoints:read', write: 'endpoints:write' },
  view: endpointView,
  viewOf,
  keyOf: ({ label }) => label,
  find: findEndpoint,
  unknown: 'unknown-endpoint',
};

/** Endpoints: the labels under which devices enrol. */
export function endpointRoutes(app: ApiScope, { store }: EndpointContext): void {
  readResource(app, store, kind, { filters: {}, read: pageOfEndpoints, cursorOf: ({ id }) => id });
  createResource(app, store, kind, {
    body: endpointDraft,
    async create({ label, profile, authority, ...changes }, { tenant, at }) {
      const issuance = {
        profile: await profileOf(store, tenant, profile),
        authority: await authorityOf(store, tenant, authority),
      };
      const settings = changedSettings(CLOSED_ENDPOINT, changes);
      return async (tx) => {
        await createEndpoint(tx, { tenant, label, ...issuance, settings, isDefault: false }, at);
        return label;
      };
    },
  });
  changeResource(app, store, kind, {
    body: endpointChanges,
    async apply({ profile, authority, ...changes }, { tenant }) {
      const issuance = {
        ...(profile !== undefined && { profile: await profileOf(store, tenant, profile) }),
        ...(authority !== undefined && { authority: await authorityOf(store, tenant, authority) }),
      };
      return async (tx, row) => {
        const before = JSON.parse(row.settings) as EndpointSettings;
        const after = changedSettings(before, changes);
        const { profile: toProfile = row.profile, authority: toAuthority = row.authority } = issuance;
        const isSame = isEqual(before, after) && toProfile === row.profile && toAuthority === row.authority;
        if (!isSame) await updateEndpoint(tx, tenant, row.id, row.revision, after, issuance);
      };
    },
  });
  removeResource(app, store, kind, {
    summary: 'Delete an endpoint that never enrolled anything',
    remove: async (tx, row) => void (await deleteEndpoint(tx, row.tenant, row.id)),
  });
}

/** The endpoint of this tenant with this label. Throws PeerError `unknown-endpoint`, also for another tenant's. */
export async function endpointOf(
  endpoints: EndpointContext['endpoints'],
  tenant: string,
  label: string,
): Promise<Endpoint> {
  const endpoint = await endpoints.resolve(label);
  if (endpoint !== undefined && endpoint.tenant === tenant) return endpoint;
  throw new PeerError('unknown-endpoint', `no endpoint has the label ${label}`);
}

async function profileOf(store: Store, tenant: string, name: string | undefined): Promise<string> {
  const profiles = await listProfiles(store, tenant);
  const found =
    name === undefined ? profiles[0] : profiles.find((profile) => profile.id === name || profile.name === name);
  if (found !== undefined) return found.id;
  throw new PeerError(
    'malformed-request',
    `profile: expected one of ${profiles.map((profile) => profile.name).join(', ')}`,
  );
}

async function authorityOf(store: Store, tenant: string, name: string | undefined): Promise<string> {
  const issuing = (await listAuthorities(store, tenant)).filter(
    (authority) => authority.kind === 'issuing' && authority.state === 'active',
  );
  const found =
    name === undefined ? issuing.at(-1) : issuing.find((authority) => authority.id === name || authority.name === name);
  if (found !== undefined) return found.id;
  throw new PeerError(
    'malformed-request',
    `authority: expected one of ${issuing.map((authority) => authority.name).join(', ')}`,
  );
}

/** What is stored came in by the same schema. */
function viewOf({
  id,
  label,
  profile,
  authority,
  revision,
  is_default: isDefault,
  settings,
}: EndpointRow): EndpointView {
  const stored = JSON.parse(settings) as EndpointSettings;
  const attestation = attestationPolicy(stored.attestation);
  const shown: unknown = {
    ...stored,
    attestation,
    id,
    label,
    profile,
    authority,
    revision,
    isDefault: isDefault === 1,
  };
  return shown as EndpointView;
}

function isEqual(before: EndpointSettings, after: EndpointSettings): boolean {
  return isDeepStrictEqual(before, JSON.parse(JSON.stringify(after)));
}
