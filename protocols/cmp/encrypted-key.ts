import { bitString, choice, type Infer, implicit, optional, octetString, sequence } from '../../core/asn1/schema.ts';
import { algorithmIdentifierSchema } from '../../core/cms/algorithm-identifier.ts';
import { contextSequence } from './context-sequence.ts';

/** EncryptedValue (RFC 4211 §2.1): deprecated, and the only form that clients of pvno 2 read. */
const encryptedValue = sequence('EncryptedValue', {
  intendedAlg: optional(implicit(0, algorithmIdentifierSchema)),
  symmAlg: optional(implicit(1, algorithmIdentifierSchema)),
  encSymmKey: optional(implicit(2, bitString)),
  keyAlg: optional(implicit(3, algorithmIdentifierSchema)),
  valueHint: optional(implicit(4, octetString)),
  encValue: bitString,
});

/** EncryptedKey (RFC 4211 §2.1). envelopedData is [0] IMPLICIT EnvelopedData, raw. */
export const encryptedKey = choice('EncryptedKey', {
  encryptedValue,
  envelopedData: contextSequence(0),
});

/** A decoded EncryptedKey. */
export type EncryptedKey = Infer<typeof encryptedKey>;
