import { fromHex, toHex } from './octets.ts';
import { X509Error } from './x509-error.ts';

declare const serialNumberBrand: unique symbol;

/**
 * The serial number of a certificate: lower-case hex of its magnitude, whole octets, no sign octet ("0a", not "a" or
 * "000a"). A negative serial, which only foreign certificates have, carries a leading "-".
 */
export type SerialNumber = string & { readonly [serialNumberBrand]: true };

/** RFC 5280 §4.1.2.2: at most 20 octets in what conforms. */
const MAX_OCTETS = 20;
/** Foreign certificates are read with serial numbers up to this length. */
const MAX_FOREIGN_OCTETS = 64;

/**
 * The serial number written as `text`: hex of either case, colons between octets allowed (as OpenSSL prints), leading
 * zeros dropped. Throws X509Error where it is not hex, is zero or exceeds 20 octets (RFC 5280 §4.1.2.2).
 */
export function parseSerialNumber(text: string): SerialNumber {
  const digits = text.replaceAll(':', '').toLowerCase().replace(/^0+/, '');
  if (!/^[0-9a-f]{1,40}$/.test(digits)) {
    throw new X509Error(
      'serialNumber',
      `1 to ${MAX_OCTETS} octets in hex, not zero`,
      JSON.stringify(text.slice(0, 64)),
    );
  }
  return (digits.length % 2 === 0 ? digits : `0${digits}`) as SerialNumber;
}

/**
 * The serial number held in the content octets of an INTEGER (two's complement, big endian, at least one octet). Throws
 * X509Error on more than 64 octets.
 */
export function serialNumberFromOctets(octets: Uint8Array): SerialNumber {
  if (octets.length > MAX_FOREIGN_OCTETS) {
    throw new X509Error('serialNumber', `at most ${MAX_FOREIGN_OCTETS} octets`, `${octets.length}`);
  }
  if (octets[0]! < 0x80) {
    const magnitude = octets[0] === 0 && octets.length > 1 ? octets.subarray(1) : octets;
    return toHex(magnitude) as SerialNumber;
  }
  const bits = BigInt(8 * octets.length);
  const magnitude = ((1n << bits) - BigInt(`0x${toHex(octets)}`)).toString(16);
  return `-${magnitude.length % 2 === 0 ? magnitude : `0${magnitude}`}` as SerialNumber;
}

/** The content octets of the INTEGER that encodes a serial number (minimal two's complement). */
export function serialNumberOctets(serialNumber: SerialNumber): Uint8Array {
  if (serialNumber.startsWith('-')) return negativeOctets(BigInt(`0x${serialNumber.slice(1)}`));
  const magnitude = fromHex(serialNumber)!;
  if (magnitude[0]! < 0x80) return magnitude;
  const octets = new Uint8Array(magnitude.length + 1);
  octets.set(magnitude, 1);
  return octets;
}

function negativeOctets(magnitude: bigint): Uint8Array {
  let length = 1;
  while (magnitude > 1n << BigInt(8 * length - 1)) length++;
  const value = (1n << BigInt(8 * length)) - magnitude;
  return fromHex(value.toString(16).padStart(2 * length, '0'))!;
}
