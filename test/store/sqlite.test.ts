import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { AsyncLocalStorage } from 'node:async_hooks';
import { mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { InternalError, UpstreamError } from '../../core/errors/muster-error.ts';
import { migrate } from '../../core/store/migrations.ts';
import { openSqlite } from '../../core/store/sqlite-store.ts';
import type { Store } from '../../core/store/store.ts';
import { sql } from 'kysely';
import { statement } from '../../core/store/statement.ts';
import { insertItem, itemIds, shelfMigrations, type Shelf } from './fixture.ts';

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'muster-sqlite-'));
  file = join(folder, 'muster.db');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function openMigrated(options: Partial<Parameters<typeof openSqlite>[0]> = {}): Promise<Store> {
  const store = await openSqlite({ file, ...options });
  await migrate(store, shelfMigrations);
  return store;
}

const put = (store: Store, id: string, note?: string) =>
  store.unit((tx) => tx.affected(insertItem, { id, count: 0, note: note ?? null }));

describe('one writer', () => {
  it('is refused a file that this process writes to already, by whatever path', async () => {
    await using _store = await openMigrated();
    await expect(openSqlite({ file })).rejects.toMatchObject({ reason: 'store-unavailable' });
    await symlink(folder, `${folder}-link`);
    try {
      await expect(openSqlite({ file: join(`${folder}-link`, 'muster.db') })).rejects.toThrow(UpstreamError);
    } finally {
      await rm(`${folder}-link`);
    }
  });

  it('is refused a file that another process writes to, until that process is dead', async () => {
    const hold = `const { openSqlite } = await import(${JSON.stringify(import.meta.resolve('../../core/store/sqlite-store.ts'))});
      await openSqlite({ file: ${JSON.stringify(file)} });
      console.log('open');
      setInterval(() => undefined, 60_000);`;
    const other = spawn(process.execPath, ['--input-type=module', '--eval', hold], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      await once(other.stdout, 'data');
      await expect(openSqlite({ file })).rejects.toThrow('another process');
    } finally {
      const ended = once(other, 'close');
      other.kill('SIGKILL');
      await ended;
    }
    await using store = await openMigrated();
    await put(store, 'mine');
  });

  it('gives the file back when it closes', async () => {
    await (await openMigrated()).close();
    await using store = await openMigrated();
    expect(await itemIds(store)).toEqual([]);
  });
});

describe('a reader', () => {
  it('reads beside a writer, and cannot write', async () => {
    await using writer = await openMigrated();
    await using reader = await openSqlite({ file, readOnly: true });
    await put(writer, 'a');
    expect(await itemIds(reader)).toEqual(['a']);
    await expect(put(reader, 'b')).rejects.toMatchObject({ reason: 'store-unavailable' });
  });

  it('reads what a writer that is gone left, and makes no file that was not there', async () => {
    const writer = await openMigrated();
    await put(writer, 'a');
    await writer.close();
    {
      await using reader = await openSqlite({ file, readOnly: true });
      expect(await itemIds(reader)).toEqual(['a']);
    }
    await expect(openSqlite({ file: join(folder, 'none.db'), readOnly: true })).rejects.toThrow(UpstreamError);
    await expect(openSqlite({ file: join(folder, 'none', 'muster.db') })).rejects.toThrow(UpstreamError);
  });
});

