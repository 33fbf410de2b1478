import { createHash } from 'node:crypto';

import { InternalError, PeerError, PolicyError } from '../errors/muster-error.ts';
import { subjectAltName } from '../x509/certificate.ts';
import { generalNameToText } from '../x509/general-name.ts';
import { attributeTexts, namesEqual } from '../x509/name.ts';
import type { Certificate } from '../x509/certificate.ts';
import { ATTRIBUTE_TYPE } from '../x509/oids.ts';
import { spkiSha256 } from '../x509/public-key.ts';
import { AUTHENTICATORS, type Authenticator } from './endpoint.ts';
import { excerpt, printable } from './excerpt.ts';
import type {
  AcmeOrderFact,
  AttestedFact,
  BatchFact,
  CertificateFact,
  ExternalDecisionFact,
  Fact,
  MacFact,
  PasswordFact,
  PlanFact,
} from './facts.ts';
import type { EnrollmentRequest } from './request.ts';
import type { EnrollmentRow } from './tables.ts';

/** Who asks, by the one fact that let it in. */
export interface Principal {
  readonly kind: Authenticator;
  /** What of the credential goes into the key of idempotency: one credential, one key. */
  readonly key: string;
  /** For audit and operators: no secret. */
  readonly description: string;
  /** The fact of the secret, when that let it in. */
  readonly secret: PasswordFact | MacFact | undefined;
  /** The certificate of ours that this request replaces. */
  readonly renews: string | undefined;
  /** What nobody but the holder of an earlier certificate can have shown, beside evidence. */
  readonly continuity?: string;
}

/**
 * Step 1 of the hall: which of the verified facts does this endpoint accept for this protocol, and as whom. `now` is in
 * epoch milliseconds.
 * @throws PeerError `authentication-required` when no fact serves; PolicyError when one was offered and may not do this.
 */
export function accept(request: EnrollmentRequest, authenticators: readonly Authenticator[], now: number): Principal {
  const principal = principalOf(request, authenticators, now);
  // RFC 9810 §8: that somebody else checked the possession of the key counts from a registration authority alone.
  if (request.proofOfPossession === 'registration-authority' && principal.kind !== 'ra') {
    throw new PolicyError('not-authorized', 'only a registration authority may vouch for the possession of a key');
  }
  return principal;
}

function principalOf(request: EnrollmentRequest, authenticators: readonly Authenticator[], now: number): Principal {
  const certificate = request.facts.find((fact) => fact.kind === 'tls-certificate' || fact.kind === 'signed-by');
  if (request.operation === 'renew') {
    if (certificate) return acceptRenewal(request, authenticators, certificate, now);
    throw new PeerError('authentication-required', 'renewal: expected the client certificate to renew, found none');
  }
  const byIdentity = certificate && authenticators.includes('idevid') ? acceptIdentity(certificate) : undefined;
  if (byIdentity && 'kind' in byIdentity) return byIdentity;
  const byCert = (certificate && acceptCertificate(request, authenticators, certificate, now)) ?? byIdentity;
  if (byCert && 'kind' in byCert) return byCert;
  if (certificate?.registrationAuthority && authenticators.includes('ra')) {
    return byCertificate('ra', certificate, undefined);
  }
  const byWord = acceptWord(request, authenticators);
  if (byWord) return byWord;
  if (byCert) throw new PolicyError(byCert.refused, byCert.message);
  if (request.facts.length > 0) {
    throw new PolicyError('not-authorized', 'this endpoint does not accept the kind of credential presented');
  }
  throw new PeerError('authentication-required', 'expected a client certificate or a password, found neither');
}

/**
 * SHA-256 over carrier, principal and request: the key under which a repeat is recognised. SCEP's goes without the principal: its
 * polls and repeats come without the challenge, and its request key holds the key that they are signed with.
 */
export function idempotencyKey(
  request: Pick<EnrollmentRequest, 'protocol' | 'requestKey'>,
  principal: Pick<Principal, 'key'> | undefined,
): string {
  const who = request.protocol === 'scep' ? '' : (principal?.key ?? '');
  return createHash('sha256').update(`${request.protocol}\0${who}\0`).update(request.requestKey).digest('hex');
}

