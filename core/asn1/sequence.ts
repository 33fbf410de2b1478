import { within } from './asn1-error.ts';
import { absentComponent, compileComponents, isComponent, readComponent, writeComponent } from './component.ts';
import type { Component } from './component.ts';
import type { Fields, InferFields } from './field.ts';
import { UNIVERSAL } from './identifier.ts';
import { tagged } from './schema-type.ts';
import type { Schema } from './schema-type.ts';

/** `SEQUENCE { … }`: its components in the order given. */
export function sequence<const F extends Fields>(typeName: string, fields: F): Schema<InferFields<F>> {
  let compiled: readonly Component[] | undefined;
  const components = (): readonly Component[] => (compiled ??= compileComponents(fields));
  return tagged<InferFields<F>>(UNIVERSAL.sequence, {
    typeName,
    constructed: true,
    read(reader, end) {
      const parts = components();
      const value: Record<string, unknown> = {};
      let at = 0;
      reader.descend();
      try {
        for (; at < parts.length; at++) {
          const part = parts[at]!;
          if (part.presence === 'required') {
            value[part.name] = part.schema.read(reader, end);
            continue;
          }
          const isThere = isComponent(part, reader.peek(end));
          const read = isThere ? readComponent(reader, end, part) : absentComponent(reader, end, part);
          if (read !== undefined) value[part.name] = read;
        }
      } catch (error) {
        throw within(error, `.${parts[at]!.name}`);
      }
      reader.ascend();
      return value as InferFields<F>;
    },
    write(writer, value) {
      const parts = components();
      let at = parts.length - 1;
      try {
        for (; at >= 0; at--) writeComponent(writer, (value as Record<string, unknown>)[parts[at]!.name], parts[at]!);
      } catch (error) {
        throw within(error, `.${parts[at]!.name}`);
      }
    },
  });
}
