import { AsyncLocalStorage } from 'node:async_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type Database from 'better-sqlite3';
import type { Kysely } from 'kysely';
import { InternalError, UpstreamError } from '../errors/muster-error.ts';
import { Deadline } from './deadline.ts';
import { kyselyOver } from './kysely-dialect.ts';
import type { SqliteConnection } from './sqlite-connection.ts';
import { sqliteError, sqliteUnavailable } from './sqlite-errors.ts';
import type { Signals } from './signals.ts';
import { SqliteUnit } from './sqlite-unit.ts';
import type { StoreStatistics, Unit, UnitOptions } from './store.ts';
import type { UnitScope } from './unit-scope.ts';
import type { WriteAheadLog } from './write-ahead-log.ts';

/** Bounds of a batch and of the line before it. */
export interface BatchLimits {
  /** Units in one COMMIT. */
  readonly units: number;
  /** How long a batch takes in further units, in milliseconds. */
  readonly milliseconds: number;
  /** How long one closure may take, in milliseconds. */
  readonly deadlineMs: number;
  /** Units that may wait; one more is refused as overloaded. */
  readonly queue: number;
}

interface Waiting {
  readonly work: (tx: Unit) => Promise<unknown>;
  readonly deadlineMs: number;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

/** A unit that has run; its fate hangs on the COMMIT of its batch. */
type Ran = { readonly waiting: Waiting } & (
  | { readonly ok: true; readonly value: unknown; readonly actions: readonly (() => void)[] }
  | { readonly ok: false; readonly error: unknown }
);

interface Batch {
  /** Units that the leader took from the queue; each must be settled, come what may. */
  readonly taken: Waiting[];
  readonly ran: Ran[];
}

/**
 * Runs units of work on SQLite's one write connection. A leader takes queued units strictly one after the other into one
 * BEGIN IMMEDIATE, each inside a savepoint, and settles them only when the COMMIT that carries them is durable: one
 * fdatasync answers many callers. Two closures never interleave: savepoints are a stack, and rolling back one would
 * silently discard the other.
 *
 * While one batch is synced the next runs; it commits only when the one before is durable and shown to readers.
 */
export class SqliteUnits {
  readonly #connection: SqliteConnection;
  readonly #log: WriteAheadLog;
  readonly #scope: UnitScope<SqliteUnit>;
  readonly #limits: BatchLimits;
  readonly #report: (error: unknown) => void;
  readonly #signals: Signals;
  readonly #kysely: Kysely<unknown>;
  readonly #control: TransactionControl;
  readonly #deadline = new Deadline();
  /** Closures run in the context the store was opened in, not in that of whichever caller made the leader start. */
  readonly #inOwnContext = AsyncLocalStorage.snapshot();
  readonly #queue: Waiting[] = [];
  #leader: Promise<void> | undefined;
  /** The batch that is committed and not settled yet. Never rejects. */
  #syncing: Promise<void> = Promise.resolve();
  /** A sync that failed: nobody knows what of the log is on the medium, so nothing is written any more. */
  #failure: UpstreamError | undefined;
  #closed = false;
  #committedUnits = 0;
  #rejectedUnits = 0;
  #commits = 0;

  constructor(
    connection: SqliteConnection,
    log: WriteAheadLog,
    scope: UnitScope<SqliteUnit>,
    limits: BatchLimits,
    report: (error: unknown) => void,
    signals: Signals,
  ) {
    this.#connection = connection;
    this.#log = log;
    this.#scope = scope;
    this.#limits = limits;
    this.#report = report;
    this.#signals = signals;
    this.#control = transactionControl(connection.database);
    this.#kysely = kyselyOver(
      'sqlite',
      unitConnections(() => scope.current()),
    );
  }

  get statistics(): StoreStatistics {
    return {
      committedUnits: this.#committedUnits,
      rejectedUnits: this.#rejectedUnits,
      commits: this.#commits,
      queuedUnits: this.#queue.length,
    };
  }

  /** Queues a unit; see `Store.unit`. */
  async enqueue<T>(work: (tx: Unit) => Promise<T>, options: UnitOptions): Promise<T> {
    this.#scope.assertOutside('store.unit');
    if (this.#closed) throw new UpstreamError('shutting-down', 'the store is closing');
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#queue.length >= this.#limits.queue) {
      throw new UpstreamError('overloaded', `${this.#limits.queue} units of work are waiting`, {
        retryAfterSeconds: 1,
      });
    }
    const settled = new Promise<unknown>((resolve, reject) => {
      this.#queue.push({ work, deadlineMs: options.deadlineMs ?? this.#limits.deadlineMs, resolve, reject });
    });
    this.#leader ??= this.#inOwnContext(() => this.#lead());
    return (await settled) as T;
  }

  /** Returns when everything that is committed now is durable, or its callers were told that it may not be. */
  async settled(): Promise<void> {
    await this.#syncing;
  }

  /** Refuses new units and returns when those waiting are settled. */
  async drain(): Promise<void> {
    this.#closed = true;
    await this.#leader;
    await this.#syncing;
    this.#deadline.close();
  }

