import type { Compilable, Kysely } from 'kysely';
import type { Clock } from './clock.ts';
import type { Jobs } from './jobs.ts';
import type { Statement } from './statement.ts';
import type { TenantReader, TenantWriter } from './tenant.ts';

/** The database behind a store. */
export type Engine = 'sqlite' | 'postgres';

/** Settings of one unit of work. */
export interface UnitOptions {
  /** How long the closure may take before its unit is rolled back, in milliseconds. */
  readonly deadlineMs?: number;
}

/** Counters since the store was opened. */
export interface StoreStatistics {
  /** Units that were committed. */
  readonly committedUnits: number;
  /** Units that were rolled back, for whatever reason. */
  readonly rejectedUnits: number;
  /** COMMITs that ended well; on SQLite one COMMIT carries many units. */
  readonly commits: number;
  /** Units waiting for their turn at this moment. */
  readonly queuedUnits: number;
}

/**
 * The database of an installation: everything that must survive. Every method rejects with
 * `UpstreamError('store-unavailable')` when the database does not answer.
 */
export interface Store extends AsyncDisposable {
  readonly engine: Engine;
  /** This machine's clock; leases use the database's, see {@link Store.databaseTime}. */
  readonly clock: Clock;
  readonly statistics: StoreStatistics;
  readonly jobs: Jobs;

  /**
   * Runs `work` as one unit: all of it is durable when the promise resolves, none of it exists when it rejects. The only
   * way to write. Inside, use `tx` alone: no HSM, network, file or timer, and no second unit. The closure must be pure
   * over `tx`, because PostgreSQL may run it again (at most three times) after a deadlock or a serialization failure.
   *
   * @throws InternalError for a unit inside a unit, or a closure that passes its deadline; UpstreamError
   *   store-unavailable when the COMMIT fails (on PostgreSQL the outcome may then be unknown: repeats must be idempotent);
   *   StateError conflict when a unique or foreign key refuses; and whatever `work` throws.
   */
  unit<T>(work: (tx: Unit) => Promise<T>, options?: UnitOptions): Promise<T>;

  /** A query builder that sees only what is durable and refuses to write. Not inside a unit (InternalError). */
  read<DB>(): Kysely<DB>;
  /** Runs a prepared statement on what is durable. Not inside a unit (InternalError). */
  query<P, R>(statement: Statement<P, R>, parameters: P): Promise<R[]>;
  /**
   * Streams the rows of one query from one consistent view, over a connection of its own; units go on meanwhile. Leaving
   * the loop early closes the connection.
   */
  stream<DB, R>(build: (db: Kysely<DB>) => Compilable<R>): AsyncIterable<R>;
  /** Reads scoped to one tenant. */
  forTenant<DB>(tenant: string): TenantReader<DB>;
  /** Calls `listener` for each unit of this process that signalled a topic and is durable; returns what stops that. */
  onSignal(topic: string, listener: () => void): () => void;
  /** The database's own clock, epoch milliseconds: the one that all nodes share. */
  databaseTime(): Promise<number>;
  /** Refuses new units, finishes those waiting, and closes. */
  close(): Promise<void>;
}

/** What a unit's closure may use. It stops working when the closure returns. */
export interface Unit {
  readonly engine: Engine;
  /** The query builder of this unit; each folder names its own tables as `DB`. */
  db<DB>(): Kysely<DB>;
  /** Runs a prepared statement and returns its rows, which are none without RETURNING. The hot path. */
  run<P, R>(statement: Statement<P, R>, parameters: P): Promise<R[]>;
  /** Runs a prepared statement and returns how many rows it inserted, updated or deleted: for compare-and-set. */
  affected<P, R>(statement: Statement<P, R>, parameters: P): Promise<number>;
  /** Queries of this unit scoped to one tenant. */
  forTenant<DB>(tenant: string): TenantWriter<DB>;
  /**
   * Calls `action` once the unit is durable, in order of registration and before the unit's promise resolves: answers,
   * cache drops, publishes, metrics. What it throws is reported and changes nothing.
   */
  onCommitted(action: () => void): void;
  /** Tells the listeners of {@link Store.onSignal}, once for the unit, when it is durable. */
  signal(topic: string): void;
}