describe('a batch', () => {
  it('carries many concurrent units in one COMMIT, and a lone unit in one of its own', async () => {
    await using store = await openMigrated();
    const before = store.statistics;
    await Promise.all(Array.from({ length: 640 }, (_value, index) => put(store, `n${index}`)));
    const after = store.statistics;
    expect(after.committedUnits - before.committedUnits).toBe(640);
    expect(after.commits - before.commits).toBeLessThanOrEqual(64);
    await put(store, 'lone');
    expect(store.statistics.commits - after.commits).toBe(1);
  });

  it('takes in units that are asked for while it runs', async () => {
    await using store = await openMigrated();
    const before = store.statistics.commits;
    const chain = async (name: string): Promise<void> => {
      await put(store, `${name}-1`);
      await Promise.resolve();
      await put(store, `${name}-2`);
    };
    await Promise.all(Array.from({ length: 30 }, (_value, index) => chain(`c${index}`)));
    expect(store.statistics.commits - before).toBeLessThanOrEqual(4);
  });

  it('runs its closures strictly one after the other', async () => {
    await using store = await openMigrated();
    let inside = 0;
    let most = 0;
    const units = Array.from({ length: 50 }, (_value, index) =>
      store.unit(async (tx) => {
        most = Math.max(most, (inside += 1));
        await tx.affected(insertItem, { id: `n${index}`, count: 0 });
        await tx.db<Shelf>().selectFrom('item').select('id').execute();
        inside -= 1;
      }),
    );
    await Promise.all(units);
    expect(most).toBe(1);
  });

  it('rejects as a whole when the disk is full, tells nobody, and goes on when there is room again', async () => {
    await using store = await openMigrated({ limits: { milliseconds: 2000 } });
    await put(store, 'before');
    const told: string[] = [];
    const unit = (id: string, size: number) =>
      store.unit(async (tx) => {
        tx.onCommitted(() => told.push(id));
        await tx.affected(insertItem, { id, count: 0, note: 'x'.repeat(size) });
      });
    limitFileSize('300000');
    try {
      const outcomes = await Promise.allSettled([unit('small', 1), unit('huge', 2_000_000), unit('next', 1)]);
      for (const outcome of outcomes) {
        expect(outcome).toMatchObject({ status: 'rejected', reason: { reason: 'store-unavailable' } });
      }
    } finally {
      limitFileSize('unlimited');
    }
    expect(told).toEqual([]);
    expect(await itemIds(store)).toEqual(['before']);
    await put(store, 'after');
    expect(await itemIds(store)).toEqual(['after', 'before']);
  });

  it('keeps nothing of a unit that the full disk stopped midway and that goes on regardless', async () => {
    await using store = await openMigrated({ limits: { milliseconds: 5000 } });
    await put(store, 'before');
    limitFileSize('300000');
    try {
      const stubborn = store.unit(async (tx) => {
        // Larger than the page cache, so that SQLite must write before the COMMIT.
        for (let index = 0; index < 12; index += 1) {
          await tx
            .affected(insertItem, { id: `huge-${index}`, count: 0, note: 'x'.repeat(3_000_000) })
            .catch(() => undefined);
        }
        await tx.affected(insertItem, { id: 'regardless', count: 0 }).catch(() => undefined);
      });
      await expect(stubborn).rejects.toMatchObject({ reason: 'store-unavailable' });
      await put(store, 'next');
    } finally {
      limitFileSize('unlimited');
    }
    expect(await itemIds(store)).toEqual(['before', 'next']);
  });

  it('is not added to once SQLite has rolled it back', async () => {
    await using store = await openMigrated({ limits: { milliseconds: 5000 } });
    await store.unit((tx) => sql`create table strict_item (id text primary key on conflict rollback)`.execute(tx.db()));
    const add = (id: string) => store.unit((tx) => sql`insert into strict_item values (${id})`.execute(tx.db()));
    await add('taken');
    const outcomes = await Promise.allSettled([put(store, 'first'), add('taken'), put(store, 'last')]);
    expect(outcomes.map((outcome) => outcome.status)).toEqual(['rejected', 'rejected', 'fulfilled']);
    expect(await itemIds(store)).toEqual(['last']);
  });
});

