import { createHash } from 'node:crypto';
import { octetsEqual, toHex } from '../../../core/x509/octets.ts';
import type { SubjectPublicKeyInfo } from '../../../core/x509/public-key.ts';
import { EvidenceFault } from '../findings.ts';
import { type SignedAttest, verifiedAttest } from './attest-signature.ts';
import { parseCreationData } from './creation-data.ts';
import { checkCertifiedKey, keyClaims } from './key-rules.ts';
import { objectName, qualifiedName } from './names.ts';
import { parsedStructure } from './parsed-structure.ts';
import { parsePublicArea, type PublicArea } from './public-area.ts';
import { tpmPublicKey } from './tpm-public-key.ts';

/** What says that a key is in a TPM. */
export interface KeyCertification extends SignedAttest {
  /** TPMT_PUBLIC of the key. */
  readonly publicArea: Uint8Array;
}

/** A key that an attestation key vouches for. */
export interface CertifiedKey {
  readonly area: PublicArea;
  readonly publicKey: SubjectPublicKeyInfo;
  /** What the attestation was asked to hold: the nonce. */
  readonly extraData: Uint8Array;
  readonly claims: Readonly<Record<string, boolean>>;
}

/**
 * Verifies TPM2_Certify of a key (TPM 2.0 Library, Part 3 §18.2): signature, Name, attributes and size. Whether the attestation
 * key is trusted and the extraData fresh is for the caller to say.
 * @throws EvidenceFault `tpm-…`, `key-…`
 */
export function certifiedKey(certification: KeyCertification, attestationKey: SubjectPublicKeyInfo): CertifiedKey {
  const area = parsedStructure(() => parsePublicArea(certification.publicArea));
  const { attest } = verifiedAttest(certification, 'certify', attestationKey);
  checkName(attest.name, area);
  return acceptable(area, attest.extraData);
}

/**
 * Verifies TPM2_CertifyCreation of a key (Part 3 §18.3): as {@link certifiedKey}. In what circumstances it was made is not looked at.
 * @throws EvidenceFault `tpm-…`, `key-…`
 */
export function createdKey(certification: KeyCertification, attestationKey: SubjectPublicKeyInfo): CertifiedKey {
  const area = parsedStructure(() => parsePublicArea(certification.publicArea));
  const { attest } = verifiedAttest(certification, 'creation', attestationKey);
  checkName(attest.objectName, area);
  return acceptable(area, attest.extraData);
}

/** The creation of an attestation key, as the key itself attests it. */
export interface SelfAttestedCreation extends SignedAttest {
  readonly area: PublicArea;
  /** TPMS_CREATION_DATA. */
  readonly creationData: Uint8Array;
}

/**
 * Verifies that an attestation key attests its own creation, with this creation data and below the parent that this names.
 * @throws EvidenceFault `tpm-…`
 * @returns its Qualified Name, by which its later attestations name it
 */
export function selfAttestedCreation({ area, creationData, ...signed }: SelfAttestedCreation): Uint8Array {
  const data = parsedStructure(() => parseCreationData(creationData));
  const { attest } = verifiedAttest(signed, 'creation', tpmPublicKey(area));
  checkName(attest.objectName, area);
  const digest = createHash(area.nameAlg).update(data.bytes).digest();
  if (!octetsEqual(digest, attest.creationHash)) {
    throw new EvidenceFault('tpm-creation-mismatch', `creationHash is ${toHex(attest.creationHash)}`);
  }
  if (!octetsEqual(attest.qualifiedSigner, qualifiedName(data.parentQualifiedName, area))) {
    throw new EvidenceFault('tpm-creation-mismatch', `qualifiedSigner is ${toHex(attest.qualifiedSigner)}`);
  }
  return attest.qualifiedSigner;
}

function acceptable(area: PublicArea, extraData: Uint8Array): CertifiedKey {
  checkCertifiedKey(area);
  return { area, publicKey: tpmPublicKey(area), extraData, claims: keyClaims(area) };
}

function checkName(name: Uint8Array, area: PublicArea): void {
  const expected = objectName(area);
  if (octetsEqual(name, expected)) return;
  throw new EvidenceFault('tpm-name-mismatch', `attested ${toHex(name)}, the public area has ${toHex(expected)}`);
}
