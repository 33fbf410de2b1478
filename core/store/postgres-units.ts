import { setTimeout as delay } from 'node:timers/promises';
import type { Kysely } from 'kysely';
import type { Pool, PoolClient } from 'pg';
import { InternalError, UpstreamError } from '../errors/muster-error.ts';
import { kyselyOver } from './kysely-dialect.ts';
import { asKyselyConnection } from './postgres-connection.ts';
import { isContention, postgresError, postgresUnavailable } from './postgres-errors.ts';
import { PostgresUnit } from './postgres-unit.ts';
import type { Signals } from './signals.ts';
import type { StoreStatistics, Unit, UnitOptions } from './store.ts';
import type { UnitScope } from './unit-scope.ts';

/** Bounds of the units of one process. */
export interface PostgresLimits {
  /** How long one closure may take, in milliseconds. */
  readonly deadlineMs: number;
  /** Units that may wait for a connection; one more is refused as overloaded. */
  readonly queue: number;
}

const MAX_RUNS = 3;
/** Longest pause before a unit that lost against another runs again, in milliseconds; it doubles with each loss. */
const CONTENTION_PAUSE_MS = 10;

/**
 * Runs units of work on PostgreSQL: each is a READ COMMITTED transaction on a connection of its own. The server groups
 * the commits of concurrent transactions by itself.
 */
export class PostgresUnits {
  readonly #pool: Pool;
  readonly #scope: UnitScope<PostgresUnit>;
  readonly #limits: PostgresLimits;
  readonly #report: (error: unknown) => void;
  readonly #signals: Signals;
  readonly #kysely: Kysely<unknown>;
  readonly #running = new Set<Promise<unknown>>();
  #closed = false;
  #committedUnits = 0;
  #rejectedUnits = 0;

  constructor(
    pool: Pool,
    scope: UnitScope<PostgresUnit>,
    limits: PostgresLimits,
    report: (error: unknown) => void,
    signals: Signals,
  ) {
    this.#pool = pool;
    this.#scope = scope;
    this.#limits = limits;
    this.#report = report;
    this.#signals = signals;
    const connection = asKyselyConnection((sql, parameters) => scope.current().query(sql, parameters));
    this.#kysely = kyselyOver('postgres', { acquire: () => Promise.resolve(connection), release: () => undefined });
  }

  get statistics(): StoreStatistics {
    return {
      committedUnits: this.#committedUnits,
      rejectedUnits: this.#rejectedUnits,
      commits: this.#committedUnits,
      queuedUnits: this.#pool.waitingCount,
    };
  }

  /** Runs a unit; see `Store.unit`. */
  async unit<T>(work: (tx: Unit) => Promise<T>, options: UnitOptions): Promise<T> {
    this.#scope.assertOutside('store.unit');
    if (this.#closed) throw new UpstreamError('shutting-down', 'the store is closing');
    if (this.#pool.waitingCount >= this.#limits.queue) {
      throw new UpstreamError('overloaded', `${this.#limits.queue} units of work are waiting`, {
        retryAfterSeconds: 1,
      });
    }
    const running = this.#repeatedly(work, options.deadlineMs ?? this.#limits.deadlineMs);
    this.#running.add(running);
    try {
      return await running;
    } catch (error) {
      this.#rejectedUnits += 1;
      throw error;
    } finally {
      this.#running.delete(running);
    }
  }

  /** Refuses new units and returns when those running are settled. */
  async drain(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#running);
  }

  async #repeatedly<T>(work: (tx: Unit) => Promise<T>, deadlineMs: number): Promise<T> {
    for (let run = 1; ; run += 1) {
      const attempt = await this.#once(work, deadlineMs);
      if (attempt.ok) return this.#settle(attempt);
      if (!attempt.contention || run === MAX_RUNS) throw attempt.error;
      await delay(Math.random() * CONTENTION_PAUSE_MS * 2 ** run);
    }
  }

  async #once<T>(work: (tx: Unit) => Promise<T>, deadlineMs: number): Promise<Attempt<T>> {
    const client = await this.#connect();
    const unit = new PostgresUnit(client, this.#kysely, this.#signals);
    const begun = begin(client, deadlineMs === this.#limits.deadlineMs ? undefined : deadlineMs);
    try {
      const value = await this.#closure(work, unit, deadlineMs);
      await begun;
      if (unit.failure !== undefined) throw unit.failure;
      await commit(client);
      client.release();
      return { ok: true, value, unit };
    } catch (error) {
      unit.end();
      await abandon(client, error);
      return { ok: false, error, contention: isContention(unit.failure ?? error) };
    }
  }

  async #connect(): Promise<PoolClient> {
    try {
      return await this.#pool.connect();
    } catch (error) {
      throw postgresError(error);
    }
  }

  async #closure<T>(work: (tx: Unit) => Promise<T>, unit: PostgresUnit, deadlineMs: number): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        unit.end();
        reject(new DeadlinePassed(`a unit of work did not return within ${deadlineMs} ms`));
      }, deadlineMs);
    });
    try {
      return await Promise.race([this.#scope.run(unit, () => work(unit)), late]);
    } finally {
      unit.end();
      clearTimeout(timer);
    }
  }

  #settle<T>(attempt: Succeeded<T>): T {
    this.#committedUnits += 1;
    for (const action of attempt.unit.committedActions) {
      try {
        action();
      } catch (error) {
        this.#report(error);
      }
    }
    return attempt.value;
  }
}

interface Succeeded<T> {
  readonly ok: true;
  readonly value: T;
  readonly unit: PostgresUnit;
}

type Attempt<T> = Succeeded<T> | { readonly ok: false; readonly error: unknown; readonly contention: boolean };

/** The closure may be in the middle of a statement, so its connection cannot be used again. */
class DeadlinePassed extends InternalError {}

/**
 * Sent together with the first statement, which waits behind it on the wire; a failure shows in both.
 *
 * @param unusualMs the deadline of a unit that does not have the connections' own.
 */
function begin(client: PoolClient, unusualMs: number | undefined): Promise<unknown> {
  const patience =
    unusualMs === undefined
      ? ''
      : `; SET LOCAL statement_timeout = ${Math.ceil(unusualMs)};
         SET LOCAL idle_in_transaction_session_timeout = ${Math.ceil(2 * unusualMs)}`;
  const begun = client.query(`BEGIN ISOLATION LEVEL READ COMMITTED${patience}`);
  begun.catch(() => undefined);
  return begun;
}

async function commit(client: PoolClient): Promise<void> {
  try {
    const { command } = await client.query('COMMIT');
    // PostgreSQL answers ROLLBACK to the COMMIT of a transaction that an error has aborted.
    if (command !== 'COMMIT') throw new InternalError('the database rolled the unit back');
  } catch (error) {
    throw error instanceof InternalError ? error : postgresUnavailable('the database refused to commit', error);
  }
}

/** Rolls back and gives the connection back, or drops it when that is not certain. */
async function abandon(client: PoolClient, error: unknown): Promise<void> {
  if (error instanceof DeadlinePassed) {
    client.release(true);
    return;
  }
  try {
    await client.query('ROLLBACK');
    client.release();
  } catch {
    client.release(true);
  }
}
