import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { decode, encode, type Limits } from '../../core/asn1/codec.ts';
import { any, bitString, explicit, optional, sequence, sequenceOf, withDer } from '../../core/asn1/schema.ts';
import { FOREIGN } from '../../core/x509/foreign-limits.ts';
import { type PkiBody, pkiBody } from './pki-body.ts';
import { type PkiHeader, pkiHeader } from './pki-header.ts';

/** Largest PKIMessage, in octets: a batch of fifty requests with their chains fits. */
export const MAX_MESSAGE_OCTETS = 256 * 1024;

/** Certificates in extraCerts: more are nobody's chain (V34). */
const MAX_EXTRA_CERTS = 32;

const LIMITS: Limits = { ...FOREIGN, maxBytes: MAX_MESSAGE_OCTETS };

/** PKIMessage (RFC 9810 §5.1), EXPLICIT TAGS. The body stays closed until the protection over it was looked at. */
const pkiMessage = sequence('PKIMessage', {
  header: withDer(pkiHeader),
  body: any,
  protection: optional(explicit(0, bitString)),
  extraCerts: optional(explicit(1, sequenceOf(any, { min: 1, max: MAX_EXTRA_CERTS }))),
});

// RFC 9810 §5.1.3: what the protection covers.
const protectedPart = sequence('ProtectedPart', { header: any, body: any });

/** A PKIMessage as it came: nothing in it is verified, its body is not decoded. Octets are views of the input. */
export interface PkiMessage {
  readonly der: Uint8Array;
  readonly header: PkiHeader;
  /** The complete encoding of the PKIBody. */
  readonly bodyDer: Uint8Array;
  /** The DER of ProtectedPart. */
  readonly protectedPart: Uint8Array;
  /** Whole octets; undefined where there is no protection. */
  readonly protection: Uint8Array | undefined;
  readonly extraCerts: readonly Uint8Array[];
}

/** Reads a PKIMessage down to its header. Throws Asn1Error. */
export function parsePkiMessage(der: Uint8Array): PkiMessage {
  const { header, body, protection, extraCerts } = decode(pkiMessage, der, LIMITS);
  if (protection !== undefined && protection.unusedBits !== 0) {
    throw new Asn1Error('whole octets', `${protection.unusedBits} unused bits`, -1, 'PKIMessage.protection');
  }
  return {
    der,
    header: header.value,
    bodyDer: body,
    protectedPart: encode(protectedPart, { header: header.der, body }),
    protection: protection?.bytes,
    extraCerts: extraCerts ?? [],
  };
}

/** Reads the body of a message. Throws Asn1Error. */
export function parsePkiBody(bodyDer: Uint8Array): PkiBody {
  return decode(pkiBody, bodyDer, LIMITS);
}

/** A message to be protected: header and body, encoded once for both uses. */
export interface UnprotectedMessage {
  readonly header: PkiHeader;
  readonly headerDer: Uint8Array;
  readonly bodyDer: Uint8Array;
  /** The DER of ProtectedPart. */
  readonly protectedPart: Uint8Array;
}

/** Encodes header and body. Throws Asn1Error where a value has no encoding. */
export function encodeUnprotected(header: PkiHeader, body: PkiBody): UnprotectedMessage {
  const headerDer = encode(pkiHeader, header);
  const bodyDer = encode(pkiBody, body);
  return { header, headerDer, bodyDer, protectedPart: encode(protectedPart, { header: headerDer, body: bodyDer }) };
}

/** The DER of a PKIMessage; without protection where there is none. */
export function encodePkiMessage(
  { header, headerDer, bodyDer }: Pick<UnprotectedMessage, 'header' | 'headerDer' | 'bodyDer'>,
  protection: Uint8Array | undefined,
  extraCerts: readonly Uint8Array[],
): Uint8Array {
  return encode(pkiMessage, {
    header: { value: header, der: headerDer },
    body: bodyDer,
    protection: protection && { unusedBits: 0, bytes: protection },
    extraCerts: extraCerts.length === 0 ? undefined : extraCerts,
  });
}
