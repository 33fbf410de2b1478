import type { KeyObject } from 'node:crypto';

import {
  algorithm,
  bitString,
  directoryName,
  explicit,
  extension,
  implicit,
  integer,
  name,
  nullValue,
  octetString,
  oid,
  sequence,
  set,
  utcTime,
  utf8String,
} from './cmp-der.ts';
import type { Body } from './cmp-message.ts';
import { readCertificate } from './cmp-reader.ts';
import { publicKeyDer, SIGNATURES, type SignatureName, signed, usualSignature } from './cmp-signatures.ts';

/** Fields of a CertTemplate (RFC 4211 §5); names as text or as DER of a Name. */
export interface Template {
  readonly version?: number;
  /** Content octets of the INTEGER. */
  readonly serialNumber?: Uint8Array;
  readonly issuer?: string | Uint8Array;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  readonly subject?: string | Uint8Array;
  /** DER of a SubjectPublicKeyInfo. */
  readonly publicKey?: Uint8Array;
  readonly extensions?: readonly Uint8Array[];
}

/** What makes the proof of possession from the CertRequest; undefined leaves it out. */
export type Proof = ((certRequest: Buffer) => Buffer) | undefined;

/** One CertReqMsg. */
export interface CertReqMsg {
  readonly certReqId?: number;
  readonly template: Template;
  /** AttributeTypeAndValues. */
  readonly controls?: readonly Uint8Array[];
  readonly proof?: Proof;
  readonly regInfo?: readonly Uint8Array[];
}

/** The bodies that carry CertReqMessages. */
export const certRequests = (kind: 'ir' | 'cr' | 'kur' | 'ccr', ...messages: readonly CertReqMsg[]): Body => ({
  kind,
  content: sequence(...messages.map(encodeCertReqMsg)),
});

/** The usual request: a subject, a key, and its signature. */
export const requestFor = (
  subject: string | Uint8Array,
  key: KeyObject,
  more: Partial<CertReqMsg> = {},
): CertReqMsg => ({
  proof: signatureProof(key),
  ...more,
  template: { subject, publicKey: publicKeyDer(key), ...more.template },
});

/** POPOSigningKey over the CertRequest (RFC 4211 §4.1, case 3). */
export function signatureProof(key: KeyObject, signature: SignatureName = usualSignature(key)): Proof {
  return (certRequest) => popoSigningKey(undefined, signed(key, certRequest, signature), signature);
}

/** POPOSigningKey over a POPOSigningKeyInput; `authInfo` is a `sender` (case 1, GeneralName) or a PKMACValue (case 2). */
export function signatureProofOverInput(
  key: KeyObject,
  authInfo: { readonly sender: Uint8Array } | { readonly publicKeyMac: Uint8Array },
  publicKey: Uint8Array = publicKeyDer(key),
): Proof {
  const who = 'sender' in authInfo ? explicit(0, authInfo.sender) : authInfo.publicKeyMac;
  const input = sequence(who, publicKey);
  return () => popoSigningKey(input, signed(key, input), usualSignature(key));
}

/** raVerified. */
export const raVerified: Proof = () => implicit(0, nullValue());

/** keyEncipherment (2) or keyAgreement (3) with subsequentMessage: encrCert (0) or challengeResp (1). */
export const subsequentMessage =
  (use: 'keyEncipherment' | 'keyAgreement', message: 0 | 1 = 0): Proof =>
  () =>
    explicit(use === 'keyEncipherment' ? 2 : 3, implicit(1, integer(message)));

/** What a PKCS #10 request asks for. */
export interface Pkcs10 {
  readonly subject: string | Uint8Array;
  readonly key: KeyObject;
  readonly extensions?: readonly Uint8Array[];
  readonly signature?: SignatureName;
}

/** A PKCS #10 request (RFC 2986). */
export function pkcs10({ subject, key, extensions = [], signature = usualSignature(key) }: Pkcs10): Buffer {
  const requested = sequence(oid('1.2.840.113549.1.9.14'), set(sequence(...extensions)));
  const attributes = implicit(0, set(extensions.length > 0 ? requested : undefined));
  const info = sequence(integer(0), nameDer(subject), publicKeyDer(key), attributes);
  return sequence(info, SIGNATURES[signature].identifier, bitString(signed(key, info, signature)));
}

/** The body of a PKCS #10 request. */
export const p10cr = (content: Uint8Array): Body => ({ kind: 'p10cr', content });

/** What the status of a certificate in certConf may say. */
export interface Confirmation {
  readonly certHash: Uint8Array;
  readonly certReqId?: number;
  /** DER of a PKIStatusInfo. */
  readonly statusInfo?: Uint8Array;
  /** AlgorithmIdentifier, CMPv3. */
  readonly hashAlg?: Uint8Array;
}

/** certConf (RFC 9810 §5.3.18). */
export const certConf = (...confirmations: readonly Confirmation[]): Body => ({
  kind: 'certConf',
  content: sequence(
    ...confirmations.map(({ certHash, certReqId = 0, statusInfo, hashAlg }) =>
      sequence(octetString(certHash), integer(certReqId), statusInfo, hashAlg && explicit(0, hashAlg)),
    ),
  ),
});

