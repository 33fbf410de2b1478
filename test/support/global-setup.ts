import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { startPostgres } from './postgres-server.ts';
import { startRedis } from './redis-server.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** A superuser's URL of this run's private PostgreSQL cluster. */
    postgresUrl: string;
    /** URL of this run's private Redis. */
    redisUrl: string;
  }
}

/** Starts one PostgreSQL and one Redis for the whole run; both go with it. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  // Short: the path of a Unix socket holds 107 bytes at most.
  const folder = await mkdtemp(join('/tmp', 'mt-'));
  const [postgres, redis] = await Promise.all([startPostgres(join(folder, 'pg')), startRedis(join(folder, 'redis'))]);
  project.provide('postgresUrl', postgres.url);
  project.provide('redisUrl', redis.url);
  return async () => {
    await Promise.all([postgres.stop(), redis.stop()]);
    await rm(folder, { recursive: true, force: true });
  };
}
