/** Octets of a TPM structure, piece by piece (TPM 2.0 Library, Part 2 §4.9): for what tests make themselves. */

/** UINT8. */
export function u8(value: number): Uint8Array {
  return Uint8Array.of(value);
}

/** UINT16, big-endian. */
export function u16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 0xff);
}

/** UINT32, big-endian. */
export function u32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);
}

/** UINT64, big-endian. */
export function u64(value: bigint): Uint8Array {
  const octets = new Uint8Array(8);
  new DataView(octets.buffer).setBigUint64(0, value);
  return octets;
}

/** A TPM2B: size, then the octets. */
export function sized(octets: Uint8Array): Uint8Array {
  return joined(u16(octets.length), octets);
}

/** One after the other. */
export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** The octets of some hex; spaces are left out. */
export function hexOctets(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
}
