import type { StructureReader } from './structure-reader.ts';

/** TPMA_OBJECT (TPM 2.0 Library, Part 2 §8.3): the bits that have a meaning. */
const BITS = {
  fixedTPM: 1,
  stClear: 2,
  fixedParent: 4,
  sensitiveDataOrigin: 5,
  userWithAuth: 6,
  adminWithPolicy: 7,
  firmwareLimited: 8,
  svnLimited: 9,
  noDA: 10,
  encryptedDuplication: 11,
  restricted: 16,
  decrypt: 17,
  sign: 18,
  x509sign: 19,
} as const;

/** What may be said of an object in its public area. */
export type ObjectAttribute = keyof typeof BITS;

const NAMES = Object.keys(BITS) as ObjectAttribute[];
const KNOWN = NAMES.reduce((mask, name) => mask | (1 << BITS[name]), 0) >>> 0;

/** TPMA_OBJECT; a reserved bit is a fault. */
export function readObjectAttributes(reader: StructureReader, field: string): ReadonlySet<ObjectAttribute> {
  const word = reader.u32(field);
  const reserved = (word & ~KNOWN) >>> 0;
  if (reserved !== 0) reader.fault(field, 'no reserved bit', `0x${reserved.toString(16)}`, 4);
  return new Set(NAMES.filter((name) => (word & (1 << BITS[name])) !== 0));
}
