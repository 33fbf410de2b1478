import type { Certificate } from './certificate.ts';

/** Why no path was accepted. */
export type PathFailureReason =
  /** No chain of names leads from the certificate to a trust anchor. */
  | 'no-path'
  /** Names match, and no candidate's key verifies the signature. */
  | 'bad-signature'
  /** A signature rests on SHA-1, which the caller did not allow. */
  | 'weak-signature-algorithm'
  | 'not-yet-valid'
  | 'expired'
  /** An issuer is not a CA: basicConstraints absent or cA false, or a certificate of version 1 or 2. */
  | 'not-a-ca'
  | 'path-length'
  | 'key-usage'
  | 'extended-key-usage'
  | 'name-constraints'
  | 'policy'
  | 'unknown-critical-extension'
  /** An extension that had to be read is not what its type says. */
  | 'malformed-extension'
  /** Deciding would take more work than is allowed; see {@link PathLimits}. */
  | 'limit';

/** A refusal: the reason, and for the operator which certificate and what about it. */
export interface PathFailure {
  readonly ok: false;
  readonly reason: PathFailureReason;
  readonly detail: string;
}

/** An accepted path, from the certificate in question to the trust anchor, both included. */
export interface PathSuccess {
  readonly ok: true;
  readonly chain: readonly Certificate[];
}

/** What one validation may cost, whatever certificates it is given. */
export interface PathLimits {
  /** Certificates in a path, anchor and end entity included. */
  readonly maxDepth: number;
  /** Certificates offered as intermediates. */
  readonly maxIntermediates: number;
  /** Signatures verified. */
  readonly maxSignatures: number;
  /** Candidate issuers looked at, over all paths tried. */
  readonly maxSteps: number;
  /** Comparisons of a name with a constraint; for directory names, of one RDN. */
  readonly maxNameComparisons: number;
}

/** Ample for real hierarchies (three or four levels, two generations of keys); milliseconds for hostile ones. */
export const DEFAULT_PATH_LIMITS: PathLimits = {
  maxDepth: 6,
  maxIntermediates: 16,
  maxSignatures: 32,
  maxSteps: 256,
  maxNameComparisons: 10_000,
};

/** A refusal. */
export function refusal(reason: PathFailureReason, detail: string): PathFailure {
  return { ok: false, reason, detail };
}
