import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createSecret } from '../../core/enrollment/secrets.ts';
import { loadConfiguration } from '../../server/configuration/load.ts';
import { parseServeArguments } from '../../server/configuration/serve-arguments.ts';
import { serve } from '../../server/composition/serve.ts';

/** What the child tells its parent once it listens. */
export interface BenchServerReady {
  readonly mtls: string;
  readonly root: string;
  /** A per-device password: it may be used any number of times. */
  readonly password: string;
}

/**
 * Run as a child of the bench: the whole server with P-256 CAs in a folder of its own, on the ports after `argv[2]`, and a
 * password for load. It answers `memory` with its resident set in MB, and ends with its parent.
 */
async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'muster-bench-'));
  const flags = parseServeArguments(['--data', folder, '--port-base', process.argv[2]!]);
  const configuration = loadConfiguration({ arguments: flags, environment: { MUSTER_LOG_LEVEL: 'error' }, folder });
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
  const ready: BenchServerReady = { mtls: server.urls.mtls, root: join(folder, 'root.pem'), password: secret.reveal() };
  process.send!(ready);
}

await main();
