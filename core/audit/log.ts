import type { Kysely } from 'kysely';
import { statement } from '../store/statement.ts';
import type { Unit } from '../store/store.ts';
import { decodeEntry, encodeEntry } from './entry.ts';
import type { AuditEntry, AuditTree } from './entry.ts';
import { storedBytes, tenantColumn } from './tables.ts';
import type { AuditTables } from './tables.ts';

const insertEntry = statement<AuditTables>()(
  'audit-append',
  (db, p: { tenant: string; action: string; object: string; entry: Uint8Array }) =>
    db.insertInto('audit_entries').values({ tenant: p.tenant, action: p.action, object: p.object, entry: p.entry }),
);

/**
 * Records what the unit does: the entry is durable when the unit is, and is gone with it. Throws InternalError for
 * details that are not JSON (an instance of Secret among them) or too long: see `encodeEntry`.
 */
export async function appendAudit(tx: Unit, entry: AuditEntry): Promise<void> {
  await tx.affected(insertEntry, {
    tenant: tenantColumn(entry.tenant),
    action: searchKey(entry.action),
    object: searchKey(entry.object),
    entry: encodeEntry(entry),
  });
}

/** Which entries of a tree to list. */
export interface AuditFilter {
  readonly tenant: AuditTree;
  /** List the entries before this index; without it from the newest. A page's `next` continues it. */
  readonly from?: number | undefined;
  readonly action?: string | undefined;
  readonly object?: string | undefined;
  /** Entries of a page, 1 to 1,000. */
  readonly limit: number;
}

/** An entry at its place. */
export interface ListedEntry {
  readonly index: number;
  /** Undefined when the row is not what was recorded: `muster audit verify` tells more. */
  readonly entry: AuditEntry | undefined;
}

/** A page of entries, newest first. */
export interface AuditPage {
  readonly entries: readonly ListedEntry[];
  /** The `from` of the next page; undefined on the last one. */
  readonly next: number | undefined;
}

const MAX_PAGE = 1000;

/** Lists the entries that the sequencer has placed, newest first. What was recorded in the last second may be missing. */
export async function listAudit(read: Kysely<AuditTables>, filter: AuditFilter): Promise<AuditPage> {
  const limit = Math.min(Math.max(1, filter.limit), MAX_PAGE);
  let query = read
    .selectFrom('audit_entries')
    .select(['tree_index', 'entry'])
    .where('tenant', '=', tenantColumn(filter.tenant))
    .where('tree_index', 'is not', null);
  if (filter.from !== undefined) query = query.where('tree_index', '<', filter.from);
  if (filter.action !== undefined) query = query.where('action', '=', searchKey(filter.action));
  if (filter.object !== undefined) query = query.where('object', '=', searchKey(filter.object));
  const rows = await query
    .orderBy('tree_index', 'desc')
    .limit(limit + 1)
    .execute();
  const entries = rows
    .slice(0, limit)
    .map((row) => ({ index: row.tree_index ?? 0, entry: decodeEntry(storedBytes(row.entry)) }));
  return { entries, next: rows.length > limit ? entries.at(-1)?.index : undefined };
}

const SEARCH_KEY_CHARACTERS = 256;

// What is searched by is a copy, and an entry must not fail for the sake of it: PostgreSQL refuses NUL and long index
// rows, UTF-8 refuses lone surrogates.
function searchKey(text: string): string {
  return text.slice(0, SEARCH_KEY_CHARACTERS).replaceAll('\0', '\uFFFD').toWellFormed();
}
