import type { Store, Unit } from '../store/store.ts';
import { parseCertificate } from '../x509/certificate.ts';
import { allCrls } from './crl-records.ts';
import { crossCertificatesOf } from './rollover-records.ts';
import type { AuthorityRow, AuthorityTables, CrlRow } from './tables.ts';

/**
 * Notes when the last certificate ends that an authority issued, whoever holds it: devices, Muster itself, authorities below it, a
 * root it crosses with. For the unit that retires it: from then on it issues none.
 */
export async function recordEnd(tx: Unit, tenant: string, authority: string): Promise<void> {
  const values = { authority, ends_at: await lastNotAfter(tx, tenant, authority) };
  await tx
    .forTenant<AuthorityTables>(tenant)
    .insertInto('authority_status', { ...values, lifetimes: null })
    .onConflict((conflict) => conflict.column('authority').doUpdateSet({ ends_at: values.ends_at }))
    .execute();
}

/** Epoch milliseconds; 0 where it issued nothing. */
async function lastNotAfter(tx: Unit, tenant: string, authority: string): Promise<number> {
  const tables = tx.forTenant<AuthorityTables>(tenant);
  const issued = await tables
    .selectFrom('certificates')
    .select(({ fn }) => fn.max('not_after').as('last'))
    .where('authority', '=', authority)
    .executeTakeFirst();
  const below = await tables.selectFrom('authorities').select('certificate').where('parent', '=', authority).execute();
  const crosses = (await crossCertificatesOf(tx, tenant)).filter(({ certifier }) => certifier === authority);
  const ders = [...below.map(({ certificate }) => certificate), ...crosses.map(({ der }) => der)];
  const last: number | null = issued?.last ?? null;
  return Math.max(last ?? 0, ...ders.map((der) => parseCertificate(der).notAfter.getTime()));
}

/** CRLs that are published on schedule. */
export interface KeptCrls {
  /** Those in force of authorities that keep theirs up, without their octets. */
  readonly inForce: readonly CrlRow[];
  /** Authorities of ours that have no full CRL yet and need one. */
  readonly missing: readonly Pick<AuthorityRow, 'tenant' | 'id'>[];
}

/**
 * The CRLs of all tenants that are kept up. An authority publishes as long as a certificate of it may be valid, retired or not
 * (RFC 5280 §5: no CRL is issued instead of a missing one), and each list once more on schedule after the last one has ended
 * (§3.3: an entry stays until a regular CRL beyond the validity). After that its lists stand as they are.
 */
export async function keptCrls(store: Store, now: number): Promise<KeptCrls> {
  const authorities = await store
    .read<AuthorityTables>()
    .selectFrom('authorities')
    .leftJoin('authority_status', 'authority_status.authority', 'authorities.id')
    .select(['authorities.tenant', 'authorities.id', 'authorities.state', 'authorities.certificate', 'ends_at'])
    .where('kind', '!=', 'external')
    .execute();
  const all = await allCrls(store);
  const full = new Set(all.filter(({ scope }) => scope === 'full').map(({ authority }) => authority));
  const ends = new Map(authorities.map((row) => [row.id, endOf(row)]));
  return {
    inForce: all.filter((crl) => crl.regular_at <= (ends.get(crl.authority) ?? -Infinity)),
    missing: authorities.filter(({ id }) => !full.has(id) && now <= ends.get(id)!),
  };
}

/** Whether a list of an authority would name nothing any more: it is retired, and the last certificate of it has ended. */
export async function hasEnded(store: Store, tenant: string, authority: string): Promise<boolean> {
  const row = await store
    .forTenant<AuthorityTables>(tenant)
    .selectFrom('authorities')
    .select(['state', 'certificate'])
    .where('id', '=', authority)
    .executeTakeFirst();
  if (row?.state !== 'retired') return false;
  const status = await store
    .forTenant<AuthorityTables>(tenant)
    .selectFrom('authority_status')
    .select('ends_at')
    .where('authority', '=', authority)
    .executeTakeFirst();
  return store.clock.now() > endOf({ ...row, ends_at: status?.ends_at ?? null });
}

type Ending = Pick<AuthorityRow, 'state' | 'certificate'> & { readonly ends_at: number | null };

/** When the last certificate of an authority ends: of one that is not retired, nobody knows yet. Nothing outlives its issuer. */
function endOf({ state, certificate, ends_at: endsAt }: Ending): number {
  if (state !== 'retired') return Infinity;
  return endsAt ?? parseCertificate(certificate).notAfter.getTime();
}
