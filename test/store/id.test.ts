import { expect, it } from 'vitest';
import { newId } from '../../core/store/id.ts';

it('makes UUIDv7: version and variant bits in place, epoch milliseconds in front (RFC 9562 §5.7)', () => {
  const before = Date.now();
  const id = newId();
  expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  const ms = Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16);
  expect(ms).toBeGreaterThanOrEqual(before);
  expect(ms).toBeLessThanOrEqual(Date.now() + 50);
});

it('never repeats, and sorts in the order of making even within a millisecond or when the clock steps back', () => {
  const now = Date.now() + 10_000;
  const ids = Array.from({ length: 20_000 }, (_value, index) => newId(index % 3 === 0 ? now - 5000 : now));
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.toSorted()).toEqual(ids);
});