/** A key that an enrolment may be kept under, with the fact that makes it so. */
export interface PossibleKey {
  readonly key: string;
  readonly facts: readonly Fact[];
}

/**
 * The keys a request with these facts may have been kept under, for those who ask after it: which of the facts let it in is not
 * known before the request itself is read again. SCEP's key takes no fact.
 */
export function possibleKeys(
  request: Pick<EnrollmentRequest, 'protocol' | 'requestKey' | 'facts'>,
): readonly PossibleKey[] {
  if (request.protocol === 'scep') return [{ key: idempotencyKey(request, undefined), facts: [] }];
  return request.facts.map((fact) => ({ key: idempotencyKey(request, { key: principalKey(fact) }), facts: [fact] }));
}

/** Who asked, as far as its row says it: what lets an approved request be prepared that is polled for without a credential. */
export function storedPrincipal({ principal, replaces }: Pick<EnrollmentRow, 'principal' | 'replaces'>): Principal {
  // Every description begins with the kind that let it in.
  const kind = AUTHENTICATORS.find((authenticator) => principal.startsWith(`${authenticator} `));
  if (kind === undefined) throw new InternalError(`the principal "${principal}" of an enrolment is none`);
  return { kind, key: '', description: principal, secret: undefined, renews: replaces ?? undefined };
}

function principalKey(fact: Fact): string {
  switch (fact.kind) {
    case 'tls-certificate':
    case 'signed-by':
      return certificateKey(fact);
    case 'password':
    case 'mac':
      return secretKey(fact);
    case 'external-decision':
      return decisionKey(fact);
    case 'acme-order':
      return accountKey(fact);
    case 'evidence':
      return evidenceKey(fact);
    case 'batch':
      return batchKey(fact);
    case 'plan':
      return planKey(fact);
  }
}

/** By what the device is recognised, so that a repeat with fresh evidence is one. */
function evidenceKey({ appraisal }: AttestedFact): string {
  return `evidence:${appraisal.identity ?? appraisal.evidenceId}`;
}

function batchKey({ batchId }: BatchFact): string {
  return `batch:${batchId}`;
}

function planKey({ planId }: PlanFact): string {
  return `plan:${planId}`;
}

function certificateKey({ fingerprint }: CertificateFact): string {
  return `certificate:${fingerprint}`;
}

function secretKey({ secretId }: PasswordFact | MacFact): string {
  return `secret:${secretId}`;
}

function decisionKey({ decider }: ExternalDecisionFact): string {
  return `decision:${decider}`;
}

function accountKey({ accountId }: AcmeOrderFact): string {
  return `acme-account:${accountId}`;
}

/** The name a device goes by: as evidence names it, or the subject's serialNumber, else its CN, else its first subjectAltName. */
export function deviceName(request: Pick<EnrollmentRequest, 'subject' | 'subjectAltName' | 'deviceName'>): string {
  if (request.deviceName !== undefined) return request.deviceName;
  const [serialNumber] = attributeTexts(request.subject, ATTRIBUTE_TYPE.serialNumber);
  const [commonName] = attributeTexts(request.subject, ATTRIBUTE_TYPE.commonName);
  const [first] = request.subjectAltName;
  return serialNumber ?? commonName ?? (first ? generalNameToText(first) : '');
}

function acceptRenewal(
  request: EnrollmentRequest,
  authenticators: readonly Authenticator[],
  certificate: CertificateFact,
  now: number,
): Principal {
  const answer = authenticators.includes('certificate') ? renewalOf(request, certificate, now) : NOT_RENEWED_HERE;
  if ('kind' in answer) return answer;
  throw new PolicyError(answer.refused, `renewal: ${answer.message}`);
}

type Refusal = {
  readonly refused: 'subject-mismatch' | 'not-authorized' | 'evidence-refused';
  readonly message: string;
};

const NOT_RENEWED_HERE: Refusal = {
  refused: 'not-authorized',
  message: 'the certificate presented is not one this endpoint renews',
};

