import { join } from 'node:path';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { beforeAll, afterAll, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../core/store/clock.ts';
import { MemoryShortLived } from '../../core/store/memory-short-lived.ts';
import { openRedisShortLived } from '../../core/store/redis-short-lived.ts';
import type { ShortLived } from '../../core/store/short-lived.ts';
import type { Store } from '../../core/store/store.ts';
import { takenKeysOf } from '../../core/store/taken-keys.ts';
import { freshRedis } from '../support/redis.ts';
import { startRedis } from '../support/redis-server.ts';
import { freePort } from '../support/server-process.ts';
import { openShelf } from './fixture.ts';

let store: Store;
beforeAll(async () => {
  store = await openShelf('sqlite');
});
afterAll(() => store.close());

const shared = () => ({ clock: systemClock, takenKeys: takenKeysOf(store), report: () => undefined });

/** Each gives `nodes` views of one shared state. */
const IMPLEMENTATIONS: Record<string, { nodes: number; open(count: number): Promise<ShortLived[]> }> = {
  memory: { nodes: 1, open: () => Promise.resolve([new MemoryShortLived(shared())]) },
  redis: {
    nodes: 2,
    open: (count) => {
      const where = freshRedis();
      return Promise.all(Array.from({ length: count }, () => openRedisShortLived({ ...shared(), ...where })));
    },
  },
};

describe.each(Object.entries(IMPLEMENTATIONS))('short-lived state in %s', (_name, { nodes, open }) => {
  const opened: ShortLived[] = [];
  async function nodesOf(): Promise<[ShortLived, ShortLived]> {
    const all = await open(nodes);
    opened.push(...all);
    return [all[0]!, all.at(-1)!];
  }
  afterAll(() => Promise.all(opened.map((node) => node.close())));

  it('gives a key to the first who asks, on any node', async () => {
    const [here, there] = await nodesOf();
    const key = crypto.randomUUID();
    expect(await here.takeOnce(key, 60)).toBe(true);
    expect(await here.takeOnce(key, 60)).toBe(false);
    expect(await there.takeOnce(key, 60)).toBe(false);
    expect(await there.takeOnce(`${key}-other`, 60)).toBe(true);
  });

  it('gives a key to one of many who ask at once', async () => {
    const [here, there] = await nodesOf();
    const key = crypto.randomUUID();
    const answers = await Promise.all(Array.from({ length: 50 }, (_v, i) => (i % 2 ? here : there).takeOnce(key, 60)));
    expect(answers.filter(Boolean)).toHaveLength(1);
  });

  it('gives a key again when its time has passed', async () => {
    const [here, there] = await nodesOf();
    const key = crypto.randomUUID();
    expect(await here.takeOnce(key, 1)).toBe(true);
    await delay(500);
    expect(await there.takeOnce(key, 1)).toBe(false);
    await delay(700);
    expect(await there.takeOnce(key, 1)).toBe(true);
  });

  it('counts within a window, over all nodes', async () => {
    const [here, there] = await nodesOf();
    const key = crypto.randomUUID();
    const counts = [await here.increment(key, 1), await there.increment(key, 1), await here.increment(key, 1)];
    expect(counts).toEqual([1, 2, 3]);
    expect(await here.increment(`${key}-other`, 1)).toBe(1);
    await delay(1100);
    expect(await there.increment(key, 1)).toBe(1);
  });

  it('tells every subscriber of a channel once, and no other', async () => {
    const [here, there] = await nodesOf();
    const heard: string[] = [];
    const stop = await here.subscribe('revoked', (message) => heard.push(`here ${message}`));
    await there.subscribe('revoked', (message) => heard.push(`there ${message}`));
    await here.subscribe('other', (message) => heard.push(`other ${message}`));
    await here.publish('revoked', 'a b');
    await vi.waitFor(() => expect(heard.toSorted()).toEqual(['here a b', 'there a b']), { timeout: 5000 });
    await stop();
    await there.publish('revoked', 'c');
    await vi.waitFor(() => expect(heard).toContain('there c'), { timeout: 5000 });
    await delay(50);
    expect(heard).toHaveLength(3);
  });
});

it('refuses a key in memory that another process took in the store', async () => {
  const key = crypto.randomUUID();
  expect(await new MemoryShortLived(shared()).takeOnce(key, 60)).toBe(true);
  expect(await new MemoryShortLived(shared()).takeOnce(key, 60)).toBe(false);
});

it('removes expired keys from the store now and then', async () => {
  const keys = takenKeysOf(store);
  const prefix = crypto.randomUUID();
  await Promise.all(Array.from({ length: 300 }, (_v, index) => keys.take(`${prefix}-${index}`, 0)));
  await delay(5);
  await Promise.all(Array.from({ length: 300 }, (_v, index) => keys.take(`${prefix}-later-${index}`, 60)));
  const rows = await store
    .read<{ taken_keys: { key: string; expires_at: number } }>()
    .selectFrom('taken_keys')
    .select('key')
    .where('expires_at', '<', Date.now())
    .execute();
  expect(rows).toEqual([]);
});

describe('with Redis going away', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'muster-redis-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('never gives a key twice, whichever of Redis and the store knows it, and recovers by itself', async () => {
    const port = await freePort();
    const url = `redis://127.0.0.1:${port}`;
    const first = await startRedis(folder, port);
    await using node = await openRedisShortLived({ ...shared(), url });
    await using other = await openRedisShortLived({ ...shared(), url });
    const heard: string[] = [];
    await other.subscribe('hint', (message) => heard.push(message));
    const [before, during] = [crypto.randomUUID(), crypto.randomUUID()];
    expect(await node.takeOnce(before, 60)).toBe(true);
    expect(await node.increment(before, 60)).toBe(1);

    await first.stop();
    const asked = performance.now();
    expect(await node.takeOnce(before, 60)).toBe(false);
    expect(await other.takeOnce(before, 60)).toBe(false);
    expect(await node.takeOnce(during, 60)).toBe(true);
    expect(await other.takeOnce(during, 60)).toBe(false);
    expect(await node.increment(before, 60)).toBe(2);
    await node.publish('hint', 'lost');
    expect(performance.now() - asked).toBeLessThan(2000);

    const second = await startRedis(folder, port);
    try {
      await vi.waitFor(
        async () => {
          await node.publish('hint', 'back');
          expect(heard).toContain('back');
        },
        { timeout: 10_000, interval: 50 },
      );
      expect(heard).not.toContain('lost');
      expect(await other.takeOnce(before, 60)).toBe(false);
      expect(await other.takeOnce(during, 60)).toBe(false);
    } finally {
      await second.stop();
    }
  });

  it('refuses in doubt: without Redis and without the store nothing is taken', async () => {
    const closing = await openShelf('sqlite');
    const url = `redis://127.0.0.1:${await freePort()}`;
    await using node = await openRedisShortLived({ ...shared(), takenKeys: takenKeysOf(closing), url });
    await closing.close();
    await expect(node.takeOnce('any', 60)).rejects.toMatchObject({ reason: 'shutting-down' });
  });
});
