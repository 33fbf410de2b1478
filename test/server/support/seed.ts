import { insertAuthority, insertTenant } from '../../../core/authority/authorities.ts';
import { DEVICE_PROFILE } from '../../../core/authority/profile.ts';
import { insertProfile } from '../../../core/authority/profiles.ts';
import type { AuthorityTables } from '../../../core/authority/tables.ts';
import { createEndpoint } from '../../../core/enrollment/endpoints.ts';
import type { EnrollmentTables } from '../../../core/enrollment/tables.ts';
import type { Store, Unit } from '../../../core/store/store.ts';
import { decodePem } from '../../../core/x509/pem.ts';
import type { InventoryTables } from '../../../devices/inventory/tables.ts';
import { CLOSED_ENDPOINT } from '../../../server/api/endpoint-schema.ts';
import { selfSigned } from './tls-identity.ts';

/** The DER that stands for every certificate of the seed. */
export const seedCertificate: Uint8Array = decodePem(selfSigned('ec', 'Test CA').chain)[0]!.der;

/** The objects of one tenant that tests ask for. */
export interface SeededTenant {
  readonly tenant: string;
  readonly endpoint: string;
  readonly authority: string;
  readonly profile: string;
  readonly device: string;
  readonly enrollment: string;
  readonly certificate: string;
  readonly batch: string;
  readonly rollover: string;
}

/** The ids of what {@link seedTenant} makes. */
export function seeded(tenant: string): SeededTenant {
  return {
    tenant,
    endpoint: `${tenant}-routers`,
    authority: `ca-${tenant}`,
    profile: `profile-${tenant}`,
    device: `device-${tenant}`,
    enrollment: `enrollment-${tenant}`,
    certificate: `certificate-${tenant}`,
    batch: `batch-${tenant}`,
    rollover: `rollover-${tenant}`,
  };
}

/** Stores a tenant with one object of every kind; its enrolment waits for an operator. */
export async function seedTenant(store: Store, name: string): Promise<void> {
  const now = store.clock.now();
  const ids = seeded(name);
  const { tenant, authority, profile } = ids;
  await store.unit(async (tx) => {
    await insertTenant(tx, { id: tenant, name, created_at: now });
    await insertAuthority(tx, {
      id: authority,
      tenant,
      name: 'Issuing CA',
      kind: 'issuing',
      parent: null,
      key_uri: 'pkcs11:token=test;object=ca',
      certificate: seedCertificate,
      spki_sha256: '00',
      state: 'active',
      crl_shards: 1,
      created_at: now,
    });
    await insertProfile(tx, { id: profile, tenant, name: 'device', settings: DEVICE_PROFILE }, now);
    const draft = { tenant, label: ids.endpoint, profile, authority, settings: CLOSED_ENDPOINT };
    const endpoint = await createEndpoint(tx, { ...draft, isDefault: name === 'default' }, now);
    await insertDevice(tx, ids, now);
    await insertCertificate(tx, ids, now);
    await insertEnrollment(tx, ids, endpoint, now);
    await insertBatch(tx, ids, now);
    await insertRollover(tx, ids, now);
  });
}

async function insertDevice(tx: Unit, { tenant, device, certificate }: SeededTenant, now: number): Promise<void> {
  const row = {
    id: device,
    name: 'router1',
    state: 'enrolled' as const,
    certificate,
    certificate_not_after: now + 1e9,
    created_at: now,
    updated_at: now,
  };
  await tx.forTenant<InventoryTables>(tenant).insertInto('devices', row).execute();
}

async function insertCertificate(
  tx: Unit,
  { tenant, authority, device, certificate }: SeededTenant,
  now: number,
): Promise<void> {
  const row = {
    id: certificate,
    kind: 'x509' as const,
    authority,
    serial_number: '01ab',
    device,
    profile: null,
    enrollment: null,
    subject: 'CN=router1',
    der: seedCertificate,
    fingerprint: `fingerprint-${tenant}`,
    spki_sha256: 'aa',
    key_algorithm: 'EC P-256',
    not_before: now,
    not_after: now + 1e9,
    status: 'active' as const,
    revoked_at: null,
    revocation_reason: null,
    replaced_by: null,
    source: 'issued' as const,
    created_at: now,
  };
  await tx.forTenant<AuthorityTables>(tenant).insertInto('certificates', row).execute();
}

async function insertEnrollment(
  tx: Unit,
  { tenant, authority, enrollment }: SeededTenant,
  endpoint: string,
  now: number,
): Promise<void> {
  const row = {
    id: enrollment,
    endpoint,
    endpoint_revision: 1,
    protocol: 'est' as const,
    status: 'pending' as const,
    idempotency_key: `key-${tenant}`,
    principal: 'password:1',
    device_name: 'router1',
    subject: 'CN=router1',
    names: '["dns:router1.example"]',
    spki_sha256: 'aa',
    server_generated: 0,
    request: new Uint8Array([0x30, 0x00]),
    secret: null,
    authority,
    profile: `profile-${tenant}`,
    serial_number: null,
    tbs: null,
    lease_owner: null,
    lease_until: null,
    certificate: null,
    replaces: null,
    reason: null,
    detail: null,
    decided_by: null,
    source_address: '192.0.2.1',
    created_at: now,
    updated_at: now,
    expires_at: now + 1e9,
  };
  await tx.forTenant<EnrollmentTables>(tenant).insertInto('enrollments', row).execute();
}

/** A rollover that is over. */
async function insertRollover(tx: Unit, { tenant, rollover, authority }: SeededTenant, now: number): Promise<void> {
  const tables = tx.forTenant<AuthorityTables>(tenant);
  const times = { switch_at: null, created_at: now, switched_at: now, retired_at: now };
  await tables.insertInto('rollovers', { id: rollover, state: 'retired', created_by: 'user:test', ...times }).execute();
  const member = { rollover, predecessor: `before-${authority}`, successor: authority };
  await tables.insertInto('rollover_members', { ...member, old_with_new: null, new_with_old: null }).execute();
}

/** A batch of revocations that has found nothing. */
async function insertBatch(tx: Unit, { tenant, batch }: SeededTenant, now: number): Promise<void> {
  const row = {
    id: batch,
    query: '{"device":"none"}',
    reason: 'superseded',
    invalidity_date: null,
    actor: 'user:test',
    expected: 0,
    done: 0,
    position: null,
    created_at: now,
    finished_at: now,
  };
  await tx.forTenant<AuthorityTables>(tenant).insertInto('revocation_batches', row).execute();
}
