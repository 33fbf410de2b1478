/**
 * Identifier octets (X.690 §8.1.2) as one number: the octet itself where the tag number is below 31; otherwise the tag
 * number times 256 plus the leading octet.
 */

/** Identifiers of the universal types used by PKIX, with the constructed bit where DER sets it. */
export const UNIVERSAL = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  enumerated: 0x0a,
  utf8String: 0x0c,
  numericString: 0x12,
  printableString: 0x13,
  t61String: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  visibleString: 0x1a,
  universalString: 0x1c,
  bmpString: 0x1e,
  sequence: 0x30,
  set: 0x31,
} as const;

/** Bit 6 of the leading octet: the contents are themselves encodings. */
export const CONSTRUCTED = 0x20;

const CONTEXT_CLASS = 0x80;
const HIGH_TAG = 0x1f;

/** The identifier of the context-specific tag `[tagNumber]`. */
export function contextIdentifier(tagNumber: number, constructed: boolean): number {
  const leading = CONTEXT_CLASS | (constructed ? CONSTRUCTED : 0);
  return tagNumber < HIGH_TAG ? leading | tagNumber : tagNumber * 256 + (leading | HIGH_TAG);
}

/** How many octets an identifier takes. */
export function identifierWidth(identifier: number): number {
  if (identifier < 0x100) return 1;
  const tagNumber = Math.floor(identifier / 256);
  return tagNumber < 0x80 ? 2 : tagNumber < 0x4000 ? 3 : 4;
}

const CLASS_NAMES = ['UNIVERSAL ', 'APPLICATION ', '', 'PRIVATE '];
const NAMES = new Map<number, string>([
  [0x01, 'BOOLEAN'],
  [0x02, 'INTEGER'],
  [0x03, 'BIT STRING'],
  [0x04, 'OCTET STRING'],
  [0x05, 'NULL'],
  [0x06, 'OBJECT IDENTIFIER'],
  [0x0a, 'ENUMERATED'],
  [0x0c, 'UTF8String'],
  [0x12, 'NumericString'],
  [0x13, 'PrintableString'],
  [0x14, 'T61String'],
  [0x16, 'IA5String'],
  [0x17, 'UTCTime'],
  [0x18, 'GeneralizedTime'],
  [0x1a, 'VisibleString'],
  [0x1c, 'UniversalString'],
  [0x1e, 'BMPString'],
  [0x30, 'SEQUENCE'],
  [0x31, 'SET'],
]);

/** An identifier in the words of an ASN.1 module, for error messages: `SEQUENCE`, `[0]`, `constructed OCTET STRING`. */
export function identifierName(identifier: number): string {
  const name = NAMES.get(identifier);
  if (name !== undefined) return name;
  const constructedOf = NAMES.get(identifier & ~CONSTRUCTED);
  if (constructedOf !== undefined) return `constructed ${constructedOf}`;
  const leading = identifier & 0xff;
  const tagNumber = identifier < 0x100 ? leading & HIGH_TAG : Math.floor(identifier / 256);
  return `[${CLASS_NAMES[leading >> 6]}${tagNumber}]${leading & CONSTRUCTED ? '' : ' primitive'}`;
}
