import { verifySignature } from '../../../core/x509/signature-algorithm.ts';
import type { SubjectPublicKeyInfo } from '../../../core/x509/public-key.ts';
import { encodeEcdsaSignature } from '../../../core/keys/ecdsa-signature.ts';
import { decodeTlvStructure, TlvError, type TlvStructure, tlvBytes, tlvUnsigned } from './tlv.ts';

/** What a device says of itself in answer to AttestationRequest (Matter Core Specification §11.18.4.4). */
export interface AttestationElements {
  /** CMS, see `certification-declaration.ts`. */
  readonly certificationDeclaration: Uint8Array;
  readonly nonce: Uint8Array;
  /** Seconds since 2000-01-01T00:00:00Z; 0 where the device has no clock. */
  readonly timestamp: number;
  readonly firmwareInformation: Uint8Array | undefined;
}

/** What a device answers to CSRRequest (§11.18.4.9): a request for its operational certificate, signed by the key it is for. */
export interface NocsrElements {
  /** PKCS #10, DER. */
  readonly csr: Uint8Array;
  readonly nonce: Uint8Array;
}

/** RESP_MAX, the longest elements a device answers with. */
const MAX_ELEMENTS_OCTETS = 900;
const NONCE_OCTETS = 32;
/** r ‖ s on P-256. */
const SIGNATURE_OCTETS = 64;

/** Decodes attestation elements. @throws TlvError */
export function decodeAttestationElements(octets: Uint8Array): AttestationElements {
  const elements = boundedStructure(octets);
  return {
    certificationDeclaration: tlvBytes(elements.get(1), 'certification_declaration'),
    nonce: tlvBytes(elements.get(2), 'attestation_nonce', NONCE_OCTETS),
    timestamp: tlvUnsigned(elements.get(3), 'timestamp', 2 ** 32 - 1),
    firmwareInformation: elements.has(4) ? tlvBytes(elements.get(4), 'firmware_information') : undefined,
  };
}

/** Decodes NOCSR elements. @throws TlvError */
export function decodeNocsrElements(octets: Uint8Array): NocsrElements {
  const elements = boundedStructure(octets);
  return {
    csr: tlvBytes(elements.get(1), 'csr'),
    nonce: tlvBytes(elements.get(2), 'CSRNonce', NONCE_OCTETS),
  };
}

/**
 * Whether the DAC's key signed these elements in the session of this attestation challenge: ECDSA with SHA-256, r ‖ s, over both
 * joined (§6.2.3). Never throws.
 */
export function verifyElements(
  deviceKey: SubjectPublicKeyInfo,
  elements: Uint8Array,
  challenge: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (signature.length !== SIGNATURE_OCTETS) return false;
  const signed = Buffer.concat([elements, challenge]);
  return verifySignature(deviceKey, 'ecdsa-with-SHA256', signed, encodeEcdsaSignature(signature));
}

function boundedStructure(octets: Uint8Array): TlvStructure {
  if (octets.length > MAX_ELEMENTS_OCTETS) {
    throw new TlvError(`at most ${MAX_ELEMENTS_OCTETS} octets of elements`, `${octets.length}`);
  }
  return decodeTlvStructure(octets);
}