function acceptCertificate(
  request: EnrollmentRequest,
  authenticators: readonly Authenticator[],
  certificate: CertificateFact,
  now: number,
): Principal | Refusal | undefined {
  switch (certificate.origin) {
    case 'own':
      // Many clients renew with simpleenroll and their old certificate; other names need another fact.
      return authenticators.includes('certificate') ? renewalOf(request, certificate, now) : undefined;
    case 'client-anchor':
      if (!authenticators.includes('anchored-certificate')) return undefined;
      return namesDevice(request, certificate.certificate)
        ? byCertificate('anchored-certificate', certificate, undefined)
        : { refused: 'subject-mismatch', message: 'the request must name the device of the certificate presented' };
    case 'ra-anchor':
      return { refused: 'not-authorized', message: 'this endpoint admits no registration authority' };
    case 'idevid-anchor':
      return undefined;
  }
}

/** A manufacturer's certificate: which device it names is the gate's to say, and held against the request in admission. */
function acceptIdentity(fact: CertificateFact): Principal | Refusal | undefined {
  const { identity } = fact;
  if (identity === undefined) return undefined;
  if (identity.verdict === 'affirmed') return byCertificate('idevid', fact, undefined);
  return { refused: 'evidence-refused', message: `attestation refused: ${identity.findings.join(', ')}` };
}

/** A certificate of ours renews itself: the same names under the same profile, in its window, and nothing else. */
function renewalOf(request: EnrollmentRequest, fact: CertificateFact, now: number): Principal | Refusal {
  // A certificate opens no profile but its own: a router's would otherwise become a registration authority's by renewal.
  if (fact.origin !== 'own' || fact.profile !== request.endpoint.profile) return NOT_RENEWED_HERE;
  if (!sameIdentity(request, fact.certificate)) {
    // RFC 7030 §4.2.2: the Subject and SubjectAltName fields in the request MUST be identical to those being renewed.
    const message = 'subject and subjectAltName must equal those of the certificate presented';
    return { refused: 'subject-mismatch', message };
  }
  const { renewalWindowSeconds } = request.endpoint;
  if (renewalWindowSeconds !== undefined) {
    const opens = fact.certificate.notAfter.getTime() - renewalWindowSeconds * 1000;
    if (now < opens) {
      return { refused: 'not-authorized', message: `granted from ${new Date(opens).toISOString()} on` };
    }
  }
  return byCertificate('certificate', fact, fact.certificateId);
}

function byCertificate(
  kind: 'certificate' | 'anchored-certificate' | 'idevid' | 'ra',
  fact: CertificateFact,
  renews: string | undefined,
): Principal {
  return {
    kind,
    key: certificateKey(fact),
    description: `${kind} ${fact.certificate.serialNumber}`,
    secret: undefined,
    renews,
  };
}

type PasswordKind = 'password' | 'static-password' | 'derived-password';

/** Which authenticator a password of each use is admitted by. */
const PASSWORD_KIND: Readonly<Record<PasswordFact['usage'], PasswordKind>> = {
  'one-time': 'password',
  device: 'password',
  static: 'static-password',
  derived: 'derived-password',
};

/** What the requester knows, or what the endpoint's decider says of it. */
function acceptWord(request: EnrollmentRequest, authenticators: readonly Authenticator[]): Principal | undefined {
  for (const fact of request.facts) {
    const kind = wordKind(fact);
    if (kind === undefined || !authenticators.includes(kind)) continue;
    if (fact.kind === 'external-decision') return byDecision(request, fact);
    if (fact.kind === 'acme-order') return byOrder(request, kind, fact);
    if (fact.kind === 'evidence') return byEvidence(fact);
    if (fact.kind === 'batch') return byBatch(fact);
    if (fact.kind === 'plan') return byPlan(request, fact);
    return bySecret(request, kind, fact as PasswordFact | MacFact);
  }
  return undefined;
}

function wordKind(fact: Fact): Authenticator | undefined {
  switch (fact.kind) {
    case 'password':
      return PASSWORD_KIND[fact.usage];
    case 'mac':
      return 'mac';
    case 'external-decision':
      return 'webhook';
    case 'acme-order':
      return fact.eabKeyId === undefined ? 'acme-order' : 'eab';
    case 'evidence':
    case 'batch':
      return fact.kind;
    case 'plan':
      return 'adapter';
    case 'tls-certificate':
    case 'signed-by':
      return undefined;
  }
}

