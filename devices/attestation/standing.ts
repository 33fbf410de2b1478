import type { Standing } from '../../core/enrollment/ports.ts';
import { statement } from '../../core/store/statement.ts';
import type { Store } from '../../core/store/store.ts';
import type { AttestationTables } from './tables.ts';

interface IssuedTables extends AttestationTables {
  certificates: { tenant: string; id: string; enrollment: string | null };
  enrollments: { tenant: string; id: string; evidence: string | null };
}

/** What the certificate of a device rests on; undefined where it was given without evidence. */
export async function standingOf(store: Store, tenant: string, certificateId: string): Promise<Standing | undefined> {
  const [row] = await store.query(evidenceOfCertificate, { tenant, id: certificateId });
  return row && { evidenceId: row.id, boundKey: row.attested_key_sha256 !== null };
}

const evidenceOfCertificate = statement<IssuedTables>()(
  'evidence-of-certificate',
  (db, p: { tenant: string; id: string }) =>
    db
      .selectFrom('certificates')
      .innerJoin('enrollments', (join) =>
        join
          .onRef('enrollments.tenant', '=', 'certificates.tenant')
          .onRef('enrollments.id', '=', 'certificates.enrollment'),
      )
      .innerJoin('evidence', (join) =>
        join.onRef('evidence.tenant', '=', 'enrollments.tenant').onRef('evidence.id', '=', 'enrollments.evidence'),
      )
      .select(['evidence.id', 'evidence.attested_key_sha256'])
      .where('certificates.tenant', '=', p.tenant)
      .where('certificates.id', '=', p.id),
);
