import type { Kysely } from 'kysely';
import type { ClientBase } from 'pg';
import { InternalError, type MusterError } from '../errors/muster-error.ts';
import type { Executed } from './executed.ts';
import { runQuery, runStatement } from './postgres-connection.ts';
import type { Signals } from './signals.ts';
import type { Statement } from './statement.ts';
import type { Unit } from './store.ts';
import { scopedToTenant, type TenantWriter } from './tenant.ts';
import type { ScopedUnit } from './unit-scope.ts';

/** One running unit: a transaction on a connection that nobody else uses meanwhile. */
export class PostgresUnit implements Unit, ScopedUnit {
  readonly engine = 'postgres';
  readonly committedActions: (() => void)[] = [];
  readonly #client: ClientBase;
  readonly #kysely: Kysely<unknown>;
  readonly #signals: Signals;
  readonly #signalled = new Set<string>();
  #active = true;
  #failure: MusterError | undefined;

  constructor(client: ClientBase, kysely: Kysely<unknown>, signals: Signals) {
    this.#client = client;
    this.#kysely = kysely;
    this.#signals = signals;
  }

  get active(): boolean {
    return this.#active;
  }

  /** The first error of a statement: PostgreSQL has aborted the transaction with it. */
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

  async run<P, R>(statement: Statement<P, R>, parameters: P): Promise<R[]> {
    const { rows } = await this.#perform((client) => runStatement(client, statement, parameters));
    return rows as R[];
  }

  async affected<P, R>(statement: Statement<P, R>, parameters: P): Promise<number> {
    const { affected } = await this.#perform((client) => runStatement(client, statement, parameters));
    return affected;
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

  /** Runs a query of the builder in this unit. */
  query(sql: string, parameters: readonly unknown[]): Promise<Executed> {
    return this.#perform((client) => runQuery(client, sql, parameters));
  }

  async #perform(step: (client: ClientBase) => Promise<Executed>): Promise<Executed> {
    this.#assertUsable();
    try {
      return await step(this.#client);
    } catch (error) {
      this.#failure ??= error as MusterError;
      throw error;
    }
  }

  #assertUsable(): void {
    if (!this.#active) throw new InternalError('a unit of work was used after its end');
    if (this.#failure !== undefined) throw this.#failure;
  }
}
