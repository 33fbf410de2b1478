import { ATTRIBUTE_TYPE } from './oids.ts';

/** The character string types a name's values come in (DirectoryString of RFC 5280 §4.1.2.4, IA5String and kin). */
type AttributeStringKind =
  | 'utf8String'
  | 'printableString'
  | 'ia5String'
  | 'teletexString'
  | 'bmpString'
  | 'universalString'
  | 'numericString'
  | 'visibleString';

/** The value of one attribute: text with the ASN.1 type that carries it, or the raw DER of any other type. */
type AttributeValue =
  | { readonly kind: AttributeStringKind; readonly value: string }
  | { readonly kind: 'other'; readonly value: Uint8Array };

/** One AttributeTypeAndValue: the type as dotted OID. */
export interface NameAttribute {
  readonly type: string;
  readonly value: AttributeValue;
}

/** One RelativeDistinguishedName: almost always a single attribute. */
export type RelativeDistinguishedName = readonly NameAttribute[];

const PRINTABLE = /^[A-Za-z0-9 '()+,\-./:=?]*$/;
// oxlint-disable-next-line no-control-regex -- IA5String is all of ASCII
const ASCII = /^[\u0000-\u007f]*$/;

/** Types whose syntax is PrintableString (RFC 5280 appendix A.1). */
const PRINTABLE_TYPES: ReadonlySet<string> = new Set([
  ATTRIBUTE_TYPE.countryName,
  ATTRIBUTE_TYPE.serialNumber,
  ATTRIBUTE_TYPE.dnQualifier,
]);

/** Types whose syntax is IA5String, or is where the value allows it (RFC 5280 appendix A.1, RFC 2985 §5.4). */
const IA5_TYPES: ReadonlySet<string> = new Set([
  ATTRIBUTE_TYPE.emailAddress,
  ATTRIBUTE_TYPE.domainComponent,
  ATTRIBUTE_TYPE.unstructuredName,
]);

/**
 * An attribute of a name that Muster writes: PrintableString or IA5String where the type's syntax asks for it and the
 * value fits, UTF8String otherwise (RFC 5280 §4.1.2.4).
 */
export function nameAttribute(type: string, text: string): NameAttribute {
  return { type, value: { kind: stringKind(type, text), value: text } };
}

function stringKind(type: string, text: string): AttributeStringKind {
  if (PRINTABLE_TYPES.has(type) && PRINTABLE.test(text)) return 'printableString';
  if (IA5_TYPES.has(type) && ASCII.test(text)) return 'ia5String';
  return 'utf8String';
}
