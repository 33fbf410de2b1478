import { implicit, octetString, oid, optional, sequence } from '../asn1/schema.ts';
import { algorithmIdentifierSchema } from './algorithm-identifier.ts';

/** EncryptedContentInfo (RFC 5652 §6.1). */
export const encryptedContentInfoSchema = sequence('EncryptedContentInfo', {
  contentType: oid,
  contentEncryptionAlgorithm: algorithmIdentifierSchema,
  encryptedContent: optional(implicit(0, octetString)),
});
