import { sql } from 'kysely';

import { databaseNow } from '../store/database-clock.ts';
import { statement } from '../store/statement.ts';
import type { Store, Unit } from '../store/store.ts';
import type { AuthorityTables, CrlRow } from './tables.ts';

/** A list of an authority: `full`, `delta`, or the number of a shard. */
export interface CrlKey {
  readonly authority: string;
  readonly scope: string;
}

/** A signed CRL on its way to publication. */
export interface SignedCrl extends Omit<CrlRow, 'published_at'> {
  readonly der: Uint8Array;
}

const PART_BYTES = 1 << 20;

/** Stores the octets of a CRL, a megabyte a unit: until it is put in force, nothing refers to them. */
export async function storeParts(store: Store, crl: SignedCrl): Promise<void> {
  const { authority, scope, number, sha256, der } = crl;
  for (let position = 0; position * PART_BYTES < der.length; position++) {
    const bytes = der.subarray(position * PART_BYTES, (position + 1) * PART_BYTES);
    await store.unit((tx) => tx.affected(insertPart, { authority, scope, number, sha256, position, bytes }));
  }
}

/**
 * Puts a CRL in force whose octets are stored. Those of the one it replaces stay until the next time: somebody may be
 * reading them.
 */
export async function putInForce(tx: Unit, { der: _stored, ...crl }: SignedCrl): Promise<void> {
  const { authority, scope } = crl;
  const [replaced] = await tx.run(crlOf, { authority, scope });
  if (replaced) await tx.affected(deletePartsBefore, { authority, scope, number: replaced.number });
  await tx.affected(upsertCrl, crl);
}

/**
 * Moves a series on from the number `from`; false when another publication did so first. Whoever moves it has read the
 * revocations after `from` was in force, so a higher number never says less.
 */
export async function advanceSeries(tx: Unit, authority: string, series: string, from: number): Promise<boolean> {
  const affected = await (from === 0
    ? tx.affected(beginSeries, { authority, series })
    : tx.affected(advance, { authority, series, from }));
  return affected === 1;
}

/** The number of the last CRL of a series; 0 before the first. */
export async function lastNumber(store: Store, authority: string, series: string): Promise<number> {
  const [row] = await store.query(seriesNumber, { authority, series });
  return row?.number ?? 0;
}

/** The CRL in force of a scope, without its octets. */
export async function findCrl(store: Store, { authority, scope }: CrlKey): Promise<CrlRow | undefined> {
  const [row] = await store.query(crlOf, { authority, scope });
  return row;
}

/** The octets of a CRL, slice by slice; they end early when it was replaced twice meanwhile. */
export async function* readParts(store: Store, crl: CrlRow): AsyncIterable<Uint8Array> {
  const { authority, scope, number, sha256 } = crl;
  for (let position = 0; ; position++) {
    const [row] = await store.query(partOf, { authority, scope, number, sha256, position });
    if (row === undefined) return;
    yield row.bytes;
  }
}

/** The complete CRL that a delta starts from: the oldest that is still valid, so that each one in circulation will do. */
export async function deltaBase(
  store: Store,
  authority: string,
  now: number,
): Promise<{ readonly number: number; readonly covers: number } | undefined> {
  const [row] = await store.query(oldestBase, { authority, now });
  return row;
}

/** Notes a complete CRL as one that deltas may start from, and forgets those that have ended. */
export async function recordBase(
  tx: Unit,
  base: { authority: string; number: number; covers: number; next_update: number },
  now: number,
): Promise<void> {
  const db = tx.db<AuthorityTables>();
  await db.deleteFrom('crl_bases').where('authority', '=', base.authority).where('next_update', '<', now).execute();
  await db.insertInto('crl_bases').values(base).execute();
}

/** The CRLs in force of all tenants, without their octets. */
export function allCrls(store: Store): Promise<CrlRow[]> {
  return store.read<AuthorityTables>().selectFrom('crls').selectAll().orderBy('authority').orderBy('scope').execute();
}

