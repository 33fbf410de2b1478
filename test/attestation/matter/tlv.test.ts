import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeTlvStructure,
  tlvArray,
  tlvBytes,
  TlvError,
  tlvText,
  tlvUnsigned,
} from '../../../devices/attestation/matter/tlv.ts';
import * as write from '../../fakes/matter-tlv.ts';

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'));
const member = (element: string): unknown => decodeTlvStructure(hex(`15 ${element} 18`)).get(1);

describe('Matter TLV', () => {
  it.each<[string, string, unknown]>([
    ['a signed octet', '20 01 ef', -17],
    ['a signed 16-bit number', '21 01 d6ff', -42],
    ['a signed 32-bit number', '22 01 ffffffff', -1],
    ['a signed 64-bit number', '23 01 ffffffffffffffff', -1],
    ['an unsigned octet', '24 01 ff', 255],
    ['an unsigned 16-bit number', '25 01 f1ff', 0xfff1],
    ['an unsigned 32-bit number', '26 01 ffffffff', 2 ** 32 - 1],
    ['an unsigned 64-bit number', '27 01 ffffffffffffffff', 2n ** 64n - 1n],
    ['false', '28 01', false],
    ['true', '29 01', true],
    ['a float', '2a 01 0000c03f', 1.5],
    ['a double', '2b 01 000000000000f83f', 1.5],
    ['a text', '2c 01 02 6869', 'hi'],
    ['a text with a longer length', '2d 01 0200 6869', 'hi'],
    ['octets', '30 01 02 0102', Uint8Array.of(1, 2)],
    ['octets with a length of eight octets', '33 01 0100000000000000 07', Uint8Array.of(7)],
    ['null', '34 01', null],
    ['a structure', '35 01 24 02 03 18', new Map([[2, 3]])],
    ['an array', '36 01 04 05 04 06 18', [5, 6]],
    ['a list with and without tags', '37 01 04 05 24 02 06 18', [5, 6]],
  ])('reads %s', (_, element, value) => expect(member(element)).toEqual(value));

  it('reads the declaration of the specification', () => {
    const content = hex(
      `1524000125 01f1ff 3602 050080 18 25033412 2c0413 ${Buffer.from('ZIG20141ZB330001-24').toString('hex')} 240500 240600 25077698 240800 2509f1ff 250a0080 18`,
    );
    const declaration = decodeTlvStructure(content);
    expect([...declaration.keys()]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(declaration.get(2)).toEqual([0x8000]);
    expect(declaration.get(4)).toBe('ZIG20141ZB330001-24');
  });

  it('passes over members of vendors, once they are well-formed', () => {
    expect([...decodeTlvStructure(hex('15 24 01 05 c4 f1ff ddee 0100 07 18')).keys()]).toEqual([1]);
    expect([
      ...decodeTlvStructure(
        hex('15 44 0100 07 64 01000000 07 84 0100 07 a4 01000000 07 e4 f1ff ddee 01000000 07 18'),
      ).keys(),
    ]).toEqual([]);
    expect(() => decodeTlvStructure(hex('15 c4 f1ff ddee 01 18'))).toThrow(TlvError);
  });

  it.each([
    ['nothing', ''],
    ['no structure', '24 01 05'],
    ['a structure with a tag', '35 01 18'],
    ['an array at the top', '16 18'],
    ['a structure that does not end', '15 24 01 05'],
    ['octets after it', '15 18 00'],
    ['a member without a tag', '15 04 05 18'],
    ['tags in descending order', '15 24 02 05 24 01 05 18'],
    ['a tag twice', '15 24 01 05 24 01 05 18'],
    ['a member of an array with a tag', '15 36 01 24 01 05 18 18'],
    ['an end with a tag', '15 38 01'],
    ['an end of a list with a tag', '15 37 01 38 01 18 18'],
    ['a lone end', '18'],
    ['an unknown type', '15 39 01 18'],
    ['octets beyond the end', '15 30 01 ff 00 18'],
    ['a length of 2^64', '15 33 01 ffffffffffffffff 18'],
    ['a text that is no UTF-8', '15 2c 01 02 c328 18'],
  ])('refuses %s', (_, text) => expect(() => decodeTlvStructure(hex(text))).toThrow(TlvError));

  it('is bounded in octets, depth and elements', () => {
    expect(() => decodeTlvStructure(new Uint8Array(9000))).toThrow('at most 8192 octets');
    expect(() => decodeTlvStructure(hex(`15${'3501'.repeat(9)}${'18'.repeat(10)}`))).toThrow('at most 8 levels');
    expect(decodeTlvStructure(hex(`15${'3501'.repeat(7)}${'18'.repeat(8)}`)).size).toBe(1);
    expect(() => decodeTlvStructure(hex(`15 36 01 ${'0405'.repeat(1100)} 18 18`))).toThrow('at most 1024 elements');
  });

  it('names what was expected of a value', () => {
    expect(() => tlvBytes(5, 'csr')).toThrow('expected csr as octets, found a number');
    expect(() => tlvBytes(new Uint8Array(3), 'nonce', 32)).toThrow('expected nonce of 32 octets, found 3 octets');
    expect(() => tlvUnsigned(-1, 'x', 9)).toThrow('expected x as an integer up to 9, found -1');
    expect(() => tlvUnsigned(new Map(), 'x', 9)).toThrow('found a structure');
    expect(() => tlvUnsigned(undefined, 'x', 9)).toThrow('found none');
    expect(() => tlvText(null, 'x')).toThrow('found null');
    expect(() => tlvText(new Uint8Array(), 'x')).toThrow('found octets');
    expect(() => tlvArray([], 'x', 1, 2)).toThrow('expected x with 1 to 2 members, found 0');
    expect(() => tlvArray(true, 'x', 1, 2)).toThrow('found a boolean');
    expect(() => tlvText([1], 'x')).toThrow('found an array');
  });

  it('reads what the writer wrote', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2 ** 32 - 1 }),
        fc.uint8Array({ maxLength: 300 }),
        fc.string(),
        (number, octets, text) => {
          const read = decodeTlvStructure(
            new Uint8Array(
              write.tlvStructure(write.tlvUnsigned(1, number), write.tlvOctets(2, octets), write.tlvText(3, text)),
            ),
          );
          expect([...read.values()]).toEqual([number, octets, text]);
        },
      ),
    );
  });
});
