import { databaseNow } from '../store/database-clock.ts';
import { statement } from '../store/statement.ts';
import type { Unit } from '../store/store.ts';
import type { AuthorityTables, RevocationRow } from './tables.ts';

/** A row of `revocations`; the database says when it changed. */
export type RevocationRecord = {
  readonly tenant: string;
  readonly authority: string;
  readonly serialNumber: string;
  /** Id of the certificate, or of the authority whose certificate it is. */
  readonly certificate: string;
  readonly shard: number;
  readonly state: RevocationRow['state'];
  /** CRLReason code. */
  readonly reason: number;
  /** Epoch milliseconds. */
  readonly revokedAt: number;
  readonly invalidityDate: number | null;
  readonly notAfter: number;
};

/** Stores how a certificate stands now, in place of what was stored before. */
export async function recordRevocation(tx: Unit, record: RevocationRecord): Promise<void> {
  await tx.affected(upsertRevocation, record);
}

const upsertRevocation = statement<AuthorityTables>()('revocation-upsert', (db, p: RevocationRecord, engine) =>
  db
    .insertInto('revocations')
    .values({
      tenant: p.tenant,
      authority: p.authority,
      serial_number: p.serialNumber,
      certificate: p.certificate,
      shard: p.shard,
      state: p.state,
      reason: p.reason,
      revoked_at: p.revokedAt,
      invalidity_date: p.invalidityDate,
      not_after: p.notAfter,
      changed_at: databaseNow(engine),
    })
    .onConflict((conflict) =>
      conflict.columns(['authority', 'serial_number']).doUpdateSet((row) => ({
        state: row.ref('excluded.state'),
        reason: row.ref('excluded.reason'),
        revoked_at: row.ref('excluded.revoked_at'),
        invalidity_date: row.ref('excluded.invalidity_date'),
        changed_at: row.ref('excluded.changed_at'),
      })),
    ),
);
