import { X509Certificate } from 'node:crypto';
import type { Agent } from 'node:https';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { authorityKeyIdentifier, parseCertificate } from '../../core/x509/certificate.ts';
import { serialNumberOctets } from '../../core/x509/serial-number.ts';
import { muster } from '../server/support/terminal.ts';
import { ComposedServer } from '../support/composed-server.ts';
import { api, connection, type Listed, rest, send } from '../support/installation.ts';
import { makeCsr } from '../support/test-pki.ts';
import { AcmeClient, json, type OrderView, problemOf } from './acme-client.ts';

interface Account {
  readonly id: string;
  readonly status: string;
  readonly contact: readonly string[];
}

interface Information {
  readonly suggestedWindow: { readonly start: string; readonly end: string };
  readonly explanationURL?: string;
}

/** What operators see and move of ACME, by REST and by the command line. */
describe('ACME for operators', () => {
  let server: ComposedServer;
  let agent: Agent;
  let eab: { reference: string; secret: string };

  beforeAll(async () => {
    server = await ComposedServer.start();
    agent = connection(server);
    eab = await api(server, 'POST', '/secrets', { kind: 'eab', usage: 'device', allowed: ['*.example'] });
  }, 60_000);
  afterAll(async () => {
    agent?.destroy();
    await server?.[Symbol.asyncDispose]();
  });

  const cli = async (...argv: string[]): Promise<string> => {
    const data = join(server.folder, 'data');
    const flags = [
      '--server',
      server.admin,
      '--token-file',
      join(data, 'admin-token'),
      '--ca-file',
      join(data, 'root.pem'),
    ];
    const { code, out, err } = await muster([...argv, ...flags]);
    expect(code, err).toBe(0);
    return out;
  };

  async function client(contact: string): Promise<{ acme: AcmeClient; id: string }> {
    const acme = new AcmeClient(server, `${server.server.urls.tls}/acme/default/directory`, undefined, agent);
    await acme.start();
    expect((await acme.register(eab, { contact: [contact] })).status).toBe(201);
    return { acme, id: acme.account!.slice(acme.account!.lastIndexOf('/') + 1) };
  }

  async function issue(acme: AcmeClient, name: string): Promise<X509Certificate> {
    const order = json<OrderView>(await acme.order([name]));
    const csr = makeCsr({ subject: '', san: [`dns:${name}`] }).der;
    const { certificate } = json<OrderView>(await acme.finalize(order, csr));
    return new X509Certificate((await acme.post(certificate!)).text);
  }

  async function information(acme: AcmeClient, leaf: X509Certificate): Promise<Information> {
    const certificate = parseCertificate(leaf.raw);
    const aki = Buffer.from(authorityKeyIdentifier(certificate)!).toString('base64url');
    const serial = Buffer.from(serialNumberOctets(certificate.serialNumber)).toString('base64url');
    return json(await acme.get(`${acme.directory['renewalInfo']!}/${aki}.${serial}`));
  }

  it('lists accounts, and ends one: it signs nothing more, and what waits for it is over', async () => {
    const { acme, id } = await client('mailto:noc@one.example');
    const waiting = await acme.order(['waiting.example']);
    const { items } = await api<Listed<Account>>(server, 'GET', '/acme/accounts?endpoint=default&status=valid');
    expect(items.find((account) => account.id === id)).toMatchObject({ contact: ['mailto:noc@one.example'] });
    expect(await cli('acme', 'account', 'list')).toContain('mailto:noc@one.example');
    expect(await cli('acme', 'account', 'show', id)).toMatch(/^status +valid$/m);
    expect(await cli('acme', 'account', 'deactivate', id)).toBe(`account ${id} is revoked\n`);
    expect(problemOf(await acme.post(waiting.headers['location']!))).toBe('401 unauthorized');
    const { items: orders } = await api<Listed<Account>>(server, 'GET', `/acme/orders?account=${id}`);
    expect(orders.map(({ status }) => status)).toEqual(['invalid']);
    expect((await rest(server, 'POST', `/acme/accounts/${id}/deactivate`)).status).toBe(409);
    expect((await rest(server, 'GET', '/acme/accounts/none')).status).toBe(404);
    expect((await rest(server, 'GET', '/acme/accounts?endpoint=none')).status).toBe(404);
  });

  it('shows an order with what was proved for each name', async () => {
    await api(server, 'POST', '/endpoints', { label: 'proved', protocols: { acme: { externalAccount: 'optional' } } });
    const acme = new AcmeClient(server, `${server.server.urls.tls}/acme/proved/directory`, undefined, agent);
    await acme.start();
    await acme.register();
    const { headers } = await acme.order(['r1.example', '*.example']);
    const id = headers['location']!.slice(headers['location']!.lastIndexOf('/') + 1);
    const order = await api<{ authorizations: object[] }>(server, 'GET', `/acme/orders/${id}`);
    expect(order).toMatchObject({ status: 'pending', endpoint: 'proved' });
    expect(order.authorizations).toHaveLength(2);
    const printed = await cli('acme', 'order', 'show', id);
    expect(printed).toMatch(/^dns r1\.example +pending$/m);
    expect(await cli('acme', 'order', 'list', '--status', 'pending')).toContain(id);
    expect((await rest(server, 'GET', '/acme/orders/none')).status).toBe(404);
  });

  it('moves the renewal window of one certificate, and frees it', async () => {
    const { acme } = await client('mailto:noc@two.example');
    const [leaf, other] = [await issue(acme, 'w1.example'), await issue(acme, 'w2.example')];
    const before = await information(acme, leaf);
    expect(Date.parse(before.suggestedWindow.start)).toBeGreaterThan(Date.now());
    expect(await cli('cert', 'renew-now', leaf.serialNumber, '--explanation', 'https://noc.example/1')).toMatch(
      /now$/m,
    );
    const now = await information(acme, leaf);
    expect(Date.parse(now.suggestedWindow.end)).toBeLessThan(Date.now());
    expect(now.explanationURL).toBe('https://noc.example/1');
    expect(await information(acme, other)).not.toEqual(now);
    const times = ['--start', '2030-01-01T00:00:00Z', '--end', '2030-01-02T00:00:00Z'];
    await cli('cert', 'renewal-window', leaf.serialNumber, ...times);
    expect((await information(acme, leaf)).suggestedWindow.start).toBe('2030-01-01T00:00:00.000Z');
    expect(await cli('cert', 'renewal-window', leaf.serialNumber)).toMatch(/^start +2030-01-01/m);
    await cli('cert', 'renewal-window', leaf.serialNumber, '--free');
    expect(await information(acme, leaf)).toEqual(before);
    const [row] = await server.certificatesOf('w1.example');
    const path = `/certificates/${row!.id}/renewal-window`;
    expect((await rest(server, 'GET', path)).status).toBe(404);
    const backwards = { start: '2030-01-02T00:00:00Z', end: '2030-01-01T00:00:00Z' };
    expect((await rest(server, 'POST', path, backwards)).status).toBe(400);
    expect((await rest(server, 'POST', path, { start: '2030-01-02T00:00:00Z' })).status).toBe(400);
    expect((await rest(server, 'POST', '/certificates/none/renewal-window', {})).status).toBe(404);
  });

  it('has a revoked certificate renewed at once, whatever its window says', async () => {
    const { acme } = await client('mailto:noc@three.example');
    const leaf = await issue(acme, 'rw.example');
    await cli(
      'cert',
      'renewal-window',
      leaf.serialNumber,
      '--start',
      '2030-01-01T00:00:00Z',
      '--end',
      '2030-01-02T00:00:00Z',
    );
    await cli('cert', 'revoke', leaf.serialNumber);
    expect(Date.parse((await information(acme, leaf)).suggestedWindow.end)).toBeLessThan(Date.now());
    const [row] = await server.certificatesOf('rw.example');
    expect((await rest(server, 'POST', `/certificates/${row!.id}/renewal-window`, {})).status).toBe(409);
  });

  it('counts orders, nonces that were refused, and what became of them', async () => {
    const { acme } = await client('mailto:noc@four.example');
    await issue(acme, 'metric.example');
    acme.nonce = 'AAAA';
    expect(problemOf(await acme.post(acme.account!))).toBe('400 badNonce');
    const headers = { Authorization: `Bearer ${server.adminToken}` };
    const { text: metrics } = await send(server, `${server.admin}/metrics`, { headers });
    expect(metrics).toMatch(/^muster_acme_orders_total\{outcome="valid"\} [1-9]/m);
    expect(metrics).toMatch(/^muster_acme_nonces_refused_total\{cause="foreign"\} 1$/m);
  });
});