/** The CRLs in force of a tenant, without their octets. */
export function crlsOfTenant(store: Store, tenant: string): Promise<CrlRow[]> {
  const query = store.forTenant<AuthorityTables>(tenant).selectFrom('crls').selectAll();
  return query.orderBy('authority').orderBy('scope').execute();
}

type Series = { authority: string; series: string };
type Scope = { authority: string; scope: string };
type Part = Scope & { number: number; sha256: string; position: number };

const seriesNumber = statement<AuthorityTables>()('crl-series-number', (db, p: Series) =>
  db.selectFrom('crl_series').select('number').where('authority', '=', p.authority).where('series', '=', p.series),
);

const beginSeries = statement<AuthorityTables>()('crl-series-begin', (db, p: Series) =>
  db
    .insertInto('crl_series')
    .values({ authority: p.authority, series: p.series, number: 1 })
    .onConflict((conflict) => conflict.doNothing()),
);

const advance = statement<AuthorityTables>()('crl-series-advance', (db, p: Series & { from: number }) =>
  db
    .updateTable('crl_series')
    .set({ number: sql<number>`number + 1` })
    .where('authority', '=', p.authority)
    .where('series', '=', p.series)
    .where('number', '=', p.from),
);

const crlOf = statement<AuthorityTables>()('crl-of-scope', (db, p: Scope) =>
  db
    .selectFrom('crls')
    .select([
      'tenant',
      'authority',
      'scope',
      'number',
      'base_number',
      'this_update',
      'next_update',
      'published_at',
      'regular_at',
      'entries',
      'size',
      'sha256',
    ])
    .where('authority', '=', p.authority)
    .where('scope', '=', p.scope),
);

const upsertCrl = statement<AuthorityTables>()(
  'crl-upsert',
  (db, p: { [K in keyof Omit<CrlRow, 'published_at'>]: CrlRow[K] }, engine) =>
    db
      .insertInto('crls')
      .values({
        tenant: p.tenant,
        authority: p.authority,
        scope: p.scope,
        number: p.number,
        base_number: p.base_number,
        this_update: p.this_update,
        next_update: p.next_update,
        published_at: databaseNow(engine),
        regular_at: p.regular_at,
        entries: p.entries,
        size: p.size,
        sha256: p.sha256,
      })
      .onConflict((conflict) =>
        conflict.columns(['authority', 'scope']).doUpdateSet((row) => ({
          number: row.ref('excluded.number'),
          base_number: row.ref('excluded.base_number'),
          this_update: row.ref('excluded.this_update'),
          next_update: row.ref('excluded.next_update'),
          published_at: row.ref('excluded.published_at'),
          regular_at: row.ref('excluded.regular_at'),
          entries: row.ref('excluded.entries'),
          size: row.ref('excluded.size'),
          sha256: row.ref('excluded.sha256'),
        })),
      ),
);

const insertPart = statement<AuthorityTables>()('crl-part-insert', (db, p: Part & { bytes: Uint8Array }) =>
  db
    .insertInto('crl_parts')
    .values({
      authority: p.authority,
      scope: p.scope,
      number: p.number,
      sha256: p.sha256,
      position: p.position,
      bytes: p.bytes,
    })
    // Left by a publication that was interrupted.
    .onConflict((conflict) => conflict.doNothing()),
);

const partOf = statement<AuthorityTables>()('crl-part', (db, p: Part) =>
  db
    .selectFrom('crl_parts')
    .select('bytes')
    .where('authority', '=', p.authority)
    .where('scope', '=', p.scope)
    .where('number', '=', p.number)
    .where('sha256', '=', p.sha256)
    .where('position', '=', p.position),
);

const deletePartsBefore = statement<AuthorityTables>()('crl-parts-delete', (db, p: Scope & { number: number }) =>
  db
    .deleteFrom('crl_parts')
    .where('authority', '=', p.authority)
    .where('scope', '=', p.scope)
    .where('number', '<', p.number),
);

const oldestBase = statement<AuthorityTables>()('crl-oldest-base', (db, p: { authority: string; now: number }) =>
  db
    .selectFrom('crl_bases')
    .select(['number', 'covers'])
    .where('authority', '=', p.authority)
    .where('next_update', '>=', p.now)
    .orderBy('number')
    .limit(1),
);
