import { hex16, TPM_ALG } from './algorithms.ts';
import { type PcrSelection, readPcrSelection } from './pcr-selection.ts';
import { readStructure } from './structure-reader.ts';

/** In what circumstances a TPM made an object (TPMS_CREATION_DATA; TPM 2.0 Library, Part 2 §15.1). */
export interface CreationData {
  readonly bytes: Uint8Array;
  readonly pcrSelect: PcrSelection;
  readonly pcrDigest: Uint8Array;
  readonly locality: number;
  /** Name of the parent; for a primary object the 4 octets of its hierarchy's handle. */
  readonly parentName: Uint8Array;
  readonly parentQualifiedName: Uint8Array;
  readonly outsideInfo: Uint8Array;
}

const MAX_OCTETS = 512;
const NAME = { max: 66 };
const DATA = { max: 66 };
const DIGEST = { max: 64 };

/** Decodes a TPMS_CREATION_DATA. Throws TpmStructureError. */
export function parseCreationData(bytes: Uint8Array): CreationData {
  return readStructure('TPMS_CREATION_DATA', bytes, MAX_OCTETS, (reader) => {
    const pcrSelect = readPcrSelection(reader, 'pcrSelect');
    const pcrDigest = reader.sized('pcrDigest', DIGEST);
    const locality = reader.u8('locality');
    const parentNameAlg = reader.u16('parentNameAlg');
    if (parentNameAlg < TPM_ALG.sha1 || parentNameAlg > TPM_ALG.null) {
      reader.fault('parentNameAlg', 'a hash algorithm or NULL', hex16(parentNameAlg), 2);
    }
    return {
      bytes,
      pcrSelect,
      pcrDigest,
      locality,
      parentName: reader.sized('parentName', NAME),
      parentQualifiedName: reader.sized('parentQualifiedName', NAME),
      outsideInfo: reader.sized('outsideInfo', DATA),
    };
  });
}
