import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { decode, encode } from '../../core/asn1/codec.ts';
import * as s from '../../core/asn1/schema.ts';
import type { Schema } from '../../core/asn1/schema.ts';
import { EveryType, everyTypeExample, TreeSchema } from './every-type.ts';
import type { Tree } from './every-type.ts';
import { Certificate, CertificationRequest } from './pkix.ts';

const character = (characters: string): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...Array.from(characters)) });
const codePoints = (highest: number): fc.Arbitrary<string> =>
  fc.string({
    unit: fc
      .integer({ min: 0, max: highest })
      .filter((code) => code < 0xd800 || code > 0xdfff)
      .map((code) => String.fromCodePoint(code)),
  });
const seconds = (min: string, max: string): fc.Arbitrary<Date> =>
  fc.integer({ min: Date.parse(min) / 1000, max: Date.parse(max) / 1000 }).map((second) => new Date(second * 1000));
const NAMES = ['a', 'b', 'c', 'd'] as const;
const octets = fc.uint8Array({ maxLength: 300 });
const oidText = fc
  .tuple(
    fc.integer({ min: 0, max: 2 }),
    fc.integer({ min: 0, max: 39 }),
    fc.array(fc.bigInt(0n, 2n ** 60n), { maxLength: 5 }),
  )
  .map(([root, second, rest]) => [root, second, ...rest].join('.'));
const tree: fc.Arbitrary<Tree> = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 5 },
    fc.record({ kind: fc.constant('leaf' as const), value: fc.maxSafeInteger() }),
    fc.record({ kind: fc.constant('branch' as const), value: fc.array(tie('tree'), { maxLength: 4 }) }),
  ),
})).tree;

describe('decode(encode(x)) is x', () => {
  roundTrips('BOOLEAN', s.boolean, fc.boolean());
  roundTrips('INTEGER', s.integer, fc.bigInt(-(2n ** 600n), 2n ** 600n));
  roundTrips('INTEGER near its octet boundaries', s.integer, boundaries());
  roundTrips('small INTEGER', s.smallInteger, fc.maxSafeInteger());
  roundTrips('ENUMERATED', s.enumerated, fc.integer());
  roundTrips('OCTET STRING', s.octetString, octets);
  roundTrips('OBJECT IDENTIFIER', s.oid, oidText);
  roundTrips('UTF8String', s.utf8String, codePoints(0x10ffff));
  roundTrips('BMPString', s.bmpString, codePoints(0xffff));
  roundTrips('UniversalString', s.universalString, codePoints(0x10ffff));
  roundTrips('T61String', s.t61String, codePoints(0xff));
  roundTrips('IA5String', s.ia5String, codePoints(0x7f));
  roundTrips('PrintableString', s.printableString, character("AZaz09 '()+,-./:=?"));
  roundTrips('NumericString', s.numericString, character('0123456789 '));
  roundTrips('UTCTime', s.utcTime, seconds('1950-01-01T00:00:00Z', '2049-12-31T23:59:59Z'));
  roundTrips('GeneralizedTime', s.generalizedTime, seconds('0000-01-01T00:00:00Z', '9999-12-31T23:59:59Z'));
  roundTrips('Time', s.time, seconds('0000-01-01T00:00:00Z', '9999-12-31T23:59:59Z'));
  roundTrips('a recursive CHOICE', TreeSchema, tree);
  roundTrips('explicit over implicit', s.explicit(30, s.implicit(31, s.octetString)), octets);
  roundTrips('a tag number of 4 octets', s.explicit(2 ** 21 - 1, s.integer), fc.bigInt());
  roundTrips(
    'named bits',
    s.namedBits({ a: 0, b: 7, c: 8, d: 20 }),
    fc.uniqueArray(fc.constantFrom(...NAMES)).map((names) => new Set(names)),
  );

  it('for a value with one component of every constructor', () => {
    const value = everyTypeExample();
    expect(decode(EveryType, encode(EveryType, value))).toEqual(value);
  });

  it('for a SET OF, sorted', () => {
    fc.assert(
      fc.property(fc.array(octets), (values) => {
        const decoded = decode(s.setOf(s.octetString), encode(s.setOf(s.octetString), values), { maxBytes: 2 ** 20 });
        const sorted = values.toSorted((a, b) => Buffer.compare(encode(s.octetString, a), encode(s.octetString, b)));
        expect(decoded).toEqual(sorted);
      }),
    );
  });
});

describe('on any octets', () => {
  const schemas = [EveryType, TreeSchema, Certificate, CertificationRequest, s.any, s.time, s.oid, s.integer];
  it.each(schemas.map((schema) => [schema.typeName, schema] as const))(
    '%s is read or refused with Asn1Error',
    (_, schema) => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
          const value = decodeOrRefuse<unknown>(schema as Schema<unknown>, bytes);
          if (value !== undefined) expect(encode(schema as Schema<unknown>, value)).toEqual(bytes);
        }),
        { numRuns: 500 },
      );
    },
  );
});

function boundaries(): fc.Arbitrary<bigint> {
  return fc
    .tuple(fc.integer({ min: 0, max: 80 }), fc.constantFrom(-1n, 0n, 1n), fc.constantFrom(-1n, 1n))
    .map(([bits, offset, sign]) => sign * 2n ** BigInt(bits) + offset);
}

function roundTrips<T>(name: string, schema: Schema<T>, values: fc.Arbitrary<T>): void {
  it(`for ${name}`, () => {
    fc.assert(
      fc.property(values, (value) => {
        expect(decode(schema, encode(schema, value))).toEqual(value);
      }),
      { numRuns: 300 },
    );
  });
}

function decodeOrRefuse<T>(schema: Schema<T>, bytes: Uint8Array): T | undefined {
  try {
    return decode(schema, bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(Asn1Error);
    return undefined;
  }
}
