import { dirname, resolve } from 'node:path';
import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { schemaProblems } from '../../configuration/schema-problems.ts';
import { CliError, EXIT } from '../exit-code.ts';
import { readSettingsFile } from '../values.ts';

const members = { additionalProperties: false } as const;
const name = Type.String({ minLength: 1, maxLength: 64 });
const files = Type.Array(Type.String({ minLength: 1 }), { minItems: 1, maxItems: 8 });
/** What the server checks: names of members are its business. */
const settings = Type.Record(Type.String(), Type.Unknown());

const authority = Type.Object(
  {
    name,
    kind: Type.Optional(Type.Enum(['root', 'issuing'])),
    issuer: Type.Optional(name),
    subject: Type.Optional(Type.String()),
    keyAlgorithm: Type.Optional(Type.String()),
    token: Type.Optional(Type.String()),
    validitySeconds: Type.Optional(Type.Integer()),
    crlShards: Type.Optional(Type.Integer()),
    /** Under an external CA: the request is written to `csr`, and installed as soon as the certificates are there. */
    external: Type.Optional(Type.Object({ csr: Type.String({ minLength: 1 }), certificates: files }, members)),
    /** A key that a token holds already. */
    adopt: Type.Optional(Type.Object({ key: Type.String(), certificates: files }, members)),
  },
  members,
);

const tenant = Type.Object(
  {
    name,
    description: Type.Optional(Type.String()),
    token: Type.Optional(Type.String()),
    authorities: Type.Optional(Type.Array(authority)),
    profiles: Type.Optional(Type.Array(Type.Intersect([Type.Object({ name }), settings]))),
    endpoints: Type.Optional(Type.Array(Type.Intersect([Type.Object({ label: name }), settings]))),
    devices: Type.Optional(Type.Array(Type.Intersect([Type.Object({ name }), settings]))),
  },
  members,
);

const document = Type.Object({ tenants: Type.Array(tenant, { maxItems: 10_000 }) }, members);

/** A certification authority as a file asks for it. */
export type DeclaredAuthority = Static<typeof authority>;

/** A tenant as a file asks for it. */
export type DeclaredTenant = Omit<Static<typeof tenant>, 'profiles' | 'endpoints' | 'devices'> & {
  readonly profiles?: readonly Declared<'name'>[];
  readonly endpoints?: readonly Declared<'label'>[];
  readonly devices?: readonly Declared<'name'>[];
};

/** An object by its key, with settings that the server checks. */
export type Declared<K extends string> = { readonly [P in K]: string } & Readonly<Record<string, unknown>>;

/** What a file asks for; file names in it count from its own folder. */
export interface ApplyDocument {
  readonly folder: string;
  readonly tenants: readonly DeclaredTenant[];
}

/** Reads a file. Throws CliError `usage` that names what is wrong in it. */
export function readApplyDocument(file: string, folder: string): ApplyDocument {
  const path = resolve(folder, file);
  const value = readSettingsFile(path);
  const validator = Compile(document);
  if (!validator.Check(value)) {
    const [first] = schemaProblems(validator, value);
    throw new CliError(EXIT.usage, `${file}: ${first?.path ?? ''} ${first?.message ?? 'is not what apply takes'}`);
  }
  return { folder: dirname(path), tenants: value.tenants as readonly DeclaredTenant[] };
}
