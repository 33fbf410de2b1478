import { decode, encode } from '../asn1/codec.ts';
import { explicit, octetString, optional, sequence } from '../asn1/schema.ts';
import { NULL_PARAMETERS, algorithmIdentifierSchema, algorithmWith, parametersOf } from './algorithm-identifier.ts';
import type { AlgorithmIdentifier } from './algorithm-identifier.ts';
import { CmsError } from './cms-error.ts';
import { digestAlgorithmOf, digestIdentifier } from './digest-algorithm.ts';
import { KEY_TRANSPORT } from './oids.ts';

/** Hash functions of RSAES-OAEP, for the message and its mask alike. */
export type OaepHash = 'sha1' | 'sha256' | 'sha384' | 'sha512';

// RFC 4055 §4.1
const oaepParameters = sequence('RSAES-OAEP-params', {
  hashFunc: optional(explicit(0, algorithmIdentifierSchema)),
  maskGenFunc: optional(explicit(1, algorithmIdentifierSchema)),
  pSourceFunc: optional(explicit(2, algorithmIdentifierSchema)),
});

/**
 * The AlgorithmIdentifier of RSAES-OAEP. The parameters are always there, if only as an empty SEQUENCE for SHA-1:
 * some clients insist (RFC 4055 §4.1 has them present, too).
 */
export function oaepIdentifier(hash: OaepHash): AlgorithmIdentifier {
  if (hash === 'sha1') return algorithmWith(KEY_TRANSPORT.rsaesOaep, oaepParameters, {});
  const hashFunc = { ...digestIdentifier(hash), parameters: NULL_PARAMETERS };
  const maskGenFunc = { algorithm: KEY_TRANSPORT.mgf1, parameters: encode(algorithmIdentifierSchema, hashFunc) };
  return algorithmWith(KEY_TRANSPORT.rsaesOaep, oaepParameters, { hashFunc, maskGenFunc });
}

/**
 * The hash of an RSAES-OAEP AlgorithmIdentifier. Throws CmsError `unsupported-algorithm` on other hashes, where hash and
 * mask hash differ, and on a label; Asn1Error on other parameters.
 */
export function oaepHashOf(identifier: AlgorithmIdentifier): OaepHash {
  const { hashFunc, maskGenFunc, pSourceFunc } = parametersOf(identifier, oaepParameters) ?? {};
  const hash = hashOf(hashFunc);
  if (maskHashOf(maskGenFunc) !== hash) throw unsupported('one hash for message and mask', 'two');
  if (pSourceFunc !== undefined && !isEmptyLabel(pSourceFunc)) throw unsupported('an empty label', 'another');
  return hash;
}

function hashOf(identifier: AlgorithmIdentifier | undefined): OaepHash {
  if (identifier === undefined) return 'sha1'; // the DEFAULT
  const hash = digestAlgorithmOf(identifier);
  if (hash === 'sha1' || hash === 'sha256' || hash === 'sha384' || hash === 'sha512') return hash;
  throw unsupported('SHA-1 or SHA-2', identifier.algorithm);
}

function maskHashOf(identifier: AlgorithmIdentifier | undefined): OaepHash {
  if (identifier === undefined) return 'sha1';
  if (identifier.algorithm !== KEY_TRANSPORT.mgf1) throw unsupported('MGF1', identifier.algorithm);
  return hashOf(parametersOf(identifier, algorithmIdentifierSchema));
}

function isEmptyLabel({ algorithm, parameters }: AlgorithmIdentifier): boolean {
  if (algorithm !== KEY_TRANSPORT.pSpecified) return false;
  return parameters === undefined || decode(octetString, parameters).length === 0;
}

function unsupported(expected: string, found: string): CmsError {
  return new CmsError('unsupported-algorithm', expected, found);
}
