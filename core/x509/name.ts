import { decode, encode } from '../asn1/codec.ts';
import {
  any,
  bmpString,
  choice,
  ia5String,
  numericString,
  oid,
  printableString,
  type Schema,
  sequence,
  sequenceOf,
  setOf,
  t61String,
  universalString,
  utf8String,
  visibleString,
} from '../asn1/schema.ts';
import { FOREIGN } from './foreign-limits.ts';
import { keepingDer } from './mapped-schema.ts';
import type { NameAttribute, RelativeDistinguishedName } from './name-attributes.ts';
import { rdnKey } from './name-comparison.ts';
import { rdnsFromText, rdnsToText } from './name-text.ts';
import { octetsEqual } from './octets.ts';
import { ATTRIBUTE_TYPE } from './oids.ts';

/** A distinguished name (RFC 5280 §4.1.2.4), decoded, beside the octets it came in: those are what gets copied and signed. */
export interface Name {
  readonly rdns: readonly RelativeDistinguishedName[];
  /** The complete encoding of the RDNSequence. */
  readonly der: Uint8Array;
}

const attributeValue = choice('AttributeValue', {
  utf8String,
  printableString,
  ia5String,
  teletexString: t61String,
  bmpString,
  universalString,
  numericString,
  visibleString,
  other: any,
});

/** The schema of a RelativeDistinguishedName. */
export const relativeDistinguishedNameSchema: Schema<RelativeDistinguishedName> = setOf(
  sequence('AttributeTypeAndValue', { type: oid, value: attributeValue }),
  { min: 1, max: 16 },
);

/** Real names have a dozen RDNs; thousands would only cost whoever compares them. */
const rdnSequence = sequenceOf(relativeDistinguishedNameSchema, { max: 64 });

/** The schema of a Name: decoding keeps the octets, encoding writes them unchanged. */
export const nameSchema = keepingDer(rdnSequence, (rdns, der): Name => ({ rdns, der }));

/** The name with no RDN, as in the subject of a certificate whose names are all in subjectAltName (RFC 5280 §4.1.2.6). */
export const EMPTY_NAME: Name = { rdns: [], der: Uint8Array.of(0x30, 0x00) };

/** Decodes the DER of a Name. Throws Asn1Error. */
export function parseName(der: Uint8Array): Name {
  return decode(nameSchema, der, FOREIGN);
}

/** The name of these RDNs, most significant first, with its DER. Throws Asn1Error where a value does not fit its string type. */
export function encodeName(rdns: readonly RelativeDistinguishedName[]): Name {
  return { rdns, der: encode(rdnSequence, rdns) };
}

/** The text of a name after RFC 4514: one line, the last RDN first. Equal names may have different texts. */
export function nameToText(name: Name): string {
  return rdnsToText(name.rdns, valueDer);
}

/** Reads RFC 4514 text, such as `CN=router1,serialNumber=FOC2034X0AB,O=Example`. Throws X509Error. */
export function nameFromText(text: string): Name {
  return encodeName(rdnsFromText(text, valueDer));
}

/** Whether two names are equal by RFC 5280 §7.1: case, white space and string types aside, RDNs in the same order. */
export function namesEqual(a: Name, b: Name): boolean {
  if (namesIdentical(a, b)) return true;
  return a.rdns.length === b.rdns.length && a.rdns.every((rdn, i) => rdnKey(rdn) === rdnKey(b.rdns[i]!));
}

/** Whether two names are the same octet by octet: what CRL issuers and OCSP name hashes need. */
export function namesIdentical(a: Name, b: Name): boolean {
  return octetsEqual(a.der, b.der);
}

/** Whether `name` lies in the subtree of `base`: its first RDNs are those of `base` (RFC 5280 §4.2.1.10, directoryName). */
export function nameIsWithin(name: Name, base: Name): boolean {
  return base.rdns.length <= name.rdns.length && base.rdns.every((rdn, i) => rdnKey(rdn) === rdnKey(name.rdns[i]!));
}

const keys = new WeakMap<Name, string>();

/** A string that two names share exactly when they are equal by RFC 5280 §7.1: for maps. Kept as long as the name is. */
export function nameKey(name: Name): string {
  let key = keys.get(name);
  if (key === undefined) {
    key = name.rdns.map((rdn) => `${rdn.length}/${rdnKey(rdn)}`).join('');
    keys.set(name, key);
  }
  return key;
}

/** The text values of one attribute type (dotted OID), in the order of the name. */
export function attributeTexts(name: Name, type: string): string[] {
  const texts: string[] = [];
  for (const rdn of name.rdns) {
    for (const { type: found, value } of rdn) {
      if (found === type && value.kind !== 'other') texts.push(value.value);
    }
  }
  return texts;
}

/** The common names, in the order of the name. */
export function commonNames(name: Name): string[] {
  return attributeTexts(name, ATTRIBUTE_TYPE.commonName);
}

const valueDer = {
  encode: (value: NameAttribute['value']): Uint8Array => encode(attributeValue, value),
  decode: (der: Uint8Array): NameAttribute['value'] => decode(attributeValue, der),
};
