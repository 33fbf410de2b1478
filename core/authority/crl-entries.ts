import type { Kysely } from 'kysely';

import type { AuthorityTables } from './tables.ts';

/** Which entries a CRL has. */
export interface EntrySelection {
  readonly authority: string;
  /** Those of one shard only. */
  readonly shard: number | undefined;
  /** For a delta: what changed after this, by the database's clock, released certificates among it. */
  readonly changedAfter: number | undefined;
  /** Certificates that ended before this have stood on a regular CRL since then (RFC 5280 §5.2.4). */
  readonly endedAfter: number;
}

/** The entries of a CRL, by serial number. */
export function selectEntries(db: Kysely<AuthorityTables>, selection: EntrySelection) {
  const { authority, shard, changedAfter, endedAfter } = selection;
  return db
    .selectFrom('revocations')
    .select(['serial_number', 'state', 'reason', 'revoked_at', 'invalidity_date'])
    .where('authority', '=', authority)
    .$if(shard !== undefined, (query) => query.where('shard', '=', shard!))
    .$if(changedAfter === undefined, (query) => query.where('state', '!=', 'released'))
    .$if(changedAfter !== undefined, (query) => query.where('changed_at', '>', changedAfter!))
    .where('not_after', '>=', endedAfter)
    .orderBy('serial_number');
}
