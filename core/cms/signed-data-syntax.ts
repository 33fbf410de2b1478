import type { Limits } from '../asn1/codec.ts';
import { any, explicit, implicit, octetString, oid, optional, sequence, sequenceOf, setOf } from '../asn1/schema.ts';
import { smallInteger, withDer } from '../asn1/schema.ts';
import type { Infer } from '../asn1/schema.ts';
import { algorithmIdentifierSchema } from './algorithm-identifier.ts';
import type { AlgorithmIdentifier } from './algorithm-identifier.ts';
import { SET_OF, attributesFromWire, attributesSchema, retag } from './attribute.ts';
import type { Attribute } from './attribute.ts';
import { certificateIdentifierSchema } from './certificate-identity.ts';
import type { CertificateIdentifier } from './certificate-identity.ts';
import { decodeContent } from './content-info.ts';
import { CONTENT_TYPE } from './oids.ts';

/** More certificates than any chain needs are an attack on the search for the signer's. */
const MAX_CERTIFICATES = 64;
const MAX_SIGNERS = 8;

// RFC 5652 §5.3
const signerInfoSchema = sequence('SignerInfo', {
  version: smallInteger,
  sid: certificateIdentifierSchema,
  digestAlgorithm: algorithmIdentifierSchema,
  signedAttrs: optional(withDer(implicit(0, attributesSchema))),
  signatureAlgorithm: withDer(algorithmIdentifierSchema),
  signature: octetString,
  unsignedAttrs: optional(implicit(1, attributesSchema)),
});

/**
 * SignedData (RFC 5652 §5.1). The two SETs OF certificates and CRLs are written in the caller's order: see the README.
 */
export const signedDataSchema = sequence('SignedData', {
  version: smallInteger,
  digestAlgorithms: setOf(algorithmIdentifierSchema, { max: 16 }),
  encapContentInfo: sequence('EncapsulatedContentInfo', {
    eContentType: oid,
    eContent: optional(explicit(0, octetString)),
  }),
  certificates: optional(implicit(0, sequenceOf(any, { max: MAX_CERTIFICATES }))),
  crls: optional(implicit(1, sequenceOf(any, { max: MAX_CERTIFICATES }))),
  signerInfos: setOf(signerInfoSchema, { max: MAX_SIGNERS }),
});

/** A SignerInfo (RFC 5652 §5.3), as it came. */
export interface SignerInfo {
  readonly signerIdentifier: CertificateIdentifier;
  readonly digestAlgorithm: AlgorithmIdentifier;
  /** The complete encoding of the AlgorithmIdentifier. */
  readonly signatureAlgorithm: Uint8Array;
  /** Undefined where the signature is over the content itself. Not to be believed before verification. */
  readonly signedAttributes: readonly Attribute[] | undefined;
  /** What the signature covers where there are signed attributes: their octets as they came, under the tag of SET. */
  readonly signedAttributesDer: Uint8Array | undefined;
  readonly unsignedAttributes: readonly Attribute[];
  readonly signature: Uint8Array;
}

/** A SignedData, as it came: nothing in it is verified. */
export interface SignedData {
  readonly digestAlgorithms: readonly AlgorithmIdentifier[];
  readonly contentType: string;
  /** Undefined where the content travels elsewhere, or there is none. */
  readonly content: Uint8Array | undefined;
  /** X.509 certificates in DER, in the order of the message. Attribute certificates and other formats are left out. */
  readonly certificates: readonly Uint8Array[];
  /** X.509 CRLs in DER. */
  readonly crls: readonly Uint8Array[];
  readonly signerInfos: readonly SignerInfo[];
}

/**
 * Reads a ContentInfo that holds a SignedData; BER is normalised. Verifies nothing.
 *
 * @throws Asn1Error
 */
export function parseSignedData(bytes: Uint8Array, limits?: Partial<Limits>): SignedData {
  const wire = decodeContent(CONTENT_TYPE.signedData, signedDataSchema, bytes, limits);
  return {
    digestAlgorithms: wire.digestAlgorithms,
    contentType: wire.encapContentInfo.eContentType,
    content: wire.encapContentInfo.eContent,
    certificates: (wire.certificates ?? []).filter(isSequence),
    crls: (wire.crls ?? []).filter(isSequence),
    signerInfos: wire.signerInfos.map(signerInfoFromWire),
  };
}

function signerInfoFromWire(wire: Infer<typeof signerInfoSchema>): SignerInfo {
  return {
    signerIdentifier: wire.sid,
    digestAlgorithm: wire.digestAlgorithm,
    signatureAlgorithm: wire.signatureAlgorithm.der,
    signedAttributes: wire.signedAttrs === undefined ? undefined : attributesFromWire(wire.signedAttrs.value),
    signedAttributesDer: wire.signedAttrs === undefined ? undefined : retag(wire.signedAttrs.der, SET_OF),
    unsignedAttributes: attributesFromWire(wire.unsignedAttrs ?? []),
    signature: wire.signature,
  };
}

// Certificate and CertificateList are SEQUENCEs; every other alternative (RFC 5652 §§10.2.1-10.2.2) has a context tag.
function isSequence(der: Uint8Array): boolean {
  return der[0] === 0x30;
}
