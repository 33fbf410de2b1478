import { setTimeout as delay } from 'node:timers/promises';
import { sql } from 'kysely';
import { describe, expect, it } from 'vitest';
import { InternalError, StateError, UpstreamError } from '../../core/errors/muster-error.ts';
import type { Store, Unit } from '../../core/store/store.ts';
import { ENGINES } from '../support/stores.ts';
import { insertItem, itemIds, openShelf, raiseCount, selectItem, type Shelf } from './fixture.ts';

const put =
  (id: string, extra: { note?: string; parent?: string } = {}) =>
  (tx: Unit) =>
    tx.affected(insertItem, { id, count: 0, ...extra });

describe.each(ENGINES)('units of work on %s', (engine) => {
  it('returns what the closure returns, and everything in it is durable', async () => {
    await using store = await openShelf(engine);
    const answer = await store.unit(async (tx) => {
      await put('a')(tx);
      const [raised] = await tx.run(raiseCount, { id: 'a', expected: 0 });
      return { raised, seen: await tx.run(selectItem, { id: 'a' }) };
    });
    expect(answer.raised).toEqual({ count: 1 });
    expect(answer.seen).toEqual([{ id: 'a', count: 1, note: null, data: null }]);
    expect(await store.query(selectItem, { id: 'a' })).toEqual(answer.seen);
  });

  it('keeps nothing of a unit whose closure throws, and rejects with that very error', async () => {
    await using store = await openShelf(engine);
    const fault = new StateError('conflict', 'expected by the test');
    const unit = store.unit(async (tx) => {
      await put('a')(tx);
      throw fault;
    });
    await expect(unit).rejects.toBe(fault);
    expect(await itemIds(store)).toEqual([]);
  });

  it('rejects only the unit in the middle that failed', async () => {
    await using store = await openShelf(engine);
    const outcomes = await Promise.allSettled([
      store.unit(put('first')),
      store.unit(put('taken')),
      store.unit(async (tx) => {
        await put('doomed')(tx);
        await put('taken')(tx);
      }),
      store.unit(async (tx) => {
        await put('thrown')(tx);
        throw new TypeError('in the middle');
      }),
      store.unit(put('last')),
    ]);
    // On PostgreSQL the two that want "taken" race; one of them has it.
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
    expect(refused).toHaveLength(2);
    expect(refused.map((outcome) => (outcome.reason as Error).constructor)).toContain(StateError);
    const ids = await itemIds(store);
    expect(ids).toEqual(expect.arrayContaining(['first', 'last', 'taken']));
    expect(ids).not.toContain('thrown');
    expect(ids).toHaveLength(outcomes[1].status === 'fulfilled' ? 3 : 4);
  });

  it('takes a COMMIT that fails for the failure of every unit it carried', async () => {
    await using store = await openShelf(engine);
    let told = false;
    const outcomes = await Promise.allSettled([
      store.unit(async (tx) => {
        tx.onCommitted(() => (told = true));
        await put('orphan', { parent: 'nobody' })(tx);
      }),
      ...(engine === 'sqlite' ? [store.unit(put('neighbour'))] : []),
    ]);
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { reason: 'store-unavailable' } });
    }
    expect(told).toBe(false);
    expect(await itemIds(store)).toEqual([]);
    await store.unit(put('afterwards'));
    expect(await itemIds(store)).toEqual(['afterwards']);
  });

  it('gives up a closure that never returns, and its handle with it', async () => {
    await using store = await openShelf(engine, { limits: { deadlineMs: 150 } });
    let leaked: Unit | undefined;
    const stuck = store.unit(async (tx) => {
      leaked = tx;
      await put('stuck')(tx);
      await new Promise(() => undefined);
    });
    const behind = store.unit(put('behind'));
    await expect(stuck).rejects.toThrow(InternalError);
    await expect(stuck).rejects.toThrow('150 ms');
    await behind;
    await expect(leaked!.run(selectItem, { id: 'stuck' })).rejects.toThrow(InternalError);
    expect(await itemIds(store)).toEqual(['behind']);
  });

  it('refuses what a given-up closure still asks for', async () => {
    await using store = await openShelf(engine, { limits: { deadlineMs: 100 } });
    const late = Promise.withResolvers<unknown>();
    const unit = store.unit(async (tx) => {
      await delay(300);
      const attempts = [put('late')(tx), tx.db<Shelf>().selectFrom('item').selectAll().execute()];
      late.resolve(await Promise.allSettled(attempts));
    });
    await expect(unit).rejects.toThrow(InternalError);
    expect(await late.promise).toMatchObject([
      { status: 'rejected', reason: { reason: 'internal' } },
      { status: 'rejected', reason: { reason: 'internal' } },
    ]);
    expect(await itemIds(store)).toEqual([]);
  });

  it('lets one unit have a longer deadline than the rest', async () => {
    await using store = await openShelf(engine, { limits: { deadlineMs: 50 } });
    const patient = (tx: Unit) => delay(120).then(() => put('patient')(tx));
    await expect(store.unit(patient)).rejects.toThrow(InternalError);
    await store.unit(patient, { deadlineMs: 2000 });
    expect(await itemIds(store)).toEqual(['patient']);
  });

  it('refuses a unit inside a unit at once', async () => {
    await using store = await openShelf(engine);
    await expect(store.unit(() => store.unit(put('inner')))).rejects.toThrow(InternalError);
    expect(await itemIds(store)).toEqual([]);
  });

  it.each<[string, (store: Store) => Promise<unknown>]>([
    ['read', (store) => itemIds(store)],
    ['query', (store) => store.query(selectItem, { id: 'a' })],
    ['stream', (store) => Array.fromAsync(store.stream<Shelf, object>((db) => db.selectFrom('item').selectAll()))],
  ])('refuses the outer %s handle inside a unit', async (_name, ask) => {
    await using store = await openShelf(engine);
    await expect(store.unit(() => ask(store))).rejects.toThrow(InternalError);
    await ask(store);
  });

  it('refuses a query builder that left its unit', async () => {
    await using store = await openShelf(engine);
    const db = await store.unit(async (tx) => ({ builder: tx.db<Shelf>() }));
    await expect(db.builder.selectFrom('item').selectAll().execute()).rejects.toThrow(InternalError);
  });

  it('shows a reader nothing of a unit that is not committed', async () => {
    await using store = await openShelf(engine);
    const written = Promise.withResolvers<void>();
    const finish = Promise.withResolvers<void>();
    const unit = store.unit(async (tx) => {
      await put('soon')(tx);
      written.resolve();
      await finish.promise;
    });
    await written.promise;
    expect(await itemIds(store)).toEqual([]);
    expect(await store.query(selectItem, { id: 'soon' })).toEqual([]);
    finish.resolve();
    await unit;
    expect(await itemIds(store)).toEqual(['soon']);
  });

  it('goes on writing while a stream is read, which sees one moment only', async () => {
    await using store = await openShelf(engine);
    await Promise.all(Array.from({ length: 2000 }, (_value, index) => store.unit(put(`before-${index}`))));
    let seen = 0;
    for await (const row of store.stream<Shelf, { id: string }>((db) => db.selectFrom('item').select('id'))) {
      expect(row.id).toMatch(/^before-/);
      if (seen % 100 === 0) await store.unit(put(`during-${seen}`));
      seen += 1;
    }
    expect(seen).toBe(2000);
    expect(await itemIds(store)).toHaveLength(2020);
  });

  it('closes a stream that is left early', async () => {
    await using store = await openShelf(engine);
    await Promise.all(Array.from({ length: 600 }, (_value, index) => store.unit(put(`item-${index}`))));
    for await (const row of store.stream<Shelf, { id: string }>((db) => db.selectFrom('item').select('id'))) {
      expect(row.id).toMatch(/^item-/);
      break;
    }
  });

  it('tells of a commit in order, before the promise resolves, and survives what a listener throws', async () => {
    const reported: unknown[] = [];
    await using store = await openShelf(engine, { report: (error) => reported.push(error) });
    const told: string[] = [];
    await store.unit(async (tx) => {
      tx.onCommitted(() => told.push('first'));
      tx.onCommitted(() => {
        throw new TypeError('a listener failed');
      });
      tx.onCommitted(() => told.push('second'));
      await put('a')(tx);
      expect(told).toEqual([]);
    });
    told.push('resolved');
    expect(told).toEqual(['first', 'second', 'resolved']);
    expect(reported).toEqual([new TypeError('a listener failed')]);
  });

  it('tells who listens to what it signals, once, when it is durable, and not when it is rolled back', async () => {
    await using store = await openShelf(engine);
    const heard: string[] = [];
    const stops = ['one', 'two'].map((topic) => store.onSignal(topic, () => heard.push(topic)));
    await store.unit(async (tx) => {
      tx.signal('one');
      tx.signal('one');
      tx.signal('nobody listens');
      expect(heard).toEqual([]);
    });
    expect(heard).toEqual(['one']);
    const refused = store.unit(async (tx) => {
      tx.signal('two');
      throw new RangeError('no');
    });
    await expect(refused).rejects.toThrow('no');
    for (const stop of stops) stop();
    await store.unit(async (tx) => tx.signal('one'));
    expect(heard).toEqual(['one']);
  });

  it('may start another unit and read from onCommitted', async () => {
    await using store = await openShelf(engine);
    const following = Promise.withResolvers<unknown>();
    await store.unit(async (tx) => {
      await put('a')(tx);
      tx.onCommitted(() => following.resolve(itemIds(store).then(() => store.unit(put('b')))));
    });
    await following.promise;
    expect(await itemIds(store)).toEqual(['a', 'b']);
  });

  it('never commits a unit that caught the failure of a statement', async () => {
    await using store = await openShelf(engine);
    await store.unit(put('taken'));
    const swallowed = store.unit(async (tx) => {
      await put('new')(tx);
      await put('taken')(tx).catch(() => undefined);
    });
    await expect(swallowed).rejects.toMatchObject({ reason: 'conflict' });
    expect(await itemIds(store)).toEqual(['taken']);
  });

  it('never commits a unit that did not wait for the statement that failed', async () => {
    await using store = await openShelf(engine);
    await store.unit(put('taken'));
    const hasty = store.unit(async (tx) => {
      await put('new')(tx);
      void put('taken')(tx).catch(() => undefined);
    });
    await expect(hasty).rejects.toMatchObject({ reason: expect.stringMatching(/conflict|internal/) });
    expect(await itemIds(store)).toEqual(['taken']);
  });

  it('runs closures one after the other where they touch the same row', async () => {
    await using store = await openShelf(engine);
    await store.unit(put('counter'));
    const contenders = 60;
    let won = 0;
    await Promise.all(
      Array.from({ length: contenders }, async () => {
        for (;;) {
          const [current] = await store.query(selectItem, { id: 'counter' });
          if ((await store.unit((tx) => tx.affected(raiseCount, { id: 'counter', expected: current!.count }))) === 1)
            break;
        }
        won += 1;
      }),
    );
    expect(won).toBe(contenders);
    expect(await store.query(selectItem, { id: 'counter' })).toMatchObject([{ count: contenders }]);
  });

  it.each(['commit', 'ROLLBACK', ' savepoint x'])('refuses "%s" as a query of a unit', async (text) => {
    await using store = await openShelf(engine);
    const unit = store.unit(async (tx) => {
      await put('a')(tx);
      await sql.raw(text).execute(tx.db());
    });
    await expect(unit).rejects.toThrow(InternalError);
    expect(await itemIds(store)).toEqual([]);
  });

  it('refuses to write through the read handle', async () => {
    await using store = await openShelf(engine);
    const write = store.read<Shelf>().insertInto('parent').values({ id: 'p' }).execute();
    await expect(write).rejects.toMatchObject({ name: expect.stringMatching(/InternalError|UpstreamError/) });
  });

  it('finishes what waits when it closes, and refuses the rest', async () => {
    const store = await openShelf(engine);
    const waiting = [store.unit(put('a')), store.unit(put('b'))];
    const closed = store.close();
    await expect(store.unit(put('c'))).rejects.toThrow(UpstreamError);
    await Promise.all([...waiting, closed, store.close()]);
    await expect(store.query(selectItem, { id: 'a' })).rejects.toThrow(UpstreamError);
    await expect(itemIds(store)).rejects.toThrow(UpstreamError);
  });

  it('refuses more units than may wait', async () => {
    await using store = await openShelf(engine, { connections: 1, limits: { queue: 20 } });
    const outcomes = await Promise.allSettled(
      Array.from({ length: 40 }, (_value, index) => store.unit(put(`i${index}`))),
    );
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
    expect(refused.length).toBeGreaterThanOrEqual(19);
    for (const { reason } of refused) expect(reason).toMatchObject({ reason: 'overloaded', retryAfterSeconds: 1 });
    expect(await itemIds(store)).toHaveLength(40 - refused.length);
  });
});
