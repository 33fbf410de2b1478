/** What a caller allows a message to cost. Every bound is checked before the work it bounds. */
export interface Limits {
  /** Octets of the whole input. */
  readonly maxBytes: number;
  /** Constructed encodings (and DER inside strings) nested in each other; at most {@link DEEPEST}. */
  readonly maxDepth: number;
  /** Tag-length-value triples read, in total. */
  readonly maxItems: number;
  /** Content octets of one INTEGER. */
  readonly maxIntegerBytes: number;
  /**
   * `der`: a SET or SET OF must be in the order of X.690 §10.3 and §11.6. `any`: it is taken as it comes. RFC 5652 §5.4
   * signs the DER order, but attributes arrive in the sender's order: CMS input is read with `any`.
   */
  readonly setOrder: 'der' | 'any';
}

/** Enough for every certificate, request and enrolment message; a CRL's reader raises maxBytes and maxItems. */
export const DEFAULT_LIMITS: Limits = {
  maxBytes: 64 * 1024,
  maxDepth: 32,
  maxItems: 8192,
  maxIntegerBytes: 2049, // RSA with 16,384 bits and a sign octet
  setOrder: 'der',
};

/** No caller can ask for more depth: each level is a few stack frames, and a stack overflow is not a typed error. */
const DEEPEST = 128;

/** Completes what a caller gave with the defaults. */
export function completeLimits(limits: Partial<Limits> | undefined): Limits {
  if (limits === undefined) return DEFAULT_LIMITS;
  const complete = { ...DEFAULT_LIMITS, ...limits };
  return complete.maxDepth > DEEPEST ? { ...complete, maxDepth: DEEPEST } : complete;
}
