import type { HashName } from '../../../core/x509/signature-algorithm.ts';
import { hashAlgorithmId, readHash } from './algorithms.ts';
import type { StructureReader } from './structure-reader.ts';

/** The PCRs of one bank: ascending indexes, possibly none. */
export interface PcrBank {
  readonly hash: HashName;
  readonly pcrs: readonly number[];
}

/** TPML_PCR_SELECTION (TPM 2.0 Library, Part 2 §10.9.7), in its order; each bank at most once. */
export type PcrSelection = readonly PcrBank[];

/** There are four hash algorithms known here. */
const MAX_BANKS = 4;
/** Bitmaps of real TPMs have 3 octets; more than 32 PCRs exist nowhere. */
const MAX_SELECT_OCTETS = 4;
const MIN_SELECT_OCTETS = 3;

/** TPML_PCR_SELECTION. The bitmap is little-bit-first: bit k of octet i is PCR 8i + k. */
export function readPcrSelection(reader: StructureReader, field: string): PcrSelection {
  const count = reader.u32(`${field}.count`);
  if (count > MAX_BANKS) reader.fault(`${field}.count`, `at most ${MAX_BANKS}`, String(count), 4);
  const banks: PcrBank[] = [];
  for (let i = 0; i < count; i++) {
    const path = `${field}.pcrSelections[${i}]`;
    const hash = readHash(reader, `${path}.hash`);
    if (banks.some((bank) => bank.hash === hash)) reader.fault(`${path}.hash`, 'each bank once', `${hash} twice`, 2);
    const octets = reader.u8(`${path}.sizeofSelect`);
    if (octets === 0 || octets > MAX_SELECT_OCTETS) {
      reader.fault(`${path}.sizeofSelect`, `1 to ${MAX_SELECT_OCTETS}`, String(octets), 1);
    }
    banks.push({ hash, pcrs: indexes(reader.octets(octets, `${path}.pcrSelect`)) });
  }
  return banks;
}

/** The TPML_PCR_SELECTION of these banks, as TPM2_PolicyPCR digests it: three octets of bitmap a bank, more where needed. */
export function encodePcrSelection(selection: PcrSelection): Uint8Array {
  const parts = selection.map(({ hash, pcrs }) => {
    const id = hashAlgorithmId(hash);
    const bitmap = new Uint8Array(Math.max(MIN_SELECT_OCTETS, ...pcrs.map((pcr) => (pcr >> 3) + 1)));
    for (const pcr of pcrs) bitmap[pcr >> 3]! |= 1 << (pcr & 7);
    return [id >> 8, id & 0xff, bitmap.length, ...bitmap];
  });
  return Uint8Array.from([0, 0, 0, selection.length, ...parts.flat()]);
}

/** Text of a selection as tpm2-tools write it, such as `sha256:0,1,7`; `none` where it is empty. */
export function selectionText(selection: PcrSelection): string {
  const banks = selection.filter(({ pcrs }) => pcrs.length > 0);
  return banks.map(({ hash, pcrs }) => `${hash}:${pcrs.join(',')}`).join('+') || 'none';
}

function indexes(bitmap: Uint8Array): number[] {
  return Array.from({ length: 8 * bitmap.length }, (_, pcr) => pcr).filter(
    (pcr) => (bitmap[pcr >> 3]! & (1 << (pcr & 7))) !== 0,
  );
}
