import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { decode, encode } from '../../core/asn1/codec.ts';
import { any, octetString, optional, sequence, smallInteger } from '../../core/asn1/schema.ts';
import { FOREIGN } from '../../core/x509/foreign-limits.ts';
import { CmpFault } from './errors.ts';

// draft-ietf-lamps-attestation-freshness §5.1. What a type of evidence may add is not looked at: some drafts write it as one
// member behind the length, some as two.
const nonceRequest = sequence('NonceRequest', {
  len: optional(smallInteger),
  type: optional(any),
  reqInfo: optional(any),
});
const nonceResponse = sequence('NonceResponse', { nonce: octetString, expiry: optional(smallInteger) });

/** Octets of a nonce. */
const NONCE_OCTETS = { min: 8, max: 64 };

/** How many octets the nonce shall have, where a NonceRequest says so. @throws CmpFault `badDataFormat` */
export function decodeNonceRequest(der: Uint8Array): number | undefined {
  const { len } = readRequest(der);
  if (len === undefined || (len >= NONCE_OCTETS.min && len <= NONCE_OCTETS.max)) return len;
  throw new CmpFault('badDataFormat', `nonceRequest: expected a length of ${NONCE_OCTETS.min} to ${NONCE_OCTETS.max}`);
}

/** NonceResponse: the nonce, empty where evidence need hold none, and the seconds it lives. */
export function encodeNonceResponse(nonce: Uint8Array, expirySeconds: number): Uint8Array {
  return encode(nonceResponse, nonce.length === 0 ? { nonce } : { nonce, expiry: expirySeconds });
}

function readRequest(der: Uint8Array): { readonly len?: number | undefined } {
  try {
    return decode(nonceRequest, der, FOREIGN);
  } catch (error) {
    if (!(error instanceof Asn1Error)) throw error;
    throw new CmpFault('badDataFormat', `nonceRequest: ${error.message}`);
  }
}
