import { decode } from '../../core/asn1/codec.ts';
import { octetString } from '../../core/asn1/schema.ts';
import { CMS_ATTRIBUTE } from '../../core/cms/oids.ts';
import { decodeSmimeCapabilities } from '../../core/cms/smime-capabilities.ts';
import type { RequestAttribute } from '../../core/x509/certification-request.ts';
import { X509Error } from '../../core/x509/x509-error.ts';
import { decodingFault } from './decoding-fault.ts';

/** id-aa-decryptKeyID and id-aa-asymmDecryptKeyID (RFC 4108 §2.2.5, RFC 7030 §4.4.1.2). */
const DECRYPT_KEY_ID = '1.2.840.113549.1.9.16.2.37';
const ASYMMETRIC_DECRYPT_KEY_ID = '1.2.840.113549.1.9.16.2.54';

/** How a device asks for its key to be protected besides TLS (RFC 7030 §4.4.1). */
export type KeyProtection =
  | { readonly kind: 'none' }
  /** By a symmetric key, known to both by some other way. */
  | { readonly kind: 'symmetric' }
  /** By a public key, named by its key identifier; `capabilities` are the OIDs of SMIMECapabilities, in order. */
  | { readonly kind: 'asymmetric'; readonly keyIdentifier: Uint8Array; readonly capabilities: readonly string[] };

/**
 * Reads the attributes that ask for protection.
 *
 * @throws PeerError `malformed-request`
 */
export function readKeyProtection(attributes: readonly RequestAttribute[]): KeyProtection {
  try {
    return decodeKeyProtection(attributes);
  } catch (error) {
    throw decodingFault(error, 'malformed-request');
  }
}

function decodeKeyProtection(attributes: readonly RequestAttribute[]): KeyProtection {
  const asymmetric = singleValue(attributes, ASYMMETRIC_DECRYPT_KEY_ID);
  const symmetric = singleValue(attributes, DECRYPT_KEY_ID);
  if (symmetric !== undefined) return { kind: 'symmetric' };
  if (asymmetric === undefined) return { kind: 'none' };
  const capabilities = singleValue(attributes, CMS_ATTRIBUTE.smimeCapabilities);
  return {
    kind: 'asymmetric',
    keyIdentifier: decode(octetString, asymmetric),
    capabilities:
      capabilities === undefined ? [] : decodeSmimeCapabilities(capabilities).map(({ algorithm }) => algorithm),
  };
}

function singleValue(attributes: readonly RequestAttribute[], type: string): Uint8Array | undefined {
  const found = attributes.filter((attribute) => attribute.type === type).flatMap(({ values }) => values);
  if (found.length > 1)
    throw new X509Error('CertificationRequestInfo.attributes', `a single value of ${type}`, 'several');
  return found[0];
}
