import { describe, expect, expectTypeOf, it } from 'vitest';
import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { decode, DEFAULT_LIMITS, encode } from '../../core/asn1/codec.ts';
import { isOid } from '../../core/asn1/oid.ts';
import * as s from '../../core/asn1/schema.ts';
import type { Infer, Schema, WithDer } from '../../core/asn1/schema.ts';
import { seedFile } from '../fuzz/seed-files.ts';
import { TreeSchema } from './every-type.ts';
import { Certificate, CertificationRequest, Name } from './pkix.ts';

describe('errors', () => {
  it('name the place in the words of the module, and the offset', () => {
    const der = seedFile('certification-request-p256');
    const offset = locate(der, [0x31, 0x15]);
    der[offset] = 0x30; // the third RDN is a SEQUENCE
    expect(refusal(() => decode(CertificationRequest, der))).toMatchObject({
      path: 'CertificationRequest.certificationRequestInfo.subject[2]',
      expected: 'SET OF',
      found: 'SEQUENCE',
      offset,
      message: `CertificationRequest.certificationRequestInfo.subject[2]: expected SET OF, found SEQUENCE at offset ${offset}`,
    });
  });

  it('name the alternative of a CHOICE and the offset inside contained DER', () => {
    const schema = s.sequence('Outer', { name: s.choice('Choice', { text: s.octetStringOf(s.boolean) }) });
    const error = refusal(() => decode(schema, Buffer.from('30050403010101', 'hex')));
    expect(error).toMatchObject({ path: 'Outer.name.text', offset: 6 });
  });

  it('of encoding carry the path too', () => {
    const error = refusal(() => encode(Name, [[], []]));
    expect(error).toMatchObject({ path: 'SEQUENCE OF[1]', expected: '1 to Infinity items', found: '0', offset: -1 });
  });

  it('name a missing component', () => {
    const schema = s.sequence('Pair', { a: s.integer, b: s.integer });
    expect(refusal(() => encode(schema, { a: 1n } as Infer<typeof schema>))).toMatchObject({
      path: 'Pair.b',
      expected: 'INTEGER',
      found: 'undefined',
    });
    expect(refusal(() => decode(schema, Buffer.from('3003020101', 'hex')))).toMatchObject({
      path: 'Pair.b',
      found: 'the end',
    });
  });

  it('that are not about the encoding pass unchanged', () => {
    const fault = new RangeError('not of the codec');
    const broken = s.lazily((): Schema<null> => {
      throw fault;
    });
    expect(() => decode(s.sequence('Outer', { inner: broken }), Uint8Array.of(0x30, 0))).toThrow(fault);
    expect(fault.message).toBe('not of the codec');
  });

  it('name the alternative that a CHOICE does not have', () => {
    const schema = s.sequence('Outer', { name: s.choice('Pick', { a: s.integer }) });
    const value = { name: { kind: 'toString', value: 1n } } as unknown as Infer<typeof schema>;
    expect(refusal(() => encode(schema, value))).toMatchObject({
      path: 'Outer.name',
      expected: 'Pick',
      found: 'alternative toString',
      offset: -1,
    });
  });

  it('name the component of a SET, read or written', () => {
    const schema = s.set('Set', { a: s.boolean, b: s.sequence('B', { c: s.integer }) });
    expect(refusal(() => decode(schema, Buffer.from('31070101ff30020500', 'hex')))).toMatchObject({
      path: 'Set.b.c',
      expected: 'INTEGER',
      found: 'NULL',
    });
    expect(refusal(() => encode(schema, { a: true } as Infer<typeof schema>))).toMatchObject({
      path: 'Set.b',
      expected: 'B',
      found: 'undefined',
    });
  });
});

