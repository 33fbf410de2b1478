import type Database from 'better-sqlite3';
import type { CompiledQuery, DatabaseConnection, QueryResult } from 'kysely';
import { InternalError } from '../errors/muster-error.ts';
import type { Executed } from './executed.ts';
import { sqliteError } from './sqlite-errors.ts';
import { portableValue, type SqlValue } from './sql-value.ts';
import type { Statement } from './statement.ts';

type Prepared = Database.Statement<unknown[], unknown>;

interface Hot {
  readonly prepared: Prepared;
  bind(parameters: unknown): SqlValue[];
}

const CACHED_QUERIES = 500;
const NO_ROWS: unknown[] = [];

/** One SQLite connection with its prepared statements. Everything here is synchronous; errors come typed. */
export class SqliteConnection {
  readonly database: Database.Database;
  readonly #hot = new Map<unknown, Hot>();
  readonly #queries = new Map<string, Prepared>();

  constructor(database: Database.Database) {
    this.database = database;
  }

  /** Runs a declared statement. */
  run<P, R>(statement: Statement<P, R>, parameters: P): Executed {
    try {
      const hot = this.#hot.get(statement) ?? this.#prepareHot(statement);
      return execute(hot.prepared, hot.bind(parameters));
    } catch (error) {
      throw sqliteError(error);
    }
  }

  /** Runs a query that the builder compiled just now. */
  query(sql: string, parameters: readonly unknown[]): Executed {
    try {
      return execute(this.#prepareQuery(sql), parameters.map(portableValue));
    } catch (error) {
      throw sqliteError(error);
    }
  }

  /** The rows of one query, one by one. The connection does nothing else until the iterator ends. */
  *iterate(sql: string, parameters: readonly unknown[]): IterableIterator<unknown> {
    try {
      yield* this.#prepareQuery(sql).iterate(...parameters.map(portableValue));
    } catch (error) {
      throw sqliteError(error);
    }
  }

  /** Opens nothing and cannot fail: the query builder's view of this connection. */
  asKyselyConnection(): DatabaseConnection {
    return {
      executeQuery: <R>(compiled: CompiledQuery): Promise<QueryResult<R>> =>
        new Promise((resolve) => resolve(this.#executeCompiled<R>(compiled))),
      streamQuery: () => {
        throw new InternalError('streams are opened by store.stream');
      },
    };
  }

  #executeCompiled<R>(compiled: CompiledQuery): QueryResult<R> {
    const { rows, affected } = this.query(compiled.sql, compiled.parameters);
    return { rows: rows as R[], numAffectedRows: BigInt(affected) };
  }

  #prepareHot<P, R>(statement: Statement<P, R>): Hot {
    const compiled = statement.compiledFor('sqlite');
    const hot = { prepared: this.#prepare(compiled.sql), bind: compiled.bind as Hot['bind'] };
    this.#hot.set(statement, hot);
    return hot;
  }

  #prepareQuery(sql: string): Prepared {
    const known = this.#queries.get(sql);
    if (known !== undefined) return known;
    const fresh = this.#prepare(sql);
    if (this.#queries.size >= CACHED_QUERIES) this.#queries.delete(this.#queries.keys().next().value ?? '');
    this.#queries.set(sql, fresh);
    return fresh;
  }

  #prepare(sql: string): Prepared {
    // A COMMIT or ROLLBACK written as a query would end the batch that other units share; a PRAGMA could weaken it.
    if (/^\s*(begin|commit|end|rollback|savepoint|release|pragma|attach|detach|vacuum)\b/i.test(sql)) {
      throw new InternalError('transactions, savepoints and pragmas belong to the store');
    }
    return this.database.prepare(sql);
  }
}

function execute(prepared: Prepared, values: SqlValue[]): Executed {
  if (prepared.reader) {
    const rows = prepared.all(...values);
    return { rows, affected: prepared.readonly ? 0 : rows.length };
  }
  return { rows: NO_ROWS, affected: prepared.run(...values).changes };
}
