import { appendAudit } from '../../core/audit/log.ts';
import { insertAuthority, insertTenant, listAuthorities, listTenants } from '../../core/authority/authorities.ts';
import { createIssuing, createRoot } from '../../core/authority/authority-creation.ts';
import {
  ATTESTATION_KEY_PROFILE,
  DEVICE_PROFILE,
  REGISTRATION_AUTHORITY_PROFILE,
} from '../../core/authority/profile.ts';
import { insertProfile } from '../../core/authority/profiles.ts';
import type { AuthorityRow, TenantRow } from '../../core/authority/tables.ts';
import { InternalError, StateError } from '../../core/errors/muster-error.ts';
import type { EndpointSettings, EstSettings } from '../../core/enrollment/endpoint.ts';
import { createEndpoint } from '../../core/enrollment/endpoints.ts';
import { OPEN_ACME } from '../../core/enrollment/acme-settings.ts';
import { OPEN_CMP } from '../../core/enrollment/cmp-settings.ts';
import { OPEN_SCEP } from '../../core/enrollment/scep-settings.ts';
import type { KeyAlgorithm } from '../../core/keys/key-algorithm.ts';
import type { KeyStore } from '../../core/keys/key-store.ts';
import { newId } from '../../core/store/id.ts';
import type { Store, Unit } from '../../core/store/store.ts';
import { nameFromText } from '../../core/x509/name.ts';
import { createToken, type IssuedToken } from '../api/tokens.ts';

/** What a new tenant gets. */
export interface TenantSpecification {
  readonly name: string;
  /** Label of the token that holds its CA keys. */
  readonly token: string;
  readonly rootAlgorithm: KeyAlgorithm;
  readonly issuingAlgorithm: KeyAlgorithm;
  /** Whether its endpoint serves paths without a label. */
  readonly isDefault: boolean;
}

/** RSA because everything verifies it: old routers, and devices that refuse to mix key types with their CA's. */
export const DEFAULT_ALGORITHMS = { rootAlgorithm: 'rsa-3072', issuingAlgorithm: 'rsa-3072' } as const;

const YEAR = 365 * 86_400;
const CRL_SHARDS = 16;

const EST: EstSettings = {
  authenticators: ['password', 'certificate', 'ra'],
  channelBinding: 'optional',
  wrapping: 'auto',
  serverKeyGeneration: true,
  csrAttributes: 'none',
};

/** An endpoint open to a secret, to a certificate of ours and to a registration authority. */
const DEFAULT_ENDPOINT: EndpointSettings = {
  protocols: {
    est: EST,
    scep: { ...OPEN_SCEP, authenticators: ['password', 'certificate', 'ra'] },
    cmp: { ...OPEN_CMP, centralKeyGeneration: true },
    acme: OPEN_ACME,
  },
  attestation: 'off',
  admission: [],
  approval: 'automatic',
  registrationAuthorities: [],
  retryAfterSeconds: 60,
  pendingLifetimeSeconds: 7 * 86_400,
};

/** Where registration authorities enrol: none of them makes another. */
const REGISTRATION_AUTHORITY_ENDPOINT: EndpointSettings = {
  ...DEFAULT_ENDPOINT,
  protocols: {
    est: { ...EST, authenticators: ['password', 'certificate'] },
    cmp: { ...OPEN_CMP, authenticators: ['mac', 'certificate'] },
  },
};

/** A tenant with everything its first endpoint needs. */
export interface ProvisionedTenant {
  readonly tenant: TenantRow;
  readonly root: AuthorityRow;
  readonly issuing: AuthorityRow;
}

/**
 * Makes a tenant: root and issuing CA in the token, the profiles `device` and `registration-authority`, and an endpoint
 * with the tenant's name (and `NAME-ra` for registration authorities). All rows stand in one unit; a crash before it
 * leaves nothing but unused keys in the token.
 * @throws StateError `conflict` when the name is taken; UpstreamError when the token is away.
 */
export async function provisionTenant(
  store: Store,
  keys: KeyStore,
  specification: TenantSpecification,
): Promise<ProvisionedTenant> {
  const now = store.clock.now();
  const provisioned = await prepareTenant(keys, specification, now);
  await store.unit((tx) => storeTenant(tx, provisioned, specification, { at: now, actor: 'system:installation' }));
  return provisioned;
}

