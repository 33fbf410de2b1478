import { statement } from '../../core/store/statement.ts';
import type { Store, Unit } from '../../core/store/store.ts';
import type { InventoryTables } from './tables.ts';

/** An enrolment that an identity was admitted to before, under another key or asked for anew. */
export interface EarlierEnrollment {
  readonly enrollment: string;
  readonly spkiSha256: string;
  readonly certificate: string | undefined;
  /** Whether it may still speak for the device: it waits, is being signed, or its certificate is in force. */
  readonly live: boolean;
  /** Whether it counts against using the identity once: it is no older than the last time the device was expected anew. */
  readonly counts: boolean;
  /** What was shown for it beside evidence. */
  readonly continuity: string | undefined;
}

/** Where an identity counts once: a device may hold certificates of several profiles, one of its TPM's attestation key among them. */
export interface IdentityScope {
  readonly tenant: string;
  readonly profile: string;
  readonly identity: string;
}

/** What the look-up of earlier enrolments reads of other folders. */
interface HistoryTables extends InventoryTables {
  evidence: { tenant: string; id: string; identity: string | null; continuity: string | null };
  enrollments: {
    tenant: string;
    id: string;
    evidence: string | null;
    status: string;
    profile: string;
    spki_sha256: string;
    certificate: string | null;
    created_at: number;
  };
  certificates: { tenant: string; id: string; status: string; not_after: number };
}

/** An identity renews every few months; what lies further back than this many certificates tells nothing more. */
const MAX_EARLIER = 100;

/** The enrolments that rest on evidence of an identity and were not turned away. */
export async function earlierEnrollments(
  reader: Pick<Store, 'query'> | Pick<Unit, 'run'>,
  scope: IdentityScope,
  now: number,
): Promise<readonly EarlierEnrollment[]> {
  const rows =
    'run' in reader
      ? await reader.run(enrollmentsOfIdentity, { ...scope })
      : await reader.query(enrollmentsOfIdentity, { ...scope });
  return rows.map((row) => ({
    enrollment: row.id,
    spkiSha256: row.spki_sha256,
    certificate: row.certificate ?? undefined,
    live: row.status === 'issued' ? row.certificate_status === 'active' && (row.not_after ?? 0) > now : true,
    counts: row.created_at >= (row.fresh_from ?? 0),
    continuity: row.continuity ?? undefined,
  }));
}

/**
 * Makes the units that admit one identity wait for one another: on PostgreSQL two nodes would otherwise each see no other
 * enrolment.
 */
export async function holdIdentity(tx: Unit, tenant: string, identity: string, at: number): Promise<void> {
  await tx.affected(touchIdentity, { tenant, identity, at });
}

/** What an identity was used for until now does not count any more: it was repaired, or changed hands. */
export async function renewIdentity(tx: Unit, tenant: string, identity: string, at: number): Promise<void> {
  await tx.affected(refreshIdentity, { tenant, identity, at });
}

const enrollmentsOfIdentity = statement<HistoryTables>()(
  'identity-enrollments',
  (db, p: { tenant: string; profile: string; identity: string }) =>
    db
      .selectFrom('evidence')
      .innerJoin('enrollments', (join) =>
        join
          .onRef('enrollments.evidence', '=', 'evidence.id')
          .onRef('enrollments.tenant', '=', 'evidence.tenant')
          .on('enrollments.profile', '=', p.profile)
          .on('enrollments.status', 'in', ['pending', 'approved', 'signing', 'issued']),
      )
      .leftJoin('certificates', (join) =>
        join
          .onRef('certificates.id', '=', 'enrollments.certificate')
          .onRef('certificates.tenant', '=', 'enrollments.tenant'),
      )
      .leftJoin('identities', (join) =>
        join.onRef('identities.tenant', '=', 'evidence.tenant').onRef('identities.identity', '=', 'evidence.identity'),
      )
      .select([
        'enrollments.id',
        'enrollments.spki_sha256',
        'enrollments.status',
        'enrollments.certificate',
        'enrollments.created_at',
        'certificates.status as certificate_status',
        'certificates.not_after',
        'identities.fresh_from',
        'evidence.continuity',
      ])
      .where('evidence.tenant', '=', p.tenant)
      .where('evidence.identity', '=', p.identity)
      .orderBy('enrollments.id', 'desc')
      .limit(MAX_EARLIER),
);

const touchIdentity = statement<InventoryTables>()(
  'identity-touch',
  (db, p: { tenant: string; identity: string; at: number }) =>
    db
      .insertInto('identities')
      .values({ tenant: p.tenant, identity: p.identity, fresh_from: 0, touched_at: p.at })
      .onConflict((conflict) => conflict.columns(['tenant', 'identity']).doUpdateSet({ touched_at: p.at })),
);

const refreshIdentity = statement<InventoryTables>()(
  'identity-refresh',
  (db, p: { tenant: string; identity: string; at: number }) =>
    db
      .insertInto('identities')
      .values({ tenant: p.tenant, identity: p.identity, fresh_from: p.at, touched_at: p.at })
      .onConflict((conflict) =>
        conflict.columns(['tenant', 'identity']).doUpdateSet({ fresh_from: p.at, touched_at: p.at }),
      ),
);
