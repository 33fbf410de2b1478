import { decode, encode } from '../../core/asn1/codec.ts';
import {
  any,
  bitString,
  choice,
  defaulted,
  enumerated,
  explicit,
  generalizedTime,
  implicit,
  type Infer,
  nullValue,
  octetString,
  oid,
  optional,
  sequence,
  sequenceOf,
  serialInteger,
  smallInteger,
  withDer,
} from '../../core/asn1/schema.ts';
import { CRL_REASON, type CrlReason } from '../../core/x509/crl.ts';
import { type Extension, extensionsSchema } from '../../core/x509/extensions.ts';
import { generalNameSchema } from '../../core/x509/general-name.ts';
import { type SerialNumber, serialNumberFromOctets } from '../../core/x509/serial-number.ts';
import { algorithmIdentifier, type SignatureAlgorithm } from '../../core/x509/signature-algorithm.ts';
import { PeerError } from '../../core/errors/muster-error.ts';

/** The largest request that is read, octets (OC-14). */
export const MAX_REQUEST_OCTETS = 16_384;
/** The most certificates that one request may ask about (OC-14). */
const MAX_CERTIFICATES = 32;

/** The hash functions of CertID that are understood: RFC 6960 names SHA-1, RFC 5019 and newer clients SHA-256. */
export type CertIdHash = 'sha1' | 'sha256';

/** Which certificate is asked about (RFC 6960 §4.1.1). */
export interface CertId {
  /** The whole CertID as it came: the response repeats it octet by octet. */
  readonly der: Uint8Array;
  /** `undefined`: a function that is not understood, so no issuer can match. */
  readonly hash: CertIdHash | undefined;
  readonly issuerNameHash: Uint8Array;
  readonly issuerKeyHash: Uint8Array;
  readonly serialNumber: SerialNumber;
}

/** What is asked. */
export interface OcspRequest {
  readonly certIds: readonly CertId[];
  /** The extnValue of the nonce as it came; `undefined` without one. */
  readonly nonce: Uint8Array | undefined;
  /** One certificate, no extension, no signature: what pre-signed responses answer (RFC 5019 §2.1.1). */
  readonly isPlain: boolean;
}

const certId = sequence('CertID', {
  hashAlgorithm: sequence('AlgorithmIdentifier', { algorithm: oid, parameters: optional(any) }),
  issuerNameHash: octetString,
  issuerKeyHash: octetString,
  serialNumber: serialInteger,
});

const ocspRequest = sequence('OCSPRequest', {
  tbsRequest: sequence('TBSRequest', {
    version: defaulted(explicit(0, smallInteger), 0),
    requestorName: optional(explicit(1, generalNameSchema)),
    requestList: sequenceOf(
      sequence('Request', {
        reqCert: withDer(certId),
        singleRequestExtensions: optional(explicit(0, extensionsSchema)),
      }),
      { min: 1, max: MAX_CERTIFICATES },
    ),
    requestExtensions: optional(explicit(2, extensionsSchema)),
  }),
  // RFC 6960 §4.1.2: signed requests are optional; nothing here depends on who asks, so the signature is not looked at.
  optionalSignature: optional(explicit(0, any)),
});

const HASHES: ReadonlyMap<string, CertIdHash> = new Map([
  ['1.3.14.3.2.26', 'sha1'],
  ['2.16.840.1.101.3.4.2.1', 'sha256'],
]);

const NONCE = '1.3.6.1.5.5.7.48.1.2';
/** RFC 9654 §2.1: a nonce has 1 to 128 octets, anything else is malformed. */
const MAX_NONCE_OCTETS = 128;

/**
 * Decodes a request. Throws Asn1Error or X509Error on what is not one, on more certificates than {@link MAX_CERTIFICATES};
 * PeerError `malformed-request` on a nonce of a length that RFC 9654 forbids and on critical extensions, none of which is
 * understood.
 */
export function decodeOcspRequest(der: Uint8Array): OcspRequest {
  const { tbsRequest, optionalSignature } = decode(ocspRequest, der, { maxBytes: MAX_REQUEST_OCTETS });
  const { requestList, requestExtensions = [], requestorName, version } = tbsRequest;
  if (version !== 0) throw new PeerError('malformed-request', `version 1 of OCSP was expected, found ${version + 1}`);
  const single = requestList.flatMap(({ singleRequestExtensions = [] }) => singleRequestExtensions);
  refuseCritical([...requestExtensions, ...single]);
  return {
    certIds: requestList.map(({ reqCert }) => certIdOf(reqCert)),
    nonce: nonceOf(requestExtensions),
    isPlain:
      requestList.length === 1 &&
      requestExtensions.length + single.length === 0 &&
      (requestorName ?? optionalSignature) === undefined,
  };
}

function certIdOf({ value, der }: { readonly value: Infer<typeof certId>; readonly der: Uint8Array }): CertId {
  return {
    der,
    hash: HASHES.get(value.hashAlgorithm.algorithm),
    issuerNameHash: value.issuerNameHash,
    issuerKeyHash: value.issuerKeyHash,
    serialNumber: serialNumberFromOctets(value.serialNumber),
  };
}

