import type { ClientBase, QueryResult as PgResult } from 'pg';
import type { CompiledQuery, DatabaseConnection, QueryResult } from 'kysely';
import { InternalError } from '../errors/muster-error.ts';
import type { Executed } from './executed.ts';
import { postgresError } from './postgres-errors.ts';
import { portableValue } from './sql-value.ts';
import type { Statement } from './statement.ts';

/** Runs a declared statement as a named prepared one. */
export function runStatement<P, R>(client: ClientBase, statement: Statement<P, R>, parameters: P): Promise<Executed> {
  return executed(() => {
    const compiled = statement.compiledFor('postgres');
    return client.query({ name: statement.name, text: compiled.sql, values: compiled.bind(parameters) });
  });
}

/** Runs a query that the builder compiled just now. */
export function runQuery(client: ClientBase, sql: string, parameters: readonly unknown[]): Promise<Executed> {
  return executed(() => {
    // A COMMIT or ROLLBACK written as a query would end the unit behind the store's back.
    if (/^\s*(begin|start|commit|end|rollback|abort|savepoint|release|prepare)\b/i.test(sql)) {
      throw new InternalError('transactions and savepoints belong to the store');
    }
    return client.query(sql, parameters.map(portableValue));
  });
}

/** The query builder's view of one client. */
export function asKyselyConnection(
  run: (sql: string, parameters: readonly unknown[]) => Promise<Executed>,
): DatabaseConnection {
  return {
    executeQuery: async <R>(compiled: CompiledQuery): Promise<QueryResult<R>> => {
      const { rows, affected } = await run(compiled.sql, compiled.parameters);
      return { rows: rows as R[], numAffectedRows: BigInt(affected) };
    },
    streamQuery: () => {
      throw new InternalError('streams are opened by store.stream');
    },
  };
}

async function executed(query: () => Promise<PgResult>): Promise<Executed> {
  try {
    const { rows, rowCount, command } = await query();
    return { rows, affected: command === 'SELECT' ? 0 : (rowCount ?? 0) };
  } catch (error) {
    throw postgresError(error);
  }
}