/** Makes keys and certificates of a new tenant; nothing of it is stored yet. @throws UpstreamError when the token is away. */
export async function prepareTenant(
  keys: KeyStore,
  specification: TenantSpecification,
  now: number,
): Promise<ProvisionedTenant> {
  const tenant: TenantRow = { id: newId(now), name: specification.name, created_at: now };
  const { token, rootAlgorithm, issuingAlgorithm, name } = specification;
  const common = { tenant: tenant.id, token, crlShards: 1 };
  const root = await createRoot(
    keys,
    {
      ...common,
      name: 'root',
      subject: nameFromText(`CN=${name} root CA,O=Muster`),
      keyAlgorithm: rootAlgorithm,
      validitySeconds: 20 * YEAR,
    },
    now,
  );
  const issuing = await createIssuing(
    keys,
    root,
    {
      ...common,
      name: 'issuing',
      subject: nameFromText(`CN=${name} issuing CA,O=Muster`),
      keyAlgorithm: issuingAlgorithm,
      validitySeconds: 10 * YEAR,
      crlShards: CRL_SHARDS,
    },
    now,
  );
  return { tenant, root, issuing };
}

/** The tenants of the installation; on the first start, or when another node makes it at this moment, `default`. */
export async function ensureDefaultTenant(
  store: Store,
  keys: KeyStore,
  specification: Omit<TenantSpecification, 'name' | 'isDefault'>,
): Promise<ProvisionedTenant> {
  const [first] = await listTenants(store);
  if (first) return loadTenant(store, first);
  try {
    return await provisionTenant(store, keys, { ...specification, name: 'default', isDefault: true });
  } catch (error) {
    if (!(error instanceof StateError)) throw error;
    const [other] = await listTenants(store);
    if (!other) throw error;
    return loadTenant(store, other);
  }
}

/** The administrator's first token. */
export function createFirstToken(store: Store): Promise<IssuedToken> {
  const now = store.clock.now();
  return store.unit((tx) =>
    createToken(tx, now, {
      label: 'first administrator',
      role: 'admin',
      tenant: undefined,
      scopes: undefined,
      lifetimeSeconds: undefined,
      createdBy: 'system:installation',
    }),
  );
}

async function loadTenant(store: Store, tenant: TenantRow): Promise<ProvisionedTenant> {
  const authorities = await listAuthorities(store, tenant.id);
  const root = authorities.find((authority) => authority.kind === 'root');
  const issuing = authorities.find((authority) => authority.kind === 'issuing');
  if (!root || !issuing) throw new InternalError(`the tenant ${tenant.name} lacks a root or an issuing CA`);
  return { tenant, root, issuing };
}

/** Stores what {@link prepareTenant} made, with profiles and endpoints. */
export async function storeTenant(
  tx: Unit,
  { tenant, root, issuing }: ProvisionedTenant,
  specification: TenantSpecification,
  { at: now, actor }: { readonly at: number; readonly actor: string },
): Promise<void> {
  await insertTenant(tx, tenant);
  await insertAuthority(tx, root);
  await insertAuthority(tx, issuing);
  const device = newId(now);
  const registrationAuthority = newId(now);
  await insertProfile(tx, { id: device, tenant: tenant.id, name: 'device', settings: DEVICE_PROFILE }, now);
  const settings = REGISTRATION_AUTHORITY_PROFILE;
  await insertProfile(
    tx,
    { id: registrationAuthority, tenant: tenant.id, name: 'registration-authority', settings },
    now,
  );
  const attestationKey = {
    id: newId(now),
    tenant: tenant.id,
    name: 'attestation-key',
    settings: ATTESTATION_KEY_PROFILE,
  };
  await insertProfile(tx, attestationKey, now);
  const common = { tenant: tenant.id, authority: issuing.id };
  const { name: label, isDefault } = specification;
  await createEndpoint(tx, { ...common, label, profile: device, settings: DEFAULT_ENDPOINT, isDefault }, now);
  await createEndpoint(
    tx,
    {
      ...common,
      label: `${label}-ra`,
      profile: registrationAuthority,
      settings: REGISTRATION_AUTHORITY_ENDPOINT,
      isDefault: false,
    },
    now,
  );
  await appendAudit(tx, {
    tenant: tenant.id,
    at: now,
    actor,
    action: 'tenant.created',
    object: `tenant:${tenant.id}`,
    outcome: 'success',
    details: { name: tenant.name, root: root.spki_sha256, issuing: issuing.spki_sha256 },
  });
}
