import { appendAudit } from '../audit/log.ts';
import { InternalError } from '../errors/muster-error.ts';
import { parseKeyUri } from '../keys/key-uri.ts';
import { newId } from '../store/id.ts';
import type { Store } from '../store/store.ts';
import { parseCertificate } from '../x509/certificate.ts';
import { authorityById } from './authorities.ts';
import { recordCertificate } from './certificates.ts';
import type { Issuer } from './directory.ts';
import { lintCertificate } from './lint.ts';
import { prepareCertificate } from './prepare.ts';
import type { IdentityScope, ServiceIdentityParts } from './service-identities.ts';
import { SERVICE_PROFILES, type ServicePurpose } from './service-profiles.ts';
import type { AuthorityTables, CertificateRow } from './tables.ts';

/** An identity as the store has it: without a certificate it was prepared and not signed yet. */
export interface StoredIdentity {
  readonly id: string;
  readonly generation: number;
  readonly keyUri: string;
  readonly tbs: Uint8Array;
  readonly createdAt: number;
  readonly der: Uint8Array | null;
  readonly status: CertificateRow['status'] | null;
  readonly notAfter: number | null;
}

/** The identities of one purpose, newest first. */
export async function storedIdentities(
  store: Store,
  { tenant, authority, purpose }: IdentityScope,
): Promise<StoredIdentity[]> {
  const rows = await identities(store)
    .where('service_identities.tenant', '=', tenant)
    .where('service_identities.authority', '=', authority)
    .where('service_identities.purpose', '=', purpose)
    .execute();
  return rows.map(({ tenant: _tenant, authority: _authority, purpose: _purpose, ...row }) => stored(row));
}

/** The newest identity of each purpose at each authority that needs it: one that retires needs those for OCSP. */
export interface NewestIdentity {
  readonly scope: IdentityScope;
  readonly newest: StoredIdentity;
  /** When the authority itself ends, epoch milliseconds. */
  readonly issuerNotAfter: number;
}

/** What there is to renew, in every tenant. */
export async function newestIdentities(store: Store): Promise<NewestIdentity[]> {
  const rows = await identities(store).execute();
  const authorities = await store
    .read<AuthorityTables>()
    .selectFrom('authorities')
    .select(['id', 'certificate', 'state'])
    .where('state', '!=', 'retired')
    .execute();
  const ends = new Map(authorities.map((row) => [row.id, parseCertificate(row.certificate).notAfter.getTime()]));
  const retiring = new Set(authorities.filter(({ state }) => state === 'retiring').map(({ id }) => id));
  const newest = new Map<string, NewestIdentity>();
  for (const { tenant, authority, purpose, ...row } of rows) {
    const name = `${authority}:${purpose}`;
    const issuerNotAfter = ends.get(authority);
    if (issuerNotAfter === undefined || newest.has(name)) continue;
    if (retiring.has(authority) && purpose !== 'ocsp') continue;
    newest.set(name, {
      scope: { tenant, authority, purpose: purpose as ServicePurpose },
      newest: stored(row),
      issuerNotAfter,
    });
  }
  return Array.from(newest.values());
}

/** After this long an identity that was prepared is not signed any more: its key may be gone, its dates old. */
const GIVEN_UP_MS = 3_600_000;

/** Whether nobody signs this prepared identity any more: its successor is made instead. */
export function givenUp({ createdAt }: StoredIdentity, now: number): boolean {
  return createdAt + GIVEN_UP_MS <= now;
}

/**
 * Unit 1: a key in the authority's token and the linted TBSCertificate over it, under the number that only one node gets.
 * Returns what holds the number: the caller's, or that of the node that was faster.
 */
