import type { Static } from 'typebox';
import type { Tenant } from '../../core/authority/tables.ts';
import { changeTenant, createTenant, findTenant, pageOfTenants, removeTenant } from '../../core/authority/tenants.ts';
import { newId } from '../../core/store/id.ts';
import type { Unit } from '../../core/store/store.ts';
import { isDryRun } from './changes.ts';
import type { ApiContext } from './context.ts';
import { changeResource, createResource, removeResource, type ResourceCall } from './resource-changes.ts';
import { keyParameter, readResource, type ResourceKind } from './resource.ts';
import { tenantChanges, tenantDraft, tenantView } from './tenant-schema.ts';
import { removeTokensOf } from './tokens.ts';
import type { ApiScope } from './type-provider.ts';
import { present, timeText } from './views.ts';

type TenantContext = Pick<ApiContext, 'store' | 'office' | 'prepareTenant'>;

const kind: ResourceKind<Tenant, typeof tenantView> = {
  noun: 'tenant',
  path: '/tenants',
  tag: 'tenants',
  key: keyParameter,
  access: { read: 'tenants:read', write: 'tenants:write' },
  about: 'installation',
  view: tenantView,
  viewOf: ({ id, name, revision, description, token, created_at: createdAt }) => ({
    id,
    name,
    revision,
    ...present('description', description),
    ...present('token', token),
    createdAt: timeText(createdAt),
  }),
  keyOf: ({ id }) => id,
  find: (rows, _tenant, key) => findTenant(rows, key),
};

/** Tenants: whoever has devices of their own, and authorities nobody else may use. */
export function tenantRoutes(app: ApiScope, context: TenantContext): void {
  const { store, office } = context;
  readResource(app, store, kind, {
    filters: {},
    read: (rows, _tenant, page) => pageOfTenants(rows, page),
    cursorOf: ({ id }) => id,
  });
  createResource(app, store, kind, { body: tenantDraft, create: (draft, call) => creation(context, draft, call) });
  changeResource(app, store, kind, {
    body: tenantChanges,
    async apply(changes) {
      if (typeof changes.token === 'string') office.tokenOf(changes.token);
      return async (tx, tenant) => {
        if (isChanged(tenant, changes)) await changeTenant(tx, tenant, changes);
      };
    },
  });
  removeResource(app, store, kind, {
    summary: 'Remove a tenant that has no authority, no device and no certificate left',
    async remove(tx, tenant) {
      await removeTokensOf(tx, tenant.id);
      await removeTenant(tx, tenant);
    },
  });
}

async function creation(
  { office, prepareTenant }: TenantContext,
  draft: Static<typeof tenantDraft>,
  { at, actor, request }: ResourceCall,
): Promise<(tx: Unit) => Promise<string>> {
  const { name, description, token, provision } = draft;
  const label = office.tokenOf(token);
  const details = { ...present('description', description), ...present('token', token) };
  if (provision === undefined || isDryRun(request)) {
    const id = newId(at);
    return async (tx) => {
      await createTenant(tx, { id, name, created_at: at, ...details });
      return id;
    };
  }
  const prepared = await prepareTenant({ name, token: label, ...provision }, at);
  return async (tx) => {
    await prepared.store(tx, { at, actor });
    const made = (await findTenant(tx, prepared.id))!;
    if (isChanged(made, details)) await changeTenant(tx, made, details);
    return prepared.id;
  };
}

function isChanged(tenant: Tenant, changes: Static<typeof tenantChanges>): boolean {
  return (['name', 'description', 'token'] as const).some(
    (member) => changes[member] !== undefined && changes[member] !== tenant[member],
  );
}
