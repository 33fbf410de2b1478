import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { type ConnectionHealth, type ConnectionLimits, TokenConnection } from '../../core/keys/token-connection.ts';
import { FakeToken } from './fake-token.ts';

const LIMITS: ConnectionLimits = {
  operationTimeoutMs: 400,
  connectTimeoutMs: 400,
  queueLimitPerTenant: 100,
  queueLimit: 250,
  concurrency: 2,
};
const INPUT = Uint8Array.of(1, 2, 3);
const KEY = { id: '00', label: undefined };

describe('the connection to a token', () => {
  let connection: TokenConnection;
  const states: ConnectionHealth['state'][] = [];

  async function connect(token: FakeToken, limits: Partial<ConnectionLimits> = {}): Promise<void> {
    states.length = 0;
    const onChange = ({ state }: ConnectionHealth): void => void states.push(state);
    connection = new TokenConnection(token, { ...LIMITS, ...limits }, { now: Date.now, onChange });
    await connection.start();
  }
  const sign = async (tenant = 'a', signal?: AbortSignal): Promise<Uint8Array> =>
    connection.submit(
      (token) => token.sign(KEY, 'ecdsa', INPUT),
      signal === undefined ? { tenant } : { tenant, signal },
    );

  afterEach(() => connection.close());

  describe('shares the token out', () => {
    it('never uses more sessions than it may', async () => {
      const token = new FakeToken();
      await connect(token);
      await Promise.all(Array.from({ length: 50 }, () => sign()));
      expect(token.mostInside).toBe(2);
    });

    it('serves a quiet tenant in its turn, however many of another wait', async () => {
      const token = new FakeToken();
      await connect(token);
      let floodServed = 0;
      const flood = Array.from({ length: 90 }, () => sign('flood').then(() => floodServed++));
      await delay(10);
      for (let i = 0; i < 5; i++) {
        const before = floodServed;
        await sign('quiet');
        // Two were being served, one more of the other's turn may start and end meanwhile.
        expect(floodServed - before).toBeLessThanOrEqual(4);
      }
      await Promise.all(flood);
    });

    it('keeps a session free for those who ask seldom, and gives it to the only one who asks', async () => {
      const token = new FakeToken();
      token.serviceMs = 30;
      await connect(token, { concurrency: 3 });
      await Promise.all(Array.from({ length: 9 }, () => sign('flood')));
      expect(token.mostInside).toBe(3);
      await sign('quiet');
      const flood = Array.from({ length: 9 }, () => sign('flood'));
      expect(connection.health()).toMatchObject({ running: 2, waiting: 7 });
      const quiet = sign('quiet');
      expect(connection.health()).toMatchObject({ running: 3, waiting: 7 });
      await Promise.all([...flood, quiet]);
    });

    it('does the same with a token that computes in this thread, and lets the event loop turn', async () => {
      const token = new FakeToken({ remote: false });
      token.inThread = true;
      await connect(token, { operationTimeoutMs: 10_000 });
      let floodServed = 0;
      const flood = Array.from({ length: 90 }, () => sign('flood').then(() => floodServed++));
      let turns = 0;
      const timer = setInterval(() => turns++, 0);
      await sign('quiet');
      expect(floodServed).toBeLessThan(10);
      await Promise.all(flood);
      clearInterval(timer);
      expect(turns).toBeGreaterThan(10);
    });

    it('lets each tenant wait with so many operations, and all with so many', async () => {
      const token = new FakeToken();
      token.serviceMs = 20;
      await connect(token);
      const outcomes = await Promise.allSettled(
        ['a', 'b', 'c', 'd'].flatMap((tenant) => Array.from({ length: 110 }, () => sign(tenant))),
      );
      const refused = outcomes
        .filter(({ status }) => status === 'rejected')
        .map((outcome) => (outcome as PromiseRejectedResult).reason);
      expect(refused.length).toBeGreaterThanOrEqual(440 - 252);
      for (const error of refused)
        expect(error).toMatchObject({ reason: 'overloaded', retryAfterSeconds: expect.any(Number) });
    });

    it('refuses what would wait too long', async () => {
      const token = new FakeToken();
      token.serviceMs = 150;
      await connect(token);
      const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => sign()));
      const served = outcomes.filter(({ status }) => status === 'fulfilled').length;
      expect(served).toBeGreaterThanOrEqual(2);
      expect(served).toBeLessThan(10);
      expect(outcomes.at(-1)).toMatchObject({ reason: { reason: 'overloaded' } });
      expect(connection.health().state).toBe('up');
    });
  });

  describe('honours signals', () => {
    it('takes out of the queue what nobody waits for any more', async () => {
      const token = new FakeToken();
      token.serviceMs = 50;
      await connect(token);
      const running = [sign(), sign()];
      const controller = new AbortController();
      const waiting = sign('a', controller.signal);
      expect(connection.health()).toMatchObject({ running: 2, waiting: 1 });
      controller.abort();
      await expect(waiting).rejects.toThrow('aborted');
      expect(connection.health().waiting).toBe(0);
      await Promise.all(running);
      await expect(sign('a', AbortSignal.abort())).rejects.toThrow('aborted');
    });
  });

  describe('finds its way back', () => {
    it('connects again when a session was lost, and repeats the operation', async () => {
      const token = new FakeToken();
      await connect(token, { operationTimeoutMs: 3000 });
      token.loseSession();
      expect(await Promise.all([sign(), sign(), sign()])).toEqual([INPUT, INPUT, INPUT]);
      expect(token.connections).toBe(2);
      expect(states).toEqual(['up', 'down', 'up']);
    });

    it('gives up on what hangs, and on everything behind it, at once', async () => {
      const token = new FakeToken();
      await connect(token);
      token.state = 'hung';
      const outcomes = await Promise.allSettled(Array.from({ length: 50 }, () => sign()));
      for (const outcome of outcomes) expect(outcome).toMatchObject({ reason: { reason: 'hsm-unavailable' } });
      expect(token.abandoned).toBeGreaterThanOrEqual(1);
      expect(connection.health()).toMatchObject({ state: 'down', running: 0, waiting: 0 });
      await expect(sign()).rejects.toMatchObject({ reason: 'hsm-unavailable' });
      token.state = 'present';
      await until(() => connection.health().state === 'up');
      expect(await sign()).toEqual(INPUT);
    });

    it('does not take a token for hung that makes others wait while it makes a key', async () => {
      const token = new FakeToken();
      await connect(token);
      token.serviceMs = 700;
      const making = connection.submit(() => delay(900).then(() => 'a key'), { tenant: 'administration' }, 5000);
      await expect(sign()).rejects.toMatchObject({ reason: 'overloaded' });
      expect(await making).toBe('a key');
      expect(token.abandoned).toBe(0);
      expect(states).toEqual(['up']);
    });

    it('keeps probing a token that is away, ever more slowly', async () => {
      const token = new FakeToken();
      token.state = 'gone';
      await connect(token);
      expect(connection.health()).toMatchObject({ state: 'down', lastError: 'CKR_TOKEN_NOT_PRESENT' });
      await delay(1100);
      expect(token.connections).toBeGreaterThanOrEqual(3);
      expect(token.connections).toBeLessThanOrEqual(5);
      token.state = 'present';
      await until(() => connection.health().state === 'up');
    });

    it('never tries again after a refused PIN', async () => {
      const token = new FakeToken();
      token.state = 'wrong-pin';
      await connect(token);
      for (let i = 0; i < 3; i++) await expect(sign()).rejects.toMatchObject({ reason: 'hsm-pin-refused' });
      token.state = 'present';
      await delay(600);
      expect(token.connections).toBe(1);
      expect(states).toEqual(['pin-refused']);
    });

    it('stops for good when it is closed', async () => {
      const token = new FakeToken();
      await connect(token);
      token.serviceMs = 100;
      const running = sign();
      await connection.close();
      await expect(running).rejects.toMatchObject({ reason: 'hsm-unavailable' });
      await expect(sign()).rejects.toMatchObject({ reason: 'hsm-unavailable' });
    });
  });
});

async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 8000;
  while (!condition()) {
    if (performance.now() > end) expect.fail('the state did not come within 8 s');
    await delay(10);
  }
}
