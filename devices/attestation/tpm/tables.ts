/** Tables of this folder. Times are epoch milliseconds, digests and TPM names lower-case hex. */
export interface AttestationKeyTables {
  attestation_keys: AttestationKeyRow;
  attestation_key_activations: ActivationRow;
}

/** An attestation key that was proved to stand in the TPM of an endorsement key. */
export interface AttestationKeyRow {
  tenant: string;
  /** TPM Name. */
  name: string;
  /** Where the key stands, as TPMS_ATTEST names the signer; null where its creation was not attested. */
  qualified_name: string | null;
  /** SubjectPublicKeyInfo. */
  public_key: Uint8Array;
  ek_sha256: string;
  /** JSON of Identifiers. */
  identifiers: string;
  /** JSON of the claims. */
  claims: string;
  /** JSON of the certificates that vouched for the EK, as revocation sets name them. */
  revocable: string;
  activated_at: number;
}

/** A secret that went out to a TPM and is waited for. */
export interface ActivationRow {
  tenant: string;
  /** SHA-256 of the secret. */
  secret_sha256: string;
  /** The endpoint it was begun at. */
  endpoint: string;
  name: string;
  qualified_name: string | null;
  public_key: Uint8Array;
  ek_sha256: string;
  identifiers: string;
  claims: string;
  revocable: string;
  expires_at: number;
}
