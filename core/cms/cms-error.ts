/** Why CMS input cannot be used although it is well-formed, or why a message cannot be built as asked. */
export type CmsFault =
  /** An algorithm, or parameters of one, that is not implemented or not allowed here. */
  | 'unsupported-algorithm'
  /** No RecipientInfo names our key. */
  | 'recipient-absent'
  /** Several RecipientInfos name our key: only an attacker has a use for that. */
  | 'recipient-ambiguous'
  /** A figure that the sender chose, such as a PBKDF2 iteration count, is out of bounds. */
  | 'out-of-bounds'
  /** The caller asked for a combination that has no encoding. */
  | 'invalid-argument';

/**
 * A fault of meaning in CMS input, known before any private key was used; and the one error for impossible arguments.
 * Input that is not the DER (or normalisable BER) of its type throws Asn1Error instead.
 */
export class CmsError extends Error {
  readonly fault: CmsFault;
  readonly expected: string;
  readonly found: string;

  constructor(fault: CmsFault, expected: string, found: string) {
    super(`${fault}: expected ${expected}, found ${found}`);
    this.name = 'CmsError';
    this.fault = fault;
    this.expected = expected;
    this.found = found;
  }
}

/**
 * Decryption failed, and nobody learns where: RSA padding, key wrap, content padding and authentication tag end here
 * alike, without a cause (RFC 3218 §2.3; the attacks of Bleichenbacher and Vaudenay live on the difference).
 */
export class CmsDecryptError extends Error {
  constructor() {
    super('the content cannot be decrypted');
    this.name = 'CmsDecryptError';
  }
}
