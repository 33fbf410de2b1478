import { hash, pbkdf2Sync } from 'node:crypto';

import { afterEach, describe, expect, it } from 'vitest';

import { DerivationThread } from '../../protocols/cmp/derivation-thread.ts';
import type { IteratedDerivation } from '../../protocols/cmp/key-derivation.ts';

const SECRET = Buffer.from('secret');
const derivation = (iterations: number, kind: 'pbm' | 'pbkdf2' = 'pbm'): IteratedDerivation => ({
  kind,
  salt: Buffer.alloc(16, iterations & 0xff),
  hash: 'sha256',
  iterations,
  octets: 32,
});

/** By the letter: RFC 9810 §5.1.3.1, RFC 8018 §5.2. */
function expectedKey({ kind, salt, iterations, octets }: IteratedDerivation): Buffer {
  if (kind === 'pbkdf2') return pbkdf2Sync(SECRET, salt, iterations, octets, 'sha256');
  let key = Buffer.concat([SECRET, salt]);
  for (let done = 0; done < iterations; done++) key = hash('sha256', key, 'buffer');
  return key;
}

let thread = new DerivationThread();
afterEach(async () => {
  await thread[Symbol.asyncDispose]();
  thread = new DerivationThread();
});

describe('keys that take long', () => {
  it.each(['pbm', 'pbkdf2'] as const)(
    'of %s are what the specification says, on the spot and in the thread',
    async (kind) => {
      for (const iterations of [100, 5_000, 5_001, 20_000]) {
        const expected = expectedKey(derivation(iterations, kind));
        expect(Buffer.from(await thread.derive(derivation(iterations, kind), SECRET, 'a')).equals(expected)).toBe(true);
      }
    },
  );

  it('do not hold up the event loop', async () => {
    const keys = [1, 2, 3, 4].map((reference) => thread.derive(derivation(100_000), SECRET, `device ${reference}`));
    let turns = 0;
    const watch = setInterval(() => (turns += 1), 1);
    await Promise.all(keys);
    clearInterval(watch);
    // On the spot, there would be none between one key and the next.
    expect(turns).toBeGreaterThan(keys.length * 4);
  });

  it('leave the event loop its turns where each is short', async () => {
    let turns = 0;
    const watch = setInterval(() => (turns += 1), 1);
    const keys = await Promise.all(Array.from({ length: 60 }, () => thread.derive(derivation(5_000), SECRET, 'a')));
    clearInterval(watch);
    expect(keys).toHaveLength(60);
    expect(turns).toBeGreaterThan(20);
  });

  it('of one reference are four at a time', async () => {
    const settled = await Promise.allSettled(
      Array.from({ length: 6 }, () => thread.derive(derivation(20_000), SECRET, 'greedy')),
    );
    expect(settled.filter(({ status }) => status === 'fulfilled')).toHaveLength(4);
    expect(settled.at(-1)).toMatchObject({ reason: { reason: 'overloaded', retryAfterSeconds: 2 } });
    await expect(thread.derive(derivation(20_000), SECRET, 'greedy')).resolves.toHaveLength(32);
  });

  it('of all references are a million iterations at a time', async () => {
    const settled = await Promise.allSettled(
      Array.from({ length: 12 }, (_, at) => thread.derive(derivation(100_000), SECRET, `device ${at}`)),
    );
    expect(settled.filter(({ status }) => status === 'fulfilled')).toHaveLength(10);
  });

  it('that wait when the node stops are given up', async () => {
    const waiting = thread.derive(derivation(100_000), SECRET, 'a');
    const refused = expect(waiting).rejects.toMatchObject({ reason: 'shutting-down' });
    await thread[Symbol.asyncDispose]();
    await refused;
  });
});
