import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FairQueue } from '../../core/keys/fair-queue.ts';

const entry = (tenant: string, n: number) => ({ tenant, n });

describe('FairQueue', () => {
  it('takes from tenants in turn, and from each in order', () => {
    const queue = new FairQueue<{ tenant: string; n: number }>();
    for (let n = 0; n < 3; n++) queue.add('a', entry('a', n));
    queue.add('b', entry('b', 0));
    queue.add('c', entry('c', 0));
    expect(queue.drain().map(({ tenant, n }) => `${tenant}${n}`)).toEqual(['a0', 'b0', 'c0', 'a1', 'a2']);
    expect(queue.size).toBe(0);
  });

  it('serves whoever comes late no later than once round', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 60 }), (arrivals) => {
        const queue = new FairQueue<{ tenant: string; n: number }>();
        arrivals.forEach((tenant, n) => queue.add(tenant, entry(tenant, n)));
        queue.add('late', entry('late', 0));
        const position = queue.drain().findIndex(({ tenant }) => tenant === 'late');
        return position <= new Set(arrivals).size;
      }),
    );
  });

  it('loses and invents nothing, whatever is added, taken and removed', () => {
    const step = fc.record({ kind: fc.constantFrom('add', 'take', 'remove'), tenant: fc.constantFrom('a', 'b', 'c') });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const queue = new FairQueue<{ tenant: string; n: number }>();
        const inside = new Set<{ tenant: string; n: number }>();
        steps.forEach(({ kind, tenant }, n) => {
          if (kind === 'add') {
            const added = entry(tenant, n);
            queue.add(tenant, added);
            inside.add(added);
          } else if (kind === 'take') {
            const taken = queue.take();
            expect(taken === undefined ? inside.size === 0 : inside.delete(taken)).toBe(true);
          } else {
            const [oldest] = [...inside].filter((candidate) => candidate.tenant === tenant);
            expect(queue.remove(tenant, oldest ?? entry(tenant, -1))).toBe(oldest !== undefined);
            if (oldest !== undefined) inside.delete(oldest);
          }
          expect(queue.size).toBe(inside.size);
        });
        expect(new Set(queue.drain())).toEqual(inside);
      }),
    );
  });

  it('takes out what a test is true of', () => {
    const queue = new FairQueue<{ tenant: string; n: number }>();
    for (let n = 0; n < 6; n++) queue.add(n % 2 === 0 ? 'a' : 'b', entry('x', n));
    const removed: number[] = [];
    queue.removeWhere(
      ({ n }) => n < 4,
      ({ n }) => removed.push(n),
    );
    expect(new Set(removed)).toEqual(new Set([0, 1, 2, 3]));
    expect(queue.sizeOf('a')).toBe(1);
    expect(queue.size).toBe(2);
  });
});
