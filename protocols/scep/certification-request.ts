import { createPublicKey, verify } from 'node:crypto';

import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { decode, encode } from '../../core/asn1/codec.ts';
import { any, bitString, oid, optional, sequence } from '../../core/asn1/schema.ts';
import { type CertificationRequest, parseCertificationRequest } from '../../core/x509/certification-request.ts';
import { verifySignatureAsync } from '../../core/x509/signature-algorithm.ts';

/** What of a request its signature is verified by. */
export interface SignedRequest {
  readonly request: Pick<CertificationRequest, 'publicKey' | 'signatureAlgorithm' | 'infoDer' | 'signature'>;
  /** What to verify instead, where the request is signed with MD5: `request` names SHA-1 then. */
  readonly md5: { readonly infoDer: Uint8Array; readonly signature: Uint8Array } | undefined;
}

/** A PKCS #10 request as it came in a message. */
export interface ReceivedRequest extends SignedRequest {
  readonly request: CertificationRequest;
}

const signed = sequence('CertificationRequest', {
  certificationRequestInfo: any,
  signatureAlgorithm: sequence('AlgorithmIdentifier', { algorithm: oid, parameters: optional(any) }),
  signature: bitString,
});

const MD5_WITH_RSA = '1.2.840.113549.1.1.4';
const SHA1_WITH_RSA = '1.2.840.113549.1.1.5';

/** Reads the content of PKCSReq and RenewalReq. Throws Asn1Error, also where MD5 signed it and is not allowed. */
export function decodeRequest(der: Uint8Array, allowMd5: boolean): ReceivedRequest {
  if (!isOneSequence(der)) throw new Asn1Error('one SEQUENCE', 'other octets', 0, 'CertificationRequest');
  const outer = decode(signed, der);
  if (outer.signatureAlgorithm.algorithm !== MD5_WITH_RSA) {
    return { request: parseCertificationRequest(der), md5: undefined };
  }
  if (!allowMd5) throw new Asn1Error('a digest that is not broken', 'MD5', -1, 'CertificationRequest');
  // core/x509 knows no MD5, and shall not: the codec is shown an algorithm it knows, and the signature is verified here.
  const signatureAlgorithm = { ...outer.signatureAlgorithm, algorithm: SHA1_WITH_RSA };
  return {
    request: parseCertificationRequest(encode(signed, { ...outer, signatureAlgorithm })),
    md5: { infoDer: outer.certificationRequestInfo, signature: outer.signature.bytes },
  };
}

/**
 * Whether a SEQUENCE fills the octets. Asked before anything in it is read: octets behind a request, which are what wrong CBC
 * padding looks like, take the time of noise then (V22).
 */
function isOneSequence(der: Uint8Array): boolean {
  const [tag, first = 0] = der;
  const octets = first < 0x80 ? der.subarray(1, 2) : der.subarray(2, 2 + (first & 0x7f));
  const start = first < 0x80 ? 2 : 2 + octets.length;
  const length = octets.reduce((sum, octet) => sum * 256 + octet, 0);
  return tag === 0x30 && start + length === der.length;
}

/** Whether the request is signed by the key in it. Never rejects. */
export async function verifyRequest({ request, md5 }: SignedRequest): Promise<boolean> {
  if (md5 === undefined) {
    const { publicKey, signatureAlgorithm, infoDer, signature } = request;
    return verifySignatureAsync(publicKey, signatureAlgorithm, infoDer, signature, { allowSha1: true });
  }
  if (request.publicKey.algorithm.kind !== 'rsa') return false;
  try {
    const key = createPublicKey({ key: Buffer.from(request.publicKey.der), format: 'der', type: 'spki' });
    return verify('md5', md5.infoDer, key, md5.signature);
  } catch {
    return false;
  }
}
