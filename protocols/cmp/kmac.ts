import { createHash } from 'node:crypto';

/** Octets that Keccak absorbs at once (FIPS 202 §6.2: 1600 bits less twice the strength). */
const RATE_OCTETS = { 128: 168, 256: 136 } as const;

/**
 * KMAC (NIST SP 800-185 §4.3). OpenSSL's KECCAK-KMAC digest is the sponge with cSHAKE's padding; what goes before key and
 * message is put there here.
 *
 * @param octets length of the result
 */
export function kmac(
  strength: 128 | 256,
  key: Uint8Array,
  data: Uint8Array,
  octets: number,
  customization: Uint8Array = new Uint8Array(),
): Uint8Array {
  const rate = RATE_OCTETS[strength];
  const domain = Buffer.concat([encodeString(Buffer.from('KMAC')), encodeString(customization)]);
  return createHash(`keccak-kmac-${strength}`, { outputLength: octets })
    .update(bytepad(domain, rate))
    .update(bytepad(encodeString(key), rate))
    .update(data)
    .update(rightEncode(octets * 8))
    .digest();
}

// SP 800-185 §2.3.3
function bytepad(octets: Uint8Array, width: number): Uint8Array {
  const head = leftEncode(width);
  const length = Math.ceil((head.length + octets.length) / width) * width;
  const padded = Buffer.alloc(length);
  padded.set(head);
  padded.set(octets, head.length);
  return padded;
}

// SP 800-185 §2.3.2
function encodeString(octets: Uint8Array): Uint8Array {
  return Buffer.concat([leftEncode(octets.length * 8), octets]);
}

// SP 800-185 §2.3.1
function leftEncode(value: number): Uint8Array {
  const octets = bigEndian(value);
  return Uint8Array.of(octets.length, ...octets);
}

function rightEncode(value: number): Uint8Array {
  const octets = bigEndian(value);
  return Uint8Array.of(...octets, octets.length);
}

function bigEndian(value: number): number[] {
  const octets = [value % 256];
  for (let rest = Math.floor(value / 256); rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256);
  return octets;
}
