import { randomBytes } from 'node:crypto';

import { bitString, directoryName, explicit, generalizedTime, integer, octetString, sequence } from './cmp-der.ts';
import { oid, utf8String } from './cmp-der.ts';
import type { Protection } from './cmp-protection.ts';

/** The alternatives of PKIBody with their tags (RFC 9810 §5.1.2). */
export const BODY_TAGS = {
  ir: 0,
  ip: 1,
  cr: 2,
  cp: 3,
  p10cr: 4,
  popdecc: 5,
  popdecr: 6,
  kur: 7,
  kup: 8,
  krr: 9,
  krp: 10,
  rr: 11,
  rp: 12,
  ccr: 13,
  ccp: 14,
  ckuann: 15,
  cann: 16,
  rann: 17,
  crlann: 18,
  pkiconf: 19,
  nested: 20,
  genm: 21,
  genp: 22,
  error: 23,
  certConf: 24,
  pollReq: 25,
  pollRep: 26,
  /** No alternative has this tag. */
  unassigned: 30,
} as const;

/** The name of an alternative of PKIBody. */
export type BodyKind = keyof typeof BODY_TAGS;

/** A body: which alternative, and its DER. */
export interface Body {
  readonly kind: BodyKind;
  readonly content: Uint8Array;
}

/** The fields of PKIHeader. Names and algorithms are DER (GeneralName, AlgorithmIdentifier), the rest values. */
export interface Header {
  readonly pvno: number;
  readonly sender: Uint8Array;
  readonly recipient: Uint8Array;
  readonly messageTime: Date;
  readonly protectionAlg: Uint8Array;
  readonly senderKID: Uint8Array;
  readonly recipKID: Uint8Array;
  readonly transactionID: Uint8Array;
  readonly senderNonce: Uint8Array;
  readonly recipNonce: Uint8Array;
  readonly freeText: string;
  /** InfoTypeAndValues. */
  readonly generalInfo: readonly Uint8Array[];
}

/** What takes the place of a header's default; null leaves the field out. */
export type HeaderChanges = { readonly [Field in keyof Header]?: Header[Field] | null };

/** Places at which a message may be made other than the standard wants it. */
export interface MessageChanges {
  readonly header?: HeaderChanges;
  /** In the place of the body that was to be sent. */
  readonly body?: (body: Body) => Body;
  /** The content of PKIProtection; null leaves the field out. */
  readonly protection?: (bits: Buffer) => Uint8Array | null;
  /** In the place of the protection's own; null leaves the field out. */
  readonly extraCerts?: readonly Uint8Array[] | null;
  /** The whole message, when it is complete. */
  readonly message?: (der: Buffer) => Uint8Array;
}

/** A message to build. Without a protection it has none. */
export interface MessageDraft extends MessageChanges {
  readonly content: Body;
  readonly protect?: Protection | undefined;
}

/** DER of a PKIMessage; what is not said has the value a lightweight-profile client gives it (RFC 9483 §3). */
export function buildMessage({ content, protect, ...changes }: MessageDraft): Uint8Array {
  const header = encodeHeader({ ...defaultHeader(protect), ...changes.header });
  const { kind, content: der } = changes.body?.(content) ?? content;
  const body = explicit(BODY_TAGS[kind], der);
  const bits = protect?.protect(sequence(header, body));
  const protection = bits && changes.protection ? changes.protection(bits) : bits;
  const extraCerts = changes.extraCerts === undefined ? (protect?.extraCerts ?? []) : (changes.extraCerts ?? []);
  const message = sequence(
    header,
    body,
    protection ? explicit(0, bitString(protection)) : undefined,
    extraCerts.length > 0 ? explicit(1, sequence(...extraCerts)) : undefined,
  );
  return changes.message?.(message) ?? message;
}

/** One InfoTypeAndValue. */
export const info = (type: string, value?: Uint8Array): Buffer => sequence(oid(type), value);

/** OIDs of InfoTypeAndValue (id-it, RFC 9810 appendix F). */
export const ID_IT = {
  caProtEncCert: '1.3.6.1.5.5.7.4.1',
  signKeyPairTypes: '1.3.6.1.5.5.7.4.2',
  encKeyPairTypes: '1.3.6.1.5.5.7.4.3',
  preferredSymmAlg: '1.3.6.1.5.5.7.4.4',
  caKeyUpdateInfo: '1.3.6.1.5.5.7.4.5',
  currentCrl: '1.3.6.1.5.5.7.4.6',
  revPassphrase: '1.3.6.1.5.5.7.4.12',
  implicitConfirm: '1.3.6.1.5.5.7.4.13',
  confirmWaitTime: '1.3.6.1.5.5.7.4.14',
  origPkiMessage: '1.3.6.1.5.5.7.4.15',
  suppLangTags: '1.3.6.1.5.5.7.4.16',
  caCerts: '1.3.6.1.5.5.7.4.17',
  rootCaKeyUpdate: '1.3.6.1.5.5.7.4.18',
  certReqTemplate: '1.3.6.1.5.5.7.4.19',
  rootCaCert: '1.3.6.1.5.5.7.4.20',
  certProfile: '1.3.6.1.5.5.7.4.21',
  crlStatusList: '1.3.6.1.5.5.7.4.22',
  crls: '1.3.6.1.5.5.7.4.23',
} as const;

/** A transactionID or a nonce: 128 random bits. */
export const nonce = (): Buffer => randomBytes(16);

const NULL_DN = '';

function defaultHeader(protect: Protection | undefined): HeaderChanges {
  return {
    pvno: 2,
    sender: protect?.sender ?? directoryName(NULL_DN),
    recipient: directoryName(NULL_DN),
    messageTime: new Date(),
    protectionAlg: protect?.algorithm ?? null,
    senderKID: protect?.senderKid ?? null,
    transactionID: nonce(),
    senderNonce: nonce(),
  };
}

/** RFC 9810 §5.1.1, explicit tags. */
function encodeHeader(header: HeaderChanges): Buffer {
  const octets = (tag: number, value: Uint8Array | null | undefined): Buffer | undefined =>
    value ? explicit(tag, octetString(value)) : undefined;
  const { pvno, sender, recipient, messageTime, protectionAlg, freeText, generalInfo } = header;
  return sequence(
    typeof pvno === 'number' ? integer(pvno) : undefined,
    sender ?? undefined,
    recipient ?? undefined,
    messageTime ? explicit(0, generalizedTime(messageTime)) : undefined,
    protectionAlg ? explicit(1, protectionAlg) : undefined,
    octets(2, header.senderKID),
    octets(3, header.recipKID),
    octets(4, header.transactionID),
    octets(5, header.senderNonce),
    octets(6, header.recipNonce),
    typeof freeText === 'string' ? explicit(7, sequence(utf8String(freeText))) : undefined,
    generalInfo ? explicit(8, sequence(...generalInfo)) : undefined,
  );
}
