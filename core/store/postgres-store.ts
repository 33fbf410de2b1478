import type { Compilable, DatabaseConnection, Kysely } from 'kysely';
import { Pool, type PoolClient, type PoolConfig } from 'pg';
import { systemClock, type Clock } from './clock.ts';
import { readDatabaseTime } from './database-clock.ts';
import { jobsOf, type Jobs } from './jobs.ts';
import { compileOnly, kyselyOver } from './kysely-dialect.ts';
import { asKyselyConnection, runQuery, runStatement } from './postgres-connection.ts';
import { assertDurable } from './postgres-durability.ts';
import { postgresError } from './postgres-errors.ts';
import { streamQuery } from './postgres-stream.ts';
import { portableTypes } from './postgres-types.ts';
import type { PostgresUnit } from './postgres-unit.ts';
import { PostgresUnits, type PostgresLimits } from './postgres-units.ts';
import { Signals } from './signals.ts';
import type { Statement } from './statement.ts';
import type { Store, StoreStatistics, Unit, UnitOptions } from './store.ts';
import { scopedToTenant, type TenantReader } from './tenant.ts';
import { UnitScope } from './unit-scope.ts';

/** How to open a PostgreSQL store. */
export interface PostgresOptions {
  /** `postgres://` URL; the database exists, its encoding is UTF-8. */
  readonly url: string;
  /** Connections for units; 10 by default. Reads have half as many of their own. */
  readonly connections?: number;
  readonly clock?: Clock;
  /** Bounds of units; deadline 5 s, 10,000 waiting by default. */
  readonly limits?: Partial<PostgresLimits>;
  /** Told what an `onCommitted` action threw and which connection broke; a process warning by default. */
  readonly report?: (error: unknown) => void;
}

const DEFAULT_LIMITS: PostgresLimits = { deadlineMs: 5000, queue: 10_000 };
const CONNECT_TIMEOUT_MS = 5000;

/**
 * Opens the store of an installation with several nodes. Connections that break are replaced; what used them rejects.
 *
 * @throws UpstreamError store-unavailable when the server does not answer; InternalError when its settings could lose a
 *   committed unit.
 */
export async function openPostgres(options: PostgresOptions): Promise<Store> {
  const store = new PostgresStore(options);
  try {
    await store.verify();
  } catch (error) {
    await store.close();
    throw postgresError(error);
  }
  return store;
}

class PostgresStore implements Store {
  readonly engine = 'postgres';
  readonly clock: Clock;
  readonly jobs: Jobs;
  readonly #scope = new UnitScope<PostgresUnit>();
  readonly #signals = new Signals();
  readonly #config: PoolConfig;
  readonly #writers: Pool;
  readonly #readers: Pool;
  readonly #units: PostgresUnits;
  readonly #readKysely: Kysely<unknown>;
  #closing: Promise<void> | undefined;

  constructor(options: PostgresOptions) {
    const limits = { ...DEFAULT_LIMITS, ...options.limits };
    const report = options.report ?? ((error) => process.emitWarning(error instanceof Error ? error : String(error)));
    const connections = options.connections ?? 10;
    this.clock = options.clock ?? systemClock;
    this.#config = connectionConfig(options.url, limits.deadlineMs);
    this.#writers = openPool({ ...this.#config, max: connections }, report);
    this.#readers = openPool({ ...readOnly(this.#config), max: Math.ceil(connections / 2) }, report);
    this.#units = new PostgresUnits(this.#writers, this.#scope, limits, report, this.#signals);
    this.#readKysely = kyselyOver('postgres', readConnections(this.#readers, this.#scope));
    this.jobs = jobsOf(this);
  }

  get statistics(): StoreStatistics {
    return this.#units.statistics;
  }

  /** Refuses a server that could lose what it committed. */
  async verify(): Promise<void> {
    const client = await this.#writers.connect();
    try {
      await assertDurable(client);
    } finally {
      client.release();
    }
  }

  unit<T>(work: (tx: Unit) => Promise<T>, options: UnitOptions = {}): Promise<T> {
    return this.#units.unit(work, options);
  }

  read<DB>(): Kysely<DB> {
    return this.#readKysely as Kysely<unknown> as Kysely<DB>;
  }

  async query<P, R>(statement: Statement<P, R>, parameters: P): Promise<R[]> {
    this.#scope.assertOutside('store.query');
    const client = await connectFrom(this.#readers);
    try {
      const { rows } = await runStatement(client, statement, parameters);
      return rows as R[];
    } finally {
      client.release();
    }
  }

  async *stream<DB, R>(build: (db: Kysely<DB>) => Compilable<R>): AsyncIterable<R> {
    this.#scope.assertOutside('store.stream');
    const { sql, parameters } = build(compileOnly<DB>('postgres')).compile();
    yield* streamQuery(this.#config, sql, parameters) as AsyncIterable<R>;
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
    this.#closing ??= this.#units.drain().then(async () => {
      await Promise.all([this.#writers.end(), this.#readers.end()]);
    });
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function connectionConfig(url: string, deadlineMs: number): PoolConfig {
  return {
    connectionString: url,
    application_name: 'muster',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    // The server gives up what the client has given up, so that a lost node's locks do not outlive it.
    statement_timeout: deadlineMs,
    idle_in_transaction_session_timeout: 2 * deadlineMs,
    types: portableTypes,
    // BEGIN travels with a unit's first statement, and statements asked for together travel together.
    pipeline: true,
  };
}

function readOnly(config: PoolConfig): PoolConfig {
  return { ...config, options: '-c default_transaction_read_only=on' };
}

function openPool(config: PoolConfig, report: (error: unknown) => void): Pool {
  const pool = new Pool(config);
  // An idle connection that breaks has left the pool already; the next query opens another.
  pool.on('error', report);
  // One that breaks while in use rejects its query; without a listener the same event would end the process.
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}

async function connectFrom(pool: Pool): Promise<PoolClient> {
  try {
    return await pool.connect();
  } catch (error) {
    throw postgresError(error);
  }
}

function readConnections(pool: Pool, scope: UnitScope<PostgresUnit>) {
  const clients = new WeakMap<DatabaseConnection, PoolClient>();
  return {
    acquire: async () => {
      scope.assertOutside('store.read');
      const client = await connectFrom(pool);
      const connection = asKyselyConnection((sql, parameters) => runQuery(client, sql, parameters));
      clients.set(connection, client);
      return connection;
    },
    release: (connection: DatabaseConnection) => clients.get(connection)?.release(),
  };
}
