import { decode, encode } from '../../core/asn1/codec.ts';
import { sequence, serialInteger } from '../../core/asn1/schema.ts';
import { type Name, nameSchema } from '../../core/x509/name.ts';
import { type SerialNumber, serialNumberFromOctets } from '../../core/x509/serial-number.ts';

/** Which certificate GetCert and GetCRL are about (RFC 8894 §3.3.4). */
export interface CertificateReference {
  readonly issuer: Name;
  readonly serialNumber: SerialNumber;
}

const issuerAndSerialNumber = sequence('IssuerAndSerialNumber', { issuer: nameSchema, serialNumber: serialInteger });

/** Reads the content of GetCert and GetCRL. Throws Asn1Error. */
export function decodeCertificateReference(der: Uint8Array): CertificateReference {
  const { issuer, serialNumber } = decode(issuerAndSerialNumber, der, { setOrder: 'any' });
  return { issuer, serialNumber: serialNumberFromOctets(serialNumber) };
}

/** The DER of a reference: content octets of the INTEGER as given. */
export function encodeCertificateReference(issuer: Name, serialNumber: Uint8Array): Uint8Array {
  return encode(issuerAndSerialNumber, { issuer, serialNumber });
}
