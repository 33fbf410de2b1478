/**
 * The constructors of schemas: what a module that transcribes an RFC's ASN.1 imports. `codec.ts` reads and writes them.
 */
export type { Infer, Schema } from './schema-type.ts';
export type { BitString } from './octets.ts';
export type { WithDer } from './open-type.ts';
export { boolean, enumerated, integer, serialInteger, smallInteger } from './integer.ts';
export { bitString, bitStringOf, namedBits, nullValue, octetString, octetStringOf } from './octets.ts';
export { oid } from './oid.ts';
export {
  bmpString,
  ia5String,
  numericString,
  printableString,
  t61String,
  universalString,
  utf8String,
  visibleString,
} from './character-strings.ts';
export { generalizedTime, time, utcTime } from './time.ts';
export { any, lazily, withDer } from './open-type.ts';
export { defaulted, optional } from './field.ts';
export { sequence } from './sequence.ts';
export { set } from './set.ts';
export { sequenceOf, setOf } from './collection.ts';
export { choice } from './choice.ts';
export { explicit, implicit } from './tagging.ts';
