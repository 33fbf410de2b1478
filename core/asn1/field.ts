import type { Schema } from './schema-type.ts';

/** A component that may be absent. */
export interface OptionalField<T> {
  readonly kind: 'optional';
  readonly schema: Schema<T>;
}

/** A component with a DEFAULT. */
export interface DefaultedField<T> {
  readonly kind: 'defaulted';
  readonly schema: Schema<T>;
  readonly value: T;
}

/** A component of a SEQUENCE or SET. */
export type Field = Schema<unknown> | OptionalField<unknown> | DefaultedField<unknown>;

/** The components of a SEQUENCE or SET by name, in the order of the ASN.1 module. */
export type Fields = Readonly<Record<string, Field>>;

/** The object type of components: OPTIONAL ones are optional properties, DEFAULT ones are always there. */
export type InferFields<F extends Fields> = Simplify<
  { readonly [K in keyof F as F[K] extends OptionalField<unknown> ? never : K]: InferField<F[K]> } & {
    readonly [K in keyof F as F[K] extends OptionalField<unknown> ? K : never]?: InferField<F[K]> | undefined;
  }
>;

type InferField<F> =
  F extends OptionalField<infer T> ? T : F extends DefaultedField<infer T> ? T : F extends Schema<infer T> ? T : never;

type Simplify<T> = { [K in keyof T]: T[K] } & {};

/** `T OPTIONAL`, for a component of a SEQUENCE or SET. */
export function optional<T>(schema: Schema<T>): OptionalField<T> {
  return { kind: 'optional', schema };
}

/** `T DEFAULT value`: in DER an encoded default is refused on input (X.690 §11.5) and omitted on output. */
export function defaulted<T>(schema: Schema<T>, value: NoInfer<T>): DefaultedField<T> {
  return { kind: 'defaulted', schema, value };
}
