import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    globalSetup: ['test/support/global-setup.ts'],
    coverage: { provider: 'v8', include: ['core/**/*.ts', 'protocols/**/*.ts', 'server/**/*.ts'] },
  },
});
