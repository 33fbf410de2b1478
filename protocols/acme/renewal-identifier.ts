import { type SerialNumber, serialNumberFromOctets } from '../../core/x509/serial-number.ts';

/** What names a certificate in renewal information (RFC 9773 §4.1). */
export interface RenewalIdentifier {
  readonly keyIdentifier: Uint8Array;
  readonly serialNumber: SerialNumber;
}

const MAX_KEY_IDENTIFIER = 64;
/** RFC 5280 §4.1.2.2 has twenty, and one more for the sign. */
const MAX_SERIAL = 21;
const BASE64URL = /^[A-Za-z0-9_-]+$/;

/** Reads `base64url(keyIdentifier).base64url(serialNumber)`; undefined for whatever is none. */
export function parseRenewalIdentifier(text: string): RenewalIdentifier | undefined {
  const [key, serial, ...rest] = text.split('.', 3).map(octetsOf);
  if (key === undefined || serial === undefined || rest.length > 0) return undefined;
  if (key.length > MAX_KEY_IDENTIFIER || !isSerialNumber(serial)) return undefined;
  return { keyIdentifier: key, serialNumber: serialNumberFromOctets(serial) };
}

/** The contents of a DER INTEGER above zero: shortest, and without a sign. */
function isSerialNumber(octets: Uint8Array): boolean {
  const [first = 0, second = 0] = octets;
  if (octets.length > MAX_SERIAL || first > 0x7f) return false;
  return first > 0 || second > 0x7f;
}

function octetsOf(text: string): Uint8Array | undefined {
  const octets = Buffer.from(text, 'base64url');
  return BASE64URL.test(text) && octets.toString('base64url') === text ? octets : undefined;
}
