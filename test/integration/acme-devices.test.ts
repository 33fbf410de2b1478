import { X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { AcmeClient, type AuthorizationView, type ChallengeView, json, type OrderView } from '../acme/acme-client.ts';
import { AcmeRouter, type RouterOutcome } from '../fakes/acme-router.ts';
import { api } from '../support/installation.ts';
import { AcmeSite, type BindingKey } from './acme-site.ts';

let site: AcmeSite;

beforeAll(async () => {
  site = await AcmeSite.start();
}, 60_000);
afterAll(async () => site?.[Symbol.asyncDispose]());

describe('a router with a key that vouches for names', { timeout: 60_000 }, () => {
  const routerWith = async (draft: object): Promise<AcmeRouter> => {
    const key = await api<BindingKey>(site.server, 'POST', '/secrets', { kind: 'eab', ...draft });
    const directory = `${site.server.server.urls.tls}/acme/default/directory`;
    return new AcmeRouter({ directory, ca: site.server.ca, keyId: key.reference, hmacKey: key.secret });
  };
  const refusalOf = (outcome: RouterOutcome): string =>
    outcome.kind === 'refused' ? `${outcome.by}: ${outcome.problem.status} ${outcome.problem.type}` : outcome.kind;

  it('enrols without a challenge', async () => {
    const router = await routerWith({ subject: 'r1.branch.example' });
    const outcome = await router.enroll(['r1.branch.example']);
    expect(outcome).toMatchObject({ kind: 'enrolled', challenges: 0 });
    const leaf = new X509Certificate((outcome as { chain: string }).chain);
    expect(leaf.subjectAltName).toBe('DNS:r1.branch.example');
    expect(router.asked.filter((path) => path.includes('/challenge/'))).toEqual([]);
    expect(await site.certificatesOf('r1.branch.example')).toHaveLength(1);
  });

  it('is refused a name outside the list, and told which', async () => {
    const router = await routerWith({ allowed: ['*.branch.example'] });
    const outcome = await router.enroll(['r2.branch.example', 'r2.office.example']);
    expect(refusalOf(outcome)).toBe('newOrder: 400 urn:ietf:params:acme:error:rejectedIdentifier');
    const { subproblems } = (outcome as Extract<RouterOutcome, { kind: 'refused' }>).problem;
    expect(subproblems?.map(({ identifier }) => identifier.value)).toEqual(['r2.office.example']);
    expect(await site.certificatesOf('r2.branch.example')).toEqual([]);
  });

  it('is refused a request for a name it did not order', async () => {
    const router = await routerWith({ allowed: ['*.branch.example'] });
    const outcome = await router.enroll(['r3.branch.example'], ['r3.branch.example', 'r4.branch.example']);
    expect(refusalOf(outcome)).toBe('finalize: 400 urn:ietf:params:acme:error:badCSR');
    expect(await site.certificatesOf('r4.branch.example')).toEqual([]);
  });

  it('is one account: another router is refused its key', async () => {
    const key = { subject: 'r5.branch.example' };
    const draft = await api<BindingKey>(site.server, 'POST', '/secrets', { kind: 'eab', ...key });
    const directory = `${site.server.server.urls.tls}/acme/default/directory`;
    const settings = { directory, ca: site.server.ca, keyId: draft.reference, hmacKey: draft.secret };
    expect((await new AcmeRouter(settings).enroll(['r5.branch.example'])).kind).toBe('enrolled');
    const second = await new AcmeRouter(settings).enroll(['r5.branch.example']);
    expect(refusalOf(second)).toMatch(/^newAccount: 40[13] urn:ietf:params:acme:error:unauthorized$/);
  });
});

/**
 * What test/outside shows of the connection policy, through the door: names of a hostile DNS and addresses in orders (V40).
 * Behind loopback somebody would give the right answer.
 */
describe('validation never looks where the endpoint may not go', { timeout: 60_000 }, () => {
  let device: AcmeClient;

  beforeAll(async () => {
    const { challenges, server } = site;
    const acme = {
      externalAccount: 'optional',
      resolvers: [challenges.resolver],
      allowedNetworks: ['0.0.0.0/0', '::/0', '127.0.0.1/32', '169.254.169.254/32'],
      deniedNetworks: ['10.0.0.0/8'],
      httpPort: challenges.httpPort,
      tlsAlpnPort: challenges.tlsAlpnPort,
      validationAttempts: 1,
      validationTimeoutSeconds: 2,
    };
    await api(server, 'POST', '/endpoints', { label: 'wide', protocols: { acme } });
    device = await new AcmeClient(server, `${server.server.urls.tls}/acme/wide/directory`).start();
    await device.register();
  });
  afterAll(() => device?.close());

  async function verdictOf(name: string, type: string): Promise<string> {
    const order = json<OrderView>(await device.order([name]));
    const [authorization] = order.authorizations;
    const { challenges } = json<AuthorizationView>(await device.post(authorization!));
    const offered = challenges.find((challenge) => challenge.type === type)!;
    const content = device.keyAuthorization(offered.token);
    await site.challenges.tell('add-http01', { token: offered.token, content });
    await site.challenges.tell('add-tlsalpn01', { host: name, content });
    await device.post(offered.url, {});
    const settled = await device.settled<AuthorizationView>(authorization!);
    const { error, status }: ChallengeView = settled.challenges.find((challenge) => challenge.type === type)!;
    return `${status} ${error?.type.replace('urn:ietf:params:acme:error:', '')}`;
  }

  const TYPES = ['http-01', 'tls-alpn-01'];
  const HOSTILE = [
    '127.0.0.1',
    '::1',
    '::ffff:127.0.0.1',
    '169.254.169.254',
    '::ffff:169.254.169.254',
    '10.0.0.1',
    'fe80::1',
  ];

  it.each(HOSTILE)('of a name with the address %s', async (address) => {
    const name = `n${Buffer.from(address).toString('hex')}.hostile.example`;
    await site.challenges.tell(...recordsOf(name, address));
    for (const type of TYPES) expect(await verdictOf(name, type), type).toBe('invalid rejectedIdentifier');
  });

  it.each(['127.0.0.1', '::1', '169.254.169.254', '10.0.0.1', 'fe80::1'])('of the address %s', async (address) => {
    for (const type of TYPES) expect(await verdictOf(address, type), type).toBe('invalid rejectedIdentifier');
  });
});

function recordsOf(name: string, address: string): ['add-a' | 'add-aaaa', object] {
  const what = address.includes(':') ? 'add-aaaa' : 'add-a';
  return [what, { host: name, addresses: [address] }];
}
