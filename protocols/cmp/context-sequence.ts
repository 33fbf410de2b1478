import { any, type Schema } from '../../core/asn1/schema.ts';

/**
 * `[tagNumber] IMPLICIT` around a SEQUENCE that is not decoded here (EnvelopedData). The value is the complete encoding,
 * that tag included.
 */
export function contextSequence(tagNumber: number): Schema<Uint8Array> {
  const identifier = 0xa0 | tagNumber;
  return {
    ...any,
    typeName: `[${tagNumber}] SEQUENCE`,
    identifiers: () => [identifier],
  };
}

/** A copy of an encoding under another identifier octet: what travels under an implicit tag is signed, or read, under its own. */
export function underIdentifier(der: Uint8Array, identifier: number): Uint8Array {
  const copy = new Uint8Array(der);
  copy[0] = identifier;
  return copy;
}

/** Identifier octet of SEQUENCE. */
export const SEQUENCE = 0x30;