describe('durability', () => {
  it('leaves the log to be synced here, and everything else to SQLite, unless a test asks for less', async () => {
    await using store = await openMigrated();
    const pragmas = await store.unit(async (tx) => tx.run(pragmaValues, {}));
    expect(pragmas).toEqual([{ synchronous: 1, journal: 'wal', keys: 1 }]);
    await store.close();
    await using weak = await openSqlite({ file, unsafeSynchronous: 'OFF' });
    expect(await weak.unit(async (tx) => tx.run(pragmaValues, {}))).toMatchObject([{ synchronous: 0 }]);
  });

  it('settles no unit and shows no reader its rows before the log is synced; the next batch runs meanwhile', async () => {
    const medium = slowMedium();
    await using store = await openMigrated({ sync: medium.sync });
    await put(store, 'durable');
    const finish = medium.hold();
    const answers: string[] = [];
    const first = put(store, 'first').then(() => answers.push('first'));
    await medium.asked();
    const ran: string[] = [];
    const second = store.unit(async (tx) => {
      ran.push('second');
      await tx.affected(insertItem, { id: 'second', count: 0 });
    });
    await delay(20);
    expect({ answers, ran, seen: await itemIds(store) }).toEqual({ answers: [], ran: ['second'], seen: ['durable'] });
    finish();
    await Promise.all([first, second]);
    expect(await itemIds(store)).toEqual(['durable', 'first', 'second']);
  });

  it('gives a stream nothing that is committed and not synced yet', async () => {
    const medium = slowMedium();
    await using store = await openMigrated({ sync: medium.sync });
    const finish = medium.hold();
    const unit = put(store, 'a');
    await medium.asked();
    const streamed: string[] = [];
    const reading = (async () => {
      for await (const { id } of store.stream<Shelf, { id: string }>((db) => db.selectFrom('item').select('id'))) {
        streamed.push(id);
      }
    })();
    await delay(20);
    expect(streamed).toEqual([]);
    finish();
    await Promise.all([unit, reading]);
    expect(streamed).toEqual(['a']);
  });

  it('rejects what could not be synced and whatever comes after, since nobody knows what reached the medium', async () => {
    const reported: unknown[] = [];
    const medium = slowMedium();
    const store = await openMigrated({ sync: medium.sync, report: (error) => reported.push(error) });
    await put(store, 'durable');
    const fail = medium.hold();
    const lost = put(store, 'lost');
    await medium.asked();
    const behind = put(store, 'behind');
    fail(new Error('EIO: i/o error, fdatasync'));
    await expect(lost).rejects.toMatchObject({ reason: 'store-unavailable' });
    await expect(behind).rejects.toMatchObject({ reason: 'store-unavailable' });
    await expect(put(store, 'later')).rejects.toMatchObject({ reason: 'store-unavailable' });
    expect(await itemIds(store)).toEqual(['durable']);
    expect(reported).toHaveLength(1);
    await store.close();
  });

  it('copies the log into the database as it grows, beside readers', async () => {
    await using store = await openMigrated();
    const note = 'x'.repeat(2000);
    for (let round = 0; round < 8; round++) {
      await store.unit(async (tx) => {
        for (let index = 0; index < 3000; index++) {
          await tx.affected(insertItem, { id: `n${round}-${index}`, count: 0, note });
        }
      });
      expect(await itemIds(store)).toHaveLength((round + 1) * 3000);
    }
    // 24,000 rows of 2 kB: without checkpoints all of them, and their index, would lie in the log.
    expect((await stat(`${file}-wal`)).size).toBeLessThan(30_000_000);
  });

  it('is refused to a file that is no database', async () => {
    await writeFile(file, 'not a database, but long enough to look at: '.repeat(100));
    await expect(openSqlite({ file })).rejects.toMatchObject({ name: 'UpstreamError' });
    await rm(file);
    await using store = await openMigrated();
    expect(await itemIds(store)).toEqual([]);
  });

  it('survives in the file as any SQLite sees it', async () => {
    const store = await openMigrated();
    await put(store, 'a', 'hello');
    await store.close();
    const plain = new Database(file, { readonly: true });
    expect(plain.prepare('select id, note from item').all()).toEqual([{ id: 'a', note: 'hello' }]);
    expect(plain.pragma('integrity_check', { simple: true })).toBe('ok');
    plain.close();
  });
});

/** A medium whose next sync ends when, and as, the test says. */
function slowMedium() {
  let held: Promise<void> | undefined;
  let asked = Promise.withResolvers<void>();
  return {
    sync: async () => {
      const wait = held;
      held = undefined;
      asked.resolve();
      await wait;
    },
    /** Holds the next sync; the function lets it end. */
    hold: () => {
      const end = Promise.withResolvers<void>();
      held = end.promise;
      asked = Promise.withResolvers<void>();
      return (error?: Error) => (error ? end.reject(error) : end.resolve());
    },
    asked: () => asked.promise,
  };
}

it('runs closures outside of the context of whoever started the batch', async () => {
  const request = new AsyncLocalStorage<string>();
  await using store = await openMigrated();
  const seen: (string | undefined)[] = [];
  const ask = (name: string) =>
    request.run(name, () => store.unit(async () => void seen.push(request.getStore())).then(() => request.getStore()));
  expect(await Promise.all([ask('first'), ask('second')])).toEqual(['first', 'second']);
  expect(seen).toEqual([undefined, undefined]);
});

it('answers a unit that throws at once, before any promise', async () => {
  await using store = await openMigrated();
  const unit = store.unit(() => {
    throw new InternalError('thrown at once');
  });
  await expect(unit).rejects.toThrow('thrown at once');
  await put(store, 'next');
});

const pragmaValues = statement<Shelf>()('test-pragmas', (db, _none: Record<never, never>) =>
  db.selectNoFrom([
    sql<number>`(select synchronous from pragma_synchronous)`.as('synchronous'),
    sql<string>`(select journal_mode from pragma_journal_mode)`.as('journal'),
    sql<number>`(select foreign_keys from pragma_foreign_keys)`.as('keys'),
  ]),
);

/** The soft limit on the size of files this process writes: SQLite meets it as a full disk (Node ignores SIGXFSZ). */
function limitFileSize(bytes: string): void {
  execFileSync('prlimit', ['--pid', String(process.pid), `--fsize=${bytes}:unlimited`]);
}
