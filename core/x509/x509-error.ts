import { Asn1Error } from '../asn1/asn1-error.ts';

/**
 * Octets that are DER of the right type and still not what RFC 5280 and its kin allow, or a text or value that has no
 * encoding. An Asn1Error, so that whoever reads foreign octets catches one class; `offset` is always -1.
 */
export class X509Error extends Asn1Error {
  /** `path` names the field in the words of the ASN.1 module, such as `Certificate.tbsCertificate.extensions`. */
  constructor(path: string, expected: string, found: string) {
    super(expected, found, -1, path);
    this.name = 'X509Error';
  }
}
