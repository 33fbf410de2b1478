import type { HashName } from '../../../core/x509/signature-algorithm.ts';
import { hex16, readHash, TPM_ALG } from './algorithms.ts';
import { readStructure, type StructureReader } from './structure-reader.ts';

/** TPMT_SIGNATURE (TPM 2.0 Library, Part 2 §11.3.4). */
export type TpmSignature =
  | { readonly algorithm: 'rsassa' | 'rsapss'; readonly hash: HashName; readonly signature: Uint8Array }
  /** r and s as they came: they may be shorter than the field. */
  | { readonly algorithm: 'ecdsa'; readonly hash: HashName; readonly r: Uint8Array; readonly s: Uint8Array };

const MAX_OCTETS = 1024;
const RSA_SIGNATURE = { min: 128, max: 512 };
/** The field of P-521. */
const NUMBER = { min: 1, max: 66 };

/** Decodes a TPMT_SIGNATURE of RSASSA, RSAPSS or ECDSA. Throws TpmStructureError. */
export function parseTpmtSignature(bytes: Uint8Array): TpmSignature {
  return readStructure('TPMT_SIGNATURE', bytes, MAX_OCTETS, readSignature);
}

function readSignature(reader: StructureReader): TpmSignature {
  const id = reader.u16('sigAlg');
  switch (id) {
    case TPM_ALG.rsassa:
      return { algorithm: 'rsassa', ...readRsa(reader) };
    case TPM_ALG.rsapss:
      return { algorithm: 'rsapss', ...readRsa(reader) };
    case TPM_ALG.ecdsa: {
      const hash = readHash(reader, 'signature.hash');
      return {
        algorithm: 'ecdsa',
        hash,
        r: reader.sized('signature.signatureR', NUMBER),
        s: reader.sized('signature.signatureS', NUMBER),
      };
    }
    default:
      return reader.fault('sigAlg', 'RSASSA, RSAPSS or ECDSA', hex16(id), 2);
  }
}

function readRsa(reader: StructureReader): { hash: HashName; signature: Uint8Array } {
  const hash = readHash(reader, 'signature.hash');
  return { hash, signature: reader.sized('signature.sig', RSA_SIGNATURE) };
}
