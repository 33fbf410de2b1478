import { X509Certificate } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { decodeCertsOnly } from '../../core/cms/signed-data.ts';
import { encodePem } from '../../core/x509/pem.ts';
import { ID_IT, info } from '../fakes/cmp-message.ts';
import { signature, type Signer } from '../fakes/cmp-protection.ts';
import type { Tlv } from '../fakes/cmp-reader.ts';
import { genm, rr } from '../fakes/cmp-request.ts';
import type { CmpResponse } from '../fakes/cmp-response.ts';
import { CmpSite } from '../fakes/cmp-site.ts';
import { latin1 } from '../fakes/scep-cisco-asn1.ts';
import { CiscoRouter } from '../fakes/scep-cisco-router.ts';
import type { ComposedServer } from '../support/composed-server.ts';
import { type CommandResult, pemOfKey, run } from '../support/est-fixture.ts';
import { api, type Listed, readText, rest } from '../support/installation.ts';
import { makeCsr } from '../support/test-pki.ts';
import { challenge, scepUrl } from './scep-installation.ts';

const CLI = fileURLToPath(new URL('../../server/cli/main.ts', import.meta.url));
const DAY_MS = 86_400_000;
const SUPERSEDED = 4;

interface Status {
  readonly id: string;
  readonly state: string;
  readonly members: readonly { readonly predecessor: string; readonly successor: string }[];
  readonly readiness?: { readonly evidence: object };
}

interface Authority {
  readonly id: string;
  readonly name: string;
  readonly state: string;
}

