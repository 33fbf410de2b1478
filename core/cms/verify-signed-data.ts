import { decode } from '../asn1/codec.ts';
import { octetString, oid } from '../asn1/schema.ts';
import type { Schema } from '../asn1/schema.ts';
import { octetsEqual } from '../x509/octets.ts';
import { parseSubjectPublicKeyInfo } from '../x509/public-key.ts';
import type { SubjectPublicKeyInfo } from '../x509/public-key.ts';
import { singleValue } from './attribute.ts';
import type { Attribute } from './attribute.ts';
import { certificateIdentity, identifies } from './certificate-identity.ts';
import type { CertificateIdentifier } from './certificate-identity.ts';
import { digestsFor, resolveSignatureAlgorithm, verifyCmsSignature } from './cms-signature.ts';
import type { CmsSignatureAlgorithm } from './cms-signature.ts';
import { MODERN_DIGESTS, digestAlgorithmOf, digestOctets } from './digest-algorithm.ts';
import type { DigestAlgorithm } from './digest-algorithm.ts';
import { CMS_ATTRIBUTE, CONTENT_TYPE } from './oids.ts';
import type { SignedData, SignerInfo } from './signed-data-syntax.ts';

/** Why a SignedData is not accepted. */
export type SignedDataFinding =
  | 'signer-absent'
  | 'several-signers'
  | 'content-absent'
  | 'content-ambiguous'
  | 'digest-unsupported'
  | 'digest-not-accepted'
  | 'digest-not-listed'
  | 'signature-algorithm-unsupported'
  | 'algorithms-inconsistent'
  | 'signer-certificate-absent'
  | 'signer-certificate-ambiguous'
  | 'signer-key-unsupported'
  | 'signed-attributes-absent'
  | 'attribute-duplicated'
  | 'content-type-absent'
  | 'content-type-mismatch'
  | 'message-digest-absent'
  | 'message-digest-mismatch'
  | 'signature-invalid';

/** What verification established. Whether the signer is to be trusted is for path validation and the protocol. */
export interface VerifiedSignedData {
  readonly ok: true;
  readonly contentType: string;
  readonly content: Uint8Array;
  /** DER of the certificate whose key made the signature. */
  readonly signerCertificate: Uint8Array;
  readonly signerPublicKey: SubjectPublicKeyInfo;
  readonly digest: DigestAlgorithm;
  readonly signatureAlgorithm: CmsSignatureAlgorithm;
  /** Covered by the signature; empty where it was over the content itself. */
  readonly signedAttributes: readonly Attribute[];
}

/** The outcome of {@link verifySignedData}. */
export type SignedDataVerdict =
  | VerifiedSignedData
  | { readonly ok: false; readonly finding: SignedDataFinding; readonly detail: string };

/** What a caller may ask of {@link verifySignedData}. */
export interface VerifySignedDataOptions {
  /** Content that is not in the message. Where the message has content as well, it is refused as ambiguous. */
  readonly detachedContent?: Uint8Array;
  /** Digests to accept; default SHA-2 and SHAKE256. Naming md5 and sha1 here also accepts signatures over them. */
  readonly digests?: readonly DigestAlgorithm[];
  /** `optional` accepts a signature over the content itself, where RFC 5652 §5.3 allows it: content type id-data. */
  readonly signedAttributes?: 'required' | 'optional';
  /** Candidates for the signer's certificate, in DER, *instead of* those of the message. */
  readonly signerCertificates?: readonly Uint8Array[];
}

/**
 * Verifies the one signature of a SignedData (RFC 5652 §5.6): exactly one SignerInfo, whose certificate is found among
 * the message's own and nowhere else; contentType and messageDigest compared; the signature checked over the signed
 * attributes as they came. Throws nothing; the certificate itself is not judged.
 */
export function verifySignedData(signedData: SignedData, options: VerifySignedDataOptions = {}): SignedDataVerdict {
  try {
    return verify(signedData, options);
  } catch (error) {
    if (error instanceof Refusal) return { ok: false, finding: error.finding, detail: error.message };
    throw error;
  }
}

class Refusal extends Error {
  readonly finding: SignedDataFinding;
  constructor(finding: SignedDataFinding, detail: string) {
    super(detail);
    this.finding = finding;
  }
}

function verify(signedData: SignedData, options: VerifySignedDataOptions): VerifiedSignedData {
  const { contentType } = signedData;
  const signerInfo = onlySigner(signedData);
  const content = contentOf(signedData, options.detachedContent);
  const digest = acceptedDigest(signedData, signerInfo, options.digests ?? MODERN_DIGESTS);
  const signatureAlgorithm = consistentAlgorithm(signerInfo, digest);
  const certificates = options.signerCertificates ?? signedData.certificates;
  const signerCertificate = findSigner(signerInfo.signerIdentifier, certificates);
  const signerPublicKey = publicKeyOf(signerCertificate);
  const signedAttributes = checkedAttributes(signerInfo, contentType, options.signedAttributes ?? 'required');
  if (signedAttributes !== undefined) compareDigest(signedAttributes, digest, content);
  const signed = signerInfo.signedAttributesDer ?? content;
  if (!verifyCmsSignature(signerPublicKey, signatureAlgorithm, signed, signerInfo.signature)) {
    throw new Refusal('signature-invalid', `expected a signature by ${signatureAlgorithm}, found another`);
  }
  return {
    ok: true,
    contentType,
    content,
    signerCertificate,
    signerPublicKey,
    digest,
    signatureAlgorithm,
    signedAttributes: signedAttributes ?? [],
  };
}