describe('encoding refuses', () => {
  const cases: readonly (readonly [string, () => unknown])[] = [
    ['a character outside the set', () => encode(s.printableString, 'a_b')],
    ['a lone surrogate', () => encode(s.utf8String, '\ud800')],
    ['a character past the BMP', () => encode(s.bmpString, '💡')],
    ['an invalid date', () => encode(s.time, new Date(NaN))],
    ['a year UTCTime cannot say', () => encode(s.utcTime, new Date('2050-01-01'))],
    ['a fraction', () => encode(s.smallInteger, 0.5)],
    ['padded serial octets', () => encode(s.serialInteger, Uint8Array.of(0, 1))],
    ['empty serial octets', () => encode(s.serialInteger, new Uint8Array())],
    ['unused bits that are one', () => encode(s.bitString, { unusedBits: 1, bytes: Uint8Array.of(1) })],
    ['two encodings as one', () => encode(s.any, Uint8Array.of(5, 0, 5, 0))],
    ['half an encoding', () => encode(s.any, Uint8Array.of(5))],
    ['more items than the SIZE', () => encode(s.sequenceOf(s.nullValue, { max: 1 }), [null, null])],
    ['text that is no OID', () => encode(s.oid, '1.2.')],
    ['an OID whose second arc is too large', () => encode(s.oid, '1.40')],
    ['an OID of 33 arcs', () => encode(s.oid, `1${'.1'.repeat(32)}`)],
    ['an OID of 70 octets', () => encode(s.oid, `1.3${`.${2n ** 63n}`.repeat(7)}`)],
    ['an arc of 20 octets', () => encode(s.oid, `1.3.${9n * 10n ** 40n}`)],
    ['unused bits of nothing', () => encode(s.bitString, { unusedBits: 1, bytes: new Uint8Array() })],
  ];
  it.each(cases)('%s', (_, run) => {
    expect(run).toThrow(Asn1Error);
  });
});

describe('limits', () => {
  const deep = (levels: number): Uint8Array => {
    let der = Buffer.from('a000', 'hex');
    for (let i = 1; i < levels; i++) der = Buffer.concat([Buffer.from([0xa0, der.length]), der]);
    return der;
  };

  it('bound the size before anything is read', () => {
    const tooLarge = encode(s.octetString, new Uint8Array(DEFAULT_LIMITS.maxBytes));
    expect(refusal(() => decode(s.octetString, tooLarge)).expected).toBe('at most 65536 octets');
    const large = encode(s.octetString, new Uint8Array(3_000_000));
    expect(decode(s.octetString, large, { maxBytes: 4_000_000 })).toHaveLength(3_000_000);
  });

  it('bound the depth, whatever the caller asks for', () => {
    expect(decode(TreeSchema, deep(16))).toMatchObject({ kind: 'branch' });
    expect(refusal(() => decode(TreeSchema, deep(33))).expected).toBe('at most 32 levels');
    const deepest = wrapped(5000);
    expect(refusal(() => decode(TreeSchema, deepest, { maxDepth: 1e9 })).expected).toBe('at most 128 levels');
  });

  it('bound the number of items', () => {
    const many = encode(
      s.sequenceOf(s.nullValue),
      Array.from({ length: 100 }, () => null),
    );
    expect(decode(s.sequenceOf(s.nullValue), many, { maxItems: 101 })).toHaveLength(100);
    expect(refusal(() => decode(s.sequenceOf(s.nullValue), many, { maxItems: 100 })).expected).toBe(
      'at most 100 items',
    );
  });

  it('bound one INTEGER', () => {
    const large = encode(s.integer, 2n ** 16_400n);
    expect(refusal(() => decode(s.integer, large)).expected).toBe('at most 2049 octets');
    expect(decode(s.integer, large, { maxIntegerBytes: 3000 })).toBe(2n ** 16_400n);
  });
});

