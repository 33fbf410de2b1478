import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createSecret } from '../../core/enrollment/secrets.ts';
import { serve } from '../../server/composition/serve.ts';
import { loadConfiguration } from '../../server/configuration/load.ts';
import { parseServeArguments } from '../../server/configuration/serve-arguments.ts';

/** What the child tells its parent once it listens. */
export interface ScepServerReady {
  readonly url: string;
}

/** How many challenges the parent wants; the answer is the array of them. */
export interface ChallengesWanted {
  readonly challenges: number;
}

/** Secrets made in one unit of work. */
const BATCH = 500;

/**
 * Run as a child of the bench: the whole server with P-256 CAs in a folder of its own, on the ports after `argv[2]`, and as
 * many one-time challenges as its parent asks for. It ends with its parent.
 */
async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'muster-bench-'));
  const flags = parseServeArguments(['--data', folder, '--port-base', process.argv[2]!]);
  const configuration = loadConfiguration({ arguments: flags, environment: { MUSTER_LOG_LEVEL: 'error' }, folder });
  const server = await serve(configuration, { algorithms: { rootAlgorithm: 'ec-p256', issuingAlgorithm: 'ec-p256' } });
  const { store, endpoints, secretHash } = server.kernel;
  const endpoint = (await endpoints.resolve(undefined))!;
  const makeChallenges = (count: number): Promise<string[]> =>
    store.unit(async (tx) => {
      const made = [];
      for (let at = 0; at < count; at++) {
        const request = {
          tenant: endpoint.tenant,
          endpoint: endpoint.id,
          usage: 'one-time',
          createdBy: 'bench',
        } as const;
        const { secret } = await createSecret(tx, secretHash, store.clock.now(), {
          ...request,
          lifetimeSeconds: 86_400,
        });
        made.push(secret.reveal());
      }
      return made;
    });
  const answer = async ({ challenges: wanted }: ChallengesWanted): Promise<void> => {
    const challenges: string[] = [];
    while (challenges.length < wanted) {
      challenges.push(...(await makeChallenges(Math.min(BATCH, wanted - challenges.length))));
    }
    process.send!(challenges);
  };
  process.on('message', (wanted: ChallengesWanted) => void answer(wanted));
  process.on('disconnect', () => {
    rmSync(folder, { recursive: true, force: true });
    process.exit(0);
  });
  const ready: ScepServerReady = { url: `${server.urls.plain}/scep/${endpoint.label}` };
  process.send!(ready);
}

await main();
