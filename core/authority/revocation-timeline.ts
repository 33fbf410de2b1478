import type { Store } from '../store/store.ts';
import { crlsOfTenant } from './crl-records.ts';
import type { RevocationChange, RevocationView } from './revocation-view.ts';
import type { AuthorityTables, CrlRow, RevocationRow, RevocationSightingRow } from './tables.ts';

/** How a revocation went round. Times are epoch milliseconds by the database's clock. */
export interface RevocationTimeline {
  readonly revocation: RevocationRow | undefined;
  /** When each node stopped to answer by what it knew before. */
  readonly nodes: readonly { readonly node: string; readonly effectiveAt: number }[];
  /** The lists of the authority that are to name the certificate, with what is in force of them. */
  readonly crls: readonly CrlRow[];
}

/** More changes at once than this are not noted one by one: a batch has its own progress. */
const MOST_NOTED = 200;
const KEPT_MS = 30 * 86_400_000;

/** Notes for the timeline when this node learns of changes; returns what stops that. */
export function noteSightings(
  store: Store,
  view: Pick<RevocationView, 'subscribe'>,
  node: string,
  report: (error: unknown) => void,
): () => void {
  return view.subscribe((changes = []) => {
    if (changes.length === 0 || changes.length > MOST_NOTED) return;
    const rows = changes.map((change) => sighting(change, node));
    store
      .unit((tx) =>
        tx
          .db<AuthorityTables>()
          .insertInto('revocation_sightings')
          .values(rows)
          .onConflict((conflict) => conflict.doNothing())
          .execute(),
      )
      .catch(report);
  });
}

function sighting({ tenant, certificate, changedAt, seenAt }: RevocationChange, node: string): RevocationSightingRow {
  return { tenant, certificate, changed_at: changedAt, node, seen_at: seenAt };
}

/** Forgets what nodes noted long ago. */
export async function forgetSightings(store: Store): Promise<void> {
  const before = (await store.databaseTime()) - KEPT_MS;
  await store.unit(async (tx) => {
    await tx.db<AuthorityTables>().deleteFrom('revocation_sightings').where('seen_at', '<', before).execute();
  });
}

/** What is known of the revocation of a tenant's certificate. */
export async function revocationTimeline(
  store: Store,
  tenant: string,
  certificate: { readonly id: string; readonly authority: string | null; readonly serial_number: string },
): Promise<RevocationTimeline> {
  const revocation = await store
    .forTenant<AuthorityTables>(tenant)
    .selectFrom('revocations')
    .selectAll()
    .where('authority', '=', certificate.authority ?? '')
    .where('serial_number', '=', certificate.serial_number)
    .executeTakeFirst();
  if (revocation === undefined) return { revocation, nodes: [], crls: [] };
  const sightings = await store
    .forTenant<AuthorityTables>(tenant)
    .selectFrom('revocation_sightings')
    .selectAll()
    .where('certificate', '=', certificate.id)
    .where('changed_at', '=', revocation.changed_at)
    .orderBy('seen_at')
    .execute();
  const scopes = new Set(['full', 'delta', String(revocation.shard)]);
  const lists = await crlsOfTenant(store, tenant);
  return {
    revocation,
    nodes: sightings.map(({ node, seen_at: effectiveAt }) => ({ node, effectiveAt })),
    crls: lists.filter(({ authority, scope }) => authority === revocation.authority && scopes.has(scope)),
  };
}
