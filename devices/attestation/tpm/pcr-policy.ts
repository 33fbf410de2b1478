import { createHash } from 'node:crypto';
import type { HashName } from '../../../core/x509/signature-algorithm.ts';
import { digestOctets, type NameHash } from './algorithms.ts';
import { encodePcrSelection, type PcrSelection } from './pcr-selection.ts';

const TPM_CC_POLICY_PCR = Uint8Array.of(0, 0, 0x01, 0x7f);

/** The digest of PCR values, joined in the order of their selection, as TPM2_Quote and TPM2_PolicyPCR make it. */
export function pcrDigest(hash: HashName, values: readonly Uint8Array[]): Uint8Array {
  const digest = createHash(hash);
  for (const value of values) digest.update(value);
  return new Uint8Array(digest.digest());
}

/**
 * The authPolicy of a key that may be used only while these PCRs hold these values: TPM2_PolicyPCR from an empty policy
 * (TPM 2.0 Library, Part 3 §23.7).
 */
export function policyPcrDigest(nameAlg: NameHash, selection: PcrSelection, digest: Uint8Array): Uint8Array {
  const policy = createHash(nameAlg)
    .update(new Uint8Array(digestOctets(nameAlg)))
    .update(TPM_CC_POLICY_PCR)
    .update(encodePcrSelection(selection))
    .update(digest)
    .digest();
  return new Uint8Array(policy);
}
