import { Asn1Error } from './asn1-error.ts';
import type { Field, Fields } from './field.ts';
import type { Reader } from './reader.ts';
import { accepts } from './schema-type.ts';
import type { Schema } from './schema-type.ts';
import { Writer } from './writer.ts';

/** A component of a SEQUENCE or SET, compiled. */
export interface Component {
  readonly name: string;
  readonly schema: Schema<unknown>;
  readonly presence: 'required' | 'optional' | 'defaulted';
  /** What the encoding can begin with; undefined: anything. */
  readonly identifiers: readonly number[] | undefined;
  /** The DEFAULT and its encoding. */
  readonly defaultValue: unknown;
  readonly defaultDer: Uint8Array | undefined;
}

/** Compiles components; called at the first use, because recursive types exist only then. */
export function compileComponents(fields: Fields): readonly Component[] {
  return Object.entries(fields).map(([name, field]) => compile(name, field));
}

/** Reads a component that is there. */
export function readComponent(reader: Reader, limit: number, component: Component): unknown {
  if (component.defaultDer === undefined) return component.schema.read(reader, limit);
  const start = reader.offset;
  const value = component.schema.read(reader, limit);
  if (equalsAt(component.defaultDer, reader, start)) {
    throw reader.fault('the default value left out', 'it encoded', start);
  }
  return value;
}

/** Writes a component, or nothing where it is absent or its default. */
export function writeComponent(writer: Writer, value: unknown, component: Component): void {
  if (value === undefined) {
    if (component.presence === 'required') throw new Asn1Error(component.schema.typeName, 'undefined', -1);
    return;
  }
  const { defaultDer } = component;
  if (defaultDer === undefined) return component.schema.write(writer, value);
  if (value === component.defaultValue) return;
  // Unequal primitive values have unequal encodings; objects may be equal in theirs.
  if (typeof value !== 'object') return component.schema.write(writer, value);
  const mark = writer.written;
  component.schema.write(writer, value);
  const der = writer.since(mark);
  if (der.length === defaultDer.length && der.every((octet, i) => octet === defaultDer[i])) writer.rewind(mark);
}

/** The value of a component that is not there, or the error that it must be. */
export function absentComponent(reader: Reader, limit: number, component: Component): unknown {
  if (component.presence === 'required') throw reader.mismatch(component.schema.typeName, reader.peek(limit));
  return component.defaultValue;
}

/** Whether an encoding beginning with this identifier is the component. */
export function isComponent(component: Component, identifier: number): boolean {
  return accepts(component.identifiers, identifier);
}

function compile(name: string, field: Field): Component {
  const isPlain = !('kind' in field);
  const schema = isPlain ? field : field.schema;
  const defaultValue = isPlain || field.kind === 'optional' ? undefined : field.value;
  return {
    name,
    schema,
    presence: isPlain ? 'required' : field.kind,
    identifiers: schema.identifiers(),
    defaultValue,
    defaultDer: defaultValue === undefined ? undefined : encodeAlone(schema, defaultValue),
  };
}

function encodeAlone(schema: Schema<unknown>, value: unknown): Uint8Array {
  const writer = new Writer();
  schema.write(writer, value);
  return writer.finish();
}

function equalsAt(der: Uint8Array, reader: Reader, start: number): boolean {
  if (reader.offset - start !== der.length) return false;
  for (let i = 0; i < der.length; i++) if (der[i] !== reader.bytes[start + i]) return false;
  return true;
}
