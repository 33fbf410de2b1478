import { describe, expect, it } from 'vitest';

import { RefusalBudget } from '../../protocols/cmp/refusal-budget.ts';

describe('signed refusals of strangers', () => {
  it('are few for one source, and few for all, in a second', () => {
    let now = 1_000_000;
    const budget = new RefusalBudget({ now: () => now });
    const taken = (source: string, times: number): number =>
      Array.from({ length: times }, () => budget.take(source)).filter(Boolean).length;
    expect(taken('192.0.2.1', 100)).toBe(50);
    expect(taken('192.0.2.2', 100)).toBe(50);
    const others = Array.from({ length: 200 }, (_, at) => budget.take(`2001:db8::${at}`)).filter(Boolean).length;
    expect(others).toBe(100);
    now += 1_000;
    expect(taken('192.0.2.1', 100)).toBe(50);
  });

  it('go on when the clock is set back', () => {
    let now = 1_000_000;
    const budget = new RefusalBudget({ now: () => now });
    for (let refusals = 0; refusals < 50; refusals++) budget.take('192.0.2.1');
    now -= 500_000;
    expect(budget.take('192.0.2.1')).toBe(true);
  });
});
