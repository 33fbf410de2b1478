import { readFile } from 'node:fs/promises';
import { Agent } from 'node:https';

import acme from 'acme-client';

import type { ClientResult, ClientSite } from './acme-site.ts';
import type { CommandClient } from './acme-command-clients.ts';

/** npm's acme-client 5.4, tls-alpn-01 answered by pebble-challtestsrv. */
export async function acmeClient(site: ClientSite, name: string): Promise<CommandClient> {
  acme.axios.defaults.httpsAgent = new Agent({ ca: await readFile(site.root) });
  const client = new acme.Client({
    directoryUrl: site.directory,
    accountKey: await acme.crypto.createPrivateEcdsaKey(),
    externalAccountBinding: { kid: site.key.reference, hmacKey: site.key.secret },
    backoffMin: 200,
    backoffMax: 1_000,
  });
  let chain = '';
  const order = async (): Promise<void> => {
    const [, csr] = await acme.crypto.createCsr({ altNames: [name] }, await acme.crypto.createPrivateEcdsaKey());
    chain = await client.auto({
      csr,
      email: 'admin@branch.example',
      termsOfServiceAgreed: true,
      challengePriority: ['tls-alpn-01'],
      skipChallengeVerification: true,
      challengeCreateFn: (authorization, _challenge, content) => tell(site, authorization.identifier.value, content),
      challengeRemoveFn: async () => undefined,
    });
  };
  return {
    obtain: () => outcomeOf(order),
    renew: () => outcomeOf(order),
    revoke: () => outcomeOf(() => client.revokeCertificate(acme.crypto.splitPemChain(chain)[0]!, { reason: 4 })),
    certificate: async () => chain,
  };
}

async function tell({ management }: ClientSite, host: string, content: string): Promise<void> {
  await fetch(`${management}/add-tlsalpn01`, { method: 'POST', body: JSON.stringify({ host, content }) });
}

async function outcomeOf(work: () => Promise<unknown>): Promise<ClientResult> {
  try {
    await work();
    return { status: 0, output: '' };
  } catch (error) {
    return { status: 1, output: String(error) };
  }
}
