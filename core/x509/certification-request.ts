import { decode, encode } from '../asn1/codec.ts';
import {
  any,
  bitString,
  bmpString,
  choice,
  ia5String,
  implicit,
  optional,
  printableString,
  sequence,
  setOf,
  smallInteger,
  t61String,
  universalString,
  utf8String,
  withDer,
  oid,
} from '../asn1/schema.ts';
import { type Extension, extensionsSchema } from './extensions.ts';
import { assembleSigned } from './certificate.ts';
import { FOREIGN } from './foreign-limits.ts';
import { type Name, nameSchema } from './name.ts';
import { EXTENSION, REQUEST_ATTRIBUTE } from './oids.ts';
import { type SubjectPublicKeyInfo, subjectPublicKeyInfoSchema } from './public-key.ts';
import {
  type SignatureAlgorithm,
  signatureAlgorithmSchema,
  verifySignature,
  verifySignatureAsync,
  type VerifyOptions,
} from './signature-algorithm.ts';
import { wholeOctets } from './whole-octets.ts';
import { X509Error } from './x509-error.ts';

/** One attribute of a request (RFC 2986 §4.1): its type, dotted, and the DER of each value. */
export interface RequestAttribute {
  readonly type: string;
  readonly values: readonly Uint8Array[];
}

/** What a request's signature covers, besides its version. */
export interface CertificationRequestInfo {
  readonly subject: Name;
  readonly publicKey: SubjectPublicKeyInfo;
  /** Every attribute, those that are decoded below included. */
  readonly attributes: readonly RequestAttribute[];
}

/** A PKCS #10 request (RFC 2986 §4.2), its signature not yet verified. Octets are views of the input. */
export interface CertificationRequest extends CertificationRequestInfo {
  readonly der: Uint8Array;
  /** The complete encoding of certificationRequestInfo: what the signature covers. */
  readonly infoDer: Uint8Array;
  /** Of extensionRequest (RFC 2985 §5.4.2), or of Microsoft's older attribute; none where both are absent. */
  readonly requestedExtensions: readonly Extension[];
  /** challengePassword (RFC 2985 §5.4.1), undefined where absent. A secret: never log it. */
  readonly challengePassword: string | undefined;
  readonly signatureAlgorithm: SignatureAlgorithm;
  readonly signature: Uint8Array;
}

const attribute = sequence('Attribute', { type: oid, values: setOf(any, { min: 1 }) });

const certificationRequestInfo = sequence('CertificationRequestInfo', {
  version: smallInteger,
  subject: nameSchema,
  subjectPKInfo: subjectPublicKeyInfoSchema,
  // RFC 2986 §4.1 requires the field; `openssl req -asn1-kludge` and the old CAs it was made for leave it out when empty.
  attributes: optional(implicit(0, setOf(attribute))),
});

const certificationRequest = sequence('CertificationRequest', {
  certificationRequestInfo: withDer(certificationRequestInfo),
  signatureAlgorithm: signatureAlgorithmSchema,
  signature: bitString,
});

// RFC 2985 §5.4.1 has PrintableString and UTF8String; routers and printers send the other two, and BMPString (Windows).
const challengePasswordValue = choice('ChallengePassword', {
  utf8String,
  printableString,
  t61String,
  ia5String,
  bmpString,
  universalString,
});

/**
 * Decodes a request. Throws Asn1Error on other DER, X509Error on a version other than 1, on a repeated or ill-formed
 * extensionRequest or challengePassword, and on keys and algorithms outside the lists. Unknown attributes are kept.
 */
export function parseCertificationRequest(der: Uint8Array): CertificationRequest {
  const wire = decode(certificationRequest, der, FOREIGN);
  const { value: info, der: infoDer } = wire.certificationRequestInfo;
  if (info.version !== 0) throw new X509Error('CertificationRequestInfo.version', 'v1', `v${info.version + 1}`);
  const attributes = info.attributes ?? [];
  return {
    der,
    infoDer,
    subject: info.subject,
    publicKey: info.subjectPKInfo,
    attributes,
    requestedExtensions: requestedExtensions(attributes),
    challengePassword: challengePassword(attributes),
    signatureAlgorithm: wire.signatureAlgorithm,
    signature: wholeOctets(wire.signature, 'CertificationRequest.signature'),
  };
}

