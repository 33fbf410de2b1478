import { describe, expect, it } from 'vitest';
import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { decode } from '../../core/asn1/codec.ts';
import * as s from '../../core/asn1/schema.ts';
import type { Schema } from '../../core/asn1/schema.ts';

const flags = s.namedBits({ first: 0, second: 1 });
const pair = s.sequence('Pair', { a: s.smallInteger, b: s.defaulted(s.boolean, false) });
const ascii = (text: string): string => Buffer.from(text).toString('hex');
const text = (identifier: string, hex: string): string =>
  identifier + (hex.length / 2).toString(16).padStart(2, '0') + hex;

/** Every encoding that BER or a careless encoder produces and DER forbids: schema, hex, what is expected instead. */
const REFUSED: readonly (readonly [what: string, schema: Schema<unknown>, hex: string, expected: string])[] = [
  ['nothing', s.integer, '', 'INTEGER'],
  ['an identifier alone', s.integer, '02', 'a length'],
  ['another type', s.integer, '0101ff', 'INTEGER'],
  ['a longer length than needed', s.octetString, '04810101', 'a minimal length'],
  ['leading zeros of a length', s.octetString, `04820080${'00'.repeat(128)}`, 'a minimal length'],
  ['a length past the end', s.octetString, '040501', '5 octets'],
  ['a length past its parent', pair, '3003020201', '2 octets'],
  ['a length of lengths past the end', s.octetString, '0482', 'a length'],
  ['a length of 5 octets', s.octetString, '04850000000001', 'a length of at most 4 octets'],
  ['the greatest length', s.octetString, '0484ffffffff', '4294967295 octets'],
  ['the indefinite form', pair, '30800201010000', 'a definite length'],
  ['trailing octets', s.integer, '02010100', 'the end of the input'],
  ['trailing octets in a SEQUENCE', pair, '30050201010500', 'the end of Pair'],
  ['a constructed OCTET STRING', s.octetString, '2403040100', 'OCTET STRING'],
  ['a constructed BIT STRING', s.bitString, '230403020000', 'BIT STRING'],
  ['a constructed UTF8String', s.utf8String, '2c030c0161', 'UTF8String'],
  ['a constructed implicit string', s.implicit(0, s.octetString), 'a003040100', '[0]|OCTET STRING'],
  ['a primitive SEQUENCE', pair, '1003020101', 'Pair'],
  ['a BOOLEAN of 01', s.boolean, '010101', 'a BOOLEAN of 00 or FF'],
  ['an empty BOOLEAN', s.boolean, '0100', 'a BOOLEAN of 1 octet'],
  ['a BOOLEAN of 2 octets', s.boolean, '0102ffff', 'a BOOLEAN of 1 octet'],
  ['an empty INTEGER', s.integer, '0200', 'at least 1 octet'],
  ['a padded positive INTEGER', s.integer, '0202007f', 'a minimal INTEGER'],
  ['a padded negative INTEGER', s.integer, '0202ff80', 'a minimal INTEGER'],
  ['a padded serial number', s.serialInteger, '0202007f', 'a minimal INTEGER'],
  ['a padded ENUMERATED', s.enumerated, '0a020001', 'a minimal INTEGER'],
  ['an INTEGER past 2^53', s.smallInteger, '02081000000000000000', 'INTEGER below 2^53'],
  ['an INTEGER past 2^53 in 7 octets', s.smallInteger, '020720000000000001', 'INTEGER below 2^53'],
  ['contents of NULL', s.nullValue, '050100', 'the end of NULL'],
  ['an empty BIT STRING encoding', s.bitString, '0300', 'a count of unused bits'],
  ['8 unused bits', s.bitString, '03020800', 'fewer unused bits'],
  ['unused bits of nothing', s.bitString, '030101', 'fewer unused bits'],
  ['unused bits that are one', s.bitString, '03020101', 'unused bits of zero'],
  ['unused bits around DER', s.bitStringOf(s.nullValue), '0303010500', 'whole octets'],
  ['octets after contained DER', s.octetStringOf(s.nullValue), '0403050000', 'the end of OCTET STRING'],
  ['trailing zero bits of a named list', flags, '03020680', 'no trailing zero bits'],
  ['an all-zero named list', flags, '03020000', 'no trailing zero bits'],
  ['a bit without a name', flags, '03020520', 'named bits'],
  ['an empty OID', s.oid, '0600', '1 to 64 octets'],
  ['a padded arc', s.oid, '06032a8001', 'a minimal arc'],
  ['an arc without an end', s.oid, '06022a86', 'an arc'],
  ['an arc of 20 octets', s.oid, `06152a${'ff'.repeat(19)}7f`, 'an arc'],
  ['33 arcs', s.oid, `06202a${'01'.repeat(31)}`, 'at most 32 arcs'],
  ['65 octets of OID', s.oid, `0641${'2a'.repeat(65)}`, '1 to 64 octets'],
  ['an underscore in a PrintableString', s.printableString, text('13', ascii('a_b')), 'PrintableString'],
  ['an asterisk in a PrintableString', s.printableString, text('13', ascii('*.example')), 'PrintableString'],
  ['the eighth bit in an IA5String', s.ia5String, '160180', 'IA5String'],
  ['a control in a VisibleString', s.visibleString, '1a0107', 'VisibleString'],
  ['a letter in a NumericString', s.numericString, '120141', 'NumericString'],
  ['an overlong UTF-8 character', s.utf8String, '0c02c080', 'UTF-8'],
  ['a surrogate in UTF-8', s.utf8String, '0c03eda080', 'UTF-8'],
  ['UTF-8 cut short', s.utf8String, '0c01c3', 'UTF-8'],
  ['half a BMPString character', s.bmpString, '1e0141', '2 octets a character'],
  ['a surrogate in a BMPString', s.bmpString, '1e02d83d', 'BMPString'],
  ['a UniversalString character past Unicode', s.universalString, '1c0400110000', 'UniversalString'],
  ['a UTCTime without seconds', s.utcTime, text('17', ascii('2601010000Z')), 'UTCTime of 13'],
  ['a UTCTime with an offset', s.utcTime, text('17', ascii('2601010000+0100')), 'UTCTime of 13'],
  [
    'a GeneralizedTime with a fraction',
    s.generalizedTime,
    text('18', ascii('20260101000000.5Z')),
    'GeneralizedTime of 15',
  ],
  ['local GeneralizedTime', s.generalizedTime, text('18', ascii('20260101000000')), 'GeneralizedTime of 15'],
  ['a 13th month', s.utcTime, text('17', ascii('261301000000Z')), 'a calendar time'],
  ['a 29 February of a common year', s.utcTime, text('17', ascii('260229000000Z')), 'a calendar time'],
  ['a 29 February of 2100', s.generalizedTime, text('18', ascii('21000229000000Z')), 'a calendar time'],
  ['the hour 24', s.utcTime, text('17', ascii('260101240000Z')), 'a calendar time'],
  ['a leap second', s.utcTime, text('17', ascii('161231235960Z')), 'a calendar time'],
  ['a letter in a time', s.utcTime, text('17', ascii('26010A000000Z')), 'a digit'],
  ['GeneralizedTime for 2049 in a Time', s.time, text('18', ascii('20491231235959Z')), 'UTCTime through 2049'],
  ['an encoded default', pair, '3006020101010100', 'the default value left out'],
  ['components in another order', pair, '30060101ff020101', 'INTEGER'],
  ['an unsorted SET OF', s.setOf(s.integer), '3106020102020101', 'ascending order of the SET'],
  ['an unsorted SET', s.set('Set', { a: s.boolean, b: s.integer }), '31060201010101ff', 'BOOLEAN'],
  [
    'a component of a SET twice',
    s.set('Set', { a: s.boolean, b: s.integer }),
    '31060101ff010100',
    'INTEGER|a component',
  ],
  ['an end-of-contents marker as a value', s.any, '0000', 'an encoding'],
  ['a low tag number in the high form', s.explicit(5, s.nullValue), 'bf05020500', 'a minimal tag number'],
  ['a padded tag number', s.explicit(701, s.nullValue), 'bf80853d020500', 'a minimal tag number'],
  ['an alternative that is not there', s.choice('Pick', { a: s.integer, b: s.oid }), '0500', 'Pick'],
  ['too few items', s.sequenceOf(s.integer, { min: 1 }), '3000', 'at least 1 items'],
  ['too many items', s.sequenceOf(s.nullValue, { max: 1 }), '300405000500', 'at most 1 items'],
];

describe('strict DER', () => {
  it.each(REFUSED)('refuses %s', (_, schema, hex, expected) => {
    const error = refusal(schema, Buffer.from(hex, 'hex'));
    expect(error.expected).toMatch(
      new RegExp(
        expected
          .split('|')
          .map((part) => `^${escape(part)}`)
          .join('|'),
      ),
    );
  });

  it('refuses every proper prefix of an encoding', () => {
    const whole = Buffer.from('300602010101 01ff'.replace(' ', ''), 'hex');
    expect(decode(pair, whole)).toEqual({ a: 1, b: true });
    for (let length = 0; length < whole.length; length++) refusal(pair, whole.subarray(0, length));
  });
});

function refusal(schema: Schema<unknown>, bytes: Uint8Array): Asn1Error {
  try {
    decode(schema, bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(Asn1Error);
    return error as Asn1Error;
  }
  return expect.fail('was accepted');
}

function escape(literal: string): string {
  return literal.replaceAll(/[[\]^$.*+?()|{}\\]/g, String.raw`\$&`);
}
