import { Asn1Error, within } from './asn1-error.ts';
import type { Infer, Schema } from './schema-type.ts';
import { explicit } from './tagging.ts';

/** The alternatives of a CHOICE by name. */
export type Alternatives = Readonly<Record<string, Schema<unknown>>>;

/** The value of a CHOICE: which alternative, and its value. */
export type InferChoice<A extends Alternatives> = {
  readonly [K in keyof A & string]: { readonly kind: K; readonly value: Infer<A[K]> };
}[keyof A & string];

/** `CHOICE { … }`: the first alternative that the identifier fits. An open type, where there is one, comes last. */
export function choice<const A extends Alternatives>(typeName: string, alternatives: A): Schema<InferChoice<A>> {
  type Value = InferChoice<A>;
  let compiled: Plan | undefined;
  const plan = (): Plan => (compiled ??= compile(alternatives));
  const self: Schema<Value> = {
    typeName,
    identifiers: () => plan().identifiers,
    read(reader, limit) {
      const identifier = reader.peek(limit);
      const { byIdentifier, open } = plan();
      const alternative = byIdentifier.get(identifier) ?? (identifier < 0 ? undefined : open);
      if (alternative === undefined) throw reader.mismatch(typeName, identifier);
      try {
        return { kind: alternative.kind, value: alternative.schema.read(reader, limit) } as Value;
      } catch (error) {
        throw within(error, `.${alternative.kind}`);
      }
    },
    write(writer, { kind, value }) {
      if (!Object.hasOwn(alternatives, kind)) throw new Asn1Error(typeName, `alternative ${kind}`, -1);
      try {
        alternatives[kind]!.write(writer, value);
      } catch (error) {
        throw within(error, `.${kind}`);
      }
    },
    retag: (tagNumber) => explicit(tagNumber, self),
  };
  return self;
}

interface Alternative {
  readonly kind: string;
  readonly schema: Schema<unknown>;
}

interface Plan {
  readonly identifiers: readonly number[] | undefined;
  readonly byIdentifier: ReadonlyMap<number, Alternative>;
  readonly open: Alternative | undefined;
}

function compile(alternatives: Alternatives): Plan {
  const byIdentifier = new Map<number, Alternative>();
  let open: Alternative | undefined;
  for (const [kind, schema] of Object.entries(alternatives)) {
    const identifiers = schema.identifiers();
    if (identifiers === undefined) open ??= { kind, schema };
    for (const identifier of identifiers ?? []) {
      if (!byIdentifier.has(identifier)) byIdentifier.set(identifier, { kind, schema });
    }
  }
  return { identifiers: open === undefined ? [...byIdentifier.keys()] : undefined, byIdentifier, open };
}
