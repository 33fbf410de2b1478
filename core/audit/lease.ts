import { statement } from '../store/statement.ts';
import type { Store } from '../store/store.ts';
import type { AuditTables } from './tables.ts';

/** The right to place entries, until it expires unless renewed. */
export interface SequencerLease {
  /** Rises with each change of the holder: what an earlier holder still does is refused by it. */
  readonly fence: number;
}

const LEASE = 'sequencer';

type LeaseRequest = { name: string; holder: string; now: number; expires_at: number };

const firstLease = statement<AuditTables>()('audit-lease-first', (db, p: LeaseRequest) =>
  db
    .insertInto('audit_lease')
    .values({ name: p.name, holder: p.holder, fence: 1, expires_at: p.expires_at })
    .onConflict((conflict) => conflict.column('name').doNothing())
    .returning('fence'),
);

const renewLease = statement<AuditTables>()('audit-lease-renew', (db, p: LeaseRequest) =>
  db
    .updateTable('audit_lease')
    .set({ expires_at: p.expires_at })
    .where('name', '=', p.name)
    .where('holder', '=', p.holder)
    .where('expires_at', '>', p.now)
    .returning('fence'),
);

const takeLease = statement<AuditTables>()('audit-lease-take', (db, p: LeaseRequest) =>
  db
    .updateTable('audit_lease')
    .set((row) => ({ holder: p.holder, expires_at: p.expires_at, fence: row('fence', '+', 1) }))
    .where('name', '=', p.name)
    .where('expires_at', '<=', p.now)
    .returning('fence'),
);

const endLease = statement<AuditTables>()('audit-lease-end', (db, p: { name: string; holder: string }) =>
  db.updateTable('audit_lease').set({ expires_at: 0 }).where('name', '=', p.name).where('holder', '=', p.holder),
);

/**
 * Renews the lease of `holder`, or takes it when nobody's is running. Returns undefined when another holds it. Time is
 * the database's, read before: a delay makes the lease shorter, never longer.
 */
export async function acquireLease(store: Store, holder: string, ttlMs: number): Promise<SequencerLease | undefined> {
  const now = await store.databaseTime();
  const request = { name: LEASE, holder, now, expires_at: now + ttlMs };
  return store.unit(async (tx) => {
    for (const attempt of [renewLease, takeLease, firstLease]) {
      const [row] = await tx.run(attempt, request);
      if (row !== undefined) return { fence: row.fence };
    }
    return undefined;
  });
}

/** Gives the lease back, so that another node need not wait for its end. Harmless when it is already another's. */
export async function releaseLease(store: Store, holder: string): Promise<void> {
  await store.unit((tx) => tx.affected(endLease, { name: LEASE, holder }));
}

const endAnyLease = statement<AuditTables>()('audit-lease-end-any', (db, p: { name: string }) =>
  db.updateTable('audit_lease').set({ expires_at: 0 }).where('name', '=', p.name),
);

/**
 * Ends whatever lease is running. For a process that knows to be the only one (SQLite has one writer), at its start: the
 * lease that it finds is of a process that died.
 */
export async function endLeaseOfDeadProcess(store: Store): Promise<void> {
  await store.unit((tx) => tx.affected(endAnyLease, { name: LEASE }));
}
