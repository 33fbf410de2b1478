/** A writer of Matter TLV: as lax as a test needs it. */

/** The control octet of a member with a context tag. */
const CONTEXT = 0x20;

/** A whole structure without a tag: what elements and declarations are. */
export function tlvStructure(...members: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat([Uint8Array.of(0x15), ...members, Uint8Array.of(0x18)]);
}

/** An unsigned integer in as few octets as hold it. */
export function tlvUnsigned(tag: number, value: number): Uint8Array {
  const octets = value < 0x100 ? 1 : value < 0x1_0000 ? 2 : 4;
  const type = { 1: 0x04, 2: 0x05, 4: 0x06 }[octets]!;
  const number = Buffer.alloc(octets);
  number.writeUIntLE(value, 0, octets);
  return Buffer.concat([Uint8Array.of(CONTEXT | type, tag), number]);
}

/** A byte string. */
export function tlvOctets(tag: number, value: Uint8Array): Uint8Array {
  return Buffer.concat([withLength([CONTEXT | 0x10, tag], [CONTEXT | 0x11, tag], value.length), value]);
}

/** A text. */
export function tlvText(tag: number, value: string): Uint8Array {
  const octets = Buffer.from(value);
  return Buffer.concat([withLength([CONTEXT | 0x0c, tag], [CONTEXT | 0x0d, tag], octets.length), octets]);
}

/** An array of unsigned 16-bit numbers. */
export function tlvNumbers(tag: number, values: readonly number[]): Uint8Array {
  const members = values.map((value) => Uint8Array.of(0x05, value & 0xff, value >> 8));
  return Buffer.concat([Uint8Array.of(CONTEXT | 0x16, tag), ...members, Uint8Array.of(0x18)]);
}

/** An array of byte strings. */
export function tlvOctetsArray(tag: number, values: readonly Uint8Array[]): Uint8Array {
  const members = values.map((value) => Buffer.concat([Uint8Array.of(0x10, value.length), value]));
  return Buffer.concat([Uint8Array.of(CONTEXT | 0x16, tag), ...members, Uint8Array.of(0x18)]);
}

function withLength(short: readonly number[], long: readonly number[], length: number): Uint8Array {
  return length < 0x100 ? Uint8Array.of(...short, length) : Uint8Array.of(...long, length & 0xff, length >> 8);
}
