import { encode } from 'cborg';

import { PeerError } from '../../core/errors/muster-error.ts';

/** What a commissioner or a gateway forwards of a Matter device (Matter core specification §11.18). */
export interface MatterAttestation {
  /** Certificates, DER. */
  readonly dac: Uint8Array;
  readonly pai: Uint8Array;
  /** The attestation challenge of the device's session, 16 octets. */
  readonly challenge: Uint8Array;
  /** NOCSR elements (TLV) with the signature of the DAC's key over them and the challenge, r ‖ s. */
  readonly nocsr: Uint8Array;
  readonly nocsrSignature: Uint8Array;
  /** Attestation elements (TLV), signed alike: both or neither. */
  readonly elements?: Uint8Array;
  readonly elementsSignature?: Uint8Array;
}

/** The octets of evidence of type `matter-dac`: one CBOR map of the members above by their names. */
export function encodeMatterEvidence(attestation: MatterAttestation): Uint8Array {
  return new Uint8Array(encode({ ...attestation }));
}

// Matter core specification §A.7, appendix A: an anonymous structure whose first member has the context tag 1.
const STRUCTURE = 0x15;
const CSR_TAG = 0x01;
/** Octet strings by the size of their length, with a context tag. */
const OCTET_STRING: Readonly<Record<number, 1 | 2>> = { 0x30: 1, 0x31: 2 };

/**
 * The certification request in NOCSR elements (§11.18.4.9): what is signed besides is the verifier's to look at.
 * @throws PeerError `malformed-request`
 */
export function certificationRequestIn(nocsr: Uint8Array): Uint8Array {
  const [structure, control = 0, tag] = nocsr;
  const width = OCTET_STRING[control];
  if (structure === STRUCTURE && tag === CSR_TAG && width !== undefined && nocsr.length >= 3 + width) {
    const length = Buffer.from(nocsr.buffer, nocsr.byteOffset, nocsr.length).readUIntLE(3, width);
    const start = 3 + width;
    if (length > 0 && start + length < nocsr.length) return nocsr.subarray(start, start + length);
  }
  throw new PeerError('malformed-request', 'nocsr: expected a structure that begins with a certification request');
}
