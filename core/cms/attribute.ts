import { decode, encode } from '../asn1/codec.ts';
import { any, octetString, oid, sequence, setOf, time } from '../asn1/schema.ts';
import { CMS_ATTRIBUTE } from './oids.ts';

/** An attribute of SignedData, EnvelopedData or AuthEnvelopedData (RFC 5652 §5.3). */
export interface Attribute {
  /** Dotted OID. */
  readonly type: string;
  /** Each value a complete encoding. */
  readonly values: readonly Uint8Array[];
}

const wireAttribute = sequence('Attribute', { attrType: oid, attrValues: setOf(any, { max: 64 }) });

/** `SET OF Attribute`, in its wire form; {@link attributesFromWire} and {@link attributesToWire} translate. */
export const attributesSchema = setOf(wireAttribute, { max: 64 });

/** The attributes of a decoded `SET OF Attribute`. */
export function attributesFromWire(
  wire: readonly { attrType: string; attrValues: readonly Uint8Array[] }[],
): Attribute[] {
  return wire.map(({ attrType, attrValues }) => ({ type: attrType, values: attrValues }));
}

/** The wire form of attributes. */
export function attributesToWire(
  attributes: readonly Attribute[],
): { attrType: string; attrValues: readonly Uint8Array[] }[] {
  return attributes.map(({ type, values }) => ({ attrType: type, attrValues: values }));
}

/**
 * A copy of attributes under another identifier: they travel under a context-specific tag, and are signed or
 * authenticated under that of SET OF (RFC 5652 §5.4, RFC 5083 §2.2: "a separate encoding … is performed").
 */
export function retag(der: Uint8Array, identifier: number): Uint8Array {
  const copy = new Uint8Array(der);
  copy[0] = identifier;
  return copy;
}

/** Identifier octet of SET OF. */
export const SET_OF = 0x31;

/** An attribute with one value. */
export function attribute(type: string, value: Uint8Array): Attribute {
  return { type, values: [value] };
}

/** RFC 5652 §11.1: the content type that is signed. */
export function contentTypeAttribute(contentType: string): Attribute {
  return attribute(CMS_ATTRIBUTE.contentType, encode(oid, contentType));
}

/** RFC 5652 §11.2: the digest of the content. */
export function messageDigestAttribute(digest: Uint8Array): Attribute {
  return attribute(CMS_ATTRIBUTE.messageDigest, encode(octetString, digest));
}

/** RFC 5652 §11.3: UTCTime through 2049, GeneralizedTime from 2050; whole seconds. */
export function signingTimeAttribute(at: Date): Attribute {
  return attribute(CMS_ATTRIBUTE.signingTime, encode(time, new Date(Math.floor(at.getTime() / 1000) * 1000)));
}

/**
 * The value of an attribute that must have exactly one (all of RFC 5652 §11 and of SCEP do); undefined where it is
 * absent, occurs twice or has another number of values.
 */
export function singleValue(attributes: readonly Attribute[], type: string): Uint8Array | undefined {
  const found = attributes.filter((candidate) => candidate.type === type);
  return found.length === 1 && found[0]!.values.length === 1 ? found[0]!.values[0] : undefined;
}

/** The time in a signingTime attribute: undefined where there is none. Throws Asn1Error where it is not a time. */
export function signingTime(attributes: readonly Attribute[]): Date | undefined {
  const value = singleValue(attributes, CMS_ATTRIBUTE.signingTime);
  return value === undefined ? undefined : decode(time, value);
}
