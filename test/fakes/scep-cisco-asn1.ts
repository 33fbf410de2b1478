import forge from 'node-forge';

/** The ASN.1 of a Cisco-shaped client, with node-forge: nothing of it is the server's. Octets are binary strings, as forge has them. */

const { asn1 } = forge;
const { Class, Type } = asn1;

export type Asn1 = forge.asn1.Asn1;

/** An OBJECT IDENTIFIER. */
export function oid(dotted: string): Asn1 {
  return asn1.create(Class.UNIVERSAL, Type.OID, false, asn1.oidToDer(dotted).getBytes());
}

export function sequence(...fields: Asn1[]): Asn1 {
  return asn1.create(Class.UNIVERSAL, Type.SEQUENCE, true, fields);
}

/** A SET OF in the order that DER asks for (X.690 §11.6). */
export function set(...items: Asn1[]): Asn1 {
  const sorted = items.toSorted((a, b) => Buffer.compare(latin1(der(a)), latin1(der(b))));
  return asn1.create(Class.UNIVERSAL, Type.SET, true, sorted);
}

/** An INTEGER from its content octets, whatever their sign. */
export function integer(octets: string): Asn1 {
  return asn1.create(Class.UNIVERSAL, Type.INTEGER, false, octets);
}

/** A small non-negative INTEGER. */
export function smallInteger(value: number): Asn1 {
  return integer(String.fromCharCode(value));
}

export function octetString(octets: string): Asn1 {
  return asn1.create(Class.UNIVERSAL, Type.OCTETSTRING, false, octets);
}

/** A BIT STRING of whole octets. */
export function bitString(octets: string, unusedBits = 0): Asn1 {
  return asn1.create(Class.UNIVERSAL, Type.BITSTRING, false, String.fromCharCode(unusedBits) + octets);
}

export function printable(text: string): Asn1 {
  return asn1.create(Class.UNIVERSAL, Type.PRINTABLESTRING, false, text);
}

function nullValue(): Asn1 {
  return asn1.create(Class.UNIVERSAL, Type.NULL, false, '');
}

/** BOOLEAN TRUE. */
export function trueValue(): Asn1 {
  return asn1.create(Class.UNIVERSAL, Type.BOOLEAN, false, '\xff');
}

export function utcTime(date: Date): Asn1 {
  return asn1.create(Class.UNIVERSAL, Type.UTCTIME, false, asn1.dateToUtcTime(date));
}

/** A context-specific constructed element: an EXPLICIT tag, or an IMPLICIT one over a SET or SEQUENCE's fields. */
export function tagged(number: number, ...content: Asn1[]): Asn1 {
  return asn1.create(Class.CONTEXT_SPECIFIC, number, true, content);
}

/** A context-specific primitive element. */
export function taggedOctets(number: number, octets: string): Asn1 {
  return asn1.create(Class.CONTEXT_SPECIFIC, number, false, octets);
}

/** `AlgorithmIdentifier` with NULL, or other parameters. */
export function algorithm(dotted: string, parameters: Asn1 = nullValue()): Asn1 {
  return sequence(oid(dotted), parameters);
}

/** DER as a binary string. */
export function der(value: Asn1): string {
  return asn1.toDer(value).getBytes();
}

/** What DER encodes; a BIT STRING stays octets, whatever is in it. Throws forge's error for anything else. */
export function fromDer(octets: string): Asn1 {
  const options = { strict: true, parseAllBytes: true, decodeBitStrings: false };
  // The published types know only the older form of the second argument.
  return asn1.fromDer(octets, options as unknown as boolean);
}

/** The elements inside a constructed one. */
export function children(value: Asn1 | undefined): Asn1[] {
  if (value === undefined || typeof value.value === 'string') throw new NotAsExpected('a constructed element');
  return value.value;
}

/** The content octets of a primitive element. */
export function octetsOf(value: Asn1 | undefined): string {
  if (value === undefined || typeof value.value !== 'string') throw new NotAsExpected('a primitive element');
  return value.value;
}

export function oidOf(value: Asn1 | undefined): string {
  return asn1.derToOid(octetsOf(value));
}

/** The element with a context-specific tag, where it is there. */
export function contextTag(fields: readonly Asn1[], number: number): Asn1 | undefined {
  return fields.find(
    (field) => field.tagClass === Class.CONTEXT_SPECIFIC && field.type === (number as typeof field.type),
  );
}

/** Binary string to octets. */
export function latin1(octets: string): Buffer {
  return Buffer.from(octets, 'latin1');
}

/** What came is not of the form that this client understands. */
export class NotAsExpected extends Error {
  constructor(expected: string) {
    super(`expected ${expected}`);
    this.name = 'NotAsExpected';
  }
}