/** PKIStatusInfo: a status, and the numbers of failInfo's bits. */
export function statusInfo(status: number, ...failInfo: readonly number[]): Buffer {
  const octets = Buffer.alloc(Math.floor(Math.max(0, ...failInfo) / 8) + 1);
  for (const bit of failInfo) octets[bit >> 3]! |= 0x80 >> (bit & 7);
  const unused = 7 - (Math.max(0, ...failInfo) & 7);
  return sequence(integer(status), failInfo.length > 0 ? bitString(octets, unused) : undefined);
}

/** pollReq for requests by their certReqId. */
export const pollReq = (...certReqIds: readonly number[]): Body => ({
  kind: 'pollReq',
  content: sequence(...certReqIds.map((certReqId) => sequence(integer(certReqId)))),
});

/** What a revocation names; issuer and serial number are of the certificate where one is given. */
export interface Revocation {
  readonly certificate?: Uint8Array;
  readonly template?: Template;
  /** CRLReason; null for no crlEntryDetails. */
  readonly reason?: number | null;
  /** In the place of the reasonCode extension. */
  readonly crlEntryDetails?: readonly Uint8Array[];
}

/** rr (RFC 9810 §5.3.9). */
export const rr = (...revocations: readonly Revocation[]): Body => ({
  kind: 'rr',
  content: sequence(...revocations.map(encodeRevDetails)),
});

/** genm of InfoTypeAndValues. */
export const genm = (...infos: readonly Uint8Array[]): Body => ({ kind: 'genm', content: sequence(...infos) });

/** nested: whole PKIMessages. */
export const nested = (...messages: readonly Uint8Array[]): Body => ({
  kind: 'nested',
  content: sequence(...messages),
});

/** error: ends the transaction. */
export const errorBody = (status: Uint8Array): Body => ({ kind: 'error', content: sequence(status) });

/** The control oldCertID (RFC 4211 §6.5) that names a certificate. */
export function oldCertId(certificate: Uint8Array, changes: { readonly serialNumber?: Uint8Array } = {}): Buffer {
  const { issuer, serialNumber } = readCertificate(certificate);
  const certId = sequence(directoryName(issuer), integer(changes.serialNumber ?? serialNumber));
  return sequence(oid('1.3.6.1.5.5.7.5.1.5'), certId);
}

/** The control regToken (RFC 4211 §6.1). */
export const regToken = (text: string): Buffer => sequence(oid('1.3.6.1.5.5.7.5.1.1'), utf8String(text));

/** The reasonCode extension of a CRL entry. */
export const reasonCode = (reason: number): Buffer => extension('2.5.29.21', Buffer.from([0x0a, 0x01, reason]));

/** An empty public key field of a CertTemplate: the server is to make the key (RFC 9483 §4.1.6). */
export function emptyPublicKey(kind: 'none' | 'p256' | 'rsa'): Buffer | undefined {
  if (kind === 'none') return undefined;
  const identifier =
    kind === 'rsa'
      ? algorithm('1.2.840.113549.1.1.1', nullValue())
      : algorithm('1.2.840.10045.2.1', oid('1.2.840.10045.3.1.7'));
  return sequence(identifier, bitString(Buffer.alloc(0)));
}

/** DER of a CertTemplate. */
function encodeTemplate(template: Template): Buffer {
  const { version, serialNumber, issuer, notBefore, notAfter, subject, publicKey, extensions } = template;
  const validity = [notBefore && explicit(0, utcTime(notBefore)), notAfter && explicit(1, utcTime(notAfter))];
  return sequence(
    version === undefined ? undefined : implicit(0, integer(version)),
    serialNumber && implicit(1, integer(serialNumber)),
    issuer === undefined ? undefined : explicit(3, nameDer(issuer)),
    validity.some(Boolean) ? explicit(4, ...validity) : undefined,
    subject === undefined ? undefined : explicit(5, nameDer(subject)),
    publicKey && implicit(6, publicKey),
    extensions && explicit(9, ...extensions),
  );
}

function encodeCertReqMsg({ certReqId = 0, template, controls, proof, regInfo }: CertReqMsg): Buffer {
  const certRequest = sequence(integer(certReqId), encodeTemplate(template), controls && sequence(...controls));
  return sequence(certRequest, proof?.(certRequest), regInfo && sequence(...regInfo));
}

function encodeRevDetails({ certificate, template, reason = 0, crlEntryDetails }: Revocation): Buffer {
  const fields = certificate && readCertificate(certificate);
  const named = fields && { issuer: fields.issuer, serialNumber: fields.serialNumber };
  const details = crlEntryDetails ?? (reason === null ? undefined : [reasonCode(reason)]);
  return sequence(encodeTemplate({ ...named, ...template }), details && sequence(...details));
}

function popoSigningKey(input: Buffer | undefined, bits: Buffer, signature: SignatureName): Buffer {
  const parts = sequence(input && implicit(0, input), SIGNATURES[signature].identifier, bitString(bits));
  return implicit(1, parts);
}

function nameDer(value: string | Uint8Array): Uint8Array {
  return typeof value === 'string' ? name(value) : value;
}
