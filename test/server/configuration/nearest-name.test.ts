import fc from 'fast-check';
import { expect, it } from 'vitest';
import { nearestName } from '../../../server/configuration/nearest-name.ts';

const keys = ['data', 'listeners', 'limits', 'headersTimeoutSeconds'];

it('finds what was meant through a swap, a slip, a case and a missing letter', () => {
  expect(nearestName('lsiteners', keys)).toBe('listeners');
  expect(nearestName('limitss', keys)).toBe('limits');
  expect(nearestName('headerstimeoutseconds', keys)).toBe('headersTimeoutSeconds');
  expect(nearestName('dat', keys)).toBe('data');
});

it('says nothing rather than nonsense', () => {
  expect(nearestName('frobnicate', keys)).toBeUndefined();
  expect(nearestName('x', keys)).toBeUndefined();
});

it('any name gets a candidate or nothing, and a candidate gets itself', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 200 }), (name) => {
      const found = nearestName(name, keys);
      expect(found === undefined || keys.includes(found)).toBe(true);
    }),
  );
  for (const key of keys) expect(nearestName(key, keys)).toBe(key);
});
