import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { newId } from '../../core/store/id.ts';
import { columnTypes } from '../../core/store/column-types.ts';
import { migrate, type Migration } from '../../core/store/migrations.ts';
import { openPostgres } from '../../core/store/postgres-store.ts';
import { openSqlite } from '../../core/store/sqlite-store.ts';
import { statement } from '../../core/store/statement.ts';
import type { Store } from '../../core/store/store.ts';
import { startPostgres } from '../support/postgres-server.ts';

/** One figure of the store. `commitsEach` is how many COMMITs one of the counted things took. */
export interface StoreFigure {
  readonly name: string;
  readonly perSecond: number;
  readonly commitsEach: number;
}

interface Tables {
  record: { id: string; state: number; name: string; content: Uint8Array };
}

const migration: Migration = {
  id: 'bench-0001',
  async up(db, engine) {
    const type = columnTypes(engine);
    await db.schema
      .createTable('record')
      .addColumn('id', type.textKey, (column) => column.primaryKey().notNull())
      .addColumn('state', type.integer)
      .addColumn('name', type.text)
      .addColumn('content', type.blob)
      .execute();
  },
};

const insert = statement<Tables>()('bench-insert', (db, p: { id: string; content: Uint8Array }) =>
  db.insertInto('record').values({ id: p.id, state: 0, name: 'router1.example', content: p.content }),
);
const update = statement<Tables>()('bench-update', (db, p: { id: string; state: number }) =>
  db.updateTable('record').set({ state: p.state }).where('id', '=', p.id),
);
const select = statement<Tables>()('bench-select', (db, p: { id: string }) =>
  db.selectFrom('record').select(['state', 'name']).where('id', '=', p.id),
);

const content = new Uint8Array(64);
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });

/** The store's figures on both engines, beside better-sqlite3 alone running the same statements 64 units to a COMMIT. */
export async function measureStore(): Promise<readonly StoreFigure[]> {
  const folder = await mkdtemp(join('/tmp', 'mb-'));
  try {
    const bare = {
      name: '5 statements, better-sqlite3 alone',
      perSecond: bareUnits(join(folder, 'bare.db'), 60_000),
      commitsEach: 1 / 64,
    };
    return [bare, ...(await onSqlite(join(folder, 'muster.db'))), ...(await onPostgres(join(folder, 'pg')))];
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function onSqlite(file: string): Promise<StoreFigure[]> {
  await using store = await openSqlite({ file });
  return await measureEngine(store, 4);
}

async function onPostgres(folder: string): Promise<StoreFigure[]> {
  const server = await startPostgres(folder);
  try {
    await using store = await openPostgres({ url: server.url, connections: 20 });
    return await measureEngine(store, 1);
  } finally {
    await server.stop();
  }
}

async function measureEngine(store: Store, scale: number): Promise<StoreFigure[]> {
  await migrate(store, [migration]);
  const name = (text: string): string => `${text}, ${store.engine}`;
  await concurrently(store, '', 64, 2000 * scale, () => fiveStatements(store));
  return [
    await concurrently(store, name('5-statement units, 64 at once'), 64, 10_000 * scale, () => fiveStatements(store)),
    await concurrently(store, name('5-statement units, one by one'), 1, 250 * scale, () => fiveStatements(store)),
    await concurrently(store, name('unit, P-256 signature, unit, 64 at once'), 64, 2000 * scale, () =>
      certificate(store),
    ),
    await concurrently(store, name('unit, P-256 signature, unit, one by one'), 1, 150 * scale, () =>
      certificate(store),
    ),
  ];
}

async function fiveStatements(store: Store): Promise<void> {
  const id = newId();
  await store.unit(async (tx) => {
    await tx.affected(insert, { id, content });
    await tx.affected(update, { id, state: 1 });
    await tx.run(select, { id });
    await tx.affected(update, { id, state: 2 });
    await tx.run(select, { id });
  });
}

/** The shape of one issuance: what is to be signed is durable first, then the signature, then what it led to. */
async function certificate(store: Store): Promise<void> {
  const id = newId();
  await store.unit((tx) => tx.affected(insert, { id, content }));
  const signature = await new Promise<Uint8Array>((resolve, reject) => {
    sign('sha256', content, privateKey, (error, made) => (error ? reject(error) : resolve(made)));
  });
  await store.unit(async (tx) => {
    await tx.affected(update, { id, state: 1 });
    await tx.affected(insert, { id: `${id}-issued`, content: signature });
  });
}

async function concurrently(
  store: Store,
  name: string,
  width: number,
  total: number,
  once: () => Promise<void>,
): Promise<StoreFigure> {
  const before = store.statistics.commits;
  const start = performance.now();
  let left = total;
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await once();
    }
  };
  await Promise.all(Array.from({ length: width }, worker));
  const seconds = (performance.now() - start) / 1000;
  return { name, perSecond: total / seconds, commitsEach: (store.statistics.commits - before) / total };
}

function bareUnits(file: string, total: number): number {
  const database = new Database(file);
  database.pragma('journal_mode = WAL');
  database.pragma('synchronous = FULL');
  database.exec('create table record (id text primary key not null, state integer, name text, content blob)');
  const hot = {
    insert: database.prepare('insert into record values (?, 0, ?, ?)'),
    update: database.prepare('update record set state = ? where id = ?'),
    select: database.prepare('select state, name from record where id = ?'),
  };
  const start = performance.now();
  for (let done = 0; done < total; done += 64) {
    database.exec('BEGIN IMMEDIATE');
    for (let unit = 0; unit < 64; unit += 1) bareUnit(hot, newId());
    database.exec('COMMIT');
  }
  const seconds = (performance.now() - start) / 1000;
  database.close();
  return total / seconds;
}

function bareUnit(hot: Record<'insert' | 'update' | 'select', Database.Statement>, id: string): void {
  hot.insert.run(id, 'router1.example', content);
  hot.update.run(1, id);
  hot.select.all(id);
  hot.update.run(2, id);
  hot.select.all(id);
}

if (import.meta.main) {
  for (const { name, perSecond, commitsEach } of await measureStore()) {
    console.log(
      `${name.padEnd(52)}${perSecond.toFixed(0).padStart(8)}/s${commitsEach.toFixed(3).padStart(9)} commits each`,
    );
  }
}
