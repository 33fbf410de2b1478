import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { nameAttribute, type NameAttribute } from '../../core/x509/name-attributes.ts';
import {
  attributeTexts,
  commonNames,
  EMPTY_NAME,
  encodeName,
  nameFromText,
  nameIsWithin,
  nameKey,
  namesEqual,
  namesIdentical,
  nameToText,
  parseName,
} from '../../core/x509/name.ts';
import { ATTRIBUTE_TYPE } from '../../core/x509/oids.ts';
import { X509Error } from '../../core/x509/x509-error.ts';
import { makeCsr } from '../support/test-pki.ts';
import { openssl } from './openssl.ts';

const { commonName, organizationName, serialNumber, unstructuredName, emailAddress, countryName } = ATTRIBUTE_TYPE;

function cn(
  value: string,
  kind: 'utf8String' | 'printableString' | 'teletexString' | 'bmpString' = 'utf8String',
): NameAttribute {
  return { type: commonName, value: { kind, value } };
}

describe('RFC 4514 text', () => {
  // RFC 4514 §4: the examples of the RFC, in both directions.
  it.each([
    'UID=jsmith,DC=example,DC=net',
    'OU=Sales+CN=J.  Smith,DC=example,DC=net',
    String.raw`CN=James \"Jim\" Smith\, III,DC=example,DC=net`,
    String.raw`CN=Before\0DAfter,DC=example,DC=net`,
    '1.3.6.1.4.1.1466.0=#04024869',
    'CN=Lučić',
  ])('keeps the example %s', (text) => {
    expect(nameToText(nameFromText(text))).toBe(text);
    expect(nameToText(parseName(nameFromText(text).der))).toBe(text);
  });

  it('reads UTF-8 written as hex pairs (RFC 4514 §4)', () => {
    expect(commonNames(nameFromText(String.raw`CN=Lu\C4\8Di\C4\87`))).toEqual(['Lučić']);
  });

  it('puts the last RDN first', () => {
    const name = nameFromText('CN=router1,O=Example,C=DE');
    expect(name.rdns.map(([attribute]) => attribute!.type)).toEqual([countryName, organizationName, commonName]);
  });

  it('knows what routers put into subjects', () => {
    const name = nameFromText('serialNumber=FOC2034X0AB+unstructuredName=r1.example,emailAddress=noc@example.net');
    expect(attributeTexts(name, serialNumber)).toEqual(['FOC2034X0AB']);
    expect(attributeTexts(name, unstructuredName)).toEqual(['r1.example']);
    expect(attributeTexts(name, emailAddress)).toEqual(['noc@example.net']);
    const kinds = name.rdns.flat().map(({ type, value }) => [type, value.kind]);
    expect(kinds).toContainEqual([serialNumber, 'printableString']);
    expect(kinds).toContainEqual([unstructuredName, 'ia5String']);
    expect(kinds).toContainEqual([emailAddress, 'ia5String']);
  });

  it('escapes what would end or change a value', () => {
    const values = [' lead', 'trail ', ' ', '  ', '#hash', 'a+b,c;d<e>f"g\\h', 'line\nbreak', '\u0000', 'back\\ ', ''];
    for (const value of values) {
      const text = nameToText(encodeName([[nameAttribute(commonName, value)]]));
      expect(text).not.toMatch(/\n/);
      expect(commonNames(nameFromText(text))).toEqual([value]);
    }
  });

  it('accepts white space around separators and keywords of either case', () => {
    const spaced = nameFromText('cn = router1 , o= Example Inc ,  ST=Hesse');
    expect(nameToText(spaced)).toBe('CN=router1,O=Example Inc,ST=Hesse');
  });

  it('is empty for the empty name', () => {
    expect(nameToText(EMPTY_NAME)).toBe('');
    expect(namesIdentical(nameFromText(''), EMPTY_NAME)).toBe(true);
  });

  it.each([
    'CN',
    'CN=a,',
    '=a',
    'CN=a;O=b',
    'XYZ=a',
    'CN=#0',
    'CN=#04',
    String.raw`CN=\zz`,
    String.raw`CN=\ff`,
    'CN="a"',
    '1=a',
  ])('refuses %s', (text) => {
    expect(() => nameFromText(text)).toThrow(Asn1Error);
  });

  it('bounds the text', () => {
    expect(() => nameFromText(`CN=${'a'.repeat(10_000)}`)).toThrow(X509Error);
  });

  it('reads and writes any value as openssl prints it', () => {
    const subject = String.raw`CN=a\,b \+ c\\d,O=\ x\ ,OU=Zürich,serialNumber=A1`;
    const request = makeCsr({ subject }).der;
    const printed = openssl(
      ['req', '-inform', 'DER', '-noout', '-subject', '-nameopt', 'RFC2253,-esc_msb,utf8'],
      request,
    );
    expect(
      nameToText(
        nameFromText(
          printed
            .toString()
            .trim()
            .replace(/^subject=/, ''),
        ),
      ),
    ).toBe(subject);
  });
});

