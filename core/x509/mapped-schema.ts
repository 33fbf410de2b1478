import { any, type Schema, smallInteger } from '../asn1/schema.ts';
import { X509Error } from './x509-error.ts';

/**
 * A schema whose values take another form in TypeScript than in the ASN.1 module. `toValue` may throw X509Error: it
 * then counts as a fault of the input, and the path grows as for any other.
 */
export function mapped<Wire, Value>(
  schema: Schema<Wire>,
  toValue: (wire: Wire) => Value,
  toWire: (value: Value) => Wire,
): Schema<Value> {
  return {
    typeName: schema.typeName,
    identifiers: () => schema.identifiers(),
    read: (reader, limit) => toValue(schema.read(reader, limit)),
    write: (writer, value) => schema.write(writer, toWire(value)),
    retag: (tagNumber) => mapped(schema.retag(tagNumber), toValue, toWire),
  };
}

/** A schema whose values keep the octets they came in as `der`; encoding writes those, unchanged. */
export function keepingDer<Wire, Value extends { readonly der: Uint8Array }>(
  schema: Schema<Wire>,
  toValue: (wire: Wire, der: Uint8Array) => Value,
): Schema<Value> {
  return {
    typeName: schema.typeName,
    identifiers: () => schema.identifiers(),
    read(reader, limit) {
      const start = reader.offset;
      const wire = schema.read(reader, limit);
      return toValue(wire, reader.view(start, reader.offset));
    },
    write: (writer, { der }) => any.write(writer, der),
    retag: (tagNumber) => keepingDer(schema.retag(tagNumber), toValue),
  };
}

/** `INTEGER (0..MAX)`, as far as a number is exact. */
export const nonNegativeInteger: Schema<number> = mapped(smallInteger, refuseNegative, refuseNegative);

function refuseNegative(value: number): number {
  if (value >= 0) return value;
  throw new X509Error('', 'zero or more', String(value));
}