  async #lead(): Promise<void> {
    try {
      while (this.#queue.length > 0) {
        // Units asked for in the same turn of the event loop join the batch.
        await nextTurn();
        await this.#runBatch();
      }
    } finally {
      this.#leader = undefined;
    }
  }

  async #runBatch(): Promise<void> {
    const batch: Batch = { taken: [], ran: [] };
    try {
      if (this.#log.isCheckpointDue) await this.#checkpoint();
      this.#control.begin.run();
      await this.#fill(batch);
      await this.#syncing;
      if (this.#failure !== undefined) throw this.#failure;
      // What came while the log was synced comes along.
      if (this.#queue.length > 0) await this.#fill(batch);
      this.#commit();
    } catch (error) {
      this.#abandon(batch, error);
      return;
    }
    this.#commits += 1;
    this.#syncing = this.#makeDurable(batch);
  }

  async #makeDurable(batch: Batch): Promise<void> {
    try {
      await this.#log.sync();
      this.#log.publish();
    } catch (error) {
      // The kernel may have dropped the pages it could not write: a second sync would prove nothing.
      this.#failure = sqliteUnavailable('the log could not be synced; the server must be started anew', error);
      this.#report(error);
      for (const { waiting } of batch.ran) this.#reject(waiting, this.#failure);
      return;
    }
    for (const ran of batch.ran) this.#settle(ran);
  }

  async #checkpoint(): Promise<void> {
    await this.#syncing;
    if (this.#failure === undefined) this.#log.checkpoint();
  }

  async #fill(batch: Batch): Promise<void> {
    const until = performance.now() + this.#limits.milliseconds;
    while (batch.taken.length < this.#limits.units && performance.now() < until) {
      const waiting = this.#queue.shift() ?? (await this.#lateComer());
      if (waiting === undefined) return;
      batch.taken.push(waiting);
      const ran = await this.#runOne(waiting);
      batch.ran.push(ran);
      if (!this.#connection.database.inTransaction) {
        throw ran.ok ? new InternalError('the batch was ended from inside') : ran.error;
      }
    }
  }

  /** Waits one turn for a unit that the last one's neighbours may be about to ask for. */
  async #lateComer(): Promise<Waiting | undefined> {
    await nextTurn();
    return this.#queue.shift();
  }

  async #runOne(waiting: Waiting): Promise<Ran> {
    const database = this.#connection.database;
    const unit = new SqliteUnit(this.#connection, this.#kysely, this.#signals);
    this.#control.savepoint.run();
    try {
      const value = await this.#closure(waiting, unit);
      if (unit.failure !== undefined) throw unit.failure;
      this.#control.release.run();
      return { waiting, ok: true, value, actions: unit.committedActions };
    } catch (error) {
      unit.end();
      if (database.inTransaction) {
        this.#control.rollbackTo.run();
        this.#control.release.run();
      }
      return { waiting, ok: false, error };
    }
  }

  async #closure(waiting: Waiting, unit: SqliteUnit): Promise<unknown> {
    const late = new Promise<never>((_resolve, reject) => {
      this.#deadline.start(waiting.deadlineMs, () => {
        unit.end();
        reject(new InternalError(`a unit of work did not return within ${waiting.deadlineMs} ms`));
      });
    });
    try {
      return await Promise.race([this.#scope.run(unit, () => waiting.work(unit)), late]);
    } finally {
      unit.end();
      this.#deadline.stop();
    }
  }

  #commit(): void {
    try {
      this.#control.commit.run();
    } catch (error) {
      throw sqliteUnavailable('the database refused to commit', error);
    }
  }

  #abandon(batch: Batch, cause: unknown): void {
    try {
      if (this.#connection.database.inTransaction) this.#control.rollback.run();
    } catch (error) {
      // The next BEGIN fails then, and says so to whoever waits.
      this.#report(error);
    }
    // When not even BEGIN worked, whoever waits first is told so; otherwise a failing disk would keep them all waiting.
    const concerned = batch.taken.length > 0 ? batch.taken : this.#queue.splice(0, this.#limits.units);
    const error = sqliteError(cause);
    const told = error instanceof UpstreamError ? error : sqliteUnavailable('the batch was rolled back', cause);
    for (const waiting of concerned) this.#reject(waiting, told);
  }

  #reject(waiting: Waiting, error: unknown): void {
    this.#rejectedUnits += 1;
    waiting.reject(error);
  }

  #settle(ran: Ran): void {
    if (!ran.ok) {
      this.#reject(ran.waiting, ran.error);
      return;
    }
    this.#committedUnits += 1;
    for (const action of ran.actions) {
      try {
        action();
      } catch (error) {
        this.#report(error);
      }
    }
    ran.waiting.resolve(ran.value);
  }
}

type Control = Database.Statement<[]>;

/** The leader's own statements, prepared once: parsing them would cost as much as a short unit's work. */
interface TransactionControl {
  readonly begin: Control;
  readonly savepoint: Control;
  readonly release: Control;
  readonly rollbackTo: Control;
  readonly commit: Control;
  readonly rollback: Control;
}

function transactionControl(database: Database.Database): TransactionControl {
  const prepare = (sql: string): Control => database.prepare<[]>(sql);
  return {
    begin: prepare('BEGIN IMMEDIATE'),
    savepoint: prepare('SAVEPOINT unit'),
    release: prepare('RELEASE unit'),
    rollbackTo: prepare('ROLLBACK TO unit'),
    commit: prepare('COMMIT'),
    rollback: prepare('ROLLBACK'),
  };
}

function unitConnections(current: () => SqliteUnit) {
  const connection = {
    executeQuery: async <R>(compiled: { sql: string; parameters: readonly unknown[] }) => {
      const { rows, affected } = current().perform((open) => open.query(compiled.sql, compiled.parameters));
      return { rows: rows as R[], numAffectedRows: BigInt(affected) };
    },
    streamQuery: () => {
      throw new InternalError('a unit of work does not stream');
    },
  };
  return { acquire: () => Promise.resolve(connection), release: () => undefined };
}
