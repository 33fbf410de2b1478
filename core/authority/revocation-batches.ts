import { appendAudit } from '../audit/log.ts';
import type { JobHandler } from '../store/job-runner.ts';
import { newId } from '../store/id.ts';
import { enqueueJob } from '../store/jobs.ts';
import type { Store, Unit } from '../store/store.ts';
import { CRL_REASON } from '../x509/crl.ts';
import { type CertificateQuery, narrowed } from './certificate-search.ts';
import { type RevocationReason, revokeCertificate } from './revocation.ts';
import type { AuthorityTables, RevocationBatchRow } from './tables.ts';

/** Which certificates a batch is about; what is revoked for good is left out by itself. */
export type BatchQuery = Omit<CertificateQuery, 'status'>;

/** A wish to revoke, hold or release all certificates that a query finds. */
export interface BatchRequest {
  readonly tenant: string;
  readonly query: BatchQuery;
  readonly reason: RevocationReason;
  readonly actor: string;
  /** Epoch milliseconds. */
  readonly at: number;
  readonly invalidityDate?: number | undefined;
}

/** The kind of job that works on a batch. */
export const REVOKE_BATCH = 'revoke-batch';

const CERTIFICATES_A_UNIT = 100;

/** How many certificates a batch would change now. */
export async function countOfBatch(
  store: Store,
  { tenant, query, reason }: Pick<BatchRequest, 'tenant' | 'query' | 'reason'>,
): Promise<number> {
  const { count } = await matching(store, tenant, query, reason)
    .select((row) => row.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  return count;
}

/** Stores a batch with its audit entry and its job; returns its id. `expected`: what {@link countOfBatch} said. */
export async function beginBatch(tx: Unit, request: BatchRequest, expected: number): Promise<string> {
  const { tenant, query, reason, actor, at, invalidityDate } = request;
  const id = newId(at);
  const row: Omit<RevocationBatchRow, 'tenant'> = {
    id,
    query: JSON.stringify(query),
    reason,
    invalidity_date: invalidityDate ?? null,
    actor,
    expected,
    done: 0,
    position: null,
    created_at: at,
    finished_at: null,
  };
  await tx.forTenant<AuthorityTables>(tenant).insertInto('revocation_batches', row).execute();
  await appendAudit(tx, {
    tenant,
    at,
    actor,
    action: 'revocation.batch-started',
    object: `revocation-batch:${id}`,
    outcome: 'success',
    details: { query: JSON.stringify(query), reason, expected },
  });
  await enqueueJob(tx, { kind: REVOKE_BATCH, key: id, payload: { tenant, id } });
  return id;
}

/** A batch of a tenant with its progress. */
export function findBatch(store: Store, tenant: string, id: string): Promise<RevocationBatchRow | undefined> {
  return store
    .forTenant<AuthorityTables>(tenant)
    .selectFrom('revocation_batches')
    .selectAll()
    .where('id', '=', id)
    .executeTakeFirst();
}

/** Works on a batch from where it stands, a hundred certificates a unit. */
export function batchHandler(store: Store): JobHandler {
  return async (payload, turn) => {
    const { tenant, id } = payload as unknown as { readonly tenant: string; readonly id: string };
    while (!turn.signal.aborted) {
      const batch = await findBatch(store, tenant, id);
      if (batch === undefined || batch.finished_at !== null) return;
      const ids = await nextCertificates(store, batch);
      await store.unit(async (tx) => {
        await turn.confirm(tx);
        await revokeSome(tx, batch, ids, store.clock.now());
      });
    }
  };
}

async function nextCertificates(store: Store, batch: RevocationBatchRow): Promise<string[]> {
  const { tenant, query, reason, position } = batch;
  const rows = await matching(store, tenant, JSON.parse(query) as BatchQuery, reason as RevocationReason)
    .select('id')
    .$if(position !== null, (rest) => rest.where('id', '>', position!))
    // Certificates issued after the batch was asked for are not meant.
    .where('created_at', '<=', batch.created_at)
    .orderBy('id')
    .limit(CERTIFICATES_A_UNIT)
    .execute();
  return rows.map(({ id }) => id);
}

async function revokeSome(tx: Unit, batch: RevocationBatchRow, ids: readonly string[], at: number): Promise<void> {
  const { tenant, actor } = batch;
  const reason = batch.reason as RevocationReason;
  for (const certificateId of ids) {
    await revokeCertificate(tx, {
      tenant,
      certificateId,
      reason,
      actor,
      at,
      invalidityDate: batch.invalidity_date ?? undefined,
      details: { batch: batch.id },
    });
  }
  await tx
    .forTenant<AuthorityTables>(tenant)
    .updateTable('revocation_batches', {
      done: batch.done + ids.length,
      position: ids.at(-1) ?? batch.position,
      finished_at: ids.length < CERTIFICATES_A_UNIT ? at : null,
    })
    .where('id', '=', batch.id)
    .execute();
}

/** What a reason changes: a hold takes what is active, a release what is on hold, everything else both. */
function matching(store: Store, tenant: string, query: BatchQuery, reason: RevocationReason) {
  const hold = CRL_REASON.certificateHold;
  return narrowed(store.forTenant<AuthorityTables>(tenant).selectFrom('certificates'), tenant, query)
    .$if(reason === 'certificateHold', (rest) => rest.where('status', '=', 'active'))
    .$if(reason === 'removeFromCRL', (rest) => rest.where('revocation_reason', '=', hold))
    .$if(reason !== 'certificateHold' && reason !== 'removeFromCRL', (rest) =>
      rest.where((row) => row.or([row('status', '=', 'active'), row('revocation_reason', '=', hold)])),
    );
}
