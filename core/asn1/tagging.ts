import { contextIdentifier } from './identifier.ts';
import type { Schema } from './schema-type.ts';
import { tagged } from './schema-type.ts';

/** `[tagNumber] EXPLICIT T`: the encoding of `schema` inside a context-specific tag. */
export function explicit<T>(tagNumber: number, schema: Schema<T>): Schema<T> {
  return tagged<T>(contextIdentifier(tagNumber, true), {
    typeName: `[${tagNumber}] ${schema.typeName}`,
    constructed: true,
    read(reader, end) {
      reader.descend();
      const value = schema.read(reader, end);
      reader.ascend();
      return value;
    },
    write: (writer, value) => schema.write(writer, value),
  });
}

/**
 * `[tagNumber] IMPLICIT T`: the context-specific tag takes the place of the type's own. A CHOICE or an open type has no
 * tag to replace: for them, as X.680 §31.2.7 c) has it, the tagging is explicit.
 */
export function implicit<T>(tagNumber: number, schema: Schema<T>): Schema<T> {
  return schema.retag(tagNumber);
}
