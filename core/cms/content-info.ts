import { Asn1Error } from '../asn1/asn1-error.ts';
import { berToDer } from '../asn1/ber.ts';
import { decode, encode } from '../asn1/codec.ts';
import type { Limits } from '../asn1/codec.ts';
import { any, explicit, oid, sequence } from '../asn1/schema.ts';
import type { Schema } from '../asn1/schema.ts';

/** A ContentInfo (RFC 5652 §3): the type, and the complete encoding of the content. */
export interface ContentInfo {
  /** Dotted OID, such as `CONTENT_TYPE.signedData`. */
  readonly contentType: string;
  readonly content: Uint8Array;
}

const contentInfoSchema = sequence('ContentInfo', { contentType: oid, content: explicit(0, any) });

/** CMS arrives with the SETs in its sender's order, whatever X.690 says: nothing here depends on it. */
const CMS_LIMITS: Partial<Limits> = { setOrder: 'any' };

/** Puts content under its content type: the outermost structure of every CMS message. */
export function encodeContentInfo(info: ContentInfo): Uint8Array {
  return encode(contentInfoSchema, info);
}

/**
 * Takes the content out of a ContentInfo. BER (indefinite lengths, constructed strings) becomes DER first; real
 * clients send it (Bouncy Castle, Apple).
 *
 * @param limits of the normalised input; those not given are the codec's defaults
 * @throws Asn1Error
 */
export function decodeContentInfo(bytes: Uint8Array, limits: Partial<Limits> = {}): ContentInfo {
  return decode(contentInfoSchema, berToDer(bytes, limits), { ...limits, ...CMS_LIMITS });
}

/** Decodes a ContentInfo of one content type. Throws Asn1Error, also on a ContentInfo of another type. */
export function decodeContent<T>(type: string, schema: Schema<T>, bytes: Uint8Array, limits: Partial<Limits> = {}): T {
  const { contentType, content } = decodeContentInfo(bytes, limits);
  if (contentType !== type) throw new Asn1Error(`content type ${type}`, contentType, -1, 'ContentInfo.contentType');
  return decode(schema, content, { ...limits, ...CMS_LIMITS });
}
