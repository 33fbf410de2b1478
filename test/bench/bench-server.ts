import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createSecret } from '../../core/enrollment/secrets.ts';
import { loadConfiguration } from '../../server/configuration/load.ts';
import { serve } from '../../server/composition/serve.ts';

/** What the child tells its parent once it listens. */
export interface BenchServerReady {
  readonly mtls: string;
  readonly tls: string;
  readonly admin: string;
  readonly root: string;
  readonly adminToken: string;
  /** A per-device password: it may be used any number of times. */
  readonly password: string;
}

/** Port 0 takes any free one. The load has the same cores as the server: what it delays refuses nobody. */
const ENVIRONMENT = {
  MUSTER_LOG_LEVEL: 'error',
  MUSTER_LIMITS_EVENT_LOOP_DELAY_MS: '0',
  MUSTER_LISTENERS_PLAIN_PORT: '0',
  MUSTER_LISTENERS_MTLS_PORT: '0',
  MUSTER_LISTENERS_TLS_PORT: '0',
  MUSTER_LISTENERS_ADMIN_PORT: '0',
};

/**
 * Run as a child of the bench: the whole server with P-256 CAs in a folder of its own, on ports that nobody uses, and a
 * password for load. It answers `memory` with its resident set in MB, and ends with its parent.
 */
async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'muster-bench-'));
  const flags = { dataFolder: folder, portBase: undefined, readyFile: undefined, configFile: undefined, help: false };
  const configuration = loadConfiguration({ arguments: flags, environment: ENVIRONMENT, folder });
  const server = await serve(configuration, { algorithms: { rootAlgorithm: 'ec-p256', issuingAlgorithm: 'ec-p256' } });
  const { store, endpoints, secretHash } = server.kernel;
  const endpoint = (await endpoints.resolve(undefined))!;
  const { secret } = await store.unit((tx) =>
    createSecret(tx, secretHash, store.clock.now(), {
      tenant: endpoint.tenant,
      endpoint: endpoint.id,
      usage: 'device',
      username: 'bench',
      lifetimeSeconds: 86_400,
      createdBy: 'bench',
    }),
  );
  process.on('message', (message) => {
    if (message === 'memory') process.send!(process.memoryUsage.rss() / 1e6);
  });
  process.on('disconnect', () => {
    rmSync(folder, { recursive: true, force: true });
    process.exit(0);
  });
  const ready: BenchServerReady = {
    ...server.urls,
    root: join(folder, 'root.pem'),
    adminToken: readFileSync(join(folder, 'admin-token'), 'utf8').trim(),
    password: secret.reveal(),
  };
  process.send!(ready);
}

await main();
