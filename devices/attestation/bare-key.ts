import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { parseSubjectPublicKeyInfo } from '../../core/x509/public-key.ts';

/** Whether DER is a SubjectPublicKeyInfo; otherwise it is to be a certificate. */
export function isBareKey(der: Uint8Array): boolean {
  try {
    parseSubjectPublicKeyInfo(der);
    return true;
  } catch (error) {
    if (error instanceof Asn1Error) return false;
    throw error;
  }
}
