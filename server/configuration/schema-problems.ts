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
  const errors = validator.Errors(value);
  const expected = expectations(errors);
  const problems = new Map<string, SchemaProblem>();
  for (const error of errors) {
    for (const problem of problemsOf(error, validator.Type(), expected)) problems.set(problem.path, problem);
  }
  return [...problems.values()].slice(0, maximumProblems);
}

function problemsOf(error: SchemaError, schema: TSchema, expected: ReadonlyMap<string, string[]>): SchemaProblem[] {
  const path = error.instancePath;
  if (error.keyword === 'additionalProperties') {
    const known = Object.keys(propertiesAt(schema, error.schemaPath));
    return error.params.additionalProperties.map((name) => ({
      path: `${path}/${name}`,
      message: `unknown key${suggestion(name, known)}`,
    }));
  }
  if (error.keyword === 'required') {
    return error.params.requiredProperties.map((name) => ({ path: `${path}/${name}`, message: 'is required' }));
  }
  // Reported beside `additionalProperties`, which names the key.
  if (error.keyword === 'boolean') return [];
  const forms = expected.get(path);
  return [{ path, message: forms === undefined ? error.message : `expected ${forms.join(' or ')}` }];
}

/** For each place, the forms it might have had: the members of an enumeration, the types of a union. */
function expectations(errors: readonly SchemaError[]): ReadonlyMap<string, string[]> {
  const expected = new Map<string, string[]>();
  for (const error of errors) {
    const forms = formsOf(error);
    if (forms.length > 0) expected.set(error.instancePath, [...(expected.get(error.instancePath) ?? []), ...forms]);
  }
  return expected;
}

function formsOf(error: SchemaError): string[] {
  if (error.keyword === 'enum') return error.params.allowedValues.map((value) => JSON.stringify(value));
  if (error.keyword === 'const') return [JSON.stringify(error.params.allowedValue)];
  if (error.keyword === 'type')
    return [error.params.type].flat().map((type) => `${/^[aeiou]/.test(type) ? 'an' : 'a'} ${type}`);
  return [];
}

/** The members of the object schema at `#/properties/limits`. */
function propertiesAt(schema: TSchema, schemaPath: string): object {
  let at: unknown = schema;
  for (const key of schemaPath.split('/').slice(1)) at = (at as Record<string, unknown> | undefined)?.[key];
  const properties = (at as { properties?: object } | undefined)?.properties;
  return properties ?? {};
}
