import type { Kysely } from 'kysely';
import type { MusterError } from '../errors/muster-error.ts';
import { InternalError } from '../errors/muster-error.ts';
import type { Executed } from './executed.ts';
import type { SqliteConnection } from './sqlite-connection.ts';
import type { Signals } from './signals.ts';
import type { Statement } from './statement.ts';
import type { Unit } from './store.ts';
import { scopedToTenant, type TenantWriter } from './tenant.ts';
import type { ScopedUnit } from './unit-scope.ts';

/** One running unit on SQLite's write connection. */
export class SqliteUnit implements Unit, ScopedUnit {
  readonly engine = 'sqlite';
  readonly committedActions: (() => void)[] = [];
  readonly #connection: SqliteConnection;
  readonly #kysely: Kysely<unknown>;
  readonly #signals: Signals;
  readonly #signalled = new Set<string>();
  #active = true;
  #failure: MusterError | undefined;

  constructor(connection: SqliteConnection, kysely: Kysely<unknown>, signals: Signals) {
    this.#connection = connection;
    this.#kysely = kysely;
    this.#signals = signals;
  }

  get active(): boolean {
    return this.#active;
  }

  /** The first error of a statement. Such a unit is never committed, even when its closure caught the error. */
  get failure(): MusterError | undefined {
    return this.#failure;
  }

  /** Nothing works on this unit from now on. */
  end(): void {
    this.#active = false;
  }

  db<DB>(): Kysely<DB> {
    return this.#kysely as Kysely<unknown> as Kysely<DB>;
  }

  run<P, R>(statement: Statement<P, R>, parameters: P): Promise<R[]> {
    return settle(() => this.perform((connection) => connection.run(statement, parameters)).rows as R[]);
  }

  affected<P, R>(statement: Statement<P, R>, parameters: P): Promise<number> {
    return settle(() => this.perform((connection) => connection.run(statement, parameters)).affected);
  }

  forTenant<DB>(tenant: string): TenantWriter<DB> {
    return scopedToTenant(this.db<DB>(), tenant);
  }

  onCommitted(action: () => void): void {
    this.#assertUsable();
    this.committedActions.push(action);
  }

  signal(topic: string): void {
    if (this.#signalled.has(topic)) return;
    this.#signalled.add(topic);
    this.onCommitted(() => this.#signals.emit(topic));
  }

  /** Runs one statement of this unit and remembers its failure. */
  perform(step: (connection: SqliteConnection) => Executed): Executed {
    this.#assertUsable();
    try {
      return step(this.#connection);
    } catch (error) {
      // Disk full, I/O errors and the like may have made SQLite roll the whole batch back by itself. What ran after that
      // would be committed statement by statement, so nothing does; the leader then finds the transaction gone.
      this.#failure = error as MusterError;
      throw error;
    }
  }

  #assertUsable(): void {
    if (!this.#active) throw new InternalError('a unit of work was used after its end');
    if (this.#failure !== undefined) throw this.#failure;
  }
}

/** A promise of what `step` returns or throws now: statements run in the order they are written, awaited or not. */
function settle<T>(step: () => T): Promise<T> {
  try {
    return Promise.resolve(step());
  } catch (error) {
    return Promise.reject(error);
  }
}
