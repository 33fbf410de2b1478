import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it, vi } from 'vitest';
import { StateError } from '../../core/errors/muster-error.ts';
import { JobRunner, type JobHandler, type JobRunnerOptions, type JobTurn } from '../../core/store/job-runner.ts';
import type { JobTables, NewJob } from '../../core/store/jobs.ts';
import { leaseDueJobs } from '../../core/store/lease.ts';
import { migrate } from '../../core/store/migrations.ts';
import type { Store } from '../../core/store/store.ts';
import { ENGINES, testDatabase } from '../support/stores.ts';
import { insertItem, itemIds, openShelf, shelfMigrations } from './fixture.ts';

const quick: JobRunnerOptions = {
  pollMs: 20,
  leaseMs: 5000,
  backoff: { firstMs: 1, longestMs: 5 },
  report: () => undefined,
};

const eventually = (check: () => unknown) => vi.waitFor(check, { timeout: 15_000, interval: 20 });

const enqueue = (store: Store, job: NewJob) => store.unit((tx) => store.jobs.enqueue(tx, job));

async function running(store: Store, handlers: Record<string, JobHandler>, options: Partial<JobRunnerOptions> = {}) {
  const runner = new JobRunner(store, handlers, { ...quick, ...options });
  runner.start();
  return { [Symbol.asyncDispose]: () => runner.stop() };
}

