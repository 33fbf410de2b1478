import { encode, Token, Type } from 'cborg';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  cborArray,
  cborBytes,
  CborError,
  cborInteger,
  cborMap,
  CborTag,
  cborText,
  decodeCbor,
} from '../../devices/attestation/cbor.ts';

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'));

describe('CBOR', () => {
  it.each([
    ['0a', 10],
    ['3863', -100],
    ['1bffffffffffffffff', 2n ** 64n - 1n],
    ['6568656c6c6f', 'hello'],
    ['43010203', Uint8Array.of(1, 2, 3)],
    ['8301f4f6', [1, false, null]],
    [
      'a2 01 02 61 61 80',
      new Map<number | string, unknown>([
        [1, 2],
        ['a', []],
      ]),
    ],
    ['fb3ff8000000000000', 1.5],
  ])('reads %s', (text, value) => {
    expect(decodeCbor(hex(text))).toEqual(value);
  });

  it('reads the tags that were asked for, and refuses others', () => {
    expect(decodeCbor(hex('d28101'), { tags: [18] })).toEqual(new CborTag(18, [1]));
    expect(() => decodeCbor(hex('d28101'))).toThrow(/tag not supported/);
    expect(() => decodeCbor(hex('d83d01'), { tags: [18] })).toThrow(CborError);
  });

  it.each([
    ['nothing', ''],
    ['a trailing octet', '0a00'],
    ['a second item', '0a0a'],
    ['an integer longer than needed', '1800'],
    ['a length longer than needed', '580101'],
    ['an indefinite byte string', '5f4101ff'],
    ['an indefinite text', '7f6161ff'],
    ['an indefinite array', '9f01ff'],
    ['an indefinite map', 'bf0102ff'],
    ['a bare break', 'ff'],
    ['a break in an array', '81ff'],
    ['a text key twice', 'a2 6161 01 6161 02'],
    ['an integer key twice', 'a2 01 01 01 02'],
    ['a negative key twice', 'a2 20 01 20 02'],
    ['a byte string as key', 'a1 4101 01'],
    ['an array as key', 'a1 80 01'],
    ['a float as key', 'a1 fb3ff0000000000000 01'],
    ['a map with a key and no value', 'a1 01'],
    ['an array that ends too soon', '8301'],
    ['a text that is not UTF-8', '62c328'],
    ['undefined', 'f7'],
    ['NaN', 'f97e00'],
    ['infinity', 'f97c00'],
    ['an unknown simple value', 'f820'],
    ['an array of 2^32 items', '9affffffff'],
    ['a map of 2^64 entries', 'bbffffffffffffffff'],
    ['a byte string of 2^62 octets', '5b4000000000000000'],
    ['a reserved length', '1c'],
  ])('refuses %s', (_, text) => {
    expect(() => decodeCbor(hex(text))).toThrow(CborError);
  });

  it('is bounded in octets, depth and items', () => {
    expect(() => decodeCbor(encode(new Uint8Array(70_000)))).toThrow('expected at most 65536 octets, found 70005');
    expect(decodeCbor(new Uint8Array([...Array<number>(15).fill(0x81), 0x80]))).toBeDefined();
    expect(() => decodeCbor(new Uint8Array([...Array<number>(16).fill(0x81), 0x80]))).toThrow('at most 16 levels');
    expect(() => decodeCbor(new Uint8Array(60_000).fill(0x81))).toThrow('at most 16 levels');
    expect(() => decodeCbor(new Uint8Array(60_000).fill(0xd2), { tags: [18] })).toThrow('at most 16 levels');
    expect(decodeCbor(encode(Array(4095).fill(0)))).toHaveLength(4095);
    expect(() => decodeCbor(encode(Array(4096).fill(0)))).toThrow('at most 4096 items');
    expect(decodeCbor(encode([[[], []], [[]]]), { limits: { maxDepth: 3 } })).toEqual([[[], []], [[]]]);
    expect(() => decodeCbor(hex('8201 02'), { limits: { maxItems: 2 } })).toThrow('at most 2 items');
  });

  it('names what was expected of a value', () => {
    const map = decodeCbor(hex('a5 6161 01 6162 4101 6163 80 6164 6178 6165 a0'));
    const at = (key: string): ReturnType<typeof decodeCbor> | undefined => cborMap(map, 'claims').get(key);
    expect(cborInteger(at('a'), 'a')).toBe(1);
    expect(cborBytes(at('b'), 'b')).toEqual(Uint8Array.of(1));
    expect(cborArray(at('c'), 'c')).toEqual([]);
    expect(cborText(at('d'), 'd')).toBe('x');
    expect(() => cborText(at('a'), 'the name')).toThrow('expected the name as a text string, found a number');
    expect(() => cborInteger(at('z'), 'z')).toThrow('found none');
    expect(() => cborInteger(at('e'), 'e')).toThrow('found a map');
    expect(() => cborMap(at('b'), 'b')).toThrow('found a byte string');
    expect(() => cborArray(at('d'), 'd')).toThrow('found a string');
    expect(() => cborBytes(at('c'), 'c')).toThrow('found an array');
    expect(() => cborBytes(decodeCbor(hex('f6')), 'x')).toThrow('found null');
    expect(() => cborBytes(decodeCbor(hex('d201'), { tags: [18] }), 'x')).toThrow('found tag 18');
  });

  it('reads what an encoder wrote', () => {
    const leaf = fc.oneof(fc.integer(), fc.string(), fc.boolean(), fc.constant(null), fc.uint8Array());
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof({ depthSize: 'small' }, leaf, fc.array(tie('tree'), { maxLength: 4 })),
    }));
    fc.assert(
      fc.property(tree, (value) => {
        expect(decodeCbor(encode(value))).toEqual(value);
      }),
    );
  });

  it('answers any octets with a value or its own error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (octets) => {
        try {
          decodeCbor(octets, { tags: [18, 61] });
        } catch (error) {
          expect(error).toBeInstanceOf(CborError);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('sees a key twice whatever the writer did', () => {
    const twice = encode(
      { tokens: true },
      {
        typeEncoders: {
          Object: () => [
            new Token(Type.map, 2),
            new Token(Type.string, 'fmt'),
            new Token(Type.uint, 1),
            new Token(Type.string, 'fmt'),
            new Token(Type.uint, 2),
          ],
        },
      },
    );
    expect(() => decodeCbor(twice)).toThrow(/repeat map key/);
  });
});
