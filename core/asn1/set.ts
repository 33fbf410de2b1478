import { within } from './asn1-error.ts';
import { absentComponent, compileComponents, isComponent, readComponent, writeComponent } from './component.ts';
import type { Component } from './component.ts';
import type { Fields, InferFields } from './field.ts';
import { UNIVERSAL } from './identifier.ts';
import type { Reader } from './reader.ts';
import { tagged } from './schema-type.ts';
import type { Schema } from './schema-type.ts';

/** `SET { … }`: its components in the order of their tags (X.690 §10.3); with `setOrder: 'any'`, in any order. */
export function set<const F extends Fields>(typeName: string, fields: F): Schema<InferFields<F>> {
  let compiled: readonly Component[] | undefined;
  const components = (): readonly Component[] => (compiled ??= compileComponents(fields).toSorted(byTag));
  return tagged<InferFields<F>>(UNIVERSAL.set, {
    typeName,
    constructed: true,
    read(reader, end) {
      reader.descend();
      const value = readSet(reader, end, components());
      reader.ascend();
      return value as InferFields<F>;
    },
    write(writer, value) {
      for (const part of components().toReversed()) {
        try {
          writeComponent(writer, (value as Record<string, unknown>)[part.name], part);
        } catch (error) {
          throw within(error, `.${part.name}`);
        }
      }
    },
  });
}

function readSet(reader: Reader, end: number, parts: readonly Component[]): Record<string, unknown> {
  const value: Record<string, unknown> = {};
  const pending = [...parts];
  while (reader.offset < end) {
    const at = pending.findIndex((part) => isComponent(part, reader.peek(end)));
    const part = pending[at];
    if (part === undefined) throw reader.mismatch('a component of the SET that is still missing', reader.peek(end));
    if (reader.limits.setOrder === 'any') pending.splice(at, 1);
    else for (const skipped of pending.splice(0, at + 1).slice(0, -1)) setAbsent(value, reader, end, skipped);
    try {
      value[part.name] = readComponent(reader, end, part);
    } catch (error) {
      throw within(error, `.${part.name}`);
    }
  }
  for (const part of pending) setAbsent(value, reader, end, part);
  return value;
}

function setAbsent(value: Record<string, unknown>, reader: Reader, end: number, part: Component): void {
  const absent = absentComponent(reader, end, part);
  if (absent !== undefined) value[part.name] = absent;
}

// X.680 §8.6: universal, application, context-specific, private; within a class by number.
function byTag(a: Component, b: Component): number {
  return tagOrder(a) - tagOrder(b);
}

function tagOrder(part: Component): number {
  const identifier = Math.min(...(part.identifiers ?? []));
  const leading = identifier & 0xff;
  return (leading >> 6) * 2 ** 24 + (identifier < 0x100 ? leading & 0x1f : Math.floor(identifier / 256));
}
