import { X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { WindowsClient, type WindowsOptions } from '../fakes/scep-windows-client.ts';
import { ComposedServer } from '../support/composed-server.ts';
import { api } from '../support/installation.ts';
import { addScepEndpoint, challenge, enrollmentsOf } from './scep-installation.ts';

const SID = 'S-1-5-21-1004336348-1177238915-682003330-512';
const DLL = '/certsrv/mscep/mscep.dll';

describe('SCEP with a client of the shape of Windows', () => {
  let server: ComposedServer;
  let rootFingerprint: string;

  beforeAll(async () => {
    server = await ComposedServer.start();
    rootFingerprint = new X509Certificate(server.ca).fingerprint256.replaceAll(':', '').toLowerCase();
    await addScepEndpoint(server, 'windows');
    await addScepEndpoint(server, 'pair', { raCertificates: 'pair', replyCertificates: 'chain' });
    await addScepEndpoint(server, 'manual', {}, { approval: 'manual' });
    await addScepEndpoint(server, 'rootless', { caCertificates: 'without-root' });
  });
  afterAll(async () => server[Symbol.asyncDispose]());

  async function client(label: string, algorithms: Partial<WindowsOptions> = {}): Promise<WindowsClient> {
    const made = await WindowsClient.create({
      url: `${server.plain}/scep/${label}${DLL}`,
      rootFingerprint,
      ...algorithms,
    });
    await made.initialize();
    return made;
  }

  it.each([
    ['windows', 'SHA-1', 'des-ede3-cbc'],
    ['windows', 'SHA-256', 'aes-256-cbc'],
    ['windows', 'SHA-512', 'aes-128-cbc'],
    ['pair', 'SHA-256', 'aes-256-cbc'],
  ] as const)(
    'enrols at %s with %s and %s, for another name than that of its own certificate',
    async (label, digest, cipher) => {
      const commonName = `pc-${label}-${digest.toLowerCase()}`;
      const machine = await client(label, { digest, cipher });
      const secret = await challenge(server, label);
      const reply = await machine.enroll({ commonName, dnsNames: [`${commonName}.example`], challenge: secret });
      expect(reply).toMatchObject({ status: 'issued' });
      const certificate = reply.status === 'issued' ? reply.certificate : undefined;
      expect(certificate!.subject).toBe(`CN=${commonName}`);
      expect(certificate!.subjectAltName).toBe(`DNS:${commonName}.example`);
    },
  );

  it('enrols over HTTPS at the listener that asks for no certificate', async () => {
    const url = `${server.server.urls.tls}/scep/windows${DLL}`;
    const machine = await client('windows', { url, ca: server.ca });
    const secret = await challenge(server, 'windows');
    expect(await machine.enroll({ commonName: 'pc-https', challenge: secret })).toMatchObject({ status: 'issued' });
  });

  it('renews with a new key, and is refused another name', async () => {
    const names = { commonName: 'pc-renews', dnsNames: ['pc-renews.example'] };
    const machine = await client('windows', { digest: 'SHA-256', cipher: 'aes-256-cbc' });
    expect(await machine.enroll({ ...names, challenge: await challenge(server, 'windows') })).toMatchObject({
      status: 'issued',
    });
    expect(await machine.renew(names)).toMatchObject({ status: 'issued' });
    expect(await machine.renew({ ...names, commonName: 'pc-other' })).toMatchObject({
      status: 'failed',
      failInfo: '2',
    });
    const [first, second] = await server.certificatesOf('pc-renews');
    expect(first).toMatchObject({ replaced_by: second!.id });
    expect(await server.certificatesOf('pc-other')).toEqual([]);
  });

  it('keeps the security identifier of an account in the certificate', async () => {
    const machine = await client('windows');
    const secret = await challenge(server, 'windows');
    const reply = await machine.enroll({ commonName: 'pc-sid', sid: SID, challenge: secret });
    expect(reply).toMatchObject({ status: 'issued' });
    const names = reply.status === 'issued' ? reply.certificate.subjectAltName! : '';
    // node:crypto quotes names with a comma in them as JSON does.
    expect(JSON.parse(names.replace('URI:', ''))).toBe(`tag:microsoft.com,2022-09-14:sid:${SID}`);
  });

  it('polls until an operator approves', async () => {
    const machine = await client('manual');
    const secret = await challenge(server, 'manual');
    expect(await machine.enroll({ commonName: 'pc-waits', challenge: secret })).toEqual({ status: 'pending' });
    expect(await machine.poll()).toEqual({ status: 'pending' });
    const [enrollment] = await enrollmentsOf(server, 'manual', 'pc-waits');
    await api(server, 'POST', `/enrollments/${enrollment!.id}/approve`, {});
    expect(await machine.poll()).toMatchObject({ status: 'issued' });
    expect(await server.certificatesOf('pc-waits')).toHaveLength(1);
  });

  it('fails with a wrong challenge, without one, and with one that was used', async () => {
    const secret = await challenge(server, 'windows');
    const ask = async (wrong: string | undefined) =>
      (await client('windows')).enroll({ commonName: 'pc-fails', challenge: wrong });
    expect(await (await client('windows')).enroll({ commonName: 'pc-once', challenge: secret })).toMatchObject({
      status: 'issued',
    });
    for (const wrong of ['wrong', undefined, secret]) {
      expect(await ask(wrong)).toMatchObject({ status: 'failed', failInfo: '2', failInfoText: expect.any(String) });
    }
    expect(await server.certificatesOf('pc-fails')).toEqual([]);
  });

  it('is turned away with 404 where the endpoint is not open for SCEP, or is none', async () => {
    await api(server, 'POST', '/endpoints', { label: 'closed' });
    for (const label of ['closed', 'nowhere']) await expect(client(label)).rejects.toThrow('HTTP/1.1 404');
  });

  it('stops before it enrols where GetCACert has no root of its thumbprint', async () => {
    await expect(client('rootless')).rejects.toThrow('the root of the thumbprint');
  });
});