describe.each(ENGINES)('jobs on %s', (engine) => {
  it('does a job once and forgets it', async () => {
    await using store = await openShelf(engine);
    const done: unknown[] = [];
    await using _runner = await running(store, { tell: async (payload) => void done.push(payload) });
    await enqueue(store, { kind: 'tell', payload: { text: 'hello' } });
    await eventually(async () => expect(await store.jobs.list()).toEqual([]));
    expect(done).toEqual([{ text: 'hello' }]);
  });

  it('takes a job of its own process at once, without waiting for the next look', async () => {
    await using store = await openShelf(engine);
    const done = Promise.withResolvers<number>();
    await using _runner = await running(store, { tell: async () => done.resolve(Date.now()) }, { pollMs: 60_000 });
    await delay(100);
    const asked = Date.now();
    await enqueue(store, { kind: 'tell', payload: {} });
    expect((await done.promise) - asked).toBeLessThan(2000);
  });

  it('never has a job whose unit was rolled back', async () => {
    await using store = await openShelf(engine);
    const unit = store.unit(async (tx) => {
      await store.jobs.enqueue(tx, { kind: 'tell', payload: {} });
      throw new TypeError('not after all');
    });
    await expect(unit).rejects.toThrow(TypeError);
    expect(await store.jobs.list()).toEqual([]);
  });

  it('waits for the time of a job', async () => {
    await using store = await openShelf(engine);
    const done: string[] = [];
    await using _runner = await running(store, { tell: async ({ text }) => void done.push(String(text)) });
    await enqueue(store, { kind: 'tell', payload: { text: 'later' }, runAt: (await store.databaseTime()) + 400 });
    await enqueue(store, { kind: 'tell', payload: { text: 'now' } });
    await eventually(() => expect(done).toEqual(['now']));
    await eventually(() => expect(done).toEqual(['now', 'later']));
  });

  it('keeps one waiting job of a key, with the newest payload', async () => {
    await using store = await openShelf(engine);
    await enqueue(store, { kind: 'publish', key: 'crl-1', payload: { round: 1 } });
    await enqueue(store, { kind: 'publish', key: 'crl-1', payload: { round: 2 } });
    await enqueue(store, { kind: 'publish', key: 'crl-2', payload: { round: 3 } });
    await enqueue(store, { kind: 'publish', payload: { round: 4 } });
    await enqueue(store, { kind: 'publish', payload: { round: 5 } });
    const waiting = await store.jobs.list();
    expect(waiting.map((job) => job.payload['round'])).toEqual([2, 3, 4, 5]);
  });

  it('runs a job once more when it was asked for while it ran', async () => {
    await using store = await openShelf(engine);
    const rounds: unknown[] = [];
    const begun = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    const publish: JobHandler = async ({ round }) => {
      rounds.push(round);
      begun.resolve();
      await go.promise;
    };
    await using _runner = await running(store, { publish });
    await enqueue(store, { kind: 'publish', key: 'crl', payload: { round: 1 } });
    await begun.promise;
    await enqueue(store, { kind: 'publish', key: 'crl', payload: { round: 2 } });
    go.resolve();
    await eventually(async () => expect(await store.jobs.list()).toEqual([]));
    expect(rounds).toEqual([1, 2]);
  });

  it('tries again after a failure, and sets the job aside after the last attempt', async () => {
    await using store = await openShelf(engine);
    const attempts: number[] = [];
    const fails: JobHandler = async (_payload, { attempt }) => {
      attempts.push(attempt);
      throw new TypeError('always \0 fails');
    };
    await using _runner = await running(store, { fails });
    await enqueue(store, { kind: 'fails', key: 'one', payload: {}, maxAttempts: 3 });
    await eventually(async () => expect(await store.jobs.list({ state: 'dead' })).toHaveLength(1));
    expect(attempts).toEqual([1, 2, 3]);
    const [dead] = await store.jobs.list({ kind: 'fails' });
    expect(dead).toMatchObject({ state: 'dead', attempts: 3, lastError: 'TypeError: always  fails', key: 'one' });
    await store.jobs.retry(dead!.id);
    await eventually(async () => expect(await store.jobs.list({ state: 'dead' })).toHaveLength(1));
    expect(attempts).toEqual([1, 2, 3, 1, 2, 3]);
    await store.jobs.discard(dead!.id);
    expect(await store.jobs.list()).toEqual([]);
  });

  it('retries and discards only dead jobs, and no job beside a waiting one of its key', async () => {
    await using store = await openShelf(engine);
    await enqueue(store, { kind: 'wait', payload: {} });
    const [waiting] = await store.jobs.list();
    await expect(store.jobs.retry(waiting!.id)).rejects.toThrow(StateError);
    await expect(store.jobs.discard(waiting!.id)).rejects.toThrow(StateError);
    const fails: JobHandler = () => Promise.reject(new TypeError('no'));
    await using _runner = await running(store, { fails });
    await enqueue(store, { kind: 'fails', key: 'k', payload: {}, maxAttempts: 1 });
    await eventually(async () => expect(await store.jobs.list({ state: 'dead' })).toHaveLength(1));
    const [dead] = await store.jobs.list({ state: 'dead' });
    await enqueue(store, { kind: 'fails', key: 'k', payload: {}, runAt: Date.now() + 60_000 });
    await expect(store.jobs.retry(dead!.id)).rejects.toMatchObject({ reason: 'conflict' });
  });

  it('gives the job of a worker that died to another, and refuses what the first still tries', async () => {
    await using store = await openShelf(engine);
    await enqueue(store, { kind: 'effect', payload: {} });
    const [crashed] = await store.unit((tx) => leaseDueJobs(tx, { kinds: ['effect'], limit: 1, leaseMs: 100 }));
    expect(crashed).toMatchObject({ attempt: 1, fencingToken: 1 });
    const turns: number[] = [];
    const effect: JobHandler = async (_payload, turn) => {
      turns.push(turn.fencingToken);
      await store.unit(async (tx) => {
        await turn.confirm(tx);
        await tx.affected(insertItem, { id: `by-${turn.fencingToken}`, count: 0 });
      });
    };
    await using _runner = await running(store, { effect });
    await eventually(async () => expect(await store.jobs.list()).toEqual([]));
    expect(turns).toEqual([2]);
    expect(await itemIds(store)).toEqual(['by-2']);
  });

  it('rolls back the effect of a worker that was overtaken', async () => {
    await using store = await openShelf(engine);
    const [second, overtaken] = [Promise.withResolvers<void>(), Promise.withResolvers<unknown>()];
    const record = (turn: JobTurn) =>
      store.unit(async (tx) => {
        await turn.confirm(tx);
        await tx.affected(insertItem, { id: `by-${turn.attempt}`, count: 0 });
      });
    const effect: JobHandler = async (_payload, turn) => {
      if (turn.attempt === 1) {
        await second.promise;
        overtaken.resolve(await record(turn).catch((error: unknown) => error));
      } else {
        second.resolve();
        await overtaken.promise;
        await record(turn);
      }
    };
    await enqueue(store, { kind: 'effect', payload: {} });
    await using _first = await running(store, { effect }, { leaseMs: 60_000 });
    await eventually(async () => expect(await store.jobs.list({ state: 'running' })).toHaveLength(1));
    // As if its process had been stopped for longer than the lease.
    await store.unit((tx) => tx.db<JobTables>().updateTable('jobs').set({ lease_until: 0 }).execute());
    await using _second = await running(store, { effect });
    await eventually(async () => expect(await store.jobs.list()).toEqual([]));
    expect(await overtaken.promise).toBeInstanceOf(StateError);
    expect(await itemIds(store)).toEqual(['by-2']);
  });

  it('keeps a long job by its heartbeat', async () => {
    await using store = await openShelf(engine);
    let runs = 0;
    const long: JobHandler = async () => {
      runs += 1;
      await delay(1300);
    };
    await using _first = await running(store, { long }, { leaseMs: 500 });
    await using _second = await running(store, { long }, { leaseMs: 500 });
    await enqueue(store, { kind: 'long', payload: {} });
    await eventually(async () => expect(await store.jobs.list()).toEqual([]));
    expect(runs).toBe(1);
  });

  it('sets aside a job that takes its worker down each time', async () => {
    await using store = await openShelf(engine);
    await enqueue(store, { kind: 'poison', payload: {}, maxAttempts: 2 });
    const crash = () => store.unit((tx) => leaseDueJobs(tx, { kinds: ['poison'], limit: 1, leaseMs: 1 }));
    expect(await crash()).toHaveLength(1);
    await delay(5);
    expect(await crash()).toHaveLength(1);
    await delay(5);
    expect(await crash()).toHaveLength(0);
    expect(await store.jobs.list()).toMatchObject([{ state: 'dead', attempts: 2 }]);
  });

  it('gives jobs back when it stops, without counting an attempt', async () => {
    await using store = await openShelf(engine);
    const begun = Promise.withResolvers<void>();
    const long: JobHandler = async (_payload, { signal }) => {
      begun.resolve();
      await delay(60_000, undefined, { signal });
    };
    const runner = new JobRunner(store, { long }, quick);
    runner.start();
    await enqueue(store, { kind: 'long', payload: {} });
    await begun.promise;
    await runner.stop();
    expect(await store.jobs.list()).toMatchObject([{ state: 'ready', attempts: 0 }]);
  });

  it('runs a schedule on one of several workers, again and again', async () => {
    await using store = await openShelf(engine);
    const turns: number[] = [];
    const handlers = { tick: async () => void turns.push(Date.now()) };
    const schedules = [{ name: 'every-300', kind: 'tick', payload: {}, everyMs: 300 }];
    await using _first = await running(store, handlers, { schedules });
    await using _second = await running(store, handlers, { schedules });
    await eventually(() => expect(turns.length).toBeGreaterThanOrEqual(3));
    expect(turns[2]! - turns[0]!).toBeGreaterThanOrEqual(500);
  });

  it('pages through jobs', async () => {
    await using store = await openShelf(engine);
    for (let index = 0; index < 5; index += 1) await enqueue(store, { kind: 'wait', payload: { index } });
    const first = await store.jobs.list({ limit: 3 });
    const rest = await store.jobs.list({ after: first.at(-1)!.id });
    expect([...first, ...rest].map((job) => job.payload['index'])).toEqual([0, 1, 2, 3, 4]);
    expect(rest).toHaveLength(2);
  });
});

it('shares jobs between the stores of several nodes, each job once', async () => {
  await using database = await testDatabase('postgres');
  await using first = await database.open();
  await using second = await database.open();
  await migrate(first, shelfMigrations);
  const done: unknown[] = [];
  const handlers = { count: async ({ index }: { index?: unknown }) => void done.push(index) };
  await using _a = await running(first, handlers);
  await using _b = await running(second, handlers);
  await first.unit(async (tx) => {
    for (let index = 0; index < 60; index += 1) await first.jobs.enqueue(tx, { kind: 'count', payload: { index } });
  });
  await eventually(async () => expect(await second.jobs.list()).toEqual([]));
  expect(done.toSorted((left, right) => Number(left) - Number(right))).toEqual(
    Array.from({ length: 60 }, (_v, i) => i),
  );
});
