import { Asn1Error } from '../asn1/asn1-error.ts';
import { authorityKeyIdentifier, type Certificate, subjectKeyIdentifier } from './certificate.ts';
import { nameKey, nameToText } from './name.ts';
import { octetsEqual } from './octets.ts';
import { type PathRules, processPath } from './path-processing.ts';
import { DEFAULT_PATH_LIMITS, type PathFailure, type PathLimits, type PathSuccess, refusal } from './path-result.ts';
import { publicKeysEqual } from './public-key.ts';
import { isLegacySignatureAlgorithm, verifySignature } from './signature-algorithm.ts';

/** A certificate in question, what may lie above it, and the rules. */
export interface PathInput extends PathRules {
  readonly leaf: Certificate;
  /** Hints, in any order, such as the certificates that came with a message. Nothing about them is trusted. */
  readonly intermediates: readonly Certificate[];
  /** Trusted, whatever signed them. An anchor is never accepted as the leaf. */
  readonly anchors: readonly Certificate[];
  /** Accept signatures with SHA-1 below the anchor. Default false. */
  readonly allowSha1?: boolean;
  readonly limits?: Partial<PathLimits>;
}

/**
 * Looks for a path from `leaf` to one of the anchors that is valid by RFC 5280 §6.1 at the time given; revocation is not
 * looked at. Never throws for any certificates, and its work is bounded by the limits. Of several failures it tells that of
 * the path that got furthest.
 */
export function validatePath(input: PathInput): PathSuccess | PathFailure {
  const limits = { ...DEFAULT_PATH_LIMITS, ...input.limits };
  if (input.intermediates.length > limits.maxIntermediates) {
    return refusal('limit', `${input.intermediates.length} intermediates, more than ${limits.maxIntermediates}`);
  }
  return new PathSearch(input, limits).run();
}

interface Candidate {
  readonly certificate: Certificate;
  readonly isAnchor: boolean;
}

// How much a failure tells: the later ones stand for work that got further. That no path is known is 0.
const BADLY_SIGNED = 1;
const WEAKLY_SIGNED = 2;
const JUDGED = 3;
const EXHAUSTED = 4;

/** Depth-first, from the leaf up (RFC 4158 §3.1): each signature is verified before anything above it is looked at. */
class PathSearch {
  readonly #input: PathInput;
  readonly #limits: PathLimits;
  /** Per child: issuers whose signature was tried, so that cross-certificates do not have it tried again. */
  readonly #verified = new Map<Certificate, Map<Certificate, boolean>>();
  #stepsLeft: number;
  #signaturesLeft: number;
  #failure: PathFailure;
  #weight = 0;

  constructor(input: PathInput, limits: PathLimits) {
    this.#input = input;
    this.#limits = limits;
    this.#stepsLeft = limits.maxSteps;
    this.#signaturesLeft = limits.maxSignatures;
    this.#failure = refusal(
      'no-path',
      `no issuer of ${nameToText(input.leaf.subject)} is known: ${nameToText(input.leaf.issuer)}`,
    );
  }

  run(): PathSuccess | PathFailure {
    return this.#extend([this.#input.leaf]) ?? this.#failure;
  }

  #extend(path: readonly Certificate[]): PathSuccess | undefined {
    const child = path.at(-1)!;
    for (const { certificate, isAnchor } of this.#candidates(child, path)) {
      if (--this.#stepsLeft < 0) return this.#note(refusal('limit', 'too many possible paths'), EXHAUSTED);
      if (!isAnchor && path.length + 2 > this.#limits.maxDepth) {
        this.#note(refusal('limit', `paths end at ${this.#limits.maxDepth} certificates`), JUDGED);
        continue;
      }
      if (!this.#isSignedBy(child, certificate)) continue;
      const longer = [...path, certificate];
      const found = isAnchor ? this.#judge(longer) : this.#extend(longer);
      if (found !== undefined) return found;
      if (this.#weight === EXHAUSTED) return undefined;
    }
    return undefined;
  }

  #judge(chain: readonly Certificate[]): PathSuccess | undefined {
    const failure = processPath(chain, this.#input, this.#limits);
    return failure === undefined ? { ok: true, chain } : this.#note(failure, JUDGED);
  }

  /** Certificates whose subject is the child's issuer: those whose key identifier fits first, anchors before others. */
  #candidates(child: Certificate, path: readonly Certificate[]): Candidate[] {
    const issuer = nameKey(child.issuer);
    const wanted = keyIdentifierOf(child, authorityKeyIdentifier);
    const rank = ({ certificate, isAnchor }: Candidate): number => {
      const own = wanted && keyIdentifierOf(certificate, subjectKeyIdentifier);
      return (wanted && own && !octetsEqual(wanted, own) ? 2 : 0) + (isAnchor ? 0 : 1);
    };
    return [...this.#input.anchors.map(asAnchor), ...this.#input.intermediates.map(asIntermediate)]
      .filter(({ certificate }) => nameKey(certificate.subject) === issuer && !isOnPath(certificate, path))
      .map((candidate) => ({ candidate, rank: rank(candidate) }))
      .toSorted((a, b) => a.rank - b.rank)
      .map(({ candidate }) => candidate);
  }

  #isSignedBy(child: Certificate, issuer: Certificate): boolean {
    const tried = this.#verified.get(child) ?? new Map<Certificate, boolean>();
    this.#verified.set(child, tried);
    const known = tried.get(issuer);
    if (known !== undefined) return known;
    const valid = this.#verify(child, issuer);
    tried.set(issuer, valid);
    return valid;
  }

  #verify(child: Certificate, issuer: Certificate): boolean {
    const { signatureAlgorithm, tbsDer, signature, subject } = child;
    const { allowSha1 = false } = this.#input;
    if (isLegacySignatureAlgorithm(signatureAlgorithm) && !allowSha1) {
      const detail = `${nameToText(subject)} is signed with ${signatureAlgorithm}`;
      this.#note(refusal('weak-signature-algorithm', detail), WEAKLY_SIGNED);
      return false;
    }
    if (--this.#signaturesLeft < 0) {
      this.#note(refusal('limit', 'too many signatures to verify'), EXHAUSTED);
      return false;
    }
    if (verifySignature(issuer.publicKey, signatureAlgorithm, tbsDer, signature, { allowSha1 })) return true;
    const detail = `${nameToText(subject)} is not signed by ${nameToText(issuer.subject)}`;
    this.#note(refusal('bad-signature', detail), BADLY_SIGNED);
    return false;
  }

  #note(failure: PathFailure, weight: number): undefined {
    if (weight <= this.#weight) return;
    this.#failure = failure;
    this.#weight = weight;
  }
}

function asAnchor(certificate: Certificate): Candidate {
  return { certificate, isAnchor: true };
}

function asIntermediate(certificate: Certificate): Candidate {
  return { certificate, isAnchor: false };
}

/** RFC 4158 §2.4.2: the same name with the same key twice is a loop. */
function isOnPath(certificate: Certificate, path: readonly Certificate[]): boolean {
  return path.some(
    (other) =>
      publicKeysEqual(other.publicKey, certificate.publicKey) &&
      nameKey(other.subject) === nameKey(certificate.subject),
  );
}

/** A key identifier is a hint here: a malformed one is no hint, and is refused when the path is judged. */
function keyIdentifierOf(
  certificate: Certificate,
  read: (of: Certificate) => Uint8Array | undefined,
): Uint8Array | undefined {
  try {
    return read(certificate);
  } catch (error) {
    if (error instanceof Asn1Error) return undefined;
    throw error;
  }
}
