import { appendAudit } from '../audit/log.ts';
import { PeerError, StateError } from '../errors/muster-error.ts';
import { enqueueJob } from '../store/jobs.ts';
import { statement } from '../store/statement.ts';
import type { Store, Unit } from '../store/store.ts';
import { certificateFingerprint, parseCertificate } from '../x509/certificate.ts';
import { CRL_REASON } from '../x509/crl.ts';
import { changeJobs } from './crl-jobs.ts';
import { crlShard } from './prepare.ts';
import { reasonOfCode, type RevocationReason, REVOCATIONS_CHANGED, type Standing } from './revocation.ts';
import { recordRevocation } from './revocation-records.ts';
import type { AuthorityRow, AuthorityTables } from './tables.ts';

/** A wish to revoke the certificate of an authority by the one above it. */
export interface AuthorityRevocation {
  readonly tenant: string;
  /** Id or name. */
  readonly authority: string;
  readonly reason: RevocationReason;
  /** Who wants it, as audit entries name him. */
  readonly actor: string;
  /** Epoch milliseconds. */
  readonly at: number;
  /** Since when the key must be thought known to others, epoch milliseconds (RFC 5280 §5.3.2). */
  readonly invalidityDate?: number | undefined;
  readonly comment?: string | undefined;
}

/** What became of it: a repeat changes nothing. */
export interface RevokedAuthority {
  readonly id: string;
  readonly name: string;
  readonly serialNumber: string;
  readonly outcome: 'revoked' | 'already-revoked';
}

/**
 * Revokes the certificate of an issuing authority, for good: it stands in the CRL and the OCSP answers of the one above, no endpoint
 * issues by it any more, and what it issued is no credential here. Its own CRLs go on. A successor may still take over.
 * @throws PeerError `not-found`, or `malformed-request` for a hold; StateError `conflict` for a root (no list can name it), and where
 *   who is above signs nothing here
 */
export async function revokeAuthority(tx: Unit, wish: AuthorityRevocation): Promise<RevokedAuthority> {
  if (wish.reason === 'certificateHold' || wish.reason === 'removeFromCRL')
    throw new PeerError('malformed-request', 'reason: an authority is revoked for good or not at all');
  const rows = await tx.forTenant<AuthorityTables>(wish.tenant).selectFrom('authorities').selectAll().execute();
  const authority = rows.find(({ id, name }) => id === wish.authority || name === wish.authority);
  if (authority === undefined || authority.kind === 'external') throw new PeerError('not-found', 'no such authority');
  const issuer = certifierOf(authority, rows);
  const { serialNumber, notAfter } = parseCertificate(authority.certificate);
  const said = { id: authority.id, name: authority.name, serialNumber };
  const listed = await tx.run(listedUnder, { authority: issuer.id, serialNumber });
  if (listed.length > 0) return { ...said, outcome: 'already-revoked' };
  const shard = crlShard(serialNumber, issuer.crl_shards);
  await recordRevocation(tx, {
    tenant: wish.tenant,
    authority: issuer.id,
    serialNumber,
    certificate: authority.id,
    shard,
    state: 'revoked',
    reason: CRL_REASON[wish.reason],
    revokedAt: wish.at,
    invalidityDate: wish.invalidityDate ?? null,
    notAfter: notAfter.getTime(),
  });
  const list = { tenant: wish.tenant, authority: issuer.id, shards: issuer.crl_shards };
  for (const job of changeJobs(list, shard)) await enqueueJob(tx, job);
  tx.signal(REVOCATIONS_CHANGED);
  await audit(tx, wish, authority, issuer);
  return { ...said, outcome: 'revoked' };
}

/** How the certificate of an authority stands with the one above it, by the store alone: good where that one listed nothing. */
export async function authorityStanding(store: Store, above: string, serialNumber: string): Promise<Standing> {
  const [row] = await store.query(listedUnder, { authority: above, serialNumber });
  if (row === undefined || row.state === 'released') return { kind: 'good' };
  return { kind: 'revoked', at: row.revoked_at, reason: reasonOfCode(row.reason) };
}

/** Which of these authorities are revoked, or are below one that is: their ids. */
export async function revokedAuthorities(store: Store, rows: readonly AuthorityRow[]): Promise<ReadonlySet<string>> {
  const below = rows.filter(({ parent }) => parent !== null);
  if (below.length === 0) return new Set();
  const serialNumbers = below.map(({ certificate }) => parseCertificate(certificate).serialNumber);
  const listed = await store
    .read<AuthorityTables>()
    .selectFrom('revocations')
    .select('certificate')
    .where('authority', 'in', Array.from(new Set(below.map(({ parent }) => parent!))))
    .where('serial_number', 'in', serialNumbers)
    .where('state', '!=', 'released')
    .execute();
  const own = new Set(listed.map(({ certificate }) => certificate));
  const isRevoked = (row: AuthorityRow | undefined): boolean =>
    row !== undefined && (own.has(row.id) || isRevoked(rows.find(({ id }) => id === row.parent)));
  return new Set(rows.filter(isRevoked).map(({ id }) => id));
}

function certifierOf({ name, parent }: AuthorityRow, rows: readonly AuthorityRow[]): AuthorityRow {
  const issuer = rows.find(({ id }) => id === parent);
  if (issuer === undefined)
    throw new StateError(
      'conflict',
      `${name} is a root: nobody revokes it; replace it and have it removed as an anchor`,
    );
  if (issuer.kind === 'external')
    throw new StateError('conflict', `${name} was certified elsewhere: only ${issuer.name} can revoke it`);
  if (issuer.state === 'retired')
    throw new StateError('conflict', `the authority ${issuer.name} above it is retired and signs nothing`);
  return issuer;
}

function audit(tx: Unit, wish: AuthorityRevocation, authority: AuthorityRow, issuer: AuthorityRow): Promise<void> {
  const { tenant, at, actor, reason, invalidityDate, comment } = wish;
  return appendAudit(tx, {
    tenant,
    at,
    actor,
    action: 'authority.revoked',
    object: `authority:${authority.id}`,
    outcome: 'success',
    details: {
      reason,
      name: authority.name,
      certificate: certificateFingerprint(authority.certificate),
      by: issuer.id,
      ...(invalidityDate !== undefined && { invalidityDate }),
      ...(comment !== undefined && comment !== '' && { comment }),
    },
  });
}

const listedUnder = statement<AuthorityTables>()(
  'revocation-of-serial',
  (db, p: { authority: string; serialNumber: string }) =>
    db
      .selectFrom('revocations')
      .select(['state', 'reason', 'revoked_at'])
      .where('authority', '=', p.authority)
      .where('serial_number', '=', p.serialNumber),
);
