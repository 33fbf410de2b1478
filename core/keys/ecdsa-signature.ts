import { encode } from '../asn1/codec.ts';
import { sequence, serialInteger } from '../asn1/schema.ts';

/** RFC 3279 §2.2.3. */
const ecdsaSigValue = sequence('Ecdsa-Sig-Value', { r: serialInteger, s: serialInteger });

/** Ecdsa-Sig-Value, DER, from the r ‖ s of tokens (PKCS#11 §2.3.1): two unsigned numbers of equal length. */
export function encodeEcdsaSignature(raw: Uint8Array): Uint8Array {
  const half = raw.length / 2;
  return encode(ecdsaSigValue, { r: integerOctets(raw, 0, half), s: integerOctets(raw, half, raw.length) });
}

/** The octets of a DER INTEGER with the unsigned value of `bytes` from `start` to `end`. */
function integerOctets(bytes: Uint8Array, start: number, end: number): Uint8Array {
  let first = start;
  while (first < end - 1 && bytes[first] === 0) first++;
  if (bytes[first]! < 0x80) return bytes.subarray(first, end);
  const octets = new Uint8Array(end - first + 1);
  octets.set(bytes.subarray(first, end), 1);
  return octets;
}
