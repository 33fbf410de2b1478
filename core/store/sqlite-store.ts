import { existsSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import Database from 'better-sqlite3';
import type { Compilable, Kysely } from 'kysely';
import { MusterError, UpstreamError } from '../errors/muster-error.ts';
import { systemClock, type Clock } from './clock.ts';
import { readDatabaseTime } from './database-clock.ts';
import { durableSnapshot } from './durable-snapshot.ts';
import { jobsOf, type Jobs } from './jobs.ts';
import { compileOnly, kyselyOver } from './kysely-dialect.ts';
import { SqliteConnection } from './sqlite-connection.ts';
import { sqliteUnavailable } from './sqlite-errors.ts';
import { lockForWriting } from './sqlite-lock.ts';
import { secureReader, secureWriter, type UnsafeSynchronous } from './sqlite-pragmas.ts';
import { Signals } from './signals.ts';
import type { SqliteUnit } from './sqlite-unit.ts';
import { SqliteUnits, type BatchLimits } from './sqlite-units.ts';
import type { Statement } from './statement.ts';
import type { Store, StoreStatistics, Unit, UnitOptions } from './store.ts';
import { scopedToTenant, type TenantReader } from './tenant.ts';
import { UnitScope } from './unit-scope.ts';
import { syncData, WriteAheadLog, type Sync } from './write-ahead-log.ts';

/** How to open a SQLite store. */
export interface SqliteOptions {
  /** Path of the database file; its folder exists. `-wal`, `-shm` and `.lock` files appear beside it. */
  readonly file: string;
  /** Opens for reading only, beside a writer or after it: offline verification. Every unit is refused. */
  readonly readOnly?: boolean;
  readonly clock?: Clock;
  /** Bounds of a batch; 64 units, 5 ms, deadline 5 s, 10,000 waiting by default. */
  readonly limits?: Partial<BatchLimits>;
  /** Told what an `onCommitted` action threw; a process warning by default. */
  readonly report?: (error: unknown) => void;
  /** For tests only: shows what a weaker `synchronous` loses. Never reachable from configuration. */
  readonly unsafeSynchronous?: UnsafeSynchronous;
  /** For tests only: a medium that fails or takes its time. */
  readonly sync?: Sync;
}

const DEFAULT_LIMITS: BatchLimits = { units: 64, milliseconds: 5, deadlineMs: 5000, queue: 10_000 };
const STREAM_CHUNK = 256;

/**
 * Opens the embedded store.
 *
 * @throws UpstreamError store-unavailable when another process writes to the file or it cannot be opened; InternalError
 *   when SQLite does not accept the durability asked for.
 */
export async function openSqlite(options: SqliteOptions): Promise<Store> {
  try {
    return new SqliteStore(options);
  } catch (error) {
    if (error instanceof MusterError) throw error;
    throw sqliteUnavailable('the database file cannot be opened', error);
  }
}

class SqliteStore implements Store {
  readonly engine = 'sqlite';
  readonly clock: Clock;
  readonly jobs: Jobs;
  readonly #file: string;
  readonly #scope = new UnitScope<SqliteUnit>();
  readonly #signals = new Signals();
  readonly #writer: Writer | undefined;
  readonly #reader: SqliteConnection;
  readonly #readKysely: Kysely<unknown>;
  #closing: Promise<void> | undefined;

  constructor(options: SqliteOptions) {
    this.clock = options.clock ?? systemClock;
    this.jobs = jobsOf(this);
    this.#file = realFile(options.file);
    using undo = new DisposableStack();
    const lock = options.readOnly === true ? undefined : undo.adopt(lockForWriting(this.#file), (release) => release());
    const database =
      lock && undo.adopt(openForWriting(this.#file, options.unsafeSynchronous), (opened) => opened.close());
    this.#reader = undo.adopt(openReader(this.#file), ({ database: opened }) => opened.close());
    this.#writer =
      lock &&
      database &&
      writerOf(database, this.#reader.database, lock, options, { scope: this.#scope, signals: this.#signals });
    undo.move();
    const connection = this.#reader.asKyselyConnection();
    this.#readKysely = kyselyOver('sqlite', {
      acquire: async () => {
        this.#assertReadable('store.read');
        return connection;
      },
      release: () => undefined,
    });
  }

  get statistics(): StoreStatistics {
    return this.#writer?.units.statistics ?? { committedUnits: 0, rejectedUnits: 0, commits: 0, queuedUnits: 0 };
  }

  async unit<T>(work: (tx: Unit) => Promise<T>, options: UnitOptions = {}): Promise<T> {
    if (this.#writer === undefined)
      throw new UpstreamError('store-unavailable', 'the store was opened for reading only');
    return this.#writer.units.enqueue(work, options);
  }

  read<DB>(): Kysely<DB> {
    return this.#readKysely as Kysely<unknown> as Kysely<DB>;
  }

  async query<P, R>(statement: Statement<P, R>, parameters: P): Promise<R[]> {
    this.#assertReadable('store.query');
    return this.#reader.run(statement, parameters).rows as R[];
  }

  async *stream<DB, R>(build: (db: Kysely<DB>) => Compilable<R>): AsyncIterable<R> {
    this.#assertReadable('store.stream');
    const { sql, parameters } = build(compileOnly<DB>('sqlite')).compile();
    const connection = openReader(this.#file);
    try {
      durableSnapshot(connection.database);
      await this.#writer?.units.settled();
      let count = 0;
      for (const row of connection.iterate(sql, parameters)) {
        yield row as R;
        count += 1;
        // A long stream lets the event loop answer in between.
        if (count % STREAM_CHUNK === 0) await nextTurn();
      }
    } finally {
      connection.database.close();
    }
  }

  forTenant<DB>(tenant: string): TenantReader<DB> {
    return scopedToTenant(this.read<DB>(), tenant);
  }

  onSignal(topic: string, listener: () => void): () => void {
    return this.#signals.on(topic, listener);
  }

  async databaseTime(): Promise<number> {
    const [row] = await this.query(readDatabaseTime, {});
    return row!.now;
  }

  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #end(): Promise<void> {
    await this.#writer?.units.drain();
    this.#reader.database.close();
    this.#writer?.close();
  }

  #assertReadable(what: string): void {
    this.#scope.assertOutside(what);
    if (!this.#reader.database.open) throw new UpstreamError('shutting-down', 'the store is closed');
  }
}

/** One file has one lock, whatever link it is reached by. */
function realFile(file: string): string {
  return existsSync(file) ? realpathSync(file) : join(realpathSync(dirname(file)), basename(file));
}

interface Writer {
  readonly units: SqliteUnits;
  close(): void;
}

function openForWriting(file: string, unsafe: UnsafeSynchronous | undefined): Database.Database {
  const database = new Database(file);
  try {
    secureWriter(database, unsafe);
  } catch (error) {
    database.close();
    throw error;
  }
  return database;
}

function writerOf(
  database: Database.Database,
  reader: Database.Database,
  unlock: () => void,
  options: SqliteOptions,
  { scope, signals }: { readonly scope: UnitScope<SqliteUnit>; readonly signals: Signals },
): Writer {
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const report = options.report ?? ((error) => process.emitWarning(error instanceof Error ? error : String(error)));
  const sync = options.unsafeSynchronous === undefined ? (options.sync ?? syncData) : undefined;
  const log = new WriteAheadLog(database, reader, sync);
  return {
    units: new SqliteUnits(new SqliteConnection(database), log, scope, limits, report, signals),
    close: () => {
      database.close();
      log.close();
      unlock();
    },
  };
}

function openReader(file: string): SqliteConnection {
  const database = new Database(file, { readonly: true, fileMustExist: true });
  try {
    secureReader(database);
  } catch (error) {
    database.close();
    throw error;
  }
  return new SqliteConnection(database);
}
