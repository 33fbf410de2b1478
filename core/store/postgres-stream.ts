import { Client, type ClientConfig } from 'pg';
import { postgresError } from './postgres-errors.ts';
import { portableValue } from './sql-value.ts';

const FETCHED_AT_ONCE = 500;

/** Streams a query through a cursor, from one consistent view, over a connection that ends with it. */
export async function* streamQuery(
  config: ClientConfig,
  sql: string,
  parameters: readonly unknown[],
): AsyncIterable<unknown> {
  // The consumer sets the pace, so no time-out applies.
  const client = new Client({ ...config, statement_timeout: 0, idle_in_transaction_session_timeout: 0 });
  // A lost connection shows in the query that waits for it.
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    await client.query(`DECLARE stream NO SCROLL CURSOR FOR ${sql}`, parameters.map(portableValue));
    for (;;) {
      const { rows } = await client.query<object>(`FETCH ${FETCHED_AT_ONCE} FROM stream`);
      yield* rows;
      if (rows.length < FETCHED_AT_ONCE) return;
    }
  } catch (error) {
    throw postgresError(error);
  } finally {
    await client.end();
  }
}
