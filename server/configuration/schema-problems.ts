import type { TSchema } from 'typebox';
import type { Validator } from 'typebox/compile';
import { suggestion } from './nearest-name.ts';

/** One place where a value does not fit its schema. */
export interface SchemaProblem {
  /** JSON pointer from the root of the value; empty for the root itself. */
  readonly path: string;
  readonly message: string;
}

type SchemaError = ReturnType<Validator['Errors']>[number];

/** The most problems that are told of one value. */
const maximumProblems = 20;

/** Where and why a value does not fit, in words: unknown keys with the nearest known one, alternatives as one list. */
export function schemaProblems(validator: Validator, value: unknown): SchemaProblem[] {
  const problems = new Map<string, SchemaProblem>();
  const allowed = new Map<string, string[]>();
  const errors = validator.Errors(value);
  for (const error of errors) {
    if (error.keyword === 'const') (allowed.get(error.instancePath) ?? put(allowed, error.instancePath)).push(JSON.stringify(error.params.allowedValue));
  }
  for (const error of errors) {
    for (const problem of problemsOf(error, validator.Type(), allowed)) problems.set(problem.path, problem);
  }
  return [...problems.values()].slice(0, maximumProblems);
}

function problemsOf(error: SchemaError, schema: TSchema, allowed: ReadonlyMap<string, string[]>): SchemaProblem[] {
  const path = error.instancePath;
  switch (error.keyword) {
    case 'additionalProperties': {
      const known = Object.keys(propertiesAt(schema, error.schemaPath));
      return error.params.additionalProperties.map((name) => ({
        path: `${path}/${name}`,
        message: `unknown key${suggestion(name, known)}`,
      }));
    }
    case 'required':
      return error.params.requiredProperties.map((name) => ({ path: `${path}/${name}`, message: 'is required' }));
    case 'const':
    case 'anyOf':
      return [{ path, message: `expected ${allowed.get(path)?.join(' or ') ?? 'another form'}` }];
    // Reported beside `additionalProperties`, which names the key.
    case 'boolean':
      return [];
    default:
      return [{ path, message: error.message }];
  }
}

function put(lists: Map<string, string[]>, key: string): string[] {
  const list: string[] = [];
  lists.set(key, list);
  return list;
}

/** The members of the object schema at `#/properties/limits`. */
function propertiesAt(schema: TSchema, schemaPath: string): object {
  let at: unknown = schema;
  for (const key of schemaPath.split('/').slice(1)) at = (at as Record<string, unknown> | undefined)?.[key];
  const properties = (at as { properties?: object } | undefined)?.properties;
  return properties ?? {};
}
