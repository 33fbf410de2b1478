import { decode } from '../../core/asn1/codec.ts';
import { any, bitString, explicit, implicit, optional, sequence, smallInteger } from '../../core/asn1/schema.ts';
import { namesEqual, parseName } from '../../core/x509/name.ts';
import { octetsEqual } from '../../core/x509/octets.ts';

// Only as deep as needed: Windows marks authorityKeyIdentifier critical (S36), routers write negative serial numbers (S37).
const certificate = sequence('Certificate', {
  tbsCertificate: sequence('TBSCertificate', {
    version: optional(explicit(0, smallInteger)),
    serialNumber: any,
    signature: any,
    issuer: any,
    validity: any,
    subject: any,
    subjectPublicKeyInfo: any,
    issuerUniqueID: optional(implicit(1, bitString)),
    subjectUniqueID: optional(implicit(2, bitString)),
    extensions: optional(explicit(3, any)),
  }),
  signatureAlgorithm: any,
  signature: bitString,
});

/**
 * Whether the certificate of a message's signer is one that the device made itself (RFC 8894 §2.3): it stands for its key
 * and says nothing else. Whoever claims this claims less than he could.
 */
export function isSelfMade(der: Uint8Array): boolean {
  try {
    const { issuer, subject } = decode(certificate, der, { setOrder: 'any' }).tbsCertificate;
    return octetsEqual(issuer, subject) || namesEqual(parseName(issuer), parseName(subject));
  } catch {
    return false; // and so it is judged as one that others made
  }
}
