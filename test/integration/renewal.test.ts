import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Agent } from 'node:https';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { revokeCertificate } from '../../core/authority/revocation.ts';
import { type Certificate, parseCertificate, subjectAltName } from '../../core/x509/certificate.ts';
import { generalNameToText } from '../../core/x509/general-name.ts';
import { decodePem } from '../../core/x509/pem.ts';
import { ComposedServer } from '../support/composed-server.ts';
import { api, basic, certificateOf, type ClientCertificate, connection, enroll } from '../support/installation.ts';
import { makeCsr, TestAuthority } from '../support/test-pki.ts';

const DAY_MS = 86_400_000;

/** A device with its certificate and the names it has. */
interface Device {
  readonly client: ClientCertificate;
  readonly certificate: Certificate;
  readonly names: { readonly subject: string; readonly san: readonly string[] };
}

describe('renewal, and what a credential is good for', () => {
  let server: ComposedServer;
  const agents: Agent[] = [];

  beforeAll(async () => {
    server = await ComposedServer.start();
    await server.addTenant('acme');
  });
  afterEach(() => {
    server.clock.ahead = 0;
    for (const agent of agents.splice(0)) agent.destroy();
  });
  afterAll(async () => server[Symbol.asyncDispose]());

  /** A new device, enrolled with a one-time password. */
  async function device(name: string, label = 'default'): Promise<Device> {
    const names = { subject: `CN=${name}`, san: [`dns:${name}.example`, 'ip:192.0.2.1'] };
    const csr = makeCsr(names);
    const headers = basic('any', await server.password(label));
    const certificate = certificateOf(await enroll(server, `${label}/simpleenroll`, csr.der, { headers }));
    return { client: { der: certificate.der, privateKey: csr.privateKey }, certificate, names };
  }

  function connect({ client }: Pick<Device, 'client'>): Agent {
    const agent = connection(server, client);
    agents.push(agent);
    return agent;
  }

  it.each(['simplereenroll', 'simpleenroll'])(
    '%s with the same names and a new key replaces the old one',
    async (operation) => {
      const old = await device(`same-${operation}`);
      const csr = makeCsr(old.names);
      const renewed = certificateOf(await enroll(server, operation, csr.der, { agent: connect(old) }));
      expect(renewed.subject.der).toEqual(old.certificate.subject.der);
      expect(subjectAltName(renewed).map(generalNameToText)).toEqual(old.names.san);
      expect(renewed.serialNumber).not.toBe(old.certificate.serialNumber);
      expect(renewed.publicKey.der).not.toEqual(old.certificate.publicKey.der);
      const [first, second] = await server.certificatesOf(`same-${operation}`);
      expect(first).toMatchObject({
        serial_number: old.certificate.serialNumber,
        replaced_by: second!.id,
        status: 'active',
      });
      expect(second).toMatchObject({ serial_number: renewed.serialNumber, replaced_by: null, device: first!.device });

      // The new certificate renews in its turn.
      const again = { client: { der: renewed.der, privateKey: csr.privateKey } };
      const third = certificateOf(await enroll(server, operation, makeCsr(old.names).der, { agent: connect(again) }));
      expect((await server.certificatesOf(`same-${operation}`)).at(-1)!.serial_number).toBe(third.serialNumber);
    },
  );

  it.each([
    ['another subject', { subject: 'CN=other', san: ['dns:changed.example', 'ip:192.0.2.1'] }],
    ['another subjectAltName', { subject: 'CN=changed', san: ['dns:other.example', 'ip:192.0.2.1'] }],
    [
      'one subjectAltName more',
      { subject: 'CN=changed', san: ['dns:changed.example', 'ip:192.0.2.1', 'dns:more.example'] },
    ],
    ['one subjectAltName less', { subject: 'CN=changed', san: ['dns:changed.example'] }],
    ['no subjectAltName', { subject: 'CN=changed' }],
  ])('is refused with %s', async (_what, names) => {
    const agent = connect(await device('changed'));
    for (const operation of ['simplereenroll', 'simpleenroll']) {
      const refused = await enroll(server, operation, makeCsr(names).der, { agent });
      expect(refused.status, operation).toBe(403);
      expect(refused.text).toMatch(/^.*subject.*\n$/);
    }
    expect(await server.certificatesOf('other')).toEqual([]);
  });

  it('is refused from the moment of the revocation, on a connection made before it', async () => {
    const old = await device('revoked');
    const agent = connect(old);
    const ask = () => enroll(server, 'simplereenroll', makeCsr(old.names).der, { agent });
    expect((await ask()).status).toBe(200);
    const [row] = await server.certificatesOf('revoked');
    const { store } = server.server.kernel;
    const revocation = { tenant: row!.tenant, certificateId: row!.id, reason: 'keyCompromise', actor: 'test' } as const;
    await store.unit((tx) => revokeCertificate(tx, { ...revocation, at: store.clock.now() }));
    const refused = await ask();
    expect(refused.status).toBe(403);
    expect(refused.text).toContain('revoked');
    expect(Object.values(agent.sockets).flat().length + Object.values(agent.freeSockets).flat().length).toBe(1);
  });

  it('is refused to an expired certificate, however young the connection', async () => {
    const old = await device('expired');
    server.clock.ahead = 366 * DAY_MS;
    for (const operation of ['simplereenroll', 'simpleenroll']) {
      const refused = await enroll(server, operation, makeCsr(old.names).der, { agent: connect(old) });
      expect(refused.status, operation).toBe(403);
      expect(refused.text).toMatch(/expired|validity/);
    }
    server.clock.ahead = 0;
    const renewed = await enroll(server, 'simplereenroll', makeCsr(old.names).der, { agent: connect(old) });
    expect(renewed.status).toBe(200);
  });

  it('is refused to certificates of another tenant, of a stranger, and of a stranger who copies our names', async () => {
    const own = await device('coveted');
    const foreign = await device('coveted', 'acme');
    const stranger = TestAuthority.root({ name: 'CN=Stranger' });
    const issuer = TestAuthority.root({ name: own.certificate.issuer });
    const { names } = own;
    for (const client of [foreign.client, stranger.leaf(names), issuer.leaf(names), TestAuthority.root(names)]) {
      for (const operation of ['simplereenroll', 'simpleenroll', 'serverkeygen']) {
        const refused = await enroll(server, `default/${operation}`, makeCsr(names).der, {
          agent: connect({ client }),
        });
        expect(refused.status, operation).toBe(403);
      }
    }
    expect(await server.certificatesOf('coveted')).toHaveLength(2);
  });

  it('is refused to our own server certificate', async () => {
    const own = (name: string): Buffer => readFileSync(join(server.folder, 'data', 'tls', name));
    const certificate = parseCertificate(decodePem(own('ec.pem').toString())[0]!.der);
    const client = { der: certificate.der, privateKey: createPrivateKey(own('ec.key')) };
    const names = { subject: certificate.subject, san: subjectAltName(certificate).map(generalNameToText) };
    for (const operation of ['simplereenroll', 'simpleenroll']) {
      const refused = await enroll(server, operation, makeCsr(names).der, { agent: connect({ client }) });
      expect(refused.status, operation).toBe(403);
    }
  });

  it('needs a certificate: a password renews nothing', async () => {
    const headers = basic('any', await server.password('default'));
    const refused = await enroll(server, 'simplereenroll', makeCsr().der, { headers });
    expect(refused.status).toBe(403);
  });

  it('answers the same request with the same certificate, by password and by certificate', async () => {
    const csr = makeCsr({ subject: 'CN=repeats' });
    const headers = basic('any', await server.password('default'));
    const first = certificateOf(await enroll(server, 'simpleenroll', csr.der, { headers }));
    const repeats = await Promise.all(
      Array.from({ length: 4 }, () => enroll(server, 'simpleenroll', csr.der, { headers })),
    );
    expect(repeats.map((answer) => certificateOf(answer).serialNumber)).toEqual(repeats.map(() => first.serialNumber));

    const agent = connect({ client: { der: first.der, privateKey: csr.privateKey } });
    const renewal = makeCsr({ subject: 'CN=repeats' }).der;
    const renewed = [
      certificateOf(await enroll(server, 'simplereenroll', renewal, { agent })),
      certificateOf(await enroll(server, 'simplereenroll', renewal, { agent })),
    ];
    expect(renewed[0]!.serialNumber).toBe(renewed[1]!.serialNumber);
    expect(await server.certificatesOf('repeats')).toHaveLength(2);
  });

  it('sixteen repeats at once get one certificate', async () => {
    const csr = makeCsr({ subject: 'CN=stampede' });
    const headers = basic('any', await server.password('default'));
    const answers = await Promise.all(
      Array.from({ length: 16 }, () => enroll(server, 'simpleenroll', csr.der, { headers })),
    );
    expect(new Set(answers.map((answer) => certificateOf(answer).serialNumber)).size).toBe(1);
    expect(await server.certificatesOf('stampede')).toHaveLength(1);
  });

  it('a one-time password is bound to its first request', async () => {
    const headers = basic('any', await server.password('default'));
    const first = makeCsr({ subject: 'CN=once' });
    expect((await enroll(server, 'simpleenroll', first.der, { headers })).status).toBe(200);
    const others = [makeCsr({ subject: 'CN=once' }), makeCsr({ subject: 'CN=twice' })];
    for (const { der } of others) {
      const refused = await enroll(server, 'simpleenroll', der, { headers });
      expect(refused.status).toBe(401);
      expect(refused.headers['www-authenticate']).toBe('Basic realm="Muster"');
    }
    expect((await enroll(server, 'simpleenroll', first.der, { headers })).status).toBe(200);
    expect(await server.certificatesOf('once')).toHaveLength(1);
    expect(await server.certificatesOf('twice')).toEqual([]);
  });

  it('of two requests with one password at once, one wins', async () => {
    const headers = basic('any', await server.password('default'));
    const requests = Array.from({ length: 8 }, (_, n) => makeCsr({ subject: `CN=race-${n}` }));
    const answers = await Promise.all(requests.map(({ der }) => enroll(server, 'simpleenroll', der, { headers })));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(requests.length - 1);
    expect(await server.certificatesOf('race-')).toHaveLength(1);
  });

  it('a password of one endpoint opens no other', async () => {
    const csr = makeCsr({ subject: 'CN=elsewhere' }).der;
    for (const [home, away] of [
      ['default', 'acme'],
      ['acme', 'default'],
      ['default', 'default-ra'],
    ] as const) {
      const headers = basic('any', await server.password(home));
      expect((await enroll(server, `${away}/simpleenroll`, csr, { headers })).status, `${home} at ${away}`).toBe(401);
    }
    expect(await server.certificatesOf('elsewhere')).toEqual([]);
  });

  it('is granted only in the window that an endpoint has', async () => {
    const old = await device('windowed');
    await api(server, 'PATCH', '/endpoints/default', { renewalWindowSeconds: 30 * 86_400 });
    try {
      const early = await enroll(server, 'simplereenroll', makeCsr(old.names).der, { agent: connect(old) });
      expect(early.status).toBe(403);
      server.clock.ahead = 340 * DAY_MS;
      const due = await enroll(server, 'simplereenroll', makeCsr(old.names).der, { agent: connect(old) });
      expect(due.status).toBe(200);
    } finally {
      server.clock.ahead = 0;
      await api(server, 'PATCH', '/endpoints/default', { renewalWindowSeconds: null });
    }
  });
});