/** Whether the request is signed by the key it names: proof of possession. Never throws. */
export function verifyCertificationRequest(request: CertificationRequest, options?: VerifyOptions): boolean {
  return verifySignature(request.publicKey, request.signatureAlgorithm, request.infoDer, request.signature, options);
}

/** {@link verifyCertificationRequest} in libuv's thread pool. Never rejects. */
export function verifyCertificationRequestAsync(
  request: CertificationRequest,
  options?: VerifyOptions,
): Promise<boolean> {
  return verifySignatureAsync(
    request.publicKey,
    request.signatureAlgorithm,
    request.infoDer,
    request.signature,
    options,
  );
}

/** The DER of a CertificationRequestInfo: sign it and join both with `assembleSigned`. */
export function encodeCertificationRequestInfo(info: CertificationRequestInfo): Uint8Array {
  const { subject, publicKey: subjectPKInfo, attributes } = info;
  return encode(certificationRequestInfo, { version: 0, subject, subjectPKInfo, attributes });
}

/**
 * The DER of a request as it may be kept: challengePassword and evidence are taken out, the one a secret, the other for the gate
 * to keep or to forget; what was signed no longer verifies then. Without them, the request itself.
 */
export function requestToKeep(request: CertificationRequest): Uint8Array {
  const extensions = request.requestedExtensions.filter(({ oid: kind }) => kind !== EXTENSION.attestation);
  const carriesEvidence = extensions.length < request.requestedExtensions.length;
  const kept = request.attributes.filter(
    ({ type }) => !NEVER_KEPT.has(type) && !(carriesEvidence && EXTENSION_REQUESTS.has(type)),
  );
  if (kept.length === request.attributes.length) return request.der;
  const asked = carriesEvidence && extensions.length > 0 ? [extensionRequestAttribute(extensions)] : [];
  const attributes = [...kept, ...asked];
  return assembleSigned(
    encodeCertificationRequestInfo({ ...request, attributes }),
    request.signatureAlgorithm,
    request.signature,
  );
}

const NEVER_KEPT: ReadonlySet<string> = new Set([REQUEST_ATTRIBUTE.challengePassword, REQUEST_ATTRIBUTE.attestation]);
const EXTENSION_REQUESTS: ReadonlySet<string> = new Set([
  REQUEST_ATTRIBUTE.extensionRequest,
  REQUEST_ATTRIBUTE.msCertificateExtensions,
]);

/** The extensionRequest attribute (RFC 2985 §5.4.2). */
export function extensionRequestAttribute(extensions: readonly Extension[]): RequestAttribute {
  return { type: REQUEST_ATTRIBUTE.extensionRequest, values: [encode(extensionsSchema, extensions)] };
}

/** The challengePassword attribute (RFC 2985 §5.4.1): PrintableString where the password fits, else UTF8String. */
export function challengePasswordAttribute(password: string): RequestAttribute {
  const kind = /^[A-Za-z0-9 '()+,\-./:=?]*$/.test(password) ? 'printableString' : 'utf8String';
  return {
    type: REQUEST_ATTRIBUTE.challengePassword,
    values: [encode(challengePasswordValue, { kind, value: password })],
  };
}

function requestedExtensions(attributes: readonly RequestAttribute[]): readonly Extension[] {
  const value =
    singleValue(attributes, REQUEST_ATTRIBUTE.extensionRequest) ??
    singleValue(attributes, REQUEST_ATTRIBUTE.msCertificateExtensions);
  return value === undefined ? [] : decode(extensionsSchema, value, FOREIGN);
}

function challengePassword(attributes: readonly RequestAttribute[]): string | undefined {
  const value = singleValue(attributes, REQUEST_ATTRIBUTE.challengePassword);
  return value === undefined ? undefined : decode(challengePasswordValue, value).value;
}

// Two values, or the attribute twice, would leave it to chance which one is judged and which one is granted.
function singleValue(attributes: readonly RequestAttribute[], type: string): Uint8Array | undefined {
  let found: Uint8Array | undefined;
  for (const one of attributes) {
    if (one.type !== type) continue;
    if (found !== undefined || one.values.length !== 1) {
      throw new X509Error('CertificationRequestInfo.attributes', `a single value of ${type}`, 'several');
    }
    found = one.values[0];
  }
  return found;
}
