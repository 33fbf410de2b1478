import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { anyText } from './any-text.ts';
import { canonicalJson } from '../../core/audit/canonical-json.ts';
import type { JsonValue } from '../../core/audit/canonical-json.ts';
import { InternalError } from '../../core/errors/muster-error.ts';
import { Secret } from '../../core/keys/secret.ts';

describe('canonical JSON (RFC 8785)', () => {
  test('writes the example of RFC 8785 §3.2.2', () => {
    const value = JSON.parse(`{
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\"\\/",
      "literals": [null, true, false]
    }`) as JsonValue;
    expect(canonicalJson(value)).toBe(
      String.raw`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],` +
        String.raw`"string":"€$\u000f\nA'B\"\\\\\"/"}`,
    );
  });

  test('sorts members by UTF-16 code units, as in RFC 8785 §3.2.3', () => {
    const value = { '€': 1, '\r': 2, '\uFB33': 3, '1': 4, '\u{1F600}': 5, '\u0080': 6, ö: 7, '10': 8, '2': 9 };
    expect(Object.values(JSON.parse(canonicalJson(value).replaceAll(/"(1|10|2)"/g, '"x$1"')) as object)).toEqual([
      2, 4, 8, 9, 6, 7, 1, 5, 3,
    ]);
  });

  test('reads back as the same value, whatever the order of its members', () => {
    fc.assert(
      fc.property(
        fc.object({
          maxDepth: 3,
          maxKeys: 8,
          withNullPrototype: true,
          values: [anyText(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean(), fc.constant(null)],
        }),
        (value) => {
          const text = canonicalJson(value as JsonValue);
          const back = JSON.parse(text) as JsonValue;
          expect(canonicalJson(back)).toBe(text);
          const reversed = Object.fromEntries(Object.entries(value).reverse());
          expect(canonicalJson(reversed as JsonValue)).toBe(text);
          expect(back).toEqual(JSON.parse(JSON.stringify(value)));
        },
      ),
    );
  });

  test('keeps lone surrogates as escapes', () => {
    expect(canonicalJson('a\ud800b')).toBe(String.raw`"a\ud800b"`);
    expect(JSON.parse(canonicalJson('\udfff'))).toBe('\udfff');
  });

  test('leaves out members that are undefined', () => {
    expect(canonicalJson({ a: undefined, b: 1 })).toBe('{"b":1}');
  });

  const cycle: Record<string, unknown> = {};
  cycle['self'] = cycle;
  test.each([
    ['a secret', { password: new Secret('hunter2') }],
    ['a secret in a list', { list: [1, [new Secret('hunter2')]] }],
    ['octets', { key: Uint8Array.of(1) }],
    ['a date', { at: new Date(0) }],
    ['a map', { map: new Map([['a', 1]]) }],
    ['a function', { call: () => 1 }],
    ['a big integer', { serial: 1n }],
    ['a symbol', { kind: Symbol('a') }],
    ['not a number', { size: Number.NaN }],
    ['infinity', { size: -Infinity }],
    ['undefined in a list', { list: [undefined] }],
    ['a cycle', cycle],
  ])('refuses %s', (_what, value) => {
    expect(() => canonicalJson(value as unknown as JsonValue)).toThrow(InternalError);
  });

  test('a refusal does not repeat the secret', () => {
    let message = '';
    try {
      canonicalJson({ password: new Secret('hunter2') } as unknown as JsonValue);
    } catch (error) {
      message = String(error);
    }
    expect(message).toContain('an instance of Secret');
    expect(message).not.toContain('hunter2');
  });
});
