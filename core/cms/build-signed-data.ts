import { decode, encode } from '../asn1/codec.ts';
import { algorithmIdentifierSchema } from './algorithm-identifier.ts';
import {
  attributesSchema,
  attributesToWire,
  contentTypeAttribute,
  messageDigestAttribute,
  retag,
} from './attribute.ts';
import type { Attribute } from './attribute.ts';
import { certificateIdentity, identifierOf } from './certificate-identity.ts';
import type { CertificateIdentifier } from './certificate-identity.ts';
import { CmsError } from './cms-error.ts';
import { digestsFor, isRsaPkcs1, signatureAlgorithmDer } from './cms-signature.ts';
import type { CmsSignatureAlgorithm } from './cms-signature.ts';
import { encodeContentInfo } from './content-info.ts';
import { digestIdentifier, digestOctets } from './digest-algorithm.ts';
import type { DigestAlgorithm } from './digest-algorithm.ts';
import { CONTENT_TYPE } from './oids.ts';
import { signedDataSchema } from './signed-data-syntax.ts';

/** Identifier octet of signedAttrs: [0] IMPLICIT, constructed. */
const SIGNED_ATTRS = 0xa0;

/** Who signs, and how. */
export interface CmsSigner {
  /** DER; put into the message first, unless `certificates` are given. */
  readonly certificate: Uint8Array;
  readonly signatureAlgorithm: CmsSignatureAlgorithm;
  /** Default: the digest of the signature algorithm. ML-DSA leaves a choice (RFC 9882 §3.3). */
  readonly digest?: DigestAlgorithm;
  /**
   * How SignerInfo names RSASSA-PKCS1-v1_5: default `rsaEncryption`, because strongSwan before 5.9.11 and other SCEP
   * clients reject the specific names; both are allowed by RFC 3370 §3.2.
   */
  readonly rsaIdentifier?: 'rsaEncryption' | 'specific';
  /** How SignerInfo names the certificate; default issuerAndSerialNumber. */
  readonly identifiedBy?: CertificateIdentifier['kind'];
  /** Signs the data, hashing it as the algorithm has it. ECDSA answers in the form of Ecdsa-Sig-Value. */
  sign(data: Uint8Array): Promise<Uint8Array>;
}

/** What to sign. */
export interface SignedDataTemplate {
  /** Dotted OID; default id-data. */
  readonly contentType?: string;
  readonly content: Uint8Array;
  /** Whether the content is left out of the message. */
  readonly detached?: boolean;
  readonly signer: CmsSigner;
  /** Besides contentType and messageDigest, which are always there. */
  readonly signedAttributes?: readonly Attribute[];
  readonly unsignedAttributes?: readonly Attribute[];
  /** DER, in the order to be sent. Default: the signer's. */
  readonly certificates?: readonly Uint8Array[];
  readonly crls?: readonly Uint8Array[];
}

/**
 * Builds a ContentInfo with a SignedData of one signer (RFC 5652 §5), always with signed attributes.
 *
 * @throws CmsError `invalid-argument` where digest and algorithm do not go together, an attribute is there twice, or the
 * certificate has no subjectKeyIdentifier to be identified by; what `sign` throws passes unchanged
 */
export async function buildSignedData(template: SignedDataTemplate): Promise<Uint8Array> {
  const { content, signer, contentType = CONTENT_TYPE.data } = template;
  const digest = digestOf(signer);
  const signedAttrs = signedAttributes(template, contentType, digest);
  const der = encode(attributesSchema, signedAttrs);
  const sid = identifierOf(certificateIdentity(signer.certificate), signer.identifiedBy ?? 'issuerAndSerialNumber');
  const signature = await signer.sign(der);
  const signedData = encode(signedDataSchema, {
    version: versionOf(contentType, sid),
    digestAlgorithms: [digestIdentifier(digest)],
    encapContentInfo: { eContentType: contentType, eContent: template.detached === true ? undefined : content },
    certificates: template.certificates ?? [signer.certificate],
    crls: template.crls,
    signerInfos: [
      {
        version: sid.kind === 'issuerAndSerialNumber' ? 1 : 3, // RFC 5652 §5.3
        sid,
        digestAlgorithm: digestIdentifier(digest),
        signedAttrs: { value: signedAttrs, der: retag(der, SIGNED_ATTRS) },
        signatureAlgorithm: signatureAlgorithm(signer),
        signature,
        unsignedAttrs: template.unsignedAttributes && attributesToWire(template.unsignedAttributes),
      },
    ],
  });
  return encodeContentInfo({ contentType: CONTENT_TYPE.signedData, content: signedData });
}

function digestOf({ signatureAlgorithm: algorithm, digest }: CmsSigner): DigestAlgorithm {
  const digests = digestsFor(algorithm);
  if (digest === undefined) return digests[0];
  if (digests.includes(digest)) return digest;
  throw new CmsError('invalid-argument', `${digests.join(' or ')} with ${algorithm}`, digest);
}

function signedAttributes(
  { content, signedAttributes: others = [] }: SignedDataTemplate,
  contentType: string,
  digest: DigestAlgorithm,
): ReturnType<typeof attributesToWire> {
  const attributes = [
    contentTypeAttribute(contentType),
    messageDigestAttribute(digestOctets(digest, content)),
    ...others,
  ];
  const types = new Set(attributes.map(({ type }) => type));
  if (types.size !== attributes.length) {
    throw new CmsError('invalid-argument', 'each signed attribute once', 'one twice');
  }
  return attributesToWire(attributes);
}

function signatureAlgorithm(signer: CmsSigner): { value: { algorithm: string }; der: Uint8Array } {
  const writesRsaEncryption = isRsaPkcs1(signer.signatureAlgorithm) && signer.rsaIdentifier !== 'specific';
  const der = signatureAlgorithmDer(signer.signatureAlgorithm, writesRsaEncryption);
  return { value: decode(algorithmIdentifierSchema, der), der };
}

// RFC 5652 §5.1; version 4 and 5 belong to attribute certificates and other formats, which are never sent.
function versionOf(contentType: string, sid: CertificateIdentifier): number {
  return contentType === CONTENT_TYPE.data && sid.kind === 'issuerAndSerialNumber' ? 1 : 3;
}
