import type { Limits } from '../asn1/codec.ts';
import { encode } from '../asn1/codec.ts';
import { Asn1Error } from '../asn1/asn1-error.ts';
import { encodeContentInfo } from './content-info.ts';
import { CONTENT_TYPE } from './oids.ts';
import { parseSignedData, signedDataSchema } from './signed-data-syntax.ts';

/** What a degenerate SignedData carries. */
export interface CertsOnly {
  readonly certificates: readonly Uint8Array[];
  readonly crls: readonly Uint8Array[];
}

/**
 * The "certs-only" message (RFC 5652 §5.2, RFC 8551 §3.8): a SignedData without content and signers, as EST and SCEP
 * deliver certificates. The order is kept: simple clients take the first certificate for their own.
 *
 * @param certificates in DER
 * @param crls in DER
 */
export function encodeCertsOnly(certificates: readonly Uint8Array[], crls: readonly Uint8Array[] = []): Uint8Array {
  const content = encode(signedDataSchema, {
    version: 1,
    digestAlgorithms: [],
    encapContentInfo: { eContentType: CONTENT_TYPE.data },
    certificates: certificates.length === 0 ? undefined : certificates,
    crls: crls.length === 0 ? undefined : crls,
    signerInfos: [],
  });
  return encodeContentInfo({ contentType: CONTENT_TYPE.signedData, content });
}

/** Reads a "certs-only" message. Throws Asn1Error, also where the message has content or a signer. */
export function decodeCertsOnly(bytes: Uint8Array, limits?: Partial<Limits>): CertsOnly {
  const { certificates, crls, content, signerInfos } = parseSignedData(bytes, limits);
  if (signerInfos.length > 0) throw new Asn1Error('no signer', `${signerInfos.length}`, -1, 'SignedData.signerInfos');
  if (content !== undefined && content.length > 0) {
    throw new Asn1Error('no content', `${content.length} octets`, -1, 'SignedData.encapContentInfo');
  }
  return { certificates, crls };
}
