import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPostgres, type PostgresOptions } from '../../core/store/postgres-store.ts';
import { openSqlite, type SqliteOptions } from '../../core/store/sqlite-store.ts';
import type { Engine, Store } from '../../core/store/store.ts';
import { freshDatabase } from './postgres.ts';

/** Both engines, for `describe.each(ENGINES)`: every rule about stored things is tested on each. */
export const ENGINES: readonly Engine[] = ['sqlite', 'postgres'];

/** What a test may set on either engine; each takes what it knows. */
export type TestStoreOptions = Partial<SqliteOptions & PostgresOptions>;

/** A database that a test may open several times. */
export interface TestDatabase extends AsyncDisposable {
  readonly engine: Engine;
  /** Path of the file, or URL. */
  readonly location: string;
  open(options?: TestStoreOptions): Promise<Store>;
}

/** Makes an empty database of an engine. */
export async function testDatabase(engine: Engine): Promise<TestDatabase> {
  return engine === 'sqlite' ? sqliteDatabase() : postgresDatabase();
}

/** Makes an empty database and opens it. Closing the store, e.g. by `await using`, removes it. */
export async function openTestStore(engine: Engine, options: TestStoreOptions = {}): Promise<Store> {
  const database = await testDatabase(engine);
  const store = await database.open(options);
  const close = store.close.bind(store);
  store.close = async () => {
    await close();
    await database[Symbol.asyncDispose]();
  };
  return store;
}

async function sqliteDatabase(): Promise<TestDatabase> {
  const folder = await mkdtemp(join(tmpdir(), 'muster-store-'));
  return {
    engine: 'sqlite',
    location: join(folder, 'muster.db'),
    open: (options = {}) => openSqlite({ ...options, limits: options.limits ?? {}, file: join(folder, 'muster.db') }),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

async function postgresDatabase(): Promise<TestDatabase> {
  const url = await freshDatabase();
  return {
    engine: 'postgres',
    location: url,
    open: (options = {}) => openPostgres({ ...options, limits: options.limits ?? {}, url }),
    // The whole cluster goes at the end of the run.
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
