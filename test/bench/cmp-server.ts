import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';

import { createMacSecret } from '../../core/enrollment/sealed-secrets.ts';
import { serve } from '../../server/composition/serve.ts';
import { loadConfiguration } from '../../server/configuration/load.ts';
import { parseServeArguments } from '../../server/configuration/serve-arguments.ts';

/** A MAC secret that may be used any number of times. */
interface BenchSecret {
  readonly reference: string;
  readonly secret: string;
}

/** What the child tells its parent once it listens. */
export interface CmpServerReady {
  /** Base URL of the plain listener. */
  readonly plain: string;
  /** Of the default endpoint: one for the requests, others to flood with. */
  readonly secrets: readonly BenchSecret[];
  /** Of the endpoint for registration authorities. */
  readonly gateway: BenchSecret;
}

/** Enough for a flood that the bound of derivations for one reference does not hold back. */
const SECRETS = 9;

/**
 * Run as a child of the bench: the whole server with P-256 CAs in a folder of its own, on the ports after `argv[2]`. It
 * answers `delay` with the 99th percentile of the delay of its event loop, in milliseconds, since it was asked last, and ends
 * with its parent.
 */
async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'muster-bench-'));
  const flags = parseServeArguments(['--data', folder, '--port-base', process.argv[2]!]);
  const configuration = loadConfiguration({ arguments: flags, environment: { MUSTER_LOG_LEVEL: 'error' }, folder });
  const server = await serve(configuration, { algorithms: { rootAlgorithm: 'ec-p256', issuingAlgorithm: 'ec-p256' } });
  const { store, endpoints, dataKeys } = server.kernel;
  const secretOf = async (label: string | undefined): Promise<BenchSecret> => {
    const { tenant, id: endpoint } = (await endpoints.resolve(label))!;
    const sealer = await dataKeys.sealer(tenant);
    const draft = { tenant, endpoint, usage: 'device', lifetimeSeconds: 86_400, createdBy: 'bench' } as const;
    const made = await store.unit((tx) => createMacSecret(tx, sealer, store.clock.now(), draft));
    return { reference: made.reference, secret: made.secret.reveal() };
  };
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  process.on('message', () => {
    process.send!(delay.percentile(99) / 1e6);
    delay.reset();
  });
  process.on('disconnect', () => {
    rmSync(folder, { recursive: true, force: true });
    process.exit(0);
  });
  const ready: CmpServerReady = {
    plain: server.urls.plain,
    secrets: await Promise.all(Array.from({ length: SECRETS }, () => secretOf(undefined))),
    gateway: await secretOf('default-ra'),
  };
  process.send!(ready);
}

await main();