function onlySigner({ signerInfos }: SignedData): SignerInfo {
  const [first, ...others] = signerInfos;
  if (first === undefined) throw new Refusal('signer-absent', 'expected one SignerInfo, found none');
  if (others.length > 0) throw new Refusal('several-signers', `expected one SignerInfo, found ${signerInfos.length}`);
  return first;
}

function contentOf({ content }: SignedData, detached: Uint8Array | undefined): Uint8Array {
  if (content !== undefined && detached !== undefined) {
    throw new Refusal('content-ambiguous', 'expected detached content, found content in the message as well');
  }
  const found = content ?? detached;
  if (found === undefined) throw new Refusal('content-absent', 'expected eContent, found none');
  return found;
}

function acceptedDigest(
  { digestAlgorithms }: SignedData,
  { digestAlgorithm }: SignerInfo,
  accepted: readonly DigestAlgorithm[],
): DigestAlgorithm {
  const digest = digestAlgorithmOf(digestAlgorithm);
  if (digest === undefined)
    throw new Refusal('digest-unsupported', `expected a known digest, found ${digestAlgorithm.algorithm}`);
  if (!accepted.includes(digest)) {
    throw new Refusal('digest-not-accepted', `expected ${accepted.join(' or ')}, found ${digest}`);
  }
  // RFC 5652 §5.1: "implementations MAY fail to validate signatures that use a digest algorithm that is not included".
  if (!digestAlgorithms.some(({ algorithm }) => algorithm === digestAlgorithm.algorithm)) {
    throw new Refusal('digest-not-listed', `expected ${digest} in digestAlgorithms, found others`);
  }
  return digest;
}

function consistentAlgorithm({ signatureAlgorithm }: SignerInfo, digest: DigestAlgorithm): CmsSignatureAlgorithm {
  const algorithm = resolveSignatureAlgorithm(signatureAlgorithm, digest);
  if (algorithm === undefined) {
    throw new Refusal('signature-algorithm-unsupported', 'expected a known signature algorithm, found another');
  }
  if (!digestsFor(algorithm).includes(digest)) {
    throw new Refusal('algorithms-inconsistent', `expected a digest that goes with ${algorithm}, found ${digest}`);
  }
  return algorithm;
}

function findSigner(identifier: CertificateIdentifier, certificates: readonly Uint8Array[]): Uint8Array {
  const found = certificates.filter((certificate) => isSigner(identifier, certificate));
  const [first, ...others] = found;
  if (first === undefined) {
    throw new Refusal('signer-certificate-absent', "expected the signer's certificate, found others or none");
  }
  // The same certificate twice is clumsy; two certificates under one name leave open who signed.
  if (!others.every((other) => octetsEqual(other, first))) {
    throw new Refusal('signer-certificate-ambiguous', `expected one certificate of the signer, found ${found.length}`);
  }
  return first;
}

function isSigner(identifier: CertificateIdentifier, certificate: Uint8Array): boolean {
  try {
    return identifies(identifier, certificateIdentity(certificate));
  } catch {
    return false; // a malformed certificate beside the signer's is no reason to refuse
  }
}

function publicKeyOf(certificate: Uint8Array): SubjectPublicKeyInfo {
  try {
    return parseSubjectPublicKeyInfo(certificateIdentity(certificate).subjectPublicKeyInfo);
  } catch {
    throw new Refusal('signer-key-unsupported', 'expected a supported public key, found another');
  }
}

function checkedAttributes(
  { signedAttributes }: SignerInfo,
  contentType: string,
  mode: 'required' | 'optional',
): readonly Attribute[] | undefined {
  if (signedAttributes === undefined) {
    if (mode === 'optional' && contentType === CONTENT_TYPE.data) return undefined;
    throw new Refusal('signed-attributes-absent', 'expected signedAttrs, found none');
  }
  const types = new Set(signedAttributes.map(({ type }) => type));
  if (types.size !== signedAttributes.length) {
    throw new Refusal('attribute-duplicated', 'expected each signed attribute once, found one twice');
  }
  compareContentType(signedAttributes, contentType);
  return signedAttributes;
}

function compareContentType(attributes: readonly Attribute[], contentType: string): void {
  const value = attributeOf(attributes, CMS_ATTRIBUTE.contentType, oid);
  if (value === undefined) throw new Refusal('content-type-absent', 'expected one contentType attribute, found none');
  if (value !== contentType) throw new Refusal('content-type-mismatch', `expected ${contentType}, found ${value}`);
}

function compareDigest(attributes: readonly Attribute[], digest: DigestAlgorithm, content: Uint8Array): void {
  const value = attributeOf(attributes, CMS_ATTRIBUTE.messageDigest, octetString);
  if (value === undefined)
    throw new Refusal('message-digest-absent', 'expected one messageDigest attribute, found none');
  if (!octetsEqual(value, digestOctets(digest, content))) {
    throw new Refusal('message-digest-mismatch', `expected the ${digest} of the content, found another`);
  }
}

function attributeOf<T>(attributes: readonly Attribute[], type: string, schema: Schema<T>): T | undefined {
  const value = singleValue(attributes, type);
  try {
    return value === undefined ? undefined : decode(schema, value);
  } catch {
    return undefined;
  }
}