describe('values', () => {
  it('are views of the input, which may lie anywhere in its buffer', () => {
    const pool = Buffer.from('ffff0403010203ff', 'hex');
    const value = decode(s.octetString, pool.subarray(2, 7));
    expect(value).toEqual(Uint8Array.of(1, 2, 3));
    expect(value.buffer).toBe(pool.buffer);
  });

  it('of SETs keep the order of the input where any order is allowed', () => {
    const unsorted = Buffer.from('3106020102020101', 'hex');
    expect(decode(s.setOf(s.integer), unsorted, { setOrder: 'any' })).toEqual([2n, 1n]);
    const set = s.set('Set', { a: s.boolean, b: s.integer, c: s.optional(s.oid) });
    const swapped = Buffer.from('31060201010101ff', 'hex');
    expect(decode(set, swapped, { setOrder: 'any' })).toEqual({ a: true, b: 1n });
    expect(encode(set, { b: 1n, a: true })).toEqual(new Uint8Array(Buffer.from('31060101ff020101', 'hex')));
  });

  it('of SETs are written in the order of their tags (X.690 §10.3), an open type last', () => {
    const set = s.set('Set', {
      open: s.any,
      high: s.optional(s.explicit(200, s.nullValue)),
      low: s.optional(s.explicit(31, s.nullValue)),
      flag: s.defaulted(s.boolean, false),
      first: s.implicit(5, s.nullValue),
    });
    const whole = { open: Uint8Array.of(0x0c, 0), high: null, low: null, flag: true, first: null };
    const der = encode(set, whole);
    expect(Buffer.from(der).toString('hex')).toBe('31120101ff8500bf1f020500bf81480205000c00');
    expect(decode(set, der)).toEqual(whole);
    // What is absent is undefined, or its default.
    const least = encode(set, { open: Uint8Array.of(0x0c, 0), flag: false, first: null });
    expect(decode(set, least)).toEqual({ open: Uint8Array.of(0x0c, 0), flag: false, first: null });
  });

  it('of a CHOICE are read as the first alternative with their tag', () => {
    const schema = s.choice('Twice', { first: s.utf8String, second: s.utf8String });
    expect(decode(schema, Uint8Array.of(0x0c, 1, 0x61))).toEqual({ kind: 'first', value: 'a' });
  });

  it('may be longer or shorter than their DEFAULT', () => {
    const schema = s.sequence('S', { n: s.defaulted(s.smallInteger, 1) });
    for (const n of [-1, 255, 65_536]) expect(decode(schema, encode(schema, { n }))).toEqual({ n });
  });

  it('of ASCII types may be of any length', () => {
    for (const length of [24, 25, 300]) {
      const text = 'x'.repeat(length);
      expect(decode(s.ia5String, encode(s.ia5String, text))).toBe(text);
    }
  });

  it('of BIT STRINGs may be none, and names may leave gaps', () => {
    const none = { unusedBits: 0, bytes: new Uint8Array() };
    expect(decode(s.bitString, encode(s.bitString, none))).toEqual(none);
    const gap = s.namedBits({ first: 0, third: 2 });
    expect(decode(gap, encode(gap, new Set(['first', 'third'])))).toEqual(new Set(['first', 'third']));
    expect(refusal(() => decode(gap, Buffer.from('030205e0', 'hex')))).toMatchObject({
      expected: 'named bits',
      found: 'bit 1',
    });
  });

  it('of serial numbers may be one octet', () => {
    for (const octet of [0x00, 0x7f, 0x80, 0xff]) {
      expect(encode(s.serialInteger, Uint8Array.of(octet))).toEqual(Uint8Array.of(2, 1, octet));
    }
  });

  it('of OIDs keep arcs of any size, the second one too', () => {
    for (const text of ['2.0', '2.39', '2.40', `2.${2n ** 64n}`, `2.${2n ** 64n}.1.${2n ** 53n + 1n}`, '0.39', '1.0']) {
      expect(decode(s.oid, encode(s.oid, text))).toBe(text);
    }
  });

  it('with raw octets are written as they came', () => {
    const schema = s.withDer(s.setOf(s.integer));
    const unsorted = Buffer.from('3106020102020101', 'hex');
    expect(encode(schema, decode(schema, unsorted, { setOrder: 'any' }))).toEqual(new Uint8Array(unsorted));
    const tagged = s.implicit(0, schema);
    const retagged = Buffer.from('a006020102020101', 'hex');
    expect(encode(tagged, decode(tagged, retagged, { setOrder: 'any' }))).toEqual(new Uint8Array(retagged));
  });

  it('under an implicit tag over a CHOICE are tagged explicitly', () => {
    const schema = s.implicit(4, s.choice('Name', { number: s.integer }));
    expect(Buffer.from(encode(schema, { kind: 'number', value: 1n })).toString('hex')).toBe('a403020101');
    expect(Buffer.from(encode(s.implicit(4, s.any), Uint8Array.of(5, 0))).toString('hex')).toBe('a4020500');
    expect(Buffer.from(encode(s.implicit(4, s.time), new Date(0))).toString('hex')).toMatch(/^a40f170d/);
  });

  it('equal to their DEFAULT are left out, compound ones too', () => {
    const schema = s.sequence('S', { d: s.defaulted(s.sequence('D', { n: s.integer }), { n: 5n }) });
    expect(encode(schema, { d: { n: 5n } })).toEqual(Uint8Array.of(0x30, 0));
    expect(decode(schema, Uint8Array.of(0x30, 0))).toEqual({ d: { n: 5n } });
    expect(decode(schema, encode(schema, { d: { n: 6n } }))).toEqual({ d: { n: 6n } });
  });

  it('of unknown kinds of OID are told apart from text', () => {
    expect(isOid('2.5.4.3')).toBe(true);
    expect(isOid('2.999.1')).toBe(true);
    expect(['', '1', '3.1', '1.2.03', '1.2 ', 'a.b', `1.${'9'.repeat(60)}`].filter(isOid)).toEqual([]);
  });

  it('of OIDs do not change with a buffer that is used again', () => {
    const buffer = Buffer.alloc(9);
    const texts = Array.from({ length: 4000 }, (_, i) => `1.3.6.1.4.1.${200 + i}`);
    const decoded = texts.map((text) => {
      const der = encode(s.oid, text);
      buffer.set(der);
      return decode(s.oid, buffer.subarray(0, der.length));
    });
    expect(decoded).toEqual(texts);
  });

  it('of OIDs are told apart where they share a place in the memo', () => {
    const texts = Array.from({ length: 5000 }, (_, i) => `1.3.6.1.4.1.${i}.${i * 7}`);
    const ders = texts.map((text) => encode(s.oid, text));
    expect(ders.map((der) => decode(s.oid, der))).toEqual(texts);
  });
});

