import { X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { api } from '../support/installation.ts';
import { certbot, type CommandClient, dehydrated, lego, uacme } from './acme-command-clients.ts';
import { acmeClient } from './acme-library-client.ts';
import { AcmeSite, type ClientSite } from './acme-site.ts';
import { ApacheMd, Caddy } from './acme-web-servers.ts';

const LIMIT_MS = 120_000;
const REHEARSAL = { rehearsal: 'on' };

type Client = (site: ClientSite, name: string) => Promise<CommandClient>;

/** ACME clients that nobody here wrote, with pebble-challtestsrv for DNS and challenges, all at once at one server. */
describe.concurrent('ACME with clients nobody here wrote', () => {
  let site: AcmeSite;

  beforeAll(async () => {
    site = await AcmeSite.start();
  }, 60_000);
  afterAll(async () => site?.[Symbol.asyncDispose]());

  // dehydrated 0.7.0 repeats nothing: a nonce that is refused ends it.
  it.each<[string, Client, string, object]>([
    ['certbot', certbot, 'certbot.branch.example', REHEARSAL],
    ['lego', lego, '*.lego.example', REHEARSAL],
    ['uacme', uacme, 'uacme.branch.example', REHEARSAL],
    ['acme-client', acmeClient, 'npm.branch.example', REHEARSAL],
    ['dehydrated', dehydrated, 'dehydrated.branch.example', {}],
  ])(
    '%s obtains, renews and revokes',
    async (label, make, name, acme) => {
      const client = await make(await site.endpoint(label, 'challtestsrv', acme), name);
      const obtained = await client.obtain();
      expect(obtained.status, obtained.output).toBe(0);
      const first = new X509Certificate(await client.certificate());
      expect(first.subjectAltName).toBe(`DNS:${name}`);
      const renewed = await client.renew();
      expect(renewed.status, renewed.output).toBe(0);
      const second = new X509Certificate(await client.certificate());
      expect(second.serialNumber).not.toBe(first.serialNumber);
      const revoked = await client.revoke();
      expect(revoked.status, revoked.output).toBe(0);
      const stored = await site.certificatesOf(name);
      expect(stored.map(({ status }) => status)).toEqual(['active', 'revoked']);
      expect(stored[1]!.serialNumber.toUpperCase()).toBe(second.serialNumber);
    },
    LIMIT_MS,
  );

  it(
    'Caddy obtains, and renews when its window opens',
    async () => {
      const name = 'caddy.branch.example';
      await using caddy = new Caddy(await site.endpoint('caddy', 'itself', REHEARSAL), name);
      await caddy.start(1 / 3);
      const first = await caddy.presented();
      expect(first.subjectAltName).toBe(`DNS:${name}`);
      // The last part of a certificate's life is all of it but the first seconds.
      await caddy.start(0.999_999_9);
      await caddy.presented(first);
      expect((await site.certificatesOf(name)).map(({ status }) => status)).toEqual(['active', 'active']);
    },
    LIMIT_MS,
  );

  it(
    'Apache mod_md orders its profile, and renews when the window of its certificate is moved (RFC 9773)',
    async () => {
      const name = 'apache.branch.example';
      const profiles = [{ name: 'gateway', description: 'for gateways' }];
      const endpoint = await site.endpoint('apache', 'itself', { ...REHEARSAL, profiles });
      await using apache = await ApacheMd.start(endpoint, name, ['MDRenewViaARI on', 'MDProfile gateway']);
      const first = await apache.presented();
      expect(first.subjectAltName).toBe(`DNS:${name}`);
      expect(await apache.log()).toContain("ordering ACME profile 'gateway'");
      const [before] = await site.certificatesOf(name);
      const explanation = 'https://noc.branch.example/moved';
      await api(site.server, 'POST', `/certificates/${before!.id}/renewal-window`, { explanation });
      await apache.presented(first);
      expect(await apache.log()).toContain(`CA advises renew via ARI now, for explanation see ${explanation}`);
      const [replaced, after] = await site.certificatesOf(name);
      expect(replaced!.replacedBy).toBe(after!.id);
    },
    LIMIT_MS,
  );
});
