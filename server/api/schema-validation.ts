import type { FastifySchemaCompiler } from 'fastify';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { schemaProblems } from '../configuration/schema-problems.ts';
import { SchemaFault } from '../http/fault.ts';

/**
 * Compiles the schema of one part of a request. Bodies are taken as they are: `"5"` is no number, an unknown member is
 * refused with the nearest known name. Parameters arrive as text and are converted first. Defaults are filled in.
 */
export const compileRequestSchema: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const validator = Compile(schema);
  const part = httpPart ?? 'body';
  const prepare =
    part === 'body'
      ? // Fastify says null where there is no body: then the default counts, where the schema has one.
        (value: unknown) => validator.Default(value ?? undefined)
      : (value: unknown) => validator.Default(validator.Convert(value));
  return (value: unknown) => {
    const prepared = prepare(value);
    if (validator.Check(prepared)) return { value: prepared };
    const fields = schemaProblems(validator, prepared).map(({ path, message }) => ({
      path: `/${part}${path}`,
      message,
    }));
    return { error: new SchemaFault(fields) };
  };
};
