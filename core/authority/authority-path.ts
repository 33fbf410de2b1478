import { PeerError } from '../errors/muster-error.ts';
import { basicConstraints, type Certificate, isSelfIssued, keyUsage, parseCertificate } from '../x509/certificate.ts';
import { nameToText } from '../x509/name.ts';
import { validatePath } from '../x509/path-validation.ts';
import { publicKeysEqual, spkiSha256 } from '../x509/public-key.ts';
import { verifySignature } from '../x509/signature-algorithm.ts';

/** The way from an authority's certificate to its root, both included. */
export interface AuthorityPath {
  readonly chain: readonly Certificate[];
}

const MAX_CERTIFICATES = 8;

/**
 * Checks that certificates make the key with this SubjectPublicKeyInfo hash (lower-case hex) an authority that may issue: a valid
 * path (RFC 5280 §6.1) up to a self-signed root, CA and keyUsage on the way, and room for one more authority everywhere.
 * @throws PeerError `malformed-request` that says what does not fit
 */
export function checkAuthorityPath(certificates: readonly Uint8Array[], spki: string, at: Date): AuthorityPath {
  const parsed = parsedOf(certificates);
  const own = parsed.find((certificate) => spkiSha256(certificate.publicKey) === spki);
  if (own === undefined) throw fault('expected a certificate of the key of the authority, found none');
  requireIssuing(own);
  const chain = isRoot(own) ? [own] : pathAbove(own, parsed, at);
  requireValidity(own, at);
  requireRoom(chain);
  return { chain };
}

function parsedOf(certificates: readonly Uint8Array[]): readonly Certificate[] {
  if (certificates.length === 0 || certificates.length > MAX_CERTIFICATES)
    throw fault(`expected 1 to ${MAX_CERTIFICATES} certificates, found ${certificates.length}`);
  return certificates.map((der, index) => {
    try {
      return parseCertificate(der);
    } catch {
      throw fault(`number ${index + 1} is no certificate that Muster understands`);
    }
  });
}

function isRoot(certificate: Certificate): boolean {
  const { publicKey, signatureAlgorithm, tbsDer, signature } = certificate;
  return isSelfIssued(certificate) && verifySignature(publicKey, signatureAlgorithm, tbsDer, signature);
}

function requireIssuing(own: Certificate): void {
  if (basicConstraints(own)?.cA !== true) throw fault('basicConstraints of the authority does not say cA');
  const usage = keyUsage(own);
  for (const bit of ['keyCertSign', 'cRLSign'] as const)
    if (usage?.has(bit) !== true) throw fault(`keyUsage of the authority lacks ${bit}`);
  if (own.subject.rdns.length === 0) throw fault('the authority has an empty subject');
}

function requireValidity({ notBefore, notAfter }: Certificate, at: Date): void {
  if (at < notBefore) throw fault(`the certificate is valid from ${notBefore.toISOString()} on only`);
  if (at > notAfter) throw fault(`the certificate has ended at ${notAfter.toISOString()}`);
}

function pathAbove(own: Certificate, all: readonly Certificate[], at: Date): readonly Certificate[] {
  const others = all.filter((certificate) => !publicKeysEqual(certificate.publicKey, own.publicKey));
  const anchors = others.filter(isRoot);
  if (anchors.length === 0)
    throw fault(`expected the certificates up to a root, found no root above ${nameToText(own.issuer)}`);
  const intermediates = others.filter((certificate) => !anchors.includes(certificate));
  const path = validatePath({ leaf: own, intermediates, anchors, at });
  if (!path.ok) throw fault(`the chain is not valid: ${path.detail} (${path.reason})`);
  return path.chain;
}

/** RFC 5280 §4.2.1.9: each pathLenConstraint counts the authorities between it and a device. */
function requireRoom(chain: readonly Certificate[]): void {
  for (const [below, certificate] of chain.entries()) {
    const { pathLenConstraint } = basicConstraints(certificate) ?? {};
    if (pathLenConstraint === undefined || pathLenConstraint >= below) continue;
    const who = nameToText(certificate.subject);
    throw fault(`pathLenConstraint of ${who} allows ${pathLenConstraint} authorities below it, there are ${below}`);
  }
}

function fault(detail: string): PeerError {
  return new PeerError('malformed-request', `certificates: ${detail}`);
}
