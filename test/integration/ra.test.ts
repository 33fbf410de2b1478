import { X509Certificate } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { ComposedServer } from '../support/composed-server.ts';
import { run } from '../support/est-fixture.ts';
import { api } from '../support/installation.ts';

/** What curl got. */
interface Got {
  readonly status: number;
  /** The answer: base64 of certs-only, or a text. */
  readonly body: string;
}

/** The key and the certificate of a device, files of openssl. */
interface Identity {
  readonly key: string;
  readonly certificate: string;
}

describe('a registration authority, by openssl and curl', () => {
  let server: ComposedServer;
  let gateway: Identity;
  let device: Identity;

  beforeAll(async () => {
    server = await ComposedServer.start();
    await server.addTenant('acme');
    gateway = await enrolled('gateway', 'default-ra');
    device = await enrolled('router1', 'default');
  });
  afterAll(async () => server[Symbol.asyncDispose]());

  const path = (name: string): string => join(server.folder, name);

  let requests = 0;
  /** Makes a key, `<file>.key`, and a request; answers the file of the request in base64. */
  async function request(name: string, ...extensions: string[]): Promise<string> {
    const file = path(`${name}-${(requests += 1)}`);
    const added = [`subjectAltName=DNS:${name}.example`, ...extensions].flatMap((line) => ['-addext', line]);
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc', '-keyout', `${file}.key`];
    const made = await run('openssl', ['req', '-new', ...key, '-subj', `/CN=${name}`, ...added, '-outform', 'DER']);
    expect(made.status, made.stderr).toBe(0);
    await writeFile(file, made.stdout.toString('base64'));
    return file;
  }

  async function post(url: string, file: string, ...credential: string[]): Promise<Got> {
    const trust = ['--silent', '--show-error', '--cacert', path('data/root.pem')];
    const body = ['--header', 'Content-Type: application/pkcs10', '--data-binary', `@${file}`];
    const printStatus = ['--write-out', '\n%{http_code}'];
    const target = `${server.mtls}/.well-known/est/${url}`;
    const got = await run('curl', [...trust, ...body, ...printStatus, ...credential, target]);
    expect(got.status, got.stderr).toBe(0);
    const lines = got.stdout.toString().split('\n');
    return { status: Number(lines.at(-1)), body: lines.slice(0, -1).join('\n') };
  }

  const as = ({ key, certificate }: Identity): string[] => ['--cert', certificate, '--key', key];

  /** The certificate of an answer, by openssl. */
  async function certificate(got: Got): Promise<X509Certificate> {
    expect(got.status, got.body).toBe(200);
    const der = Buffer.from(got.body, 'base64');
    const printed = await run('openssl', ['pkcs7', '-inform', 'DER', '-print_certs'], der);
    return new X509Certificate(printed.stdout);
  }

  async function enrolled(name: string, label: string): Promise<Identity> {
    const file = await request(name);
    const got = await post(`${label}/simpleenroll`, file, '--user', `any:${await server.password(label)}`);
    await writeFile(`${file}.pem`, (await certificate(got)).toString());
    return { key: `${file}.key`, certificate: `${file}.pem` };
  }

  const ID_KP_CMC_RA = '1.3.6.1.5.5.7.3.28';
  const purposesOf = async ({ certificate: file }: Identity): Promise<string[]> =>
    new X509Certificate(await readFile(file)).keyUsage ?? [];

  it('is marked by id-kp-cmcRA, which the profile of its endpoint gives, and a device is not', async () => {
    expect(await purposesOf(gateway)).toContain(ID_KP_CMC_RA);
    expect(await purposesOf(device)).not.toContain(ID_KP_CMC_RA);
  });

  it('enrols two other subjects of its tenant', async () => {
    const serials = new Set<string>();
    for (const name of ['camera1', 'camera2']) {
      const issued = await certificate(await post('default/simpleenroll', await request(name), ...as(gateway)));
      expect(issued.subject).toBe(`CN=${name}`);
      expect(issued.subjectAltName).toBe(`DNS:${name}.example`);
      expect(issued.keyUsage).not.toContain(ID_KP_CMC_RA);
      serials.add(issued.serialNumber);
    }
    expect(serials.size).toBe(2);
  });

  it('is refused a third outside its tenant, with a password of its own tenant as well', async () => {
    const third = await request('camera3');
    const password = await server.password('default');
    for (const credential of [as(gateway), [...as(gateway), '--user', `any:${password}`]]) {
      const refused = await post('acme/simpleenroll', third, ...credential);
      expect([401, 403]).toContain(refused.status);
      expect(refused.body).toMatch(/^[ -~]+\n?$/);
    }
    expect((await post('acme/simpleenroll', third, ...as(gateway))).status).toBe(403);
    expect(await server.certificatesOf('camera3')).toEqual([]);
  });

  it('repeats a request and gets the same certificate', async () => {
    const file = await request('camera4');
    const [first, second] = [
      await certificate(await post('default/simpleenroll', file, ...as(gateway))),
      await certificate(await post('default/simpleenroll', file, ...as(gateway))),
    ];
    expect(second.fingerprint256).toBe(first.fingerprint256);
    expect(await server.certificatesOf('camera4')).toHaveLength(1);
  });

  it('renews no other subject: the certificate to renew is the one in the handshake', async () => {
    for (const label of ['default', 'default-ra']) {
      const refused = await post(`${label}/simplereenroll`, await request('camera1'), ...as(gateway));
      expect(refused.status, label).toBe(403);
    }
    expect(await server.certificatesOf('camera1')).toHaveLength(1);
  });

  it('is not what a device is: its certificate enrols no other subject', async () => {
    expect((await post('default/simpleenroll', await request('router2'), ...as(device))).status).toBe(403);
    expect(await server.certificatesOf('router2')).toEqual([]);
    expect((await post('default/simpleenroll', await request('router1'), ...as(device))).status).toBe(200);
  });

  it('is not what a device becomes by renewing at the endpoint for registration authorities', async () => {
    for (const operation of ['simplereenroll', 'simpleenroll']) {
      const got = await post(`default-ra/${operation}`, await request('router1'), ...as(device));
      expect(got.status, operation).toBe(403);
    }
  });

  it('is not what a device becomes by asking for the purpose', async () => {
    const wish = await request('router9', `extendedKeyUsage=clientAuth,${ID_KP_CMC_RA}`);
    const refused = await post('default/simpleenroll', wish, '--user', `any:${await server.password('default')}`);
    expect(refused.status).toBe(403);
    expect(refused.body).toContain(ID_KP_CMC_RA);
  });

  it('makes no further registration authorities', async () => {
    const refused = await post('default-ra/simpleenroll', await request('gateway2'), ...as(gateway));
    expect(refused.status).toBe(403);
    expect(await server.certificatesOf('gateway2')).toEqual([]);
  });

  it('renews itself at its own endpoint and stays what it is', async () => {
    const issued = await certificate(await post('default-ra/simplereenroll', await request('gateway'), ...as(gateway)));
    expect(issued.keyUsage).toContain(ID_KP_CMC_RA);
  });

  it('may also be a certificate on the list of an endpoint, for that endpoint alone', async () => {
    const { fingerprint256 } = new X509Certificate(await readFile(device.certificate));
    const fingerprint = fingerprint256.replaceAll(':', '').toLowerCase();
    const listed = {
      label: 'line-2',
      protocols: { est: { authenticators: ['ra'] } },
      registrationAuthorities: [fingerprint],
    };
    await api(server, 'POST', '/endpoints', listed);
    const file = await request('sensor1');
    expect((await certificate(await post('line-2/simpleenroll', file, ...as(device)))).subject).toBe('CN=sensor1');
    expect((await post('default/simpleenroll', await request('sensor2'), ...as(device))).status).toBe(403);

    await api(server, 'PATCH', '/endpoints/line-2', { registrationAuthorities: [] });
    expect((await post('line-2/simpleenroll', await request('sensor3'), ...as(device))).status).toBe(403);
  });
});
