import { Asn1Error } from '../asn1/asn1-error.ts';
import {
  basicConstraints,
  type Certificate,
  extendedKeyUsage,
  isSelfIssued,
  keyUsage,
  subjectAltName,
} from './certificate.ts';
import { EXTENSIONS, type KeyUsageBit } from './extensions.ts';
import type { GeneralName } from './general-name.ts';
import { attributeTexts, nameToText } from './name.ts';
import { NameConstraintState } from './name-constraints.ts';
import { ANY_POLICY, ATTRIBUTE_TYPE, EXTENSION, KEY_PURPOSE } from './oids.ts';
import { type PathFailure, type PathLimits, refusal } from './path-result.ts';
import { PolicyGraph } from './policy-graph.ts';

/** What the end entity must be allowed to do. */
interface PathPurpose {
  /** Key purposes (dotted OIDs), one of which the end entity and every authority above it must allow. */
  readonly extendedKeyUsage?: readonly string[];
  /** Bits that must all be set where the end entity has keyUsage. */
  readonly keyUsage?: readonly KeyUsageBit[];
}

/** The inputs of RFC 5280 §6.1.1 (c), (e), (f), (g). */
export interface PathPolicies {
  /** user-initial-policy-set; undefined: any. */
  readonly acceptable?: readonly string[];
  readonly requireExplicitPolicy?: boolean;
  readonly inhibitPolicyMapping?: boolean;
  readonly inhibitAnyPolicy?: boolean;
}

/** What {@link processPath} checks a path against. */
export interface PathRules {
  readonly at: Date;
  readonly purpose?: PathPurpose;
  readonly policies?: PathPolicies;
  /** Deviations that a protocol asks for: `leafExpired` ignores the notAfter of the end entity (renewal after expiry). */
  readonly tolerate?: { readonly leafExpired?: boolean };
  /** Critical extensions (dotted OIDs) that the caller itself understands and has judged, or will. */
  readonly acceptCriticalExtensions?: readonly string[];
}

/** The critical extensions that this algorithm processes, or that others have: revocation is the caller's business. */
const KNOWN_CRITICAL: ReadonlySet<string> = new Set([
  EXTENSION.basicConstraints,
  EXTENSION.keyUsage,
  EXTENSION.extendedKeyUsage,
  EXTENSION.subjectAltName,
  EXTENSION.issuerAltName,
  EXTENSION.nameConstraints,
  EXTENSION.certificatePolicies,
  EXTENSION.policyMappings,
  EXTENSION.policyConstraints,
  EXTENSION.inhibitAnyPolicy,
  EXTENSION.crlDistributionPoints,
  // RFC 5280 §4.2.1.1 has it non-critical; Windows' SCEP client marks it critical. It only helps to find the issuer.
  EXTENSION.authorityKeyIdentifier,
  EXTENSION.subjectKeyIdentifier,
]);

/**
 * RFC 5280 §6.1 over a path whose names chain and whose signatures are verified: `chain` runs from the end entity to the
 * trust anchor. The anchor's own constraints bind as well (RFC 5937), and so does its validity, as in OpenSSL.
 */
export function processPath(
  chain: readonly Certificate[],
  rules: PathRules,
  limits: PathLimits,
): PathFailure | undefined {
  const state = new PathState(chain, rules, limits);
  for (let index = chain.length - 1; index >= 0; index--) {
    const certificate = chain[index]!;
    const failure = guarded(certificate, () => state.process(certificate, index));
    if (failure !== undefined) return failure;
  }
  return undefined;
}

function guarded(certificate: Certificate, check: () => PathFailure | undefined): PathFailure | undefined {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof Asn1Error)) throw error;
    return refusal('malformed-extension', `${nameToText(certificate.subject)}: ${error.message}`);
  }
}

/** The state variables of RFC 5280 §6.1.2, without the working key: signatures are verified while the path is built. */
class PathState {
  readonly #rules: PathRules;
  readonly #anchorIndex: number;
  readonly #names: NameConstraintState;
  readonly #graph = new PolicyGraph();
  #explicitPolicy: number;
  #policyMapping: number;
  #inhibitAny: number;
  #maxPathLength = Number.POSITIVE_INFINITY;

