import { PolicyError } from '../../core/errors/muster-error.ts';
import type { CredentialVerifier } from '../../core/enrollment/credentials.ts';
import type { Endpoint } from '../../core/enrollment/endpoint.ts';
import type { SignedByFact } from '../../core/enrollment/facts.ts';
import { type Certificate, parseCertificate, subjectKeyIdentifier } from '../../core/x509/certificate.ts';
import { namesEqual } from '../../core/x509/name.ts';
import { octetsEqual } from '../../core/x509/octets.ts';
import { CmpFault } from './errors.ts';
import { fitsKey, messageSignatureOf, verifyMessageSignature } from './message-signature.ts';
import type { PkiHeader } from './pki-header.ts';
import type { PkiMessage } from './pki-message.ts';

/** Certificates of extraCerts that are looked at (V34). */
const MAX_CHAIN = 16;

/**
 * Verifies a signature over a message, then path and status of the certificate it was made with (RFC 9483 §3.2, §3.3).
 *
 * @throws CmpFault `badAlg`, `badMessageCheck`; PolicyError `certificate-untrusted`, `certificate-expired` or
 *   `certificate-revoked`
 */
export async function verifySigner(
  credentials: Pick<CredentialVerifier, 'signer'>,
  endpoint: Endpoint,
  message: PkiMessage,
  strict: boolean,
): Promise<SignedByFact> {
  const { header, protection, protectedPart } = message;
  const signature = messageSignatureOf(header.protectionAlg?.der ?? new Uint8Array(), 'protectionAlg');
  const { certificate, others } = protectionCertificate(message, strict);
  checkSender(header, certificate, strict);
  if (!fitsKey(signature, certificate.publicKey)) {
    throw new CmpFault('badAlg', 'protectionAlg: it does not go with the key of the certificate', 'bad-algorithm');
  }
  if (
    !(await verifyMessageSignature(certificate.publicKey, signature, protectedPart, protection ?? new Uint8Array()))
  ) {
    throw new CmpFault('badMessageCheck', 'protection: the signature does not verify', 'bad-signature');
  }
  return credentials.signer(endpoint, [certificate.der, ...others]);
}

/** RFC 9483 §3.3: the protection certificate comes first. Base stations send theirs anywhere (3GPP TS 33.310 §9.5.4.2). */
function protectionCertificate(
  { header, extraCerts }: PkiMessage,
  strict: boolean,
): { readonly certificate: Certificate; readonly others: readonly Uint8Array[] } {
  const [first] = extraCerts;
  if (first === undefined) {
    throw new CmpFault('badMessageCheck', 'extraCerts: expected the certificate of the protection, found none');
  }
  const candidates = strict ? [first] : extraCerts.slice(0, MAX_CHAIN);
  for (const der of candidates) {
    const certificate = decoded(der, der === first);
    if (certificate === undefined || (candidates.length > 1 && !isSender(header, certificate))) continue;
    return { certificate, others: extraCerts.filter((other) => other !== der).slice(0, MAX_CHAIN - 1) };
  }
  throw new CmpFault('badMessageCheck', 'extraCerts: expected the certificate that sender and senderKID name');
}

function decoded(der: Uint8Array, isRequired: boolean): Certificate | undefined {
  try {
    return parseCertificate(der);
  } catch (cause) {
    if (!isRequired) return undefined;
    throw new PolicyError('certificate-untrusted', 'extraCerts: the first certificate cannot be read', { cause });
  }
}

function isSender({ sender, senderKID }: PkiHeader, certificate: Certificate): boolean {
  const identifier = subjectKeyIdentifier(certificate);
  if (senderKID !== undefined && identifier !== undefined) return octetsEqual(senderKID, identifier);
  return sender.kind === 'directoryName' && namesEqual(sender.value, certificate.subject);
}

/** RFC 9483 §3.1: sender is the subject, senderKID the key identifier of the protection certificate. */
function checkSender({ sender, senderKID }: PkiHeader, certificate: Certificate, strict: boolean): void {
  const isNamed = sender.kind === 'directoryName' && namesEqual(sender.value, certificate.subject);
  const isNameless = sender.kind === 'directoryName' && sender.value.rdns.length === 0;
  if (!isNamed && (strict || !isNameless)) {
    throw new CmpFault('badMessageCheck', 'sender: expected the subject of the protection certificate');
  }
  const identifier = subjectKeyIdentifier(certificate);
  if (identifier === undefined || (senderKID === undefined && !strict)) return;
  if (senderKID === undefined || !octetsEqual(senderKID, identifier)) {
    throw new CmpFault('badMessageCheck', 'senderKID: expected the key identifier of the protection certificate');
  }
}
