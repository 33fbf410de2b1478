import { type NameAttribute, type RelativeDistinguishedName, nameAttribute } from './name-attributes.ts';
import { fromHex, toHex } from './octets.ts';
import { ATTRIBUTE_TYPE } from './oids.ts';
import { X509Error } from './x509-error.ts';

/** Encoding and decoding of the `#hex` form, which holds the DER of a value. */
export interface AttributeValueDer {
  encode(value: NameAttribute['value']): Uint8Array;
  decode(der: Uint8Array): NameAttribute['value'];
}

/** Keywords in the order they are preferred for output: RFC 4514 §3, then the names OpenSSL and device vendors use. */
const KEYWORD: readonly (readonly [string, string])[] = [
  ['CN', ATTRIBUTE_TYPE.commonName],
  ['L', ATTRIBUTE_TYPE.localityName],
  ['ST', ATTRIBUTE_TYPE.stateOrProvinceName],
  ['O', ATTRIBUTE_TYPE.organizationName],
  ['OU', ATTRIBUTE_TYPE.organizationalUnitName],
  ['C', ATTRIBUTE_TYPE.countryName],
  ['STREET', ATTRIBUTE_TYPE.streetAddress],
  ['DC', ATTRIBUTE_TYPE.domainComponent],
  ['UID', ATTRIBUTE_TYPE.userId],
  ...Object.entries(ATTRIBUTE_TYPE),
  ['SN', ATTRIBUTE_TYPE.surname],
  ['GN', ATTRIBUTE_TYPE.givenName],
  ['T', ATTRIBUTE_TYPE.title],
  ['E', ATTRIBUTE_TYPE.emailAddress],
  ['S', ATTRIBUTE_TYPE.stateOrProvinceName],
];
const TYPE_OF_KEYWORD: ReadonlyMap<string, string> = new Map(KEYWORD.map(([name, oid]) => [name.toLowerCase(), oid]));
const KEYWORD_OF_TYPE: ReadonlyMap<string, string> = new Map(KEYWORD.toReversed().map(([name, oid]) => [oid, name]));

/** Longest text of a name that is read, in characters. */
const MAX_TEXT = 8192;

/** RFC 4514 §2: the last RDN first, RDNs joined by commas, the attributes of one RDN by plus signs. */
export function rdnsToText(rdns: readonly RelativeDistinguishedName[], der: AttributeValueDer): string {
  // On the path of every enrolment: no array in between.
  let text = '';
  for (let index = rdns.length - 1; index >= 0; index--) {
    let separator = text === '' ? '' : ',';
    for (const attribute of rdns[index]!) {
      text += separator + attributeToText(attribute, der);
      separator = '+';
    }
  }
  return text;
}

/**
 * Reads RFC 4514 §3 text. Besides the RFC: white space around `,` `+` and `=`, keywords of either case, the keywords of
 * `oids.ts`. Throws X509Error with the position where the text breaks the grammar.
 */
export function rdnsFromText(text: string, der: AttributeValueDer): RelativeDistinguishedName[] {
  if (text.length > MAX_TEXT)
    throw new X509Error('Name', `at most ${MAX_TEXT} characters`, `${text.length} characters`);
  const reader = new NameReader(text, der);
  return reader.readRdns().toReversed();
}

function attributeToText({ type, value }: NameAttribute, der: AttributeValueDer): string {
  const keyword = KEYWORD_OF_TYPE.get(type);
  // RFC 4514 §2.4: a type written as dotted decimal, or a value without string form, takes the hexadecimal form.
  if (keyword === undefined || value.kind === 'other') return `${keyword ?? type}=#${toHex(der.encode(value))}`;
  return `${keyword}=${escapeAttributeValue(value.value)}`;
}

