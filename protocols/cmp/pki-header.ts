import {
  any,
  explicit,
  generalizedTime,
  type Infer,
  octetString,
  oid,
  optional,
  sequence,
  sequenceOf,
  smallInteger,
} from '../../core/asn1/schema.ts';
import { algorithmIdentifierSchema } from '../../core/cms/algorithm-identifier.ts';
import { generalNameSchema } from '../../core/x509/general-name.ts';
import { withDer } from '../../core/asn1/schema.ts';
import { pkiFreeText } from './pki-status.ts';

/** Versions of the protocol (RFC 9810 §5.1.1, §7). */
export const PVNO = { cmp1999: 1, cmp2000: 2, cmp2021: 3 } as const;

/** InfoTypeAndValue (RFC 9810 §5.1.1). */
export const infoTypeAndValue = sequence('InfoTypeAndValue', { infoType: oid, infoValue: optional(any) });

/** A decoded InfoTypeAndValue. */
export type InfoTypeAndValue = Infer<typeof infoTypeAndValue>;

/** PKIHeader (RFC 9810 §5.1.1), EXPLICIT TAGS. */
export const pkiHeader = sequence('PKIHeader', {
  pvno: smallInteger,
  sender: generalNameSchema,
  recipient: generalNameSchema,
  messageTime: optional(explicit(0, generalizedTime)),
  protectionAlg: optional(explicit(1, withDer(algorithmIdentifierSchema))),
  senderKID: optional(explicit(2, octetString)),
  recipKID: optional(explicit(3, octetString)),
  transactionID: optional(explicit(4, octetString)),
  senderNonce: optional(explicit(5, octetString)),
  recipNonce: optional(explicit(6, octetString)),
  freeText: optional(explicit(7, pkiFreeText)),
  generalInfo: optional(explicit(8, sequenceOf(infoTypeAndValue, { min: 1, max: 64 }))),
});

/** A decoded PKIHeader. */
export type PkiHeader = Infer<typeof pkiHeader>;
