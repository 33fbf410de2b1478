import { createHash } from 'node:crypto';

import { StateError } from '../../core/errors/muster-error.ts';
import { withoutEvidence } from '../../core/enrollment/carried-evidence.ts';
import type { RestoredRequest } from '../../core/enrollment/request.ts';
import { parseCertificate } from '../../core/x509/certificate.ts';
import { type CertificationRequest, parseCertificationRequest } from '../../core/x509/certification-request.ts';
import { EXTENSIONS } from '../../core/x509/extensions.ts';
import { EXTENSION } from '../../core/x509/oids.ts';
import { publicKeysEqual, type SubjectPublicKeyInfo } from '../../core/x509/public-key.ts';
import type { VerifiedMessage } from './pki-message.ts';

/**
 * What makes messages those of one enrolment: transactionID and the key that signs them, which is the requested one for a
 * certificate that the device made itself: routers make another for each poll (S37). A message signed with a certificate
 * of somebody's also counts that certificate: a device renews with the same key and the same transactionID for years.
 */
export function transactionKey({
  attributes,
  signerPublicKey,
  signerCertificate,
  isSelfMade,
}: VerifiedMessage): Uint8Array {
  const hash = createHash('sha256').update(`${attributes.transactionId}\0`).update(signerPublicKey.der);
  return (isSelfMade ? hash : hash.update('\0').update(signerCertificate)).digest();
}

/**
 * V38: a transaction belongs to one requested key.
 * @throws StateError `transaction-in-use` where what was issued in it is for another key
 */
export function requireSameKey(certificate: Uint8Array, requested: SubjectPublicKeyInfo): void {
  if (publicKeysEqual(parseCertificate(certificate).publicKey, requested)) return;
  throw new StateError('transaction-in-use', 'the transactionID is in use for another key');
}

/** What the hall takes of a request; also of one that it stored. */
export function requestedFields(request: CertificationRequest): RestoredRequest {
  return {
    subject: request.subject,
    subjectAltName: EXTENSIONS.subjectAltName.find(request.requestedExtensions) ?? [],
    requestedExtensions: withoutEvidence(request.requestedExtensions).filter(
      ({ oid }) => oid !== EXTENSION.subjectAltName,
    ),
    publicKey: request.publicKey,
    proofOfPossession: 'signature',
  };
}

/** Reads a stored request back. */
export function restoreRequest(der: Uint8Array): RestoredRequest {
  return requestedFields(parseCertificationRequest(der));
}