/** What needs no escape: the letters, digits and marks that nearly all values consist of. */
const PLAIN_VALUE = /^[A-Za-z0-9._:/@*()'-](?:[A-Za-z0-9._:/@*()' -]*[A-Za-z0-9._:/@*()'-])?$/;

/** RFC 4514 §2.4 escaping of one value; control characters also take the hex form, so that a name is always one line. */
function escapeAttributeValue(value: string): string {
  if (PLAIN_VALUE.test(value)) return value;
  const escaped = value
    .replaceAll(/["+,;<>\\]/g, String.raw`\$&`)
    // oxlint-disable-next-line no-control-regex -- they are what is escaped
    .replaceAll(/[\u0000-\u001f\u007f]/g, (c) => `\\${c.charCodeAt(0).toString(16).padStart(2, '0').toUpperCase()}`)
    .replace(/^[ #]/, String.raw`\$&`);
  return value.length > 1 && value.endsWith(' ') ? String.raw`${escaped.slice(0, -1)}\ ` : escaped;
}

class NameReader {
  readonly #text: string;
  readonly #der: AttributeValueDer;
  #at = 0;

  constructor(text: string, der: AttributeValueDer) {
    this.#text = text;
    this.#der = der;
  }

  readRdns(): RelativeDistinguishedName[] {
    const rdns: RelativeDistinguishedName[] = [];
    this.#skipSpace();
    if (this.#at === this.#text.length) return rdns;
    for (;;) {
      rdns.push(this.#readRdn());
      if (this.#at === this.#text.length) return rdns;
      this.#expect(',');
    }
  }

  #readRdn(): RelativeDistinguishedName {
    const rdn = [this.#readAttribute()];
    while (this.#text[this.#at] === '+') {
      this.#at++;
      rdn.push(this.#readAttribute());
    }
    return rdn;
  }

  #readAttribute(): NameAttribute {
    this.#skipSpace();
    const type = this.#readType();
    this.#skipSpace();
    this.#expect('=');
    this.#skipSpace();
    if (this.#text[this.#at] === '#') return { type, value: this.#readHexValue() };
    return nameAttribute(type, this.#readString());
  }

  #readType(): string {
    const keyword = /[A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)+/y;
    keyword.lastIndex = this.#at;
    const found = keyword.exec(this.#text)?.[0];
    if (found === undefined) throw this.#error('an attribute type');
    const type = /^\d/.test(found) ? found : TYPE_OF_KEYWORD.get(found.toLowerCase());
    if (type === undefined) throw this.#error('a known attribute keyword or a dotted OID', JSON.stringify(found));
    this.#at += found.length;
    return type;
  }

  #readHexValue(): NameAttribute['value'] {
    const hex = /#((?:[0-9a-fA-F]{2})+) */y;
    hex.lastIndex = this.#at;
    const found = hex.exec(this.#text);
    if (found === null) throw this.#error('hex of whole octets after "#"');
    this.#at += found[0].length;
    return this.#der.decode(fromHex(found[1]!)!);
  }

  /** RFC 4514 §3 `string`: up to an unescaped `,` or `+`; escaped octets are UTF-8. Unescaped spaces at the end are dropped. */
  #readString(): string {
    const octets: number[] = [];
    let keep = 0;
    for (; this.#at < this.#text.length;) {
      const c = String.fromCodePoint(this.#text.codePointAt(this.#at)!);
      if (c === ',' || c === '+') break;
      if ('";<>\u0000'.includes(c)) throw this.#error('an escaped character');
      if (c === '\\') octets.push(...this.#readEscape());
      else {
        octets.push(...new TextEncoder().encode(c));
        this.#at += c.length;
      }
      if (c !== ' ') keep = octets.length;
    }
    return this.#decodeUtf8(Uint8Array.from(octets.slice(0, keep)));
  }

  #readEscape(): number[] {
    const escaped = /\\(?:([ "#+,;<=>\\])|([0-9a-fA-F]{2}))/y;
    escaped.lastIndex = this.#at;
    const found = escaped.exec(this.#text);
    if (found === null) throw this.#error('a special character or two hex digits after a backslash');
    this.#at += found[0].length;
    return [found[1] === undefined ? Number.parseInt(found[2]!, 16) : found[1].charCodeAt(0)];
  }

  #decodeUtf8(octets: Uint8Array): string {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(octets);
    } catch {
      throw this.#error('UTF-8', 'other octets');
    }
  }

  #skipSpace(): void {
    while (this.#text[this.#at] === ' ') this.#at++;
  }

  #expect(character: string): void {
    if (this.#text[this.#at] !== character) throw this.#error(`"${character}"`);
    this.#at++;
  }

  #error(expected: string, found = JSON.stringify(this.#text.slice(this.#at, this.#at + 16))): X509Error {
    return new X509Error('Name', `${expected} at character ${this.#at}`, found);
  }
}
