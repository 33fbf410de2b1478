import { contextIdentifier } from './identifier.ts';
import type { Reader } from './reader.ts';
import type { Writer } from './writer.ts';

/**
 * An ASN.1 type, compiled: closures over what is fixed (tags, names, bounds), with one object shape for all types so
 * that calls through it stay fast. The constructors of `schema.ts` make them and `codec.ts` runs them; the members are
 * for who wraps a schema in another (a value in another form, say) and keeps the promises they state.
 */
export interface Schema<T> {
  /** The name in an ASN.1 module, for errors. */
  readonly typeName: string;
  /** The identifiers an encoding can begin with; undefined: any. A function, because recursive types are lazy. */
  identifiers(): readonly number[] | undefined;
  /** Reads one complete encoding that ends at or before `limit`. */
  read(reader: Reader, limit: number): T;
  /** Writes one complete encoding in front of what is written. */
  write(writer: Writer, value: T): void;
  /** The same type under an implicit context-specific tag. */
  retag(tagNumber: number): Schema<T>;
}

/** The TypeScript type of a schema's values. */
export type Infer<S> = S extends { read(reader: Reader, limit: number): infer T } ? T : never;

/** The contents of a type that has a tag of its own. */
export interface Contents<T> {
  readonly typeName: string;
  readonly constructed: boolean;
  /** Reads from the reader's offset exactly to `end`, or leaves the offset where it stopped understanding. */
  read(reader: Reader, end: number): T;
  write(writer: Writer, value: T): void;
}

/** A type with a tag: header handling around {@link Contents}. */
export function tagged<T>(identifier: number, contents: Contents<T>): Schema<T> {
  const { typeName, constructed } = contents;
  const readContents = contents.read;
  const writeContents = contents.write;
  const identifiers = [identifier];
  return {
    typeName,
    identifiers: () => identifiers,
    read(reader, limit) {
      const end = reader.enter(identifier, limit, typeName);
      const value = readContents(reader, end);
      if (reader.offset !== end) throw reader.mismatch(`the end of ${typeName}`, reader.peek(end));
      return value;
    },
    write(writer, value) {
      const mark = writer.written;
      writeContents(writer, value);
      writer.header(identifier, mark);
    },
    retag: (tagNumber) => tagged(contextIdentifier(tagNumber, constructed), contents),
  };
}

/** Whether an identifier that `Reader.peek` gave is one of a schema's; undefined accepts all but the end. */
export function accepts(identifiers: readonly number[] | undefined, identifier: number): boolean {
  if (identifier < 0) return false;
  if (identifiers === undefined) return true;
  return identifiers.length === 1 ? identifiers[0] === identifier : identifiers.includes(identifier);
}
