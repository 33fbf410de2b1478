import { decode, encode } from '../asn1/codec.ts';
import { any, oid, optional, sequence } from '../asn1/schema.ts';
import type { Infer, Schema } from '../asn1/schema.ts';

/** AlgorithmIdentifier (RFC 5280 §4.1.1.2) with open parameters. */
export const algorithmIdentifierSchema = sequence('AlgorithmIdentifier', { algorithm: oid, parameters: optional(any) });

/** A decoded AlgorithmIdentifier. */
export type AlgorithmIdentifier = Infer<typeof algorithmIdentifierSchema>;

/** NULL, the parameters of many old algorithms. */
export const NULL_PARAMETERS = Uint8Array.of(0x05, 0x00);

/** An AlgorithmIdentifier whose parameters are the encoding of `value`. */
export function algorithmWith<T>(algorithm: string, schema: Schema<T>, value: T): AlgorithmIdentifier {
  return { algorithm, parameters: encode(schema, value) };
}

/** The parameters as a value of `schema`; undefined where they are absent. Throws Asn1Error. */
export function parametersOf<T>({ parameters }: AlgorithmIdentifier, schema: Schema<T>): T | undefined {
  return parameters === undefined ? undefined : decode(schema, parameters);
}

/** Whether the parameters are NULL or absent: old and new ways to say that there are none (RFC 5754 §2). */
export function hasNoParameters({ parameters }: AlgorithmIdentifier): boolean {
  return parameters === undefined || (parameters.length === 2 && parameters[0] === 0x05);
}
