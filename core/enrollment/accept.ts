import { createHash } from 'node:crypto';

import { PeerError, PolicyError } from '../errors/muster-error.ts';
import { subjectAltName } from '../x509/certificate.ts';
import { generalNameToText } from '../x509/general-name.ts';
import { attributeTexts, namesEqual } from '../x509/name.ts';
import type { Certificate } from '../x509/certificate.ts';
import { ATTRIBUTE_TYPE } from '../x509/oids.ts';
import type { Authenticator } from './endpoint.ts';
import type { PasswordFact, TlsCertificateFact } from './facts.ts';
import type { EnrollmentRequest } from './request.ts';

/** Who asks, by the one fact that let it in. */
export interface Principal {
  readonly kind: Authenticator;
  /** What of the credential goes into the key of idempotency: one credential, one key. */
  readonly key: string;
  /** For audit and operators: no secret. */
  readonly description: string;
  /** The password fact, when that let it in. */
  readonly secret: PasswordFact | undefined;
  /** The certificate of ours that this request replaces. */
  readonly renews: string | undefined;
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
  const certificate = request.facts.find((fact) => fact.kind === 'tls-certificate');
  const password = request.facts.find((fact) => fact.kind === 'password');
  if (request.operation === 'renew') {
    if (certificate) return acceptRenewal(request, authenticators, certificate, now);
    throw new PeerError('authentication-required', 'renewal: expected the client certificate to renew, found none');
  }
  const byCert = certificate && acceptCertificate(request, authenticators, certificate, now);
  if (byCert && 'kind' in byCert) return byCert;
  if (certificate?.registrationAuthority && authenticators.includes('ra')) {
    return byCertificate('ra', certificate, undefined);
  }
  if (password && authenticators.includes('password')) return byPassword(request, password);
  if (byCert) throw new PolicyError(byCert.refused, byCert.message);
  if (request.facts.length > 0) {
    throw new PolicyError('not-authorized', 'this endpoint does not accept the kind of credential presented');
  }
  throw new PeerError('authentication-required', 'expected a client certificate or a password, found neither');
}

/** SHA-256 over carrier, principal and request: the key under which a repeat is recognised. */
export function idempotencyKey(request: EnrollmentRequest, principal: Principal): string {
  return createHash('sha256')
    .update(`${request.protocol}\0${principal.key}\0`)
    .update(request.requestKey)
    .digest('hex');
}

/** The name a device goes by: the subject's serialNumber, else its CN, else its first subjectAltName. */
export function deviceName(request: Pick<EnrollmentRequest, 'subject' | 'subjectAltName'>): string {
  const [serialNumber] = attributeTexts(request.subject, ATTRIBUTE_TYPE.serialNumber);
  const [commonName] = attributeTexts(request.subject, ATTRIBUTE_TYPE.commonName);
  const [first] = request.subjectAltName;
  return serialNumber ?? commonName ?? (first ? generalNameToText(first) : '');
}

function acceptRenewal(
  request: EnrollmentRequest,
  authenticators: readonly Authenticator[],
  certificate: TlsCertificateFact,
  now: number,
): Principal {
  const answer = authenticators.includes('certificate') ? renewalOf(request, certificate, now) : NOT_RENEWED_HERE;
  if ('kind' in answer) return answer;
  throw new PolicyError(answer.refused, `renewal: ${answer.message}`);
}

type Refusal = { readonly refused: 'subject-mismatch' | 'not-authorized'; readonly message: string };

const NOT_RENEWED_HERE: Refusal = {
  refused: 'not-authorized',
  message: 'the certificate presented is not one this endpoint renews',
};

function acceptCertificate(
  request: EnrollmentRequest,
  authenticators: readonly Authenticator[],
  certificate: TlsCertificateFact,
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
  }
}

/** A certificate of ours renews itself: the same names under the same profile, in its window, and nothing else. */
function renewalOf(request: EnrollmentRequest, fact: TlsCertificateFact, now: number): Principal | Refusal {
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
  kind: 'certificate' | 'anchored-certificate' | 'ra',
  fact: TlsCertificateFact,
  renews: string | undefined,
): Principal {
  return {
    kind,
    key: `certificate:${fact.fingerprint}`,
    description: `${kind} ${fact.certificate.serialNumber}`,
    secret: undefined,
    renews,
  };
}

function byPassword(request: EnrollmentRequest, secret: PasswordFact): Principal {
  if (secret.subject !== undefined && secret.subject !== deviceName(request)) {
    throw new PolicyError('subject-mismatch', 'the password presented is for another device');
  }
  const principal: Principal = {
    kind: 'password',
    key: `secret:${secret.secretId}`,
    description: `password ${secret.secretId}`,
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
