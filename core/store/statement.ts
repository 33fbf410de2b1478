import type { Compilable, DeleteResult, InsertResult, Kysely, UpdateResult } from 'kysely';
import { InternalError } from '../errors/muster-error.ts';
import { compileOnly } from './kysely-dialect.ts';
import { portableValue, type SqlValue } from './sql-value.ts';
import type { Engine } from './store.ts';

/** A statement as one engine takes it. */
export interface CompiledStatement<P> {
  readonly sql: string;
  /** The values of one execution, in the order of the placeholders. */
  bind(parameters: P): SqlValue[];
}

/** A query that is compiled once for each engine and prepared once on each connection. Made by {@link statement}. */
export interface Statement<P, R> {
  /** Unique in the installation: PostgreSQL knows the prepared statement by it. */
  readonly name: string;
  compiledFor(engine: Engine): CompiledStatement<P>;
  /** Never present; carries the type of a row. */
  readonly row?: R;
}

/** A row of the query, or nothing for one that returns none. */
type RowOf<O> = O extends InsertResult | UpdateResult | DeleteResult ? never : O;

/**
 * Declares a hot statement: `statement<Tables>()('certificate-by-serial', (db, p: { serial: string }) => db…)`.
 *
 * `build` runs once per engine, with markers in place of the parameters: `p.serial` may only be passed on to the query
 * builder (a value, a comparison, an interpolation of `sql`), never looked at, computed with or used as a list. The
 * engine comes along for the few expressions that the two spell differently.
 */
export function statement<DB>() {
  return <P extends Readonly<Record<string, SqlValue | undefined>>, O>(
    name: string,
    build: (db: Kysely<DB>, parameters: P, engine: Engine) => Compilable<O>,
  ): Statement<P, RowOf<O>> => {
    const compiled = new Map<Engine, CompiledStatement<P>>();
    return {
      name,
      compiledFor(engine) {
        const known = compiled.get(engine);
        if (known !== undefined) return known;
        const fresh = compile(name, build(compileOnly<DB>(engine), markers<P>(), engine));
        compiled.set(engine, fresh);
        return fresh;
      },
    };
  };
}

/** Stands for a parameter while the query is built. */
class ParameterMarker {
  readonly key: string;

  constructor(key: string) {
    this.key = key;
  }

  [Symbol.toPrimitive](): never {
    throw new InternalError(
      `parameter "${this.key}" has no value yet: a statement is built once, before any execution`,
    );
  }

  toJSON(): never {
    return this[Symbol.toPrimitive]();
  }
}

function markers<P>(): P {
  return new Proxy({}, { get: (_target, key) => new ParameterMarker(String(key)) }) as P;
}

function compile<P>(name: string, query: Compilable): CompiledStatement<P> {
  const { sql, parameters } = query.compile();
  const slots = parameters.map((value) =>
    value instanceof ParameterMarker ? { key: value.key as keyof P } : { constant: portableValue(value) },
  );
  if (sql.trim() === '') throw new InternalError(`statement "${name}" is empty`);
  return {
    sql,
    bind: (values) => slots.map((slot) => ('key' in slot ? portableValue(values[slot.key]) : slot.constant)),
  };
}