function byEvidence(fact: AttestedFact): Principal {
  const { identity, evidenceId } = fact.appraisal;
  return {
    kind: 'evidence',
    key: evidenceKey(fact),
    description: `evidence ${printable(excerpt(identity ?? evidenceId))}`,
    secret: undefined,
    renews: undefined,
  };
}

function byBatch(fact: BatchFact): Principal {
  return {
    kind: 'batch',
    key: batchKey(fact),
    description: `batch ${fact.batchId}`,
    secret: undefined,
    renews: undefined,
  };
}

function byPlan(request: EnrollmentRequest, fact: PlanFact): Principal {
  if (fact.deviceName !== deviceName(request))
    throw new PolicyError('subject-mismatch', 'the plan is about another device');
  return {
    kind: 'adapter',
    key: planKey(fact),
    description: `adapter plan ${fact.planId}`,
    secret: undefined,
    renews: undefined,
  };
}

function byDecision(request: EnrollmentRequest, fact: ExternalDecisionFact): Principal {
  if (fact.deviceName !== deviceName(request))
    throw new PolicyError('subject-mismatch', 'the external decision is about another device');
  return {
    kind: 'webhook',
    key: decisionKey(fact),
    description: `webhook ${fact.decider} ${printable(excerpt(fact.reference))}`.trimEnd(),
    secret: undefined,
    renews: undefined,
  };
}

/** RFC 8555 §7.4: the request names what the order names and nothing else, whatever the carrier has compared (V3). */
function byOrder(request: EnrollmentRequest, kind: Authenticator, fact: AcmeOrderFact): Principal {
  const names = request.subjectAltName.map((name) => generalNameToText(name).toLowerCase());
  const subjects = attributeTexts(request.subject, ATTRIBUTE_TYPE.commonName).map((name) => name.toLowerCase());
  const foreign = names.some((name) => !fact.names.has(name)) || subjects.some((name) => !fact.commonNames.has(name));
  if (foreign || new Set(names).size !== fact.names.size || request.subject.rdns.flat().length > subjects.length)
    throw new PolicyError('subject-mismatch', 'the request does not name what the order names');
  return {
    kind,
    key: accountKey(fact),
    description: `${kind} ${fact.eabKeyId ?? fact.accountId}`,
    secret: undefined,
    renews: fact.replaces,
    continuity: accountKey(fact),
  };
}

function bySecret(request: EnrollmentRequest, kind: Authenticator, secret: PasswordFact | MacFact): Principal {
  if (secret.subject !== undefined && secret.subject !== deviceName(request)) {
    throw new PolicyError('subject-mismatch', 'the password presented is for another device');
  }
  if (secret.attested !== undefined && secret.attested.spkiSha256 !== spkiSha256(request.publicKey)) {
    throw new PolicyError('evidence-refused', 'attestation refused: key-is-another');
  }
  const principal: Principal = {
    kind,
    key: secretKey(secret),
    description: `${kind} ${secret.secretId}`,
    secret,
    renews: undefined,
  };
  if (
    secret.usage === 'one-time' &&
    secret.state !== 'free' &&
    secret.boundKey !== idempotencyKey(request, principal)
  ) {
    throw new PolicyError('bad-credential', 'the password is not valid here');
  }
  return principal;
}

function sameIdentity(request: EnrollmentRequest, certificate: Certificate): boolean {
  return (
    namesEqual(request.subject, certificate.subject) &&
    sameMembers(request.subjectAltName.map(generalNameToText), subjectAltName(certificate).map(generalNameToText))
  );
}

/** An anchored certificate (a factory identity) speaks for the device it names and no other. */
function namesDevice(request: EnrollmentRequest, certificate: Certificate): boolean {
  const wanted = deviceName(request);
  const own = [
    ...attributeTexts(certificate.subject, ATTRIBUTE_TYPE.serialNumber),
    ...attributeTexts(certificate.subject, ATTRIBUTE_TYPE.commonName),
  ];
  return wanted !== '' && own.includes(wanted);
}

function sameMembers(left: readonly string[], right: readonly string[]): boolean {
  const wanted = [...left].sort();
  const found = [...right].sort();
  return wanted.length === found.length && wanted.every((text, index) => text === found[index]);
}
