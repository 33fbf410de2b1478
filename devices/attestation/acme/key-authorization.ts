import { hash } from 'node:crypto';

/** The octets that an `apple` attestation is fresh for: SHA-256 of the token alone, as Apple signs before an account is known. */
export function tokenDigest(keyAuthorization: Uint8Array): Uint8Array {
  const dot = keyAuthorization.indexOf(0x2e);
  return hash('sha256', dot < 0 ? keyAuthorization : keyAuthorization.subarray(0, dot), 'buffer');
}

/** The octets that a `tpm` attestation is fresh for: SHA-256 of the key authorization (RFC 8555 §8.1). */
export function keyAuthorizationDigest(keyAuthorization: Uint8Array): Uint8Array {
  return hash('sha256', keyAuthorization, 'buffer');
}