/** Roots and all below them are replaced, with a client of each protocol that goes along and one that does not. */
describe('the rollover of a root, from the announcement to the end', () => {
  let site: CmpSite;
  let server: ComposedServer;
  /** Where the clients keep their files; `old-root.pem` is what each of them trusts from the start. */
  let folder: string;
  let router: CiscoRouter;
  let gateway: Signer;
  let before: readonly Authority[];
  let id: string;

  beforeAll(async () => {
    site = await CmpSite.start();
    server = site.server;
    folder = join(server.folder, 'clients');
    await mkdir(folder);
    await write('old-root.pem', server.ca);
    before = await authorities();
    await enroll('switch');
    await enroll('silent');
    router = await CiscoRouter.create({
      url: scepUrl(server, 'default'),
      hostname: 'router',
      commonName: 'router',
      digest: 'sha256',
      cipher: 'aes128',
    });
    await router.authenticate();
    expect(await router.enroll(await challenge(server))).toMatchObject({ status: 'granted' });
    gateway = await site.device('gateway');
  });
  afterAll(async () => site[Symbol.asyncDispose]());

  const path = (name: string): string => join(folder, name);
  const write = async (name: string, contents: string | Uint8Array): Promise<string> => {
    await writeFile(path(name), contents);
    return path(name);
  };
  const pem = (...ders: readonly Uint8Array[]): string => ders.map((der) => encodePem('CERTIFICATE', der)).join('');
  const fingerprints = (ders: readonly Uint8Array[]): string[] =>
    ders.map((der) => new X509Certificate(Buffer.from(der)).fingerprint256);
  const issuerOf = (certificate: string | Uint8Array): string =>
    new X509Certificate(typeof certificate === 'string' ? certificate : Buffer.from(certificate)).issuer;

  const muster = (...args: string[]): Promise<CommandResult> =>
    run(process.execPath, [CLI, '--data', join(server.folder, 'data'), '--json', 'ca', ...args]);
  async function said<T>(...args: string[]): Promise<T> {
    const { status, stdout, stderr } = await muster(...args);
    expect(status, stderr).toBe(0);
    return JSON.parse(stdout.toString()) as T;
  }
  const authorities = async () => (await api<Listed<Authority>>(server, 'GET', '/authorities')).items;
  const states = async (): Promise<object> =>
    Object.fromEntries((await authorities()).map(({ name, state }) => [name, state]));
  const idOf = (name: string): string => before.find((authority) => authority.name === name)!.id;

  /** EST by curl, which trusts the old root alone; as a device, with its certificate. */
  async function curl(operation: string, device?: string, ...args: string[]): Promise<Uint8Array[]> {
    return curlTrusting('old-root.pem', operation, device, ...args);
  }
  async function curlTrusting(root: string, operation: string, device?: string, ...args: string[]) {
    const client = device === undefined ? [] : ['--cert', path(`${device}.pem`), '--key', path(`${device}.key`)];
    const url = `${server.mtls}/.well-known/est/default/${operation}`;
    const result = await run('curl', ['-sS', '--fail', '--cacert', path(root), ...client, ...args, url]);
    expect(result.status, result.stderr).toBe(0);
    return decodeCertsOnly(Buffer.from(result.stdout.toString(), 'base64')).certificates.slice();
  }

  async function post(operation: string, name: string, device?: string, ...args: string[]): Promise<void> {
    const csr = makeCsr({ subject: `CN=${name}` });
    const body = await write(`${name}.csr`, Buffer.from(csr.der).toString('base64'));
    const type = ['-H', 'Content-Type: application/pkcs10', '--data-binary', `@${body}`];
    const [certificate] = await curl(operation, device, ...type, ...args);
    await write(`${name}.pem`, pem(certificate!));
    await write(`${name}.key`, pemOfKey(csr.privateKey));
  }
  const enroll = async (name: string): Promise<void> =>
    post('simpleenroll', name, undefined, '--user', `any:${await server.password('default')}`);

  const ask = (type: string, value?: Uint8Array): Promise<CmpResponse> =>
    site.transaction('default', signature(gateway)).send(genm(info(type, value)));
  const answered = async (type: string, value?: Uint8Array): Promise<Tlv | undefined> =>
    [...(await ask(type, value)).infos.values()][0];
  const oldRoot = (): Buffer => new X509Certificate(server.ca).raw;

  async function verified(leaf: Uint8Array, untrusted: readonly Uint8Array[], root = 'old-root.pem'): Promise<void> {
    const files = [await write('between.pem', pem(...untrusted)), await write('leaf.pem', pem(leaf))] as const;
    const options = ['-x509_strict', '-CAfile', path(root), '-untrusted', files[0], files[1]];
    const { stdout, stderr } = await run('openssl', ['verify', ...options]);
    expect(stdout.toString(), stderr).toBe(`${files[1]}: OK\n`);
  }

  it('before: there is one chain, and nothing to come', async () => {
    expect(await curl('cacerts')).toHaveLength(2);
    expect(await router.capabilities()).not.toContain('GetNextCACert');
    await expect(router.nextCa()).rejects.toThrow();
    expect(await answered(ID_IT.rootCaCert, oldRoot())).toBeUndefined();
    expect((await answered(ID_IT.caCerts))!.children).toHaveLength(2);
  });

  it('announced: each protocol offers what comes, under the trust in what is', async () => {
    const announced = await said<Status>('rollover', 'start', 'root');
    expect(announced).toMatchObject({ state: 'announced', members: [{ predecessor: idOf('root') }, {}] });
    id = announced.id;
    expect(await states()).toEqual({ root: 'active', issuing: 'active', 'root-2': 'next', 'issuing-2': 'next' });

    const [issuing, root, issuing2, root2, oldWithNew, newWithOld] = (await curl('cacerts', 'switch')) as Buffer[];
    expect(fingerprints([root!])).toEqual(fingerprints([oldRoot()]));
    expect(issuerOf(root2!)).toBe(issuerOf(root!));
    await verified(issuing2!, [newWithOld!]);
    await write('new-root.pem', pem(root2!));
    await verified(issuing!, [oldWithNew!], 'new-root.pem');
    expect(await curl('cacerts')).toHaveLength(6);

    const swan = ['--estca', '--url', server.mtls, '--cacert', path('old-root.pem'), '--caout', path('swan.pem')];
    const fetched = await run('pki', [...swan, '--outform', 'pem']);
    expect(fetched.status, fetched.stderr).toBe(0);

    expect(await router.capabilities()).toContain('GetNextCACert');
    const next = (await router.nextCa()).map(({ der }) => latin1(der));
    expect(fingerprints(next)).toEqual(fingerprints([issuing2!, root2!]));

    const update = (await answered(ID_IT.rootCaCert, oldRoot()))!;
    const [newWithNew, ...crosses] = update.children;
    const offered = [newWithNew!.der, ...crosses.map(({ children }) => children[0]!.der)];
    expect(fingerprints(offered)).toEqual(fingerprints([root2!, newWithOld!, oldWithNew!]));
    expect(crosses.map(({ identifier }) => identifier)).toEqual([0xa0, 0xa1]);
    expect((await answered(ID_IT.caCerts))!.children).toHaveLength(6);
    // Nothing else has changed.
    expect(issuerOf(await readDevice('silent'))).not.toContain('G2');
  });

  const readDevice = async (name: string): Promise<Buffer> =>
    (await server.certificatesOf(name)).map(({ der }) => Buffer.from(der)).at(-1)!;
  const status = (): Promise<Status> => api(server, 'GET', `/rollovers/${id}`);

  it('is ready as far as that is proved: signed and by mTLS, and no fetch by anybody', async () => {
    expect((await said<Status>('rollover', 'status', id)).readiness).toMatchObject({
      devices: 4,
      proved: 2,
      unknown: 2,
      renewed: 0,
      evidence: { 'mtls-fetch': 1, 'signed-fetch': 1 },
      anonymousFetches: [
        { protocol: 'est', count: 2 },
        { protocol: 'scep', count: 1 },
      ],
      certificates: 4,
    });
    const unknown = await said<{ device: string }[]>('rollover', 'status', id, '--devices', 'unknown');
    const devices = await Promise.all(['silent', 'router'].map((name) => server.certificatesOf(name)));
    expect(unknown.map(({ device }) => device)).toEqual(devices.map(([row]) => row!.device!).toSorted());
    const refused = await muster('rollover', 'switch', id);
    expect(refused.status).not.toBe(0);
    expect(refused.stderr).toContain('2 of 4 devices are not known to be ready');
  });

  it('switched on its date: the new authority issues, and the old root still leads to everything', async () => {
    await said('rollover', 'switch', id, '--at', new Date(Date.now() - 1000).toISOString());
    await vi.waitFor(async () => expect(await status()).toMatchObject({ state: 'switched' }), {
      timeout: 20_000,
      interval: 200,
    });
    expect(await states()).toEqual({
      root: 'retiring',
      issuing: 'retiring',
      'root-2': 'active',
      'issuing-2': 'active',
    });
    await serves('issuing CA G2', 'old-root.pem');
  });

  /** The listeners present a certificate of this issuer, and this root leads to it. */
  const serves = (issuer: string, root: string): Promise<void> =>
    vi.waitFor(
      async () => {
        const options = ['-connect', new URL(server.mtls).host, '-CAfile', path(root), '-verify_return_error'];
        const { stdout } = await run('openssl', ['s_client', ...options], '');
        expect(stdout.toString()).toMatch(new RegExp(`i:.*${issuer}`));
        expect(stdout.toString()).toContain('Verify return code: 0 (ok)');
      },
      { timeout: 10_000, interval: 200 },
    );

  it('renewed: a certificate of the old authority is good for one of the new, by every protocol', async () => {
    await post('simplereenroll', 'switch', 'switch');
    expect(await router.getCrl()).toMatchObject({ status: 'granted', crls: [expect.any(String)] });
    // It never fetched anything again: it encrypts for the RA that it knows, and is answered by that one.
    expect(await router.renew()).toMatchObject({ status: 'granted' });
    const { host } = new URL(server.plain);
    const credentials = {
      '-cert': await write('gateway.pem', pem(gateway.certificate)),
      '-key': await write('gateway.key', pemOfKey(gateway.key)),
      '-untrusted': await write('gateway-chain.pem', pem(...(gateway.chain ?? []))),
      '-newkey': await write('gateway2.key', pemOfKey(makeCsr().privateKey)),
    };
    const trust = { '-trusted': path('old-root.pem'), '-out_trusted': path('old-root.pem') };
    const target = { '-server': `${host}/.well-known/cmp/p/default`, '-certout': path('gateway2.pem') };
    const options = Object.entries({
      '-config': '',
      '-cmd': 'kur',
      '-msg_timeout': '10',
      ...target,
      ...trust,
      ...credentials,
    });
    const kur = await run('openssl', ['cmp', '-batch', ...options.flat()]);
    expect(kur.status, kur.stdout.toString() + kur.stderr).toBe(0);
    for (const name of ['switch', 'router', 'gateway']) expect(issuerOf(await readDevice(name)), name).toContain('G2');

    // RFC 9483 §4.2: the device itself revokes what it had from the authority that retires.
    const revoked = await site
      .transaction('default', signature(gateway))
      .send(rr({ certificate: gateway.certificate, reason: SUPERSEDED }));
    expect(revoked.summary).toBe('rp accepted');
    // With the new certificates: they are presented now. NewWithOld goes with the listeners' own, so that accepting those
    // proves nothing yet.
    await post('simplereenroll', 'switch', 'switch');
    expect(await router.renew()).toMatchObject({ status: 'granted' });
    const { readiness } = await status();
    expect(readiness).toMatchObject({ devices: 3, proved: 2, unknown: 1, renewed: 2, certificates: 4 });
    expect(readiness?.evidence).toEqual({ 'mtls-fetch': 1, presented: 2 });
  });

  it('retiring: the old authority answers for what it issued', async () => {
    const chain = await curl('cacerts');
    const issuing = await write('issuing.pem', pem(chain[2]!));
    const asked = async (der: Uint8Array): Promise<string> => {
      const certificate = await write('asked.pem', pem(der));
      const url = `${server.plain}/ocsp/${idOf('issuing')}`;
      const options = ['-issuer', issuing, '-cert', certificate, '-CAfile', path('old-root.pem'), '-url', url];
      const { stdout, stderr } = await run('openssl', ['ocsp', ...options]);
      expect(stderr).toContain('Response verify OK');
      return stdout.toString();
    };
    expect(await asked(await readDevice('silent'))).toContain('asked.pem: good');
    expect(await asked(gateway.certificate)).toContain('asked.pem: revoked');
  });

  it('retired: after the last certificate has ended, and not before', async () => {
    const early = await muster('rollover', 'retire', id);
    expect(early.status).not.toBe(0);
    expect(early.stderr).toMatch(/4 certificates have not ended; the last does on \d{4}-/);
    server.clock.ahead = 366 * DAY_MS;
    // In the server's time alone: a command would find its TLS certificate of the future.
    const retired = await rest(server, 'POST', `/rollovers/${id}/retire`);
    server.clock.ahead = 0;
    expect(retired.status, retired.text).toBe(200);
    expect(await states()).toEqual({ root: 'retired', issuing: 'retired', 'root-2': 'active', 'issuing-2': 'active' });
    expect(await curl('cacerts')).toHaveLength(2);
    expect(await router.capabilities()).not.toContain('GetNextCACert');
    const { kernel } = server.server;
    const old = await kernel.authorities.byId(idOf('issuing'));
    await expect(old!.caKey()).rejects.toMatchObject({ reason: 'authority-retired' });
  });

  it('of an issuing authority alone: the handshake itself proves who accepts it', async () => {
    await post('simplereenroll', 'switch', 'switch');
    const { admin, plain, mtls, adminToken } = server;
    const ca = await readText(path('new-root.pem'));
    const now = { admin, plain, mtls, adminToken, ca };
    ({ id } = await api<Status>(now, 'POST', '/rollovers', { authority: 'issuing-2' }));
    await api(now, 'POST', `/rollovers/${id}/switch`, { acceptUnready: true });
    await serves('issuing CA G3', 'new-root.pem');
    expect(await curlTrusting('new-root.pem', 'cacerts', 'switch')).toHaveLength(3);
    await vi.waitFor(async () =>
      expect(await api(now, 'GET', `/rollovers/${id}`)).toMatchObject({
        members: [{ crossCertificates: false }],
        readiness: { proved: 1, evidence: { 'mtls-fetch': 1, accepted: 1 } },
      }),
    );
  });
});
