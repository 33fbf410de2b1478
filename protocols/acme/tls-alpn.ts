import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { decode } from '../../core/asn1/codec.ts';
import { octetString } from '../../core/asn1/schema.ts';
import { type Certificate, isSelfIssued, parseCertificate, subjectAltName } from '../../core/x509/certificate.ts';
import { findExtension } from '../../core/x509/extensions.ts';
import { generalNameToText } from '../../core/x509/general-name.ts';
import { ipAddressFromText } from '../../core/x509/ip-address.ts';
import { octetsEqual } from '../../core/x509/octets.ts';
import { verifySignature } from '../../core/x509/signature-algorithm.ts';
import { AcmeProblem } from './problem.ts';
import type { AuthorizationRow } from './tables.ts';

/** id-pe-acmeIdentifier (RFC 8737 §6.1). */
const ACME_IDENTIFIER = '1.3.6.1.5.5.7.1.31';

/**
 * Checks the certificate of a tls-alpn-01 answer (RFC 8737 §3): self-signed, the one name, and the digest of the key
 * authorization in a critical extension.
 * @throws AcmeProblem `incorrectResponse`
 */
export function verifyAlpnCertificate(
  der: Uint8Array,
  { type, value }: Pick<AuthorizationRow, 'type' | 'value'>,
  digest: Uint8Array,
): void {
  const { certificate, names } = read(der);
  if (names.length !== 1 || names[0] !== `${type}:${value}`)
    throw incorrect('expected a certificate for this name and no other');
  const extension = findExtension(certificate.extensions, ACME_IDENTIFIER);
  if (extension === undefined || !extension.critical) throw incorrect('expected a critical acmeIdentifier extension');
  if (!octetsEqual(digestOf(extension.value), digest)) throw incorrect('acmeIdentifier is not the one expected');
  if (!isSelfSigned(certificate)) throw incorrect('expected a self-signed certificate');
}

/** RFC 8738 §6: the reverse mapping of an address (RFC 1034 §5.2.1, RFC 3596 §2.5) stands for it in SNI. */
export function reverseName(address: string): string {
  const octets = [...ipAddressFromText(address)];
  if (octets.length === 4) return `${octets.toReversed().join('.')}.in-addr.arpa`;
  const nibbles = octets.flatMap((octet) => [octet >> 4, octet & 15]);
  return `${nibbles
    .map((nibble) => nibble.toString(16))
    .toReversed()
    .join('.')}.ip6.arpa`;
}

function read(der: Uint8Array): { readonly certificate: Certificate; readonly names: readonly string[] } {
  return decoded('the certificate does not decode', () => {
    const certificate = parseCertificate(der);
    return { certificate, names: subjectAltName(certificate).map((name) => generalNameToText(name).toLowerCase()) };
  });
}

function digestOf(value: Uint8Array): Uint8Array {
  return decoded('acmeIdentifier is not an OCTET STRING', () => decode(octetString, value));
}

function decoded<T>(fault: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof Asn1Error) throw incorrect(fault);
    throw error;
  }
}

function isSelfSigned(certificate: Certificate): boolean {
  const { publicKey, signatureAlgorithm, tbsDer, signature } = certificate;
  return isSelfIssued(certificate) && verifySignature(publicKey, signatureAlgorithm, tbsDer, signature);
}

function incorrect(message: string): AcmeProblem {
  return new AcmeProblem('incorrectResponse', message);
}
