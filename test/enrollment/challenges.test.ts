import { createHmac } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text as readBody } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { createChosenSecret, hashChosenSecret } from '../../core/enrollment/chosen-secrets.ts';
import { dayOf, deriveChallenge } from '../../core/enrollment/derived-challenge.ts';
import type { Authenticator, Endpoint } from '../../core/enrollment/endpoint.ts';
import { OPEN_SCEP } from '../../core/enrollment/scep-settings.ts';
import { createEndpointKey, createMacSecret } from '../../core/enrollment/sealed-secrets.ts';
import { revokeSecret, type SecretRequest } from '../../core/enrollment/secrets.ts';
import type { EnrollmentTables } from '../../core/enrollment/tables.ts';
import { PeerError, StateError, UpstreamError } from '../../core/errors/muster-error.ts';
import { Secret } from '../../core/keys/secret.ts';
import { ENGINES } from '../support/stores.ts';
import { makeCsr } from '../support/test-pki.ts';
import { OPEN_ENDPOINT, Site, type SiteTenant } from './site.ts';

const DAY_MS = 86_400_000;

describe.each(ENGINES)('challenges on %s', (engine) => {
  let site: Site;
  let acme: SiteTenant;
  let source = 0;

  beforeAll(async () => {
    site = await Site.open(engine);
    acme = await site.tenant('acme');
  });
  afterEach(() => {
    site.clock.ahead = 0;
    site.keys.fault = undefined;
    // Wrong ones of one test must not lock out the next.
    source += 1;
  });
  afterAll(() => site[Symbol.asyncDispose]());

  const open = (authenticators: readonly Authenticator[], decider?: { url: string }): Promise<Endpoint> =>
    site.endpoint(acme, {
      ...OPEN_ENDPOINT,
      protocols: { scep: { ...OPEN_SCEP, authenticators } },
      ...(decider && { decider }),
    });

  const present = (endpoint: Endpoint, challenge: Secret | string, deviceName = 'router1') =>
    site.credentials.challenge(endpoint, {
      protocol: 'scep',
      challenge: typeof challenge === 'string' ? new Secret(challenge) : challenge,
      deviceName,
      request: makeCsr({ subject: `CN=${deviceName}` }).der,
      transactionId: 'T1',
      sourceAddress: `192.0.2.${source % 256}`,
    });

  const refused = { reason: 'bad-credential', message: 'the challenge is not valid for scep at this endpoint' };
  const common = (endpoint: Endpoint) => ({
    tenant: endpoint.tenant,
    endpoint: endpoint.id,
    lifetimeSeconds: 3600,
    createdBy: 'user:test',
  });
  const secret = async (endpoint: Endpoint, request: Partial<SecretRequest>) =>
    (await site.secret(endpoint, request)).secret;

  async function key(endpoint: Endpoint, usage: 'derived' | 'decider') {
    const sealer = await site.dataKeys.sealer(endpoint.tenant);
    const now = site.clock.now();
    return site.store.unit((tx) => createEndpointKey(tx, sealer, now, { ...common(endpoint), usage }));
  }

  async function choose(endpoint: Endpoint, chosen: string, allowed: readonly string[]) {
    const hashed = await hashChosenSecret(new Secret(chosen));
    return site.store.unit((tx) => createChosenSecret(tx, site.clock.now(), { ...common(endpoint), allowed }, hashed));
  }

  describe('that we made', () => {
    it('are facts as passwords are: one-time, of a device by its name, of no other endpoint', async () => {
      const endpoint = await open(['password']);
      const once = await secret(endpoint, { subject: 'router1' });
      expect(await present(endpoint, once)).toMatchObject({
        kind: 'password',
        usage: 'one-time',
        state: 'free',
        subject: 'router1',
      });
      const device = await secret(endpoint, { usage: 'device', username: 'router2' });
      expect(await present(endpoint, device, 'router2')).toMatchObject({ usage: 'device', username: 'router2' });
      await expect(present(endpoint, device, 'router1')).rejects.toMatchObject(refused);
      await expect(present(await open(['password']), once)).rejects.toMatchObject(refused);
    });

    it('static: for the devices on the list and where the endpoint takes static ones', async () => {
      const endpoint = await open(['static-password']);
      const shared = await secret(endpoint, { usage: 'static', allowed: ['branch-*', 'hub'] });
      for (const name of ['branch-1', 'branch-22', 'hub'])
        expect(await present(endpoint, shared, name)).toMatchObject({ usage: 'static', state: 'free', subject: name });
      await expect(present(endpoint, shared, 'core-1')).rejects.toMatchObject(refused);
      await expect(present(endpoint, shared, '')).rejects.toMatchObject(refused);
      const onlyOnce = await open(['password']);
      const there = await secret(onlyOnce, { usage: 'static', allowed: ['hub'] });
      await expect(present(onlyOnce, there, 'hub')).rejects.toMatchObject(refused);
      await expect(present(endpoint, await secret(endpoint, {}), 'hub')).rejects.toMatchObject(refused);
      site.clock.ahead = 3601_000;
      await expect(present(endpoint, shared, 'hub')).rejects.toMatchObject(refused);
    });

    it('are not made static without a list, nor otherwise with one', async () => {
      const endpoint = await open(['static-password']);
      await expect(site.secret(endpoint, { usage: 'static' })).rejects.toThrow(PeerError);
      await expect(site.secret(endpoint, { usage: 'static', allowed: ['*'] })).rejects.toThrow(PeerError);
      await expect(site.secret(endpoint, { usage: 'one-time', allowed: ['r1'] })).rejects.toThrow(PeerError);
    });

    it('a MAC secret and a key are no challenge, though their text is right', async () => {
      const endpoint = await open(['password', 'static-password', 'derived-password']);
      const sealer = await site.dataKeys.sealer(acme.id);
      const mac = await site.store.unit((tx) =>
        createMacSecret(tx, sealer, site.clock.now(), { ...common(endpoint), usage: 'device' }),
      );
      await expect(present(endpoint, mac.secret)).rejects.toMatchObject(refused);
      await expect(present(endpoint, (await key(endpoint, 'derived')).secret)).rejects.toMatchObject(refused);
    });

    it('static ones are refused to EST, which does not know the device when it looks', async () => {
      const { secret: shared } = await site.secret(acme.endpoint, { usage: 'static', allowed: ['any'] });
      await expect(site.password(acme.endpoint, shared)).rejects.toMatchObject({ reason: 'bad-credential' });
    });
  });

  describe('that a person chose', () => {
    it('serve the devices on the list, and stand in the store as scrypt only', async () => {
      const endpoint = await open(['static-password']);
      const { id } = await choose(endpoint, 'correct horse battery', ['branch-*']);
      for (const name of ['branch-1', 'branch-2'])
        expect(await present(endpoint, 'correct horse battery', name)).toMatchObject({ secretId: id, usage: 'static' });
      await expect(present(endpoint, 'correct horse battery', 'hub')).rejects.toMatchObject(refused);
      await expect(present(endpoint, 'correct horse batterz', 'branch-1')).rejects.toMatchObject(refused);
      const rows = site.store.forTenant<EnrollmentTables>(acme.id).selectFrom('shared_secrets').selectAll();
      const stored = await rows.where('id', '=', id).executeTakeFirstOrThrow();
      expect(JSON.stringify(stored)).not.toContain('correct horse');
      expect(stored.scrypt).toMatch(/^scrypt\$16384\$8\$1\$/);
    });

    it('are long, few, and no longer compared for who guesses; what we made still passes', async () => {
      await expect(hashChosenSecret(new Secret('short'))).rejects.toThrow(PeerError);
      const endpoint = await open(['static-password', 'password']);
      await choose(endpoint, 'correct horse battery', ['hub']);
      for (const n of [2, 3, 4]) await choose(endpoint, `another secret ${n}`, ['hub']);
      await expect(choose(endpoint, 'one too many of them', ['hub'])).rejects.toThrow(StateError);
      for (let n = 0; n < 10; n++) await expect(present(endpoint, 'a guess', 'hub')).rejects.toMatchObject(refused);
      await expect(present(endpoint, 'a guess', 'hub')).rejects.toMatchObject({ reason: 'locked-out' });
      await expect(present(endpoint, 'correct horse battery', 'hub')).rejects.toMatchObject({ reason: 'locked-out' });
      expect(await present(endpoint, await secret(endpoint, {}), 'hub')).toMatchObject({ usage: 'one-time' });
      source += 1;
      expect(await present(endpoint, 'correct horse battery', 'hub')).toMatchObject({ usage: 'static' });
    });
  });

  describe('that are derived', () => {
    it('serve one device until the end of a day, at one endpoint, under any key it has', async () => {
      const endpoint = await open(['derived-password']);
      const keys = [await key(endpoint, 'derived'), await key(endpoint, 'derived')];
      const lastDay = dayOf(site.clock.now());
      for (const { id, secret: text } of keys) {
        const challenge = deriveChallenge(text, { endpoint: endpoint.label, deviceName: 'router1', lastDay });
        const fact = { kind: 'password', usage: 'derived', secretId: id, subject: 'router1', state: 'free' };
        expect(await present(endpoint, challenge)).toMatchObject(fact);
        expect(await present(endpoint, challenge)).toMatchObject(fact);
        await expect(present(endpoint, challenge, 'router2')).rejects.toMatchObject(refused);
        site.clock.ahead = DAY_MS;
        await expect(present(endpoint, challenge)).rejects.toMatchObject(refused);
        site.clock.ahead = 0;
      }
    });

    it('are what anybody with the key computes by HMAC', async () => {
      const endpoint = await open(['derived-password']);
      const { secret: text } = await key(endpoint, 'derived');
      const lastDay = dayOf(site.clock.now() + 30 * DAY_MS);
      const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';
      const mac = createHmac('sha256', text.reveal())
        .update(['muster derived challenge', endpoint.label, lastDay, 'router1'].join('\0'))
        .digest();
      const challenge = `${lastDay}-${[...mac].map((octet) => alphabet[octet % 32]).join('')}`;
      expect(await present(endpoint, challenge)).toMatchObject({ usage: 'derived' });
      const other = challenge.replace(lastDay, dayOf(site.clock.now() + 31 * DAY_MS));
      await expect(present(endpoint, other)).rejects.toMatchObject(refused);
    });

    it('end with their key, and need the token once after a start', async () => {
      const endpoint = await open(['derived-password']);
      const { id, secret: text } = await key(endpoint, 'derived');
      const lastDay = dayOf(site.clock.now());
      const challenge = deriveChallenge(text, { endpoint: endpoint.label, deviceName: 'router1', lastDay });
      await site.store.unit((tx) => revokeSecret(tx, acme.id, id));
      await expect(present(endpoint, challenge)).rejects.toMatchObject(refused);
    });

    it('are not derived for a day that is none, nor for nobody', () => {
      const text = new Secret('key');
      for (const lastDay of ['20260230', '2026-01-01', '', '00000000'])
        expect(() => deriveChallenge(text, { endpoint: 'e', deviceName: 'r', lastDay })).toThrow(PeerError);
      expect(() => deriveChallenge(text, { endpoint: 'e', deviceName: '', lastDay: '20260101' })).toThrow(PeerError);
    });
  });

  describe('that an external decider decides about', () => {
    let decider: Server;
    let url: string;
    let asked: { headers: IncomingMessage['headers']; body: string }[];
    let answer: (request: IncomingMessage, response: ServerResponse) => void;

    beforeAll(async () => {
      decider = createServer((request, response) => {
        void readBody(request).then((body) => {
          asked.push({ headers: request.headers, body });
          answer(request, response);
        });
      });
      await new Promise<void>((resolve) => decider.listen(0, '127.0.0.1', resolve));
      url = `http://127.0.0.1:${(decider.address() as AddressInfo).port}/decide`;
      asked = [];
    });
    afterEach(() => {
      asked = [];
    });
    afterAll(() => decider.close());

    const json = (value: unknown) => (_request: IncomingMessage, response: ServerResponse) => {
      response.setHeader('content-type', 'application/json').end(JSON.stringify(value));
    };

    it('are asked about by a signed question, and admitted for that device', async () => {
      const endpoint = await open(['webhook'], { url });
      const { secret: signingKey } = await key(endpoint, 'decider');
      answer = json({ allow: true, reference: 'TICKET-7' });
      expect(await present(endpoint, 'what the mdm made up')).toMatchObject({
        kind: 'external-decision',
        decider: new URL(url).host,
        reference: 'TICKET-7',
        deviceName: 'router1',
      });
      const [{ headers, body }] = asked as [{ headers: IncomingMessage['headers']; body: string }];
      const [, time, mac] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(headers['muster-signature']))!;
      expect(createHmac('sha256', signingKey.reveal()).update(`${time}.${body}`).digest('hex')).toBe(mac);
      expect(JSON.parse(body)).toMatchObject({
        version: 1,
        endpoint: endpoint.label,
        protocol: 'scep',
        deviceName: 'router1',
        transactionId: 'T1',
        challenge: 'what the mdm made up',
      });
      answer = json({ allow: false });
      await expect(present(endpoint, 'another')).rejects.toMatchObject(refused);
    });

    it.each([
      ['another status', (_: IncomingMessage, response: ServerResponse) => void response.writeHead(500).end()],
      [
        'a redirect',
        (_: IncomingMessage, response: ServerResponse) => void response.writeHead(302, { location: '/yes' }).end(),
      ],
      ['no JSON', (_: IncomingMessage, response: ServerResponse) => void response.end('yes')],
      ['no decision', json({ allowed: true })],
      ['a word for a decision', json({ allow: 'true' })],
      ['no end', (_: IncomingMessage, response: ServerResponse) => void response.end('x'.repeat(20_000))],
      ['nothing', (_: IncomingMessage, response: ServerResponse) => void response.destroy()],
    ])('are not admitted when the answer is %s', async (_, wrong) => {
      const endpoint = await open(['webhook'], { url });
      await key(endpoint, 'decider');
      answer = wrong;
      const fault = await present(endpoint, 'x').then(
        () => undefined,
        (error: unknown) => error,
      );
      expect(fault).toBeInstanceOf(UpstreamError);
      expect(fault).toMatchObject({ reason: 'decider-unavailable' });
      expect(asked).toHaveLength(1);
    });

    it('are not asked about without a key, for a secret of ours, nor for who guesses', async () => {
      const endpoint = await open(['webhook', 'password'], { url });
      await expect(present(endpoint, 'x')).rejects.toMatchObject({ reason: 'decider-unavailable' });
      await key(endpoint, 'decider');
      expect(await present(endpoint, await secret(endpoint, {}))).toMatchObject({ kind: 'password' });
      expect(asked).toEqual([]);
      answer = json({ allow: false });
      for (let n = 0; n < 11; n++) await present(endpoint, 'x').catch(() => undefined);
      const before = asked.length;
      await expect(present(endpoint, 'x')).rejects.toMatchObject({ reason: 'locked-out' });
      expect(asked).toHaveLength(before);
    });

    it.each([
      'http://decider.example/',
      'ftp://127.0.0.1/',
      'https://user:pass@decider.example/',
      'decider',
      'http://127.0.0.1.evil.example/',
    ])('are not sent to %s', async (address) => {
      await expect(open(['webhook'], { url: address })).rejects.toThrow(PeerError);
    });
  });

  it('whatever is wrong, the answer is the same, and nothing of the challenge is in it', async () => {
    const endpoint = await open(['password', 'static-password', 'derived-password']);
    await key(endpoint, 'derived');
    const once = await secret(endpoint, { subject: 'other' });
    await site.store.unit(async (tx) => {
      await tx.forTenant<EnrollmentTables>(acme.id).updateTable('shared_secrets', { state: 'revoked' }).execute();
    });
    const wrong = ['', 'x', `${dayOf(site.clock.now())}-${'0'.repeat(32)}`, once.reveal(), '\0'];
    for (const challenge of wrong) await expect(present(endpoint, challenge)).rejects.toMatchObject(refused);
    const closed = await site.endpoint(acme, { ...OPEN_ENDPOINT, protocols: {} });
    await expect(present(closed, 'x')).rejects.toMatchObject(refused);
  });
});
