import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { sql } from 'kysely';
import { Client } from 'pg';
import { afterAll, describe, expect, it } from 'vitest';
import { InternalError } from '../../core/errors/muster-error.ts';
import { migrate } from '../../core/store/migrations.ts';
import { openPostgres } from '../../core/store/postgres-store.ts';
import type { Store, Unit } from '../../core/store/store.ts';
import { freshDatabase } from '../support/postgres.ts';
import { servePostgres, startPostgres } from '../support/postgres-server.ts';
import { insertItem, itemIds, openShelf, raiseCount, selectItem, shelfMigrations, type Shelf } from './fixture.ts';

const put = (store: Store, id: string) => store.unit((tx) => tx.affected(insertItem, { id, count: 0 }));

async function asAdmin(url: string, text: string): Promise<void> {
  const admin = new Client({ connectionString: url });
  await admin.connect();
  await admin.query(text);
  await admin.end();
}

describe('contention', () => {
  it('runs a unit again that lost a deadlock', async () => {
    await using store = await openShelf('postgres');
    await put(store, 'a');
    await put(store, 'b');
    let runs = 0;
    const [aHeld, bHeld] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const crossing = (first: string, second: string, held: PromiseWithResolvers<void>, other: Promise<void>) =>
      store.unit(async (tx) => {
        runs += 1;
        await touch(tx, first);
        held.resolve();
        await other;
        await touch(tx, second);
      });
    await Promise.all([crossing('a', 'b', aHeld, bHeld.promise), crossing('b', 'a', bHeld, aHeld.promise)]);
    expect(runs).toBe(3);
    expect(await store.query(selectItem, { id: 'a' })).toMatchObject([{ count: 2 }]);
    expect(await store.query(selectItem, { id: 'b' })).toMatchObject([{ count: 2 }]);
  });

  it('gives a unit up that loses three times', async () => {
    await using store = await openShelf('postgres');
    let runs = 0;
    const losing = store.unit(async (tx) => {
      runs += 1;
      await sql`do $$ begin raise exception 'lost' using errcode = '40001'; end $$`.execute(tx.db());
    });
    await expect(losing).rejects.toMatchObject({ reason: 'store-unavailable' });
    expect(runs).toBe(3);
  });

  it('rejects when a lock is not given within the deadline, and lets the connection go', async () => {
    await using store = await openShelf('postgres', { connections: 2, limits: { deadlineMs: 300 } });
    await put(store, 'a');
    const holder = store.unit(
      async (tx) => {
        await touch(tx, 'a');
        await delay(1000);
      },
      { deadlineMs: 5000 },
    );
    await delay(50);
    await expect(store.unit((tx) => touch(tx, 'a'))).rejects.toMatchObject({ reason: expect.any(String) });
    await holder;
    await store.unit((tx) => touch(tx, 'a'));
    expect(await store.query(selectItem, { id: 'a' })).toMatchObject([{ count: 2 }]);
  });
});

it('rejects within its deadline when the server hangs, and does not use that connection again', async () => {
  await using store = await openShelf('postgres', { connections: 1, limits: { deadlineMs: 500 } });
  let backend = 0;
  const hung = store.unit(async (tx) => {
    const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(tx.db());
    backend = rows[0]!.pid;
    process.kill(backend, 'SIGSTOP');
    await tx.affected(insertItem, { id: 'hung', count: 0 });
  });
  try {
    await expect(hung).rejects.toThrow('500 ms');
    await put(store, 'next');
    expect(await itemIds(store)).toEqual(['next']);
  } finally {
    process.kill(backend, 'SIGCONT');
  }
});

describe('settings', () => {
  it.each(['synchronous_commit'])('refuses a database with %s off', async (name) => {
    const url = await freshDatabase();
    await asAdmin(url, `alter database ${new URL(url).pathname.slice(1)} set ${name} = off`);
    await expect(openPostgres({ url })).rejects.toThrow(InternalError);
  });

  it('refuses a number beyond safe integers instead of rounding it', async () => {
    await using store = await openShelf('postgres');
    const large = sql`select 9007199254740993::bigint as large`.compile(store.read());
    await expect(store.read().executeQuery(large)).rejects.toThrow(InternalError);
  });

  it('answers that the store is unavailable when nobody listens', async () => {
    const opening = openPostgres({ url: 'postgres://postgres@127.0.0.1:1/none' });
    await expect(opening).rejects.toMatchObject({ reason: 'store-unavailable' });
  });
});

describe('a server that goes away', () => {
  let folder: string | undefined;
  afterAll(async () => {
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  });

  it('is used again after its restart, and what ran meanwhile was told', async () => {
    folder = await mkdtemp(join('/tmp', 'mr-'));
    const cluster = join(folder, 'pg');
    const first = await startPostgres(cluster);
    await using store = await openPostgres({ url: first.url, report: () => undefined });
    await migrate(store, shelfMigrations);
    await put(store, 'before');
    const inside = Promise.withResolvers<void>();
    const interrupted = store.unit(async (tx) => {
      await tx.affected(insertItem, { id: 'interrupted', count: 0 });
      inside.resolve();
      await delay(500);
      await tx.affected(insertItem, { id: 'interrupted-2', count: 0 });
    });
    interrupted.catch(() => undefined);
    await inside.promise;
    await first.stop();
    await expect(interrupted).rejects.toMatchObject({ reason: 'store-unavailable' });
    await expect(put(store, 'down')).rejects.toMatchObject({ reason: 'store-unavailable' });
    await expect(itemIds(store)).rejects.toMatchObject({ reason: 'store-unavailable' });

    const second = await servePostgres(join(cluster, 'data'), cluster, Number(new URL(first.url).port));
    try {
      await put(store, 'after');
      expect(await itemIds(store)).toEqual(['after', 'before']);
    } finally {
      await second.stop();
    }
  });
});

async function touch(tx: Unit, id: string): Promise<void> {
  const row = await tx
    .db<Shelf>()
    .selectFrom('item')
    .select('count')
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirstOrThrow();
  await tx.affected(raiseCount, { id, expected: row.count });
}