// RFC 6960 §4.4: a critical extension that is not understood must not be passed over. A critical nonce is understood.
function refuseCritical(extensions: readonly Extension[]): void {
  const unknown = extensions.find(({ critical, oid: id }) => critical && id !== NONCE);
  if (unknown) throw new PeerError('malformed-request', `the request has the critical extension ${unknown.oid}`);
}

function nonceOf(extensions: readonly Extension[]): Uint8Array | undefined {
  const extension = extensions.find((candidate) => candidate.oid === NONCE);
  if (extension === undefined) return undefined;
  const { length } = decode(octetString, extension.value);
  if (length === 0 || length > MAX_NONCE_OCTETS) {
    throw new PeerError(
      'malformed-request',
      `a nonce of 1 to ${MAX_NONCE_OCTETS} octets was expected, found ${length}`,
    );
  }
  return extension.value;
}

/** The status of one certificate. */
export type CertificateStatus =
  | { readonly kind: 'good' }
  | { readonly kind: 'revoked'; readonly at: Date; readonly reason: CrlReason | undefined }
  | { readonly kind: 'unknown' };

/** The answer about one certificate. */
export interface SingleResponse {
  readonly certId: Uint8Array;
  readonly status: CertificateStatus;
  readonly thisUpdate: Date;
  readonly nextUpdate: Date;
}

/** What a responder signs. */
export interface ResponseData {
  /** SHA-1 of the responder's public key (RFC 6960 §4.2.1, byKey). */
  readonly responderKeyHash: Uint8Array;
  readonly producedAt: Date;
  readonly responses: readonly SingleResponse[];
  readonly nonce: Uint8Array | undefined;
}

const singleResponse = sequence('SingleResponse', {
  certID: any,
  certStatus: choice('CertStatus', {
    good: implicit(0, nullValue),
    revoked: implicit(
      1,
      sequence('RevokedInfo', {
        revocationTime: generalizedTime,
        revocationReason: optional(explicit(0, enumerated)),
      }),
    ),
    unknown: implicit(2, nullValue),
  }),
  thisUpdate: generalizedTime,
  nextUpdate: optional(explicit(0, generalizedTime)),
});

const responseData = sequence('ResponseData', {
  responderID: choice('ResponderID', { byKey: explicit(2, octetString) }),
  producedAt: generalizedTime,
  responses: sequenceOf(singleResponse),
  responseExtensions: optional(explicit(1, extensionsSchema)),
});

const basicOcspResponse = sequence('BasicOCSPResponse', {
  tbsResponseData: any,
  signatureAlgorithm: any,
  signature: bitString,
  certs: optional(explicit(0, sequenceOf(any))),
});

const ocspResponse = sequence('OCSPResponse', {
  responseStatus: enumerated,
  responseBytes: optional(explicit(0, sequence('ResponseBytes', { responseType: oid, response: octetString }))),
});

const BASIC = '1.3.6.1.5.5.7.48.1.1';

/** OCSPResponseStatus (RFC 6960 §4.2.1); sigRequired is never sent. */
export const RESPONSE_STATUS = {
  successful: 0,
  malformedRequest: 1,
  internalError: 2,
  tryLater: 3,
  unauthorized: 6,
} as const;

/** The statuses of an answer that says nothing of a certificate. */
export type FailureStatus = Exclude<keyof typeof RESPONSE_STATUS, 'successful'>;

/** The DER of ResponseData: what is signed. */
export function encodeResponseData({ responderKeyHash, producedAt, responses, nonce }: ResponseData): Uint8Array {
  return encode(responseData, {
    responderID: { kind: 'byKey', value: responderKeyHash },
    producedAt,
    responses: responses.map(({ certId: certID, status, thisUpdate, nextUpdate }) => ({
      certID,
      certStatus: certStatus(status),
      thisUpdate,
      nextUpdate,
    })),
    // RFC 9654 §2.1: the value of the request's nonce, octet by octet.
    responseExtensions: nonce && [{ oid: NONCE, critical: false, value: nonce }],
  });
}

function certStatus(status: CertificateStatus): Infer<typeof singleResponse>['certStatus'] {
  switch (status.kind) {
    case 'good':
    case 'unknown':
      return { kind: status.kind, value: null };
    case 'revoked': {
      const revocationReason =
        status.reason === undefined || status.reason === 'unspecified' ? undefined : CRL_REASON[status.reason];
      return { kind: 'revoked', value: { revocationTime: status.at, revocationReason } };
    }
  }
}

/** A signed answer (RFC 6960 §4.2.1). `delegate`: the responder's certificate, which the authority itself issued. */
export function encodeOcspResponse(
  tbsResponseData: Uint8Array,
  algorithm: SignatureAlgorithm,
  signature: Uint8Array,
  delegate: Uint8Array,
): Uint8Array {
  const response = encode(basicOcspResponse, {
    tbsResponseData,
    signatureAlgorithm: algorithmIdentifier(algorithm),
    signature: { unusedBits: 0, bytes: signature },
    certs: [delegate],
  });
  return encode(ocspResponse, {
    responseStatus: RESPONSE_STATUS.successful,
    responseBytes: { responseType: BASIC, response },
  });
}

/** An answer without responseBytes (RFC 6960 §2.3). */
export function encodeFailure(status: FailureStatus): Uint8Array {
  return encode(ocspResponse, { responseStatus: RESPONSE_STATUS[status], responseBytes: undefined });
}
