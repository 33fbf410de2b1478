import type { SubjectPublicKeyInfo } from '../../../core/x509/public-key.ts';
import { EvidenceFault } from '../findings.ts';
import { type Attest, parseAttest } from './attest.ts';
import { parsedStructure } from './parsed-structure.ts';
import { verifyTpmSignature } from './tpm-signature-verification.ts';
import { parseTpmtSignature, type TpmSignature } from './tpmt-signature.ts';

/** A TPMS_ATTEST with the signature over it, as evidence carries them. */
export interface SignedAttest {
  readonly attest: Uint8Array;
  /** A TPMT_SIGNATURE, or the bare octets of an RSASSA signature with SHA-256. */
  readonly signature: Uint8Array;
}

/** An attestation of one of these types. */
export type AttestOf<T extends Attest['type']> = Extract<Attest, { readonly type: T }>;

/** An attestation of the wanted type whose signature verifies. */
export interface VerifiedAttest<T extends Attest['type']> {
  readonly attest: AttestOf<T>;
  readonly signature: TpmSignature;
}

/** Decodes a TPMS_ATTEST and refuses other types than the wanted ones. Throws EvidenceFault `tpm-malformed`, `tpm-attest-type`. */
export function attestOfType<T extends Attest['type']>(octets: Uint8Array, ...types: readonly T[]): AttestOf<T> {
  const attest = parsedStructure(() => parseAttest(octets));
  if (!types.some((type) => type === attest.type)) {
    throw new EvidenceFault(
      'tpm-attest-type',
      `expected an attestation of type ${types.join(' or ')}, found ${attest.type}`,
    );
  }
  return attest as AttestOf<T>;
}

/**
 * Decodes a signed attestation and verifies it with the key.
 * @throws EvidenceFault `tpm-malformed`, `tpm-attest-type`, `tpm-sha1`, `tpm-signature`
 */
export function verifiedAttest<T extends Attest['type']>(
  signed: SignedAttest,
  type: T,
  key: SubjectPublicKeyInfo,
): VerifiedAttest<T> {
  const attest = attestOfType(signed.attest, type);
  const signature = attestSignature(signed.signature, key);
  if (signature.hash === 'sha1') throw new EvidenceFault('tpm-sha1', 'the attestation is signed with SHA-1');
  if (!verifyTpmSignature({ publicKey: key, data: signed.attest, signature })) {
    throw new EvidenceFault('tpm-signature', `${signature.algorithm} does not verify with the attestation key`);
  }
  return { attest, signature };
}

/**
 * The signature over an attestation. Windows sends bare RSA octets where WebAuthn has a TPMT_SIGNATURE; the latter is six octets longer
 * than the modulus, so nothing is both.
 */
function attestSignature(octets: Uint8Array, { algorithm }: SubjectPublicKeyInfo): TpmSignature {
  const isBare = algorithm.kind === 'rsa' && octets.length === Math.ceil(algorithm.bits / 8);
  if (isBare) return { algorithm: 'rsassa', hash: 'sha256', signature: octets };
  return parsedStructure(() => parseTpmtSignature(octets));
}
