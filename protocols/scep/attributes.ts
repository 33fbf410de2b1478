import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { decode, encode } from '../../core/asn1/codec.ts';
import { choice, ia5String, octetString, printableString, type Schema, utf8String } from '../../core/asn1/schema.ts';
import { type Attribute, attribute, signingTime, singleValue } from '../../core/cms/attribute.ts';
import { PeerError } from '../../core/errors/muster-error.ts';
import { CERT_REP, FAIL_INFO, type FailInfo, PKI_STATUS, SCEP_ATTRIBUTE } from './vocabulary.ts';

/** Real ones have 16 to 128 characters (S34). */
const MAX_TRANSACTION_ID = 255;
/** Real ones have 8 or 16 octets (S31). */
const MAX_NONCE_OCTETS = 64;
const NONCE_OCTETS = 16;

/** RFC 8894 §3.2.1.1 and §3.2.1.2 have PrintableString; some clients write what their library makes of the characters. */
const text = choice('PrintableString', { printableString, utf8String, ia5String });

/** What the attributes of a request say. */
export interface RequestAttributes {
  readonly transactionId: string;
  /** The complete encoding of the transactionID, to be repeated as it came. */
  readonly transactionIdDer: Uint8Array;
  /** The digits of messageType, whatever they are. */
  readonly messageType: string;
  readonly senderNonce: Uint8Array;
  readonly signingTime: Date | undefined;
}

/** What an answer needs of a request: as much as can be read of one whose signature does not verify. */
export type AnsweredAttributes = Pick<RequestAttributes, 'transactionIdDer'> &
  Partial<Pick<RequestAttributes, 'senderNonce'>>;

/** What an answer says in its attributes. */
export type AnswerStatus =
  | { readonly kind: 'success' }
  | { readonly kind: 'pending' }
  | { readonly kind: 'failure'; readonly failInfo: FailInfo; readonly text: string };

/**
 * Reads the transactionID alone, which every answer repeats.
 * @throws PeerError `malformed-request` where there is not one: nothing can be answered in SCEP then
 */
export function readTransaction(attributes: readonly Attribute[]): AnsweredAttributes {
  const transactionIdDer = singleValue(attributes, SCEP_ATTRIBUTE.transactionID);
  if (transactionIdDer === undefined) throw malformed('expected one transactionID among the signed attributes');
  const { value } = decodeAttribute('transactionID', text, transactionIdDer);
  if (value.length === 0 || value.length > MAX_TRANSACTION_ID) {
    throw malformed(`expected a transactionID of 1 to ${MAX_TRANSACTION_ID} characters`);
  }
  const nonce = singleValue(attributes, SCEP_ATTRIBUTE.senderNonce);
  const senderNonce = nonce === undefined ? undefined : nonceOf(nonce);
  return { transactionIdDer, ...(senderNonce && { senderNonce }) };
}

/**
 * Reads the attributes of a request (RFC 8894 §3.2.1), each of which is there once, with one value.
 * @throws PeerError `malformed-request`
 */
export function readRequestAttributes(attributes: readonly Attribute[]): RequestAttributes {
  const { transactionIdDer, senderNonce } = readTransaction(attributes);
  if (senderNonce === undefined) throw malformed(`expected a senderNonce of 1 to ${MAX_NONCE_OCTETS} octets`);
  const messageType = singleValue(attributes, SCEP_ATTRIBUTE.messageType);
  if (messageType === undefined) throw malformed('expected one messageType among the signed attributes');
  return {
    transactionId: decodeAttribute('transactionID', text, transactionIdDer).value,
    transactionIdDer,
    messageType: decodeAttribute('messageType', text, messageType).value,
    senderNonce,
    signingTime: timeOf(attributes),
  };
}

/** The attributes of a CertRep (RFC 8894 §3.3.2): strings are PrintableStrings, the nonce has 16 octets (S31). */
export function answerAttributes(
  request: AnsweredAttributes,
  status: AnswerStatus,
  senderNonce: Uint8Array,
): readonly Attribute[] {
  const { transactionIdDer, senderNonce: recipientNonce } = request;
  return [
    printable(SCEP_ATTRIBUTE.messageType, CERT_REP),
    attribute(SCEP_ATTRIBUTE.transactionID, transactionIdDer),
    attribute(SCEP_ATTRIBUTE.senderNonce, encode(octetString, senderNonce.subarray(0, NONCE_OCTETS))),
    ...(recipientNonce === undefined
      ? []
      : [attribute(SCEP_ATTRIBUTE.recipientNonce, encode(octetString, recipientNonce))]),
    ...statusAttributes(status),
  ];
}

function statusAttributes(status: AnswerStatus): readonly Attribute[] {
  switch (status.kind) {
    case 'success':
      return [printable(SCEP_ATTRIBUTE.pkiStatus, PKI_STATUS.SUCCESS)];
    case 'pending':
      return [printable(SCEP_ATTRIBUTE.pkiStatus, PKI_STATUS.PENDING)];
    case 'failure':
      return [
        printable(SCEP_ATTRIBUTE.pkiStatus, PKI_STATUS.FAILURE),
        printable(SCEP_ATTRIBUTE.failInfo, FAIL_INFO[status.failInfo]),
        attribute(SCEP_ATTRIBUTE.failInfoText, encode(utf8String, status.text)),
      ];
  }
}

function printable(type: string, value: string): Attribute {
  return attribute(type, encode(printableString, value));
}

/** Undefined where it is none, as where there is none: an answer goes without it then. */
function nonceOf(der: Uint8Array): Uint8Array | undefined {
  try {
    const nonce = decode(octetString, der);
    return nonce.length >= 1 && nonce.length <= MAX_NONCE_OCTETS ? nonce : undefined;
  } catch {
    return undefined;
  }
}

function timeOf(attributes: readonly Attribute[]): Date | undefined {
  try {
    return signingTime(attributes);
  } catch (error) {
    throw asMalformed('signingTime', error);
  }
}

function decodeAttribute<T>(name: string, schema: Schema<T>, der: Uint8Array): T {
  try {
    return decode(schema, der);
  } catch (error) {
    throw asMalformed(name, error);
  }
}

function asMalformed(name: string, error: unknown): unknown {
  return error instanceof Asn1Error ? malformed(`${name}: ${error.message}`, error) : error;
}

function malformed(message: string, cause?: unknown): PeerError {
  return new PeerError('malformed-request', message, { cause });
}
