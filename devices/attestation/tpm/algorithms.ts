import type { CurveName } from '../../../core/x509/ec-curve.ts';
import type { HashName } from '../../../core/x509/signature-algorithm.ts';
import type { StructureReader } from './structure-reader.ts';

/** TPM_ALG_ID values that occur in keys and signatures (TPM 2.0 Library, Part 2 §6.3). */
export const TPM_ALG = {
  rsa: 0x0001,
  sha1: 0x0004,
  aes: 0x0006,
  sha256: 0x000b,
  sha384: 0x000c,
  sha512: 0x000d,
  null: 0x0010,
  rsassa: 0x0014,
  rsaes: 0x0015,
  rsapss: 0x0016,
  oaep: 0x0017,
  ecdsa: 0x0018,
  ecdh: 0x0019,
  ecdaa: 0x001a,
  sm2: 0x001b,
  ecschnorr: 0x001c,
  ecc: 0x0023,
  cfb: 0x0043,
} as const;

/** The hash algorithms a name may be computed with: SHA-1 names no key here. */
export type NameHash = Exclude<HashName, 'sha1'>;

const HASHES: ReadonlyMap<number, HashName> = new Map([
  [TPM_ALG.sha1, 'sha1'],
  [TPM_ALG.sha256, 'sha256'],
  [TPM_ALG.sha384, 'sha384'],
  [TPM_ALG.sha512, 'sha512'],
]);

const HASH_OCTETS: Readonly<Record<HashName, number>> = { sha1: 20, sha256: 32, sha384: 48, sha512: 64 };

/** TPM_ECC_CURVE (Part 2 §6.4), as far as X.509 keys here know them. */
const CURVES: ReadonlyMap<number, CurveName> = new Map([
  [0x0003, 'P-256'],
  [0x0004, 'P-384'],
  [0x0005, 'P-521'],
]);

/** Octets of a digest. */
export function digestOctets(hash: HashName): number {
  return HASH_OCTETS[hash];
}

/** The TPM_ALG_ID of a hash algorithm. */
export function hashAlgorithmId(hash: HashName): number {
  return TPM_ALG[hash];
}

/** TPMI_ALG_HASH of the algorithms known here. */
export function readHash(reader: StructureReader, field: string): HashName {
  const id = reader.u16(field);
  return HASHES.get(id) ?? reader.fault(field, 'SHA-1, SHA-256, SHA-384 or SHA-512', hex16(id), 2);
}

/** TPMI_ALG_HASH of the algorithms that names are made with. */
export function readNameHash(reader: StructureReader, field: string): NameHash {
  const hash = readHash(reader, field);
  if (hash === 'sha1') reader.fault(field, 'SHA-256, SHA-384 or SHA-512', 'SHA-1', 2);
  return hash;
}

/** TPMI_ECC_CURVE of the curves known here. */
export function readCurve(reader: StructureReader, field: string): CurveName {
  const id = reader.u16(field);
  return CURVES.get(id) ?? reader.fault(field, 'P-256, P-384 or P-521', hex16(id), 2);
}

/** An algorithm id as the TPM Library writes it. */
export function hex16(value: number): string {
  return `0x${value.toString(16).padStart(4, '0')}`;
}