describe('types', () => {
  it('follow the schema', () => {
    const schema = s.sequence('S', {
      a: s.integer,
      b: s.optional(s.utf8String),
      c: s.defaulted(s.boolean, false),
      d: s.choice('C', { n: s.smallInteger, t: s.setOf(s.oid) }),
      e: s.withDer(s.namedBits({ x: 0, y: 1 })),
    });
    expectTypeOf<Infer<typeof schema>>().toEqualTypeOf<{
      readonly a: bigint;
      readonly b?: string | undefined;
      readonly c: boolean;
      readonly d:
        | { readonly kind: 'n'; readonly value: number }
        | { readonly kind: 't'; readonly value: readonly string[] };
      readonly e: WithDer<ReadonlySet<'x' | 'y'>>;
    }>();
    expectTypeOf<Infer<Schema<number>>>().toEqualTypeOf<number>();
    expect(schema.typeName).toBe('S');
  });
});

it('a certificate decodes and encodes to the same octets', () => {
  for (const name of ['certificate-p256', 'certificate-ca-rsa']) {
    const der = seedFile(name);
    expect(encode(Certificate, decode(Certificate, der))).toEqual(der);
  }
});

function refusal(run: () => unknown): Asn1Error {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(Asn1Error);
    return error as Asn1Error;
  }
  return expect.fail('was accepted');
}

function locate(bytes: Uint8Array, pattern: readonly number[]): number {
  return Buffer.from(bytes).indexOf(Buffer.from(pattern));
}

function wrapped(levels: number): Uint8Array {
  let der: Uint8Array = Uint8Array.of(0xa0, 0);
  for (let i = 0; i < levels; i++) der = encode(s.explicit(0, s.any), der);
  return der;
}
