import type { AttestationPolicy, EvidenceType } from '../../core/enrollment/attestation-policy.ts';
import type { SubjectPublicKeyInfo } from '../../core/x509/public-key.ts';
import type { AnchorPurpose, TrustAnchor } from './anchors.ts';
import type { FindingCode } from './findings.ts';

/** The kinds of identifier evidence proves. Serial numbers and names as text; hashes in lower-case hex. */
export const IDENTIFIER_KINDS = [
  'serial-number',
  /** SHA-256 of the endorsement key's SubjectPublicKeyInfo. */
  'ek-sha256',
  /** SHA-256 of the SubjectPublicKeyInfo of an IDevID or a Matter DAC. */
  'idevid-sha256',
  'manufacturer',
  'model',
  /** Matter: four upper-case hex digits. */
  'vendor-id',
  'product-id',
  'permanent-identifier',
  /** hwType OID `;` hwSerialNum in hex. */
  'hardware-module',
] as const;
export type IdentifierKind = (typeof IDENTIFIER_KINDS)[number];
export type Identifiers = Readonly<Partial<Record<IdentifierKind, string>>>;

/** Verifies one or several kinds of evidence. */
export interface EvidenceVerifier {
  readonly types: readonly EvidenceType[];
  /**
   * Verifies everything that can be verified without the request.
   * @throws EvidenceFault for whatever does not convince, faults of encoding included.
   */
  appraise(bytes: Uint8Array, context: AppraisalContext): Promise<VerifiedEvidence>;
}

/** What a verifier found. */
export interface VerifiedEvidence {
  /** The key the evidence attests; undefined where it speaks of the device alone. */
  readonly attestedPublicKey: SubjectPublicKeyInfo | undefined;
  readonly identifiers: Identifiers;
  readonly claims: Readonly<Record<string, string | number | boolean>>;
  /** Noticed, not refused. */
  readonly findings: readonly FindingCode[];
}

/** What a verifier goes by. */
export interface AppraisalContext {
  /** Which of its types the evidence is. */
  readonly type: EvidenceType;
  readonly now: Date;
  /** The exact octets that must be in the evidence; undefined where it must hold one for {@link takeNonce}. */
  readonly nonce: Uint8Array | undefined;
  /** True once for a nonce issued here for this endpoint, while it lives. Call it last: what is refused afterwards has used it up. */
  takeNonce(nonce: Uint8Array): Promise<boolean>;
  anchors<P extends AnchorPurpose>(purpose: P): readonly TrustAnchor<P>[];
  readonly policy: AttestationPolicy;
  /** What devices of a model may measure; several where several firmwares are in use. */
  referenceValues(model: string): readonly ReferenceValues[];
  /** Whether the manifest holds the endorsement key: it then needs no certificate. By SHA-256 of its SubjectPublicKeyInfo, lower-case hex. */
  isAllowedKey(kind: 'ek', sha256: string): Promise<boolean>;
  /** The model that the manifest gives the device of a key. */
  expectedModel(kind: 'ek' | 'idevid', sha256: string): Promise<string | undefined>;
  /** Whether a CA's device certificate was revoked, by what was imported: key identifier of the issuer and serial number, lower-case hex. */
  isRevoked(issuerKeyId: string, serialNumber: string): Promise<boolean>;
  /** An attestation key that this installation has activated, by its TPM Name or Qualified Name. */
  knownAttestationKey(name: Uint8Array): Promise<KnownAttestationKey | undefined>;
  /** The attestation key that a TPM has shown to hold by giving back this secret, which is then used up. Call it last. */
  activatedKey(secret: Uint8Array): Promise<KnownAttestationKey | undefined>;
}

/** An attestation key that was proved to stand in the TPM of an endorsement key. */
export interface KnownAttestationKey {
  readonly publicKey: SubjectPublicKeyInfo;
  /** What its activation proved: `ek-sha256`, … */
  readonly identifiers: Identifiers;
  /** What is known of the chip. */
  readonly claims: VerifiedEvidence['claims'];
  /** The certificates that vouched for its EK, for `isRevoked`; none where the manifest did. */
  readonly revocable: readonly { readonly issuerKeyId: string; readonly serialNumber: string }[];
}

/** What one firmware of a model measures. */
export interface ReferenceValues {
  readonly id: string;
  readonly model: string;
  readonly firmware: string;
  /** By PCR bank (`sha256`, `sha384`) and index: the digests that are right, lower-case hex. */
  readonly pcrs: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
  /** Claims that must be as said: of an EAT, or what else a verifier calls a claim. */
  readonly claims: Readonly<Record<string, string | number | boolean>>;
}
