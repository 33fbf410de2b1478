import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { allowsDevice, requirePatterns } from '../../core/enrollment/device-patterns.ts';
import { PeerError } from '../../core/errors/muster-error.ts';

describe('a list of devices', () => {
  it.each([
    ['router1', 'router1', true],
    ['router1', 'router12', false],
    ['router1', 'Router1', false],
    ['router-*', 'router-17', true],
    ['router-*', 'router-', true],
    ['router-*', 'my-router-1', false],
    ['*.branch.example', 'r1.branch.example', true],
    ['*.branch.example', 'r1.branch.example.evil', false],
    ['ap-*-roof-*', 'ap-7-roof-3', true],
    ['ap-*-roof-*', 'ap-7-cellar-3', false],
    ['r?1', 'r?1', true],
    ['r.1', 'rx1', false],
  ])('%s holds %s: %s', (pattern, name, held) => {
    expect(allowsDevice([pattern], name)).toBe(held);
    expect(allowsDevice(['other', pattern], name)).toBe(held);
  });

  it('agrees with the same pattern as a regular expression', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '*', '.'), maxLength: 8 });
    const name = fc.string({ unit: fc.constantFrom('a', 'b', '.'), maxLength: 12 });
    fc.assert(
      fc.property(text, name, (pattern, device) => {
        const expression = new RegExp(`^${pattern.replaceAll('.', String.raw`\.`).replaceAll('*', '.*')}$`);
        expect(allowsDevice([pattern], device)).toBe(expression.test(device));
      }),
      { numRuns: 1000 },
    );
  });

  it('takes no time for a pattern that was made to take it', () => {
    const before = performance.now();
    expect(allowsDevice([`${'a*'.repeat(127)}b`], 'a'.repeat(255))).toBe(false);
    expect(performance.now() - before).toBeLessThan(50);
  });

  it.each([[[]], [['*']], [['']], [['router1', '**']], [['a'.repeat(256)]], [Array.from({ length: 1001 }, () => 'a')]])(
    'is refused where it allows nothing, or everything: %j',
    (patterns) => {
      expect(() => requirePatterns(patterns)).toThrow(PeerError);
    },
  );
});
