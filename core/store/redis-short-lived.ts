import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { MemoryShortLived, type MemoryShortLivedOptions } from './memory-short-lived.ts';
import type { ShortLived } from './short-lived.ts';
import type { TakenKeys } from './taken-keys.ts';

/** How to reach Redis. */
export interface RedisShortLivedOptions extends MemoryShortLivedOptions {
  /** `redis://` or `rediss://` URL. */
  readonly url: string;
  /** Before every key and channel, so that installations can share a Redis; `muster:` by default. */
  readonly prefix?: string;
  /** How long a command may take before the node does without Redis, in milliseconds; 250 by default. */
  readonly commandTimeoutMs?: number;
}

const COMMAND_TIMEOUT_MS = 250;
const SLOWEST_RECONNECT_MS = 1000;

/**
 * Connects to Redis. Never rejects for a Redis that is down: the node works without it, and uses it once it is there.
 * Connection errors go to `report`.
 */
export async function openRedisShortLived(options: RedisShortLivedOptions): Promise<ShortLived> {
  const commands = connect(options);
  const subscriptions = connect(options);
  await Promise.allSettled([commands.connect(), subscriptions.connect()]);
  return new RedisShortLived(commands, subscriptions, options);
}

function connect(options: RedisShortLivedOptions): Redis {
  const redis = new Redis(options.url, {
    lazyConnect: true,
    // A request must not wait for Redis to come back: it fails at once and the caller does without.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    commandTimeout: options.commandTimeoutMs ?? COMMAND_TIMEOUT_MS,
    connectTimeout: options.commandTimeoutMs ?? COMMAND_TIMEOUT_MS,
    retryStrategy: (attempt) => Math.min(50 * attempt, SLOWEST_RECONNECT_MS),
  });
  redis.on('error', options.report);
  return redis;
}

class RedisShortLived implements ShortLived {
  readonly #commands: Redis;
  readonly #subscriptions: Redis;
  readonly #local: MemoryShortLived;
  readonly #takenKeys: TakenKeys;
  readonly #prefix: string;
  readonly #report: (error: unknown) => void;
  /** Tells our own messages from other nodes': ours were delivered when they were published. */
  readonly #node = randomUUID();
  readonly #subscribed = new Set<string>();

  constructor(commands: Redis, subscriptions: Redis, options: RedisShortLivedOptions) {
    this.#commands = commands;
    this.#subscriptions = subscriptions;
    this.#local = new MemoryShortLived(options);
    this.#takenKeys = options.takenKeys;
    this.#prefix = options.prefix ?? 'muster:';
    this.#report = options.report;
    subscriptions.on('message', (channel, message) => this.#receive(channel, message));
    // What was asked for while Redis was away is subscribed to when it is there.
    subscriptions.on('ready', () => {
      for (const channel of this.#subscribed) void this.#attempt(() => subscriptions.subscribe(channel));
    });
  }

  async takeOnce(key: string, ttlSeconds: number): Promise<boolean> {
    const name = `${this.#prefix}once:${key}`;
    const answer = await this.#attempt(() => this.#commands.set(name, '1', 'EX', Math.ceil(ttlSeconds), 'NX'));
    // null: the key is there. Anything else, or no answer, is not yet a yes: a Redis that restarted has forgotten, and
    // one that is down hides what was taken while it was up.
    if (answer !== undefined && answer.value === null) return false;
    return this.#takenKeys.take(key, ttlSeconds);
  }

  async increment(key: string, windowSeconds: number): Promise<number> {
    const name = `${this.#prefix}count:${key}`;
    const local = await this.#local.increment(key, windowSeconds);
    const answer = await this.#attempt(() =>
      this.#commands.multi().set(name, 0, 'EX', Math.ceil(windowSeconds), 'NX').incr(name).exec(),
    );
    const shared = Number(answer?.value?.[1]?.[1]);
    return Number.isSafeInteger(shared) ? Math.max(shared, local) : local;
  }

  async publish(channel: string, message: string): Promise<void> {
    await this.#local.publish(channel, message);
    await this.#attempt(() => this.#commands.publish(`${this.#prefix}${channel}`, `${this.#node} ${message}`));
  }

  async subscribe(channel: string, listener: (message: string) => void): Promise<() => Promise<void>> {
    const stop = await this.#local.subscribe(channel, listener);
    const name = `${this.#prefix}${channel}`;
    // Stays subscribed after the last listener has gone: channels are few and fixed.
    if (!this.#subscribed.has(name)) {
      this.#subscribed.add(name);
      await this.#attempt(() => this.#subscriptions.subscribe(name));
    }
    return stop;
  }

  async close(): Promise<void> {
    this.#commands.disconnect();
    this.#subscriptions.disconnect();
    await this.#local.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #receive(name: string, message: string): void {
    const space = message.indexOf(' ');
    if (message.slice(0, space) === this.#node) return;
    void this.#local.publish(name.slice(this.#prefix.length), message.slice(space + 1));
  }

  /** The answer of Redis, or undefined when there is none. */
  async #attempt<T>(command: () => Promise<T>): Promise<{ readonly value: T } | undefined> {
    try {
      return { value: await command() };
    } catch (error) {
      this.#report(error);
      return undefined;
    }
  }
}