describe('comparison (RFC 5280 §7.1)', () => {
  it.each([
    ['Router One', 'router  one '],
    ['ÉTÉ', 'été'],
    ['Ａ１', 'a1'],
    ['straße', 'STRAßE'],
  ])('%s equals %s', (a, b) => {
    expect(namesEqual(encodeName([[cn(a)]]), encodeName([[cn(b)]]))).toBe(true);
  });

  it('looks past the string type and not past the octets', () => {
    const [utf8, printable, bmp] = [cn('Router'), cn('ROUTER', 'printableString'), cn('router', 'bmpString')].map((a) =>
      encodeName([[a]]),
    );
    expect(namesEqual(utf8!, printable!) && namesEqual(utf8!, bmp!)).toBe(true);
    expect(nameKey(utf8!)).toBe(nameKey(bmp!));
    expect(namesIdentical(utf8!, printable!)).toBe(false);
  });

  it('takes an RDN as a set and the name as a list', () => {
    expect(namesEqual(nameFromText('CN=a+O=b'), nameFromText('O=b+CN=a'))).toBe(true);
    expect(namesEqual(nameFromText('CN=a,O=b'), nameFromText('O=b,CN=a'))).toBe(false);
    expect(namesEqual(nameFromText('CN=a,O=b'), nameFromText('CN=a+O=b'))).toBe(false);
  });

  it('cannot be fooled by values that look like other attributes', () => {
    expect(namesEqual(nameFromText(String.raw`CN=a\,O\=b`), nameFromText('CN=a,O=b'))).toBe(false);
    expect(nameKey(nameFromText('CN=a'))).not.toBe(nameKey(nameFromText('O=a')));
  });

  it('finds the subtree of a directory name', () => {
    const base = nameFromText('OU=Routers,O=Example');
    expect(nameIsWithin(nameFromText('CN=r1,OU=routers,O=EXAMPLE'), base)).toBe(true);
    expect(nameIsWithin(nameFromText('CN=r1,O=Example'), base)).toBe(false);
    expect(nameIsWithin(nameFromText('O=Example'), base)).toBe(false);
    expect(nameIsWithin(nameFromText('CN=x'), EMPTY_NAME)).toBe(true);
  });
});

describe('properties', () => {
  const attribute = fc.record({
    type: fc.constantFrom(commonName, organizationName, serialNumber, emailAddress, '1.2.3.4'),
    value: fc.oneof(
      fc.record({
        kind: fc.constantFrom('utf8String' as const, 'bmpString' as const),
        value: fc.string({ unit: 'grapheme-ascii' }),
      }),
      fc.record({ kind: fc.constant('utf8String' as const), value: fc.string({ unit: 'grapheme' }) }),
      fc.record({
        kind: fc.constant('other' as const),
        value: fc.uint8Array({ maxLength: 20 }).map((o) => Uint8Array.of(4, o.length, ...o)),
      }),
    ),
  });
  const name = fc.array(fc.array(attribute, { minLength: 1, maxLength: 2 }), { maxLength: 4 });

  it('text and DER give the name back', () => {
    fc.assert(
      fc.property(name, (rdns) => {
        const encoded = encodeName(rdns);
        const decoded = parseName(encoded.der);
        expect(namesEqual(decoded, encoded)).toBe(true);
        const text = nameToText(decoded);
        expect(namesEqual(nameFromText(text), decoded)).toBe(true);
      }),
    );
  });

  it('any text is read or refused with a typed error', () => {
    const texts = fc.oneof(
      fc.string(),
      fc.string({ unit: fc.constantFrom('C', 'N', '=', ',', '+', '\\', '#', ' ', '0', 'a', '"', 'ü') }),
    );
    fc.assert(
      fc.property(texts, (text) => {
        try {
          nameFromText(text);
        } catch (error) {
          expect(error).toBeInstanceOf(Asn1Error);
        }
      }),
    );
  });
});
