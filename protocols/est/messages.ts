import { encodeCertsOnly } from '../../core/cms/signed-data.ts';
import { PeerError } from '../../core/errors/muster-error.ts';
import { withoutEvidence } from '../../core/enrollment/carried-evidence.ts';
import { type CertificationRequest, parseCertificationRequest } from '../../core/x509/certification-request.ts';
import { EXTENSIONS, type Extension } from '../../core/x509/extensions.ts';
import type { GeneralName } from '../../core/x509/general-name.ts';
import { EXTENSION } from '../../core/x509/oids.ts';
import { decodeBody, encodeBase64, type Layout } from './base64.ts';
import { decodingFault } from './decoding-fault.ts';
import { encodeMultipart } from './multipart.ts';

/** Largest request body, in octets: RSA-16384 with a thousand names fits. */
export const MAX_BODY_OCTETS = 64 * 1024;

/** RFC 7030 §4.1.3, §4.2.3. */
export const CERTS_ONLY = 'application/pkcs7-mime; smime-type=certs-only';
/** RFC 7030 §4.4.2: PKCS #8 in clear, and in an EnvelopedData. */
const PKCS8 = 'application/pkcs8';
const SERVER_GENERATED_KEY = 'application/pkcs7-mime; smime-type=server-generated-key';

/** RFC 7468 §7, and the label of the time before. */
const PEM_LABELS = ['CERTIFICATE REQUEST', 'NEW CERTIFICATE REQUEST'];

/** A request to enrol, decoded; its signature is not verified. */
export interface EnrollmentMessage {
  readonly request: CertificationRequest;
  readonly subjectAltName: readonly GeneralName[];
  /** What it asks for besides subjectAltName; evidence asks for nothing. */
  readonly otherExtensions: readonly Extension[];
}

/** A private key made here, as it goes into the answer. */
export interface DeliveredKey {
  readonly kind: 'pkcs8' | 'enveloped';
  /** PrivateKeyInfo, or a ContentInfo with EnvelopedData. */
  readonly der: Uint8Array;
}

/**
 * Decodes the body of simpleenroll, simplereenroll and serverkeygen: a PKCS #10 request.
 *
 * @throws PeerError `bad-encoding` or `malformed-request`, naming the field at fault
 */
export function decodeEnrollmentMessage(body: Uint8Array): EnrollmentMessage {
  if (body.length > MAX_BODY_OCTETS) throw new PeerError('too-large', `expected at most ${MAX_BODY_OCTETS} octets`);
  const der = decodeBody(body, PEM_LABELS);
  try {
    const request = parseCertificationRequest(der);
    return {
      request,
      subjectAltName: EXTENSIONS.subjectAltName.find(request.requestedExtensions) ?? [],
      otherExtensions: withoutEvidence(request.requestedExtensions).filter(
        ({ oid }) => oid !== EXTENSION.subjectAltName,
      ),
    };
  } catch (error) {
    throw decodingFault(error, 'malformed-request');
  }
}

/** A certs-only CMS in base64 (RFC 7030 §4.1.3; §4.2.3: of an enrolment, the issued certificate alone). */
export function encodeCertificates(certificates: readonly Uint8Array[], layout: Layout): Uint8Array {
  return encodeBase64(encodeCertsOnly(certificates), layout);
}

/** The multipart/mixed body of serverkeygen (RFC 7030 §4.4.2): the key, then the certificate. It holds the key: erase it. */
export function encodeKeyAndCertificate(
  key: DeliveredKey,
  certificate: Uint8Array,
  layout: Layout,
): Uint8Array<ArrayBuffer> {
  const keyBase64 = encodeBase64(key.der, layout);
  const body = encodeMultipart([
    { contentType: key.kind === 'pkcs8' ? PKCS8 : SERVER_GENERATED_KEY, base64: keyBase64 },
    { contentType: CERTS_ONLY, base64: encodeCertificates([certificate], layout) },
  ]);
  keyBase64.fill(0);
  return body;
}
