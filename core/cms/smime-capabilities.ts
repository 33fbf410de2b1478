import { decode, encode } from '../asn1/codec.ts';
import { sequenceOf } from '../asn1/schema.ts';
import { algorithmIdentifierSchema } from './algorithm-identifier.ts';
import type { AlgorithmIdentifier } from './algorithm-identifier.ts';
import { cipherOfOid } from './content-cipher.ts';
import type { ContentCipher } from './content-cipher.ts';

/**
 * SMIMECapability (RFC 8551 §2.5.2) has the shape of AlgorithmIdentifier: an OID, and parameters where the capability
 * has some.
 */
export type SmimeCapability = AlgorithmIdentifier;

const smimeCapabilitiesSchema = sequenceOf(algorithmIdentifierSchema, { max: 64 });

/** Encodes SMIMECapabilities, the most preferred first. */
export function encodeSmimeCapabilities(capabilities: readonly SmimeCapability[]): Uint8Array {
  return encode(smimeCapabilitiesSchema, capabilities);
}

/**
 * Decodes SMIMECapabilities, as EST clients put them into a request to say which ciphers they can open (RFC 7030
 * §4.4.1.1). Throws Asn1Error.
 */
export function decodeSmimeCapabilities(der: Uint8Array): readonly SmimeCapability[] {
  return decode(smimeCapabilitiesSchema, der);
}

/** The content ciphers among the capabilities that we can use, the most preferred first; single DES is not one. */
export function contentCiphersOf(capabilities: readonly SmimeCapability[]): ContentCipher[] {
  return capabilities.flatMap(({ algorithm }) => {
    const cipher = cipherOfOid(algorithm);
    return cipher === undefined || cipher === 'des-cbc' ? [] : [cipher];
  });
}
