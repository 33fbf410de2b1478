import fc from 'fast-check';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InternalError, PeerError } from '../../core/errors/muster-error.ts';
import { portableValue } from '../../core/store/sql-value.ts';
import { statement } from '../../core/store/statement.ts';
import type { Store } from '../../core/store/store.ts';
import { ENGINES } from '../support/stores.ts';
import { insertItem, openShelf, selectItem, type Shelf } from './fixture.ts';

describe('values', () => {
  it.each([true, 1n, new Date(0), Symbol('s'), [1], { a: 1 }, Number.NaN, Infinity, 2 ** 53])(
    'refuses %s, which the engines would store differently',
    (value) => expect(() => portableValue(value)).toThrow(InternalError),
  );

  it.each(['a\0b', '\ud800', 'x\udc00y'])('refuses text that cannot be stored as it is: %j', (text) =>
    expect(() => portableValue(text)).toThrow(PeerError),
  );
});

describe.each(ENGINES)('values on %s', (engine) => {
  let store: Store;
  beforeAll(async () => {
    store = await openShelf(engine);
  });
  afterAll(() => store.close());

  it('come back as they went in', async () => {
    const value = fc.record({
      count: fc.maxSafeInteger(),
      note: fc.option(fc.string({ unit: 'binary' }).filter((text) => text.isWellFormed() && !text.includes('\0'))),
      data: fc.option(fc.uint8Array()),
    });
    await fc.assert(
      fc.asyncProperty(value, async (stored) => {
        const id = crypto.randomUUID();
        const [row] = await store.unit(async (tx) => {
          await tx.affected(insertItem, { id, ...stored });
          return tx.run(selectItem, { id });
        });
        expect(row).toEqual({ id, ...stored, data: stored.data && Buffer.from(stored.data) });
      }),
      { numRuns: 100 },
    );
  });

  it('take a part of a buffer for that part', async () => {
    const data = new Uint8Array([9, 1, 2, 3, 9]).subarray(1, 4);
    await store.unit((tx) => tx.affected(insertItem, { id: 'part', count: 0, data }));
    expect((await store.query(selectItem, { id: 'part' }))[0]?.data).toEqual(Buffer.from([1, 2, 3]));
  });

  it('are refused with a typed error by both ways of asking', async () => {
    const hot = store.unit((tx) => tx.affected(insertItem, { id: 'a\0b', count: 0 }));
    await expect(hot).rejects.toThrow(PeerError);
    const built = store.unit((tx) => tx.db<Shelf>().insertInto('parent').values({ id: 'a\0b' }).execute());
    await expect(built).rejects.toThrow(PeerError);
    await expect(store.read<Shelf>().selectFrom('item').selectAll().where('id', '=', '\0').execute()).rejects.toThrow(
      PeerError,
    );
  });

  it('are numbers whatever computes them: counts, sums, comparisons', async () => {
    await store.unit(async (tx) => {
      for (const id of ['s1', 's2']) await tx.affected(insertItem, { id, count: 2 ** 40 });
    });
    const row = await store
      .read<Shelf>()
      .selectFrom('item')
      .select((eb) => [eb.fn.countAll().as('rows'), eb.fn.sum('count').as('sum'), sql`max(count) > 5`.as('large')])
      .where('id', 'in', ['s1', 's2'])
      .executeTakeFirstOrThrow();
    expect(row).toEqual({ rows: 2, sum: 2 ** 41, large: 1 });
  });

  it('page by code point in a key column, whatever the locale', async () => {
    const names = ['B', 'a', 'Z', 'ä', '_', '10', '9', 'Ä', 'b'];
    await store.unit(async (tx) => {
      for (const name of names) await tx.affected(insertItem, { id: `page-${name}`, count: 0 });
    });
    const paged: string[] = [];
    for (let last = 'page-'; ; last = paged.at(-1)!) {
      const rows = await store
        .read<Shelf>()
        .selectFrom('item')
        .select('id')
        .where('id', '>', last)
        .where('id', '<', 'page.')
        .orderBy('id')
        .limit(2)
        .execute();
      paged.push(...rows.map((row) => row.id));
      if (rows.length < 2) break;
    }
    const codePoints = names.map((name) => `page-${name}`).toSorted((left, right) => (left < right ? -1 : 1));
    expect(paged).toEqual(codePoints);
  });
});

describe.each(ENGINES)('statements on %s', (engine) => {
  let store: Store;
  beforeAll(async () => {
    store = await openShelf(engine);
  });
  afterAll(() => store.close());

  it('are built once, however often they run', async () => {
    let built = 0;
    const counted = statement<Shelf>()('test-counted', (db, p: { id: string }) => {
      built += 1;
      return db.selectFrom('item').select('id').where('id', '=', p.id);
    });
    for (const id of ['a', 'b', 'a']) await store.query(counted, { id });
    await store.unit((tx) => tx.run(counted, { id: 'c' }));
    expect(built).toBe(1);
  });

  it('may use a parameter twice, mixed with constants', async () => {
    const twice = statement<Shelf>()('test-twice', (db, p: { id: string }) =>
      db
        .selectFrom('item')
        .select('id')
        .where((row) => row.or([row('id', '=', p.id), row('note', '=', p.id)]))
        .where('count', '=', 7),
    );
    await store.unit(async (tx) => {
      await tx.affected(insertItem, { id: 'x', count: 7 });
      await tx.affected(insertItem, { id: 'y', count: 7, note: 'x' });
      await tx.affected(insertItem, { id: 'z', count: 8, note: 'x' });
    });
    expect((await store.query(twice, { id: 'x' })).map((row) => row.id).toSorted()).toEqual(['x', 'y']);
  });

  it('refuse to compute with a parameter that has no value yet', async () => {
    const computing = statement<Shelf>()('test-computing', (db, p: { id: string }) =>
      db.selectFrom('item').select('id').where('id', '=', `prefix-${p.id}`),
    );
    await expect(store.query(computing, { id: 'a' })).rejects.toThrow(InternalError);
  });

  it('report a key conflict as one, and a broken query as our fault', async () => {
    await store.unit((tx) => tx.affected(insertItem, { id: 'dup', count: 0 }));
    await expect(store.unit((tx) => tx.affected(insertItem, { id: 'dup', count: 0 }))).rejects.toMatchObject({
      reason: 'conflict',
    });
    await expect(store.unit((tx) => sql`select * from no_such_table`.execute(tx.db()))).rejects.toThrow(InternalError);
    await expect(store.read().executeQuery(sql`selec`.compile(store.read()))).rejects.toThrow(InternalError);
  });
});
