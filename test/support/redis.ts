import { inject } from 'vitest';

/** This run's Redis and a prefix that no other test uses. */
export function freshRedis(): { readonly url: string; readonly prefix: string } {
  return { url: inject('redisUrl'), prefix: `${crypto.randomUUID()}:` };
}
