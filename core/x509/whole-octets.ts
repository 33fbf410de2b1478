import type { BitString } from '../asn1/schema.ts';
import { X509Error } from './x509-error.ts';

/** The contents of a BIT STRING that holds whole octets, as keys and signatures do. Throws X509Error naming `path`. */
export function wholeOctets({ unusedBits, bytes }: BitString, path: string): Uint8Array {
  if (unusedBits === 0) return bytes;
  throw new X509Error(path, 'whole octets', `${unusedBits} unused bits`);
}
