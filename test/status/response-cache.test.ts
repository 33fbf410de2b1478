import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { RecentChanges } from '../../protocols/status/recent-changes.ts';
import { type CachedResponse, ResponseCache } from '../../protocols/status/response-cache.ts';
import { SigningBudget } from '../../protocols/status/signing-budget.ts';

const response = (serialNumber: string, octets = 1000): CachedResponse => ({
  authority: 'a',
  serialNumber,
  status: { kind: 'good' },
  body: 'x'.repeat(octets),
  etag: `"${serialNumber}"`,
  lastModified: '',
  thisUpdate: 0,
  nextUpdate: 1,
  maxAgeSeconds: 300,
  refreshAt: 1,
});

describe('answers in memory', () => {
  it('are found by what was asked and by how it was asked, until their certificate changes', () => {
    const cache = new ResponseCache(1_000_000);
    cache.set('k1', response('01'));
    cache.set('k2', response('01'));
    cache.set('k3', response('02'));
    cache.alias('GET /1', 'k1');
    cache.alias('GET /3', 'k3');
    expect(cache.recall('GET /1')).toBe(cache.get('k1'));
    cache.set('k1', response('01', 500));
    expect(cache.recall('GET /1')?.body).toHaveLength(500);
    cache.forget('a', '01');
    expect([cache.get('k1'), cache.get('k2'), cache.recall('GET /1')]).toEqual([undefined, undefined, undefined]);
    expect(cache.recall('GET /3')).toBe(cache.get('k3'));
    cache.clear();
    expect([cache.size, cache.bytes]).toEqual([0, 0]);
  });

  it('never take more than they may, whatever is asked, and keep what is asked for', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('set' as const), key: fc.nat(60), octets: fc.nat(5000) }),
      fc.record({ kind: fc.constant('alias' as const), key: fc.nat(60), octets: fc.nat(300) }),
      fc.record({ kind: fc.constant('forget' as const), key: fc.nat(60), octets: fc.constant(0) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const cache = new ResponseCache(50_000);
        for (const { kind, key, octets } of steps) {
          const serial = String(key % 20);
          if (kind === 'set') cache.set(`k${key}`, response(serial, octets));
          else if (kind === 'alias') cache.alias(`${'s'.repeat(octets)}${key}`, `k${key}`);
          else cache.forget('a', serial);
          // An alias is counted when the next answer comes.
          if (kind === 'set') expect(cache.bytes).toBeLessThanOrEqual(50_000);
        }
        cache.clear();
        expect(cache.bytes).toBe(0);
      }),
    );
    const cache = new ResponseCache(20_000);
    cache.set('kept', response('kept'));
    for (let i = 0; i < 100; i++) {
      cache.get('kept');
      cache.set(`k${i}`, response(String(i)));
    }
    expect(cache.get('kept')).toBeDefined();
    expect(cache.get('k0')).toBeUndefined();
  });

  it('count for as many spellings as there are habits, and no more', () => {
    const cache = new ResponseCache(1_000_000);
    cache.set('k', response('01'));
    for (let i = 0; i < 100; i++) cache.alias(`spelling ${i}`, 'k');
    expect(Array.from({ length: 100 }, (_, i) => cache.recall(`spelling ${i}`)).filter(Boolean)).toHaveLength(8);
    cache.alias('other', 'none');
    expect(cache.recall('other')).toBeUndefined();
  });
});

describe('recent changes', () => {
  it('are those at or after a time, of one certificate or of all', () => {
    const changes = new RecentChanges();
    const before = performance.now();
    changes.note(['a/01']);
    const after = performance.now() + 0.001;
    expect(changes.since('a/01', before)).toBe(true);
    expect(changes.since('a/01', after)).toBe(false);
    expect(changes.since('a/02', before)).toBe(false);
    changes.note(undefined);
    expect(changes.since('a/02', before)).toBe(true);
  });
});

describe('the budget of a source', () => {
  it('is a burst, then so many a second, for each address and each /64', () => {
    const budget = new SigningBudget({ perSecond: 2, burst: 3 });
    const taken = (address: string, at: number, times: number): number =>
      Array.from({ length: times }, () => budget.take(address, at)).filter(Boolean).length;
    expect(taken('192.0.2.1', 0, 10)).toBe(3);
    expect(taken('192.0.2.2', 0, 10)).toBe(3);
    expect(taken('192.0.2.1', 1000, 10)).toBe(2);
    expect(taken('192.0.2.1', 100_000, 10)).toBe(3);
    expect(taken('2001:db8::1', 0, 10)).toBe(3);
    expect(taken('2001:db8:0:0:ffff::2', 0, 10)).toBe(0);
    expect(taken('2001:db8:0:1::1', 0, 10)).toBe(3);
    expect(taken('::ffff:192.0.2.9', 0, 10)).toBe(3);
    expect(taken('::ffff:192.0.2.10', 0, 10)).toBe(3);
  });
});
