import {
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
  type DatabaseConnection,
  type DatabaseIntrospector,
  type Dialect,
  type DialectAdapter,
  type Driver,
  type QueryCompiler,
} from 'kysely';
import { InternalError } from '../errors/muster-error.ts';
import type { Engine } from './store.ts';

/** Where a query builder finds the connection for one query, and gives it back. */
export interface ConnectionSource {
  acquire(): Promise<DatabaseConnection>;
  release(connection: DatabaseConnection): void;
}

/** A query builder over connections that the store owns. It cannot open transactions: units do that. */
export function kyselyOver<DB>(engine: Engine, source: ConnectionSource): Kysely<DB> {
  return new Kysely<DB>({ dialect: new StoreDialect(engine, source) });
}

/** A query builder that compiles for an engine and executes nothing. */
export function compileOnly<DB>(engine: Engine): Kysely<DB> {
  return kyselyOver<DB>(engine, {
    acquire: () => Promise.reject(new InternalError('a statement is built here, not executed')),
    release: () => undefined,
  });
}

class StoreDialect implements Dialect {
  readonly #engine: Engine;
  readonly #source: ConnectionSource;

  constructor(engine: Engine, source: ConnectionSource) {
    this.#engine = engine;
    this.#source = source;
  }

  createDriver(): Driver {
    return new StoreDriver(this.#source);
  }

  createQueryCompiler(): QueryCompiler {
    return this.#engine === 'sqlite' ? new SqliteQueryCompiler() : new PostgresQueryCompiler();
  }

  createAdapter(): DialectAdapter {
    return this.#engine === 'sqlite' ? new OwnedSqliteAdapter() : new PostgresAdapter();
  }

  createIntrospector(db: Kysely<unknown>): DatabaseIntrospector {
    return this.#engine === 'sqlite' ? new SqliteIntrospector(db) : new PostgresIntrospector(db);
  }
}

/** Kysely puts a mutex before SQLite's one connection; ours executes each query in one step and needs none. */
class OwnedSqliteAdapter extends SqliteAdapter {
  override get supportsMultipleConnections(): boolean {
    return true;
  }
}

class StoreDriver implements Driver {
  readonly #source: ConnectionSource;

  constructor(source: ConnectionSource) {
    this.#source = source;
  }

  init(): Promise<void> {
    return Promise.resolve();
  }

  acquireConnection(): Promise<DatabaseConnection> {
    return this.#source.acquire();
  }

  releaseConnection(connection: DatabaseConnection): Promise<void> {
    this.#source.release(connection);
    return Promise.resolve();
  }

  beginTransaction(): Promise<void> {
    return refuseTransaction();
  }

  commitTransaction(): Promise<void> {
    return refuseTransaction();
  }

  rollbackTransaction(): Promise<void> {
    return refuseTransaction();
  }

  destroy(): Promise<void> {
    return Promise.resolve();
  }
}

function refuseTransaction(): Promise<never> {
  return Promise.reject(new InternalError('a transaction is opened by store.unit alone'));
}