export async function insertIdentity(
  { store, keys }: ServiceIdentityParts,
  issuer: Issuer,
  { tenant, authority, purpose }: IdentityScope,
  generation: number,
): Promise<StoredIdentity> {
  const { algorithm, usage, subject, profile } = SERVICE_PROFILES[purpose];
  const owner = await authorityById(store, authority);
  if (!owner) throw new InternalError(`the authority ${authority} of a service identity is gone`);
  const key = await keys.generate({
    token: parseKeyUri(owner.key_uri).token,
    algorithm: algorithm(issuer.publicKey.algorithm),
    label: `muster/${purpose}`,
    usage,
  });
  const now = store.clock.now();
  const request = { subject, subjectAltName: [], requestedExtensions: [], publicKey: key.publicKey };
  const { serialNumber, tbsDer: tbs } = prepareCertificate(profile, issuer, request, now).certificate;
  const row = { id: newId(now), tenant, purpose, authority, serial_number: serialNumber, tbs, certificate: null };
  await store.unit(async (tx) => {
    await tx
      .db<AuthorityTables>()
      .insertInto('service_identities')
      .values({ ...row, key_uri: key.uri, generation, created_at: now })
      .onConflict((conflict) => conflict.columns(['tenant', 'authority', 'purpose', 'generation']).doNothing())
      .execute();
  });
  const all = await storedIdentities(store, { tenant, authority, purpose });
  const found = all.find((candidate) => candidate.generation === generation);
  if (!found) throw new InternalError(`generation ${generation} of the identity ${purpose} was stored and is gone`);
  return found;
}

/** Signs what was prepared and records it (unit 2), unless another node has. */
export async function finishIdentity(
  store: Store,
  issuer: Issuer,
  { tenant, authority, purpose }: IdentityScope,
  { id, tbs, der: signed, generation }: StoredIdentity,
): Promise<void> {
  if (signed !== null) return;
  const linted = lintCertificate(tbs, issuer, SERVICE_PROFILES[purpose].profile);
  const certificate = parseCertificate(await (await issuer.caKey()).signCertificate(linted, tenant));
  const at = store.clock.now();
  const certificateId = newId(at);
  await store.unit(async (tx) => {
    const placed = await tx
      .forTenant<AuthorityTables>(tenant)
      .updateTable('service_identities', { certificate: certificateId })
      .where('id', '=', id)
      .where('certificate', 'is', null)
      .executeTakeFirst();
    if (placed.numUpdatedRows !== 1n) return;
    const origin = { id: certificateId, tenant, authority, profile: null, device: null, enrollment: null, at };
    await recordCertificate(tx, origin, certificate, []);
    const { serialNumber, notAfter } = certificate;
    await appendAudit(tx, {
      tenant,
      at,
      actor: 'system:identities',
      action: 'certificate.issued',
      object: `certificate:${certificateId}`,
      outcome: 'success',
      details: { purpose, generation, authority, serialNumber, notAfter: notAfter.getTime() },
    });
  });
}

function identities(store: Store) {
  return store
    .read<AuthorityTables>()
    .selectFrom('service_identities')
    .leftJoin('certificates', (join) =>
      join
        .onRef('certificates.tenant', '=', 'service_identities.tenant')
        .onRef('certificates.id', '=', 'service_identities.certificate'),
    )
    .select([
      'service_identities.tenant',
      'service_identities.authority',
      'service_identities.purpose',
      'service_identities.id',
      'service_identities.generation',
      'service_identities.key_uri',
      'service_identities.tbs',
      'service_identities.created_at',
      'certificates.der',
      'certificates.status',
      'certificates.not_after',
    ])
    .where('service_identities.generation', 'is not', null)
    .orderBy('service_identities.generation', 'desc');
}

interface IdentityColumns {
  readonly id: string;
  readonly generation: number | null;
  readonly key_uri: string | null;
  readonly tbs: Uint8Array;
  readonly created_at: number;
  readonly der: Uint8Array | null;
  readonly status: CertificateRow['status'] | null;
  readonly not_after: number | null;
}

function stored({ id, generation, key_uri, tbs, created_at, der, status, not_after }: IdentityColumns): StoredIdentity {
  return {
    id,
    generation: generation ?? 0,
    keyUri: key_uri ?? '',
    tbs,
    createdAt: created_at,
    der,
    status,
    notAfter: not_after,
  };
}