  constructor(chain: readonly Certificate[], rules: PathRules, limits: PathLimits) {
    this.#rules = rules;
    this.#anchorIndex = chain.length - 1;
    this.#names = new NameConstraintState(limits.maxNameComparisons);
    // §6.1.2 (d), (e), (f), with n the certificates below the anchor.
    const beyond = chain.length;
    this.#explicitPolicy = rules.policies?.requireExplicitPolicy === true ? 0 : beyond;
    this.#policyMapping = rules.policies?.inhibitPolicyMapping === true ? 0 : beyond;
    this.#inhibitAny = rules.policies?.inhibitAnyPolicy === true ? 0 : beyond;
  }

  process(certificate: Certificate, index: number): PathFailure | undefined {
    const isAnchor = index === this.#anchorIndex;
    const isLeaf = index === 0;
    return (
      this.#checkValidity(certificate, isLeaf) ??
      this.#checkCriticalExtensions(certificate) ??
      (isAnchor ? undefined : this.#checkNames(certificate, isLeaf)) ??
      (isAnchor ? undefined : this.#descendPolicies(certificate, isLeaf)) ??
      this.#checkPurpose(certificate) ??
      (isLeaf ? this.#wrapUp(certificate) : this.#prepareForNext(certificate, isAnchor))
    );
  }

  // §6.1.3 (a)(2).
  #checkValidity(certificate: Certificate, isLeaf: boolean): PathFailure | undefined {
    const { notBefore, notAfter, subject } = certificate;
    const at = this.#rules.at.getTime();
    if (at < notBefore.getTime()) {
      return refusal('not-yet-valid', `${nameToText(subject)} is valid from ${notBefore.toISOString()}`);
    }
    if (at < notAfter.getTime() + 1000 || (isLeaf && this.#rules.tolerate?.leafExpired === true)) return undefined;
    return refusal('expired', `${nameToText(subject)} was valid until ${notAfter.toISOString()}`);
  }

  // §6.1.4 (o), §6.1.5 (f).
  #checkCriticalExtensions({ extensions, subject }: Certificate): PathFailure | undefined {
    const accepted = this.#rules.acceptCriticalExtensions ?? [];
    const unknown = extensions.find(
      ({ critical, oid }) => critical && !KNOWN_CRITICAL.has(oid) && !accepted.includes(oid),
    );
    if (unknown === undefined) return undefined;
    return refusal('unknown-critical-extension', `${nameToText(subject)} has the critical extension ${unknown.oid}`);
  }

  // §6.1.3 (b), (c).
  #checkNames(certificate: Certificate, isLeaf: boolean): PathFailure | undefined {
    if (!isLeaf && isSelfIssued(certificate)) return undefined;
    const verdict = this.#names.check(constrainedNames(certificate));
    if (verdict.kind === 'within') return undefined;
    const reason = verdict.kind === 'limit' ? 'limit' : 'name-constraints';
    return refusal(reason, `${nameToText(certificate.subject)}: ${verdict.detail}`);
  }

  // §6.1.3 (d), (e), (f).
  #descendPolicies(certificate: Certificate, isLeaf: boolean): PathFailure | undefined {
    const policies = EXTENSIONS.certificatePolicies.find(certificate.extensions);
    this.#graph.descend(policies, this.#inhibitAny > 0 || (!isLeaf && isSelfIssued(certificate)));
    if (this.#explicitPolicy > 0 || !this.#graph.isNull) return undefined;
    return refusal('policy', `${nameToText(certificate.subject)} has no policy that is valid for the path`);
  }

  // RFC 5280 §4.2.1.12 speaks of end entities; that an authority's key purposes bind what it issues is how every verifier reads them.
  #checkPurpose(certificate: Certificate): PathFailure | undefined {
    const wanted = this.#rules.purpose?.extendedKeyUsage;
    const allowed = wanted === undefined ? undefined : extendedKeyUsage(certificate);
    if (wanted === undefined || allowed === undefined || allowed.includes(KEY_PURPOSE.anyExtendedKeyUsage))
      return undefined;
    if (wanted.some((purpose) => allowed.includes(purpose))) return undefined;
    return refusal('extended-key-usage', `${nameToText(certificate.subject)} is not for ${wanted.join(' or ')}`);
  }

  // §6.1.4.
  #prepareForNext(certificate: Certificate, isAnchor: boolean): PathFailure | undefined {
    const failure =
      (isAnchor ? undefined : this.#mapPolicies(certificate)) ??
      checkIsAuthority(certificate, isAnchor) ??
      (isAnchor ? undefined : this.#countPathLength(certificate));
    if (failure !== undefined) return failure;
    const constraints = EXTENSIONS.nameConstraints.find(certificate.extensions);
    if (constraints !== undefined) this.#names.add(constraints);
    if (!isAnchor) this.#countPolicies(certificate);
    this.#maxPathLength = Math.min(
      this.#maxPathLength,
      basicConstraints(certificate)?.pathLenConstraint ?? Number.POSITIVE_INFINITY,
    );
    return undefined;
  }

  // §6.1.4 (a), (b).
  #mapPolicies(certificate: Certificate): PathFailure | undefined {
    const mappings = EXTENSIONS.policyMappings.find(certificate.extensions) ?? [];
    if (mappings.some((one) => one.issuerDomainPolicy === ANY_POLICY || one.subjectDomainPolicy === ANY_POLICY)) {
      return refusal('policy', `${nameToText(certificate.subject)} maps anyPolicy`);
    }
    this.#graph.map(mappings, this.#policyMapping === 0);
    return undefined;
  }

