import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type KeyStore,
  type TokenConfig,
  type TokenHealth,
  type TokenKey,
  openKeyStore,
} from '../../core/keys/key-store.ts';
import { verifySignature } from '../../core/x509/signature-algorithm.ts';
import { P11_KIT_CLIENT, P11KitServer } from '../support/p11-kit.ts';
import { type PrivateSoftHsm, privateSoftHsm } from '../support/softhsm.ts';

const DATA = Buffer.from('to be signed');
const OPTIONS = { tenant: 'a' };

describe('a token that goes and comes back', () => {
  let softHsm: PrivateSoftHsm;
  let server: P11KitServer;
  let store: KeyStore;
  let key: TokenKey;
  let config: TokenConfig;
  const changes: TokenHealth['state'][] = [];
  const sign = (): Promise<Uint8Array> => key.sign('ecdsa-with-SHA256', DATA, OPTIONS);
  const health = (): TokenHealth => store.health()[0]!;

  beforeEach(async () => {
    changes.length = 0;
    softHsm = await privateSoftHsm();
    server = new P11KitServer(softHsm.directory, softHsm.module);
    await server.start();
    config = { label: softHsm.label, module: P11_KIT_CLIENT, pin: softHsm.pin, operationTimeoutMs: 2000 };
    store = await openKeyStore([config], { onChange: ({ state }) => changes.push(state) });
    key = await store.generate({ token: softHsm.label, algorithm: 'ec-p256', label: 'CA', usage: 'sign' });
  });
  afterEach(async () => {
    await store.close();
    await server[Symbol.asyncDispose]();
    await softHsm.remove();
  });

  it('is refused while it is gone, and works again by itself', async () => {
    expect(await signs(key, sign)).toBe(true);
    await server.kill();
    const started = performance.now();
    await expect(sign()).rejects.toMatchObject({ reason: 'hsm-unavailable', retryAfterSeconds: expect.any(Number) });
    expect(performance.now() - started).toBeLessThan(3000);
    expect(health()).toMatchObject({ state: 'down', lastError: expect.any(String) });
    await delay(300);
    await server.start();
    await until(() => health().state === 'up');
    expect(await signs(key, sign)).toBe(true);
    expect(changes).toEqual(['up', 'down', 'up']);
  });

  it('hangs without holding up the process, and works again by itself', async () => {
    await sign();
    server.stop();
    const stall = watchEventLoop();
    const started = performance.now();
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, sign));
    expect(performance.now() - started).toBeLessThan(3000);
    expect(outcomes.map(({ status }) => status)).toEqual(outcomes.map(() => 'rejected'));
    // Once it is known to hang, nobody waits for it. Those who waited may have been refused a moment before that.
    await until(() => health().state === 'down');
    const refused = performance.now();
    await expect(sign()).rejects.toMatchObject({ reason: 'hsm-unavailable' });
    expect(performance.now() - refused).toBeLessThan(100);
    // 100 ms at most on a quiet machine, three times that on a busy one; a call into the module that hangs would have
    // stopped it for as long as the token is stopped: seconds.
    expect(stall.end()).toBeLessThan(1000);
    server.resume();
    await until(() => health().state === 'up');
    expect(await signs(key, sign)).toBe(true);
  });

  it('comes back in time for those who wait', async () => {
    await sign();
    await server.kill();
    await server.start();
    expect(await signs(key, sign)).toBe(true);
    expect(health()).toMatchObject({ state: 'up', loginAttempts: 2 });
  });

  it('may be away at the start', async () => {
    await server.kill();
    await using late = await openKeyStore([config]);
    expect(late.health()).toMatchObject([{ state: 'down', loginAttempts: 0 }]);
    await expect(late.open(key.uri)).rejects.toMatchObject({ reason: 'hsm-unavailable' });
    await server.start();
    await until(() => late.health()[0]!.state === 'up');
    expect((await late.open(key.uri)).algorithm).toBe('ec-p256');
  });
});

/** Whether a fresh signature verifies. */
async function signs(key: TokenKey, sign: () => Promise<Uint8Array>): Promise<boolean> {
  return verifySignature(key.publicKey, 'ecdsa-with-SHA256', DATA, await sign());
}

async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 15_000;
  while (!condition()) {
    if (performance.now() > end) expect.fail('the state did not come within 15 s');
    await delay(20);
  }
}

/** Measures the longest time the event loop was held up, milliseconds. */
function watchEventLoop(): { end(): number } {
  let last = performance.now();
  let longest = 0;
  const timer = setInterval(() => {
    const now = performance.now();
    longest = Math.max(longest, now - last - 5);
    last = now;
  }, 5);
  return {
    end: () => {
      clearInterval(timer);
      return longest;
    },
  };
}