  // §6.1.4 (l).
  #countPathLength(certificate: Certificate): PathFailure | undefined {
    if (isSelfIssued(certificate)) return undefined;
    if (this.#maxPathLength === 0) {
      return refusal('path-length', `an authority above ${nameToText(certificate.subject)} allows no further one`);
    }
    this.#maxPathLength--;
    return undefined;
  }

  // §6.1.4 (h), (i), (j).
  #countPolicies(certificate: Certificate): void {
    if (!isSelfIssued(certificate)) {
      this.#explicitPolicy = Math.max(0, this.#explicitPolicy - 1);
      this.#policyMapping = Math.max(0, this.#policyMapping - 1);
      this.#inhibitAny = Math.max(0, this.#inhibitAny - 1);
    }
    const constraints = EXTENSIONS.policyConstraints.find(certificate.extensions);
    this.#explicitPolicy = Math.min(this.#explicitPolicy, constraints?.requireExplicitPolicy ?? this.#explicitPolicy);
    this.#policyMapping = Math.min(this.#policyMapping, constraints?.inhibitPolicyMapping ?? this.#policyMapping);
    this.#inhibitAny = Math.min(
      this.#inhibitAny,
      EXTENSIONS.inhibitAnyPolicy.find(certificate.extensions) ?? this.#inhibitAny,
    );
  }

  // §6.1.5 (a), (b), (g), and the key usage that the caller asks for.
  #wrapUp(certificate: Certificate): PathFailure | undefined {
    this.#explicitPolicy = Math.max(0, this.#explicitPolicy - 1);
    if (EXTENSIONS.policyConstraints.find(certificate.extensions)?.requireExplicitPolicy === 0)
      this.#explicitPolicy = 0;
    if (this.#explicitPolicy === 0 && !this.#graph.allowsOneOf(this.#rules.policies?.acceptable)) {
      return refusal('policy', `${nameToText(certificate.subject)} is not issued under an acceptable policy`);
    }
    const usage = keyUsage(certificate);
    const missing = this.#rules.purpose?.keyUsage?.find((bit) => usage?.has(bit) === false);
    return missing === undefined
      ? undefined
      : refusal('key-usage', `${nameToText(certificate.subject)} is not for ${missing}`);
  }
}

// §6.1.4 (k), (n). An anchor of version 1 is trusted out of band, as (k) allows.
function checkIsAuthority(certificate: Certificate, isAnchor: boolean): PathFailure | undefined {
  const isTrustedV1 = isAnchor && certificate.version === 1;
  if (!isTrustedV1 && basicConstraints(certificate)?.cA !== true) {
    return refusal('not-a-ca', `${nameToText(certificate.subject)} is not a CA`);
  }
  if (keyUsage(certificate)?.has('keyCertSign') === false) {
    return refusal('key-usage', `${nameToText(certificate.subject)} is not for keyCertSign`);
  }
  return undefined;
}

/** Every name that constraints apply to: subject, its e-mail addresses (RFC 5280 §4.2.1.10), and subjectAltName. */
function constrainedNames(certificate: Certificate): GeneralName[] {
  const { subject } = certificate;
  const mailboxes = attributeTexts(subject, ATTRIBUTE_TYPE.emailAddress);
  return [
    ...(subject.rdns.length === 0 ? [] : [{ kind: 'directoryName', value: subject } as const]),
    ...mailboxes.map((value) => ({ kind: 'rfc822Name', value }) as const),
    ...subjectAltName(certificate),
  ];
}
