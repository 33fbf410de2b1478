import { execFile } from 'node:child_process';
import type { KeyObject } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { Certificate } from '../../core/x509/certificate.ts';
import { distributionPointUrls } from '../../core/x509/distribution-points.ts';
import { EXTENSIONS } from '../../core/x509/extensions.ts';
import { ACCESS_METHOD } from '../../core/x509/oids.ts';
import { encodePem } from '../../core/x509/pem.ts';
import { muster } from '../server/support/terminal.ts';
import { pemOfKey } from '../support/est-fixture.ts';
import {
  api,
  basic,
  certificateOf,
  connection,
  createPassword,
  enroll,
  type Listed,
  send,
} from '../support/installation.ts';
import { MusterServer } from '../support/muster-server.ts';
import { Nginx } from '../support/nginx.ts';
import { makeCsr } from '../support/test-pki.ts';

const run = promisify(execFile);

/** A device with the files its peers read. */
interface Device {
  readonly name: string;
  readonly certificate: Certificate;
  readonly file: string;
  readonly keyFile: string;
  readonly privateKey: KeyObject;
}

describe('relying parties of a running server', () => {
  let server: MusterServer;
  let issuer: Uint8Array;
  let root: string;
  let issuerFile: string;
  let chainFile: string;

  beforeAll(async () => {
    server = await MusterServer.start();
    root = await server.file('root-of-peers.pem', server.ca);
    const first = await device('first');
    issuer = await download(localUrl(accessUrl(first.certificate, ACCESS_METHOD.caIssuers)));
    issuerFile = await server.file('issuer.pem', encodePem('CERTIFICATE', issuer));
    chainFile = await server.file('chain.pem', `${encodePem('CERTIFICATE', issuer)}${server.ca}\n`);
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  async function device(name: string): Promise<Device> {
    const headers = basic('any', await createPassword(server));
    const { der, privateKey } = makeCsr({ subject: `CN=${name}`, san: ['ip:127.0.0.1'] });
    const certificate = certificateOf(await enroll(server, 'simpleenroll', der, { headers }));
    const chain = issuer === undefined ? [] : [issuer];
    return {
      name,
      certificate,
      file: await server.file(
        `${name}.pem`,
        [certificate.der, ...chain].map((each) => encodePem('CERTIFICATE', each)).join(''),
      ),
      keyFile: await server.file(`${name}.key`, pemOfKey(privateKey)),
      privateKey,
    };
  }
  async function revoke({ certificate }: Device, ...options: readonly string[]): Promise<void> {
    const arguments_ = ['--data', server.dataFolder, 'cert', 'revoke', certificate.serialNumber, ...options];
    const { code, err } = await muster(arguments_, { folder: server.folder });
    expect(code, err).toBe(0);
  }
  /** The host's own name may not resolve where tests run. */
  const localUrl = (url: string): string => `${server.plain}${new URL(url).pathname}`;
  /** What a program prints, whether it likes what it got or not. */
  const printed = async (program: string, ...args: readonly string[]): Promise<string> => {
    const { stdout, stderr } = await run(program, args).catch((error: { stdout: string; stderr: string }) => error);
    return stdout + stderr;
  };
  const ocspUrl = ({ certificate }: Device): string => localUrl(accessUrl(certificate, ACCESS_METHOD.ocsp));

  it('openssl ocsp and GnuTLS ocsptool get good, and revoked as soon as `muster cert revoke` has returned', async () => {
    const one = await device('asked');
    const openssl = () =>
      printed('openssl', 'ocsp', '-issuer', issuerFile, '-cert', one.file, '-CAfile', root, '-url', ocspUrl(one));
    const gnutls = (...nonce: readonly string[]) =>
      printed('ocsptool', `--ask=${ocspUrl(one)}`, `--load-cert=${one.file}`, `--load-issuer=${issuerFile}`, ...nonce);
    expect(await openssl()).toMatch(/: good[^]*Response verify OK/);
    for (const nonce of [[], ['--nonce']])
      expect(await gnutls(...nonce)).toMatch(/Certificate Status: good[^]*Verifying OCSP Response: Success/);
    await revoke(one, '--reason', 'keyCompromise');
    expect(await openssl()).toMatch(/: revoked[^]*Reason: keyCompromise[^]*Response verify OK/);
    for (const nonce of [[], ['--nonce']]) expect(await gnutls(...nonce)).toMatch(/Certificate Status: revoked/);
  });

  it('NSS ocspclnt gets good, then revoked', async () => {
    const one = await device('nss');
    const folder = join(server.folder, 'nss');
    await mkdir(folder);
    const database = `sql:${folder}`;
    await run('certutil', ['-N', '-d', database, '--empty-password']);
    for (const [name, trust, file] of [
      ['root', 'CT,CT,CT', root],
      ['issuing', ',,', issuerFile],
      ['device', ',,', one.file],
    ] as const)
      await run('certutil', ['-A', '-d', database, '-n', name, '-t', trust, '-i', file]);
    const ask = () => printed('ocspclnt', '-S', 'device', '-d', database);
    expect(await ask()).toContain('Check of certificate "device" succeeded');
    await revoke(one);
    expect(await ask()).toMatch(/certificate has been revoked/i);
  });

  it('openssl verify agrees with full, delta and sharded CRLs, fetched where certificates say', async () => {
    const [kept, gone] = [await device('kept'), await device('gone')];
    const fetchCrl = async (url: string, name: string): Promise<string> => {
      return server.file(name, encodePem('X509 CRL', await download(localUrl(url))));
    };
    const [shardUrl] = distributionPointUrls(EXTENSIONS.crlDistributionPoints.find(gone.certificate.extensions)!);
    const fullUrl = shardUrl!.replace(/\/\d+\.crl$/, '.crl');
    const base = await fetchCrl(fullUrl, 'base.crl');
    await revoke(gone);
    const verify = (one: Device, ...crls: readonly string[]) =>
      printed(
        'openssl',
        'verify',
        '-crl_check',
        '-extended_crl',
        '-use_deltas',
        '-CAfile',
        chainFile,
        ...crls.flatMap((crl) => ['-CRLfile', crl]),
        one.file,
      );
    await expect
      .poll(async () => verify(gone, await fetchCrl(shardUrl!, 'shard.crl')), { timeout: 5000 })
      .toContain('certificate revoked');
    const deltaUrl = fullUrl.replace(/\.crl$/, '/delta.crl');
    await expect
      .poll(async () => verify(gone, base, await fetchCrl(deltaUrl, 'delta.crl')), { timeout: 5000 })
      .toContain('certificate revoked');
    expect(await verify(gone, base)).toMatch(/: OK/);
    expect(await verify(kept, base, join(server.folder, 'delta.crl'))).toMatch(/: OK/);
    const [keptShard] = distributionPointUrls(EXTENSIONS.crlDistributionPoints.find(kept.certificate.extensions)!);
    expect(await verify(kept, await fetchCrl(keptShard!, 'kept.crl'))).toMatch(/: OK/);
  });

  describe('nginx', () => {
    /** One that asks about every certificate of a client's chain, at one URL, each time. */
    const checkingChains = (name: string, own: Device, client: Device): Promise<Nginx> =>
      Nginx.start(join(server.folder, name), [
        ...identityOf(own),
        `ssl_client_certificate ${chainFile}`,
        'ssl_verify_client on',
        'ssl_verify_depth 2',
        'ssl_ocsp on',
        'ssl_ocsp_cache off',
        `ssl_ocsp_responder ${ocspUrl(client).replace('localhost', '127.0.0.1')}`,
      ]);
    const visit = async ({ port }: Nginx, { certificate, privateKey }: Device): Promise<number> => {
      const agent = connection(server, { der: certificate.der, privateKey, chain: [issuer] });
      return (await send(server, `https://127.0.0.1:${port}/`, { agent }).finally(() => agent.destroy())).status;
    };

    it('with ssl_ocsp refuses a client within a second of its revocation', async () => {
      const [own, client] = [await device('nginx'), await device('client')];
      await using nginx = await checkingChains('nginx', own, client);
      expect(await visit(nginx, client)).toBe(200);
      await revoke(client, '--reason', 'cessationOfOperation');
      const start = performance.now();
      await expect.poll(() => visit(nginx, client), { timeout: 5000, interval: 10 }).toBe(400);
      expect(performance.now() - start).toBeLessThan(1000);
    });

    it('staples our good answer', async () => {
      const own = await device('stapled');
      await using nginx = await Nginx.start(join(server.folder, 'stapling'), [
        ...identityOf(own),
        'ssl_stapling on',
        'ssl_stapling_verify on',
        `ssl_trusted_certificate ${chainFile}`,
        `ssl_stapling_responder ${ocspUrl(own).replace('localhost', '127.0.0.1')}`,
      ]);
      const handshake = () =>
        printed('sh', '-c', `openssl s_client -connect 127.0.0.1:${nginx.port} -status -CAfile ${root} </dev/null`);
      await expect.poll(handshake, { timeout: 5000 }).toMatch(/OCSP Response Status: successful[^]*Cert Status: good/);
    });

    // The last one: the server issues nothing after it.
    it('refuses every client of a revoked CA, which its root lists and which issues nothing any more', async () => {
      const [own, client] = [await device('nginx-of-ca'), await device('client-of-ca')];
      await using nginx = await checkingChains('nginx-of-ca', own, client);
      expect(await visit(nginx, client)).toBe(200);
      const { items } = await api<Listed<{ id: string; kind: string; name: string }>>(server, 'GET', '/authorities');
      const [issuing, above] = ['issuing', 'root'].map((kind) => items.find((item) => item.kind === kind)!);
      const args = ['--data', server.dataFolder, 'ca', 'revoke', issuing!.name, '--reason', 'cACompromise'];
      const { code, err } = await muster(args, { folder: server.folder });
      expect(code, err).toBe(0);
      await expect.poll(() => visit(nginx, client), { timeout: 5000, interval: 10 }).toBe(400);
      const rootUrl = `${server.plain}/ocsp/${above!.id}`;
      const files = ['-issuer', root, '-cert', issuerFile, '-CAfile', root];
      expect(await printed('openssl', 'ocsp', ...files, '-url', rootUrl)).toMatch(
        /: revoked[^]*Reason: cACompromise[^]*Response verify OK/,
      );
      const verified = async (): Promise<string> => {
        const list = await download(`${server.plain}/crl/${above!.id}.crl`);
        const crl = await server.file('root.crl', encodePem('X509 CRL', list));
        return printed('openssl', 'verify', '-crl_check', '-CAfile', root, '-CRLfile', crl, issuerFile);
      };
      await expect.poll(verified, { timeout: 5000 }).toContain('certificate revoked');
      const headers = basic('any', await createPassword(server));
      expect((await enroll(server, 'simpleenroll', makeCsr().der, { headers })).status).toBe(503);
    });
  });
});

function identityOf({ file, keyFile }: Device): string[] {
  return [`ssl_certificate ${file}`, `ssl_certificate_key ${keyFile}`];
}

async function download(url: string): Promise<Uint8Array> {
  return new Uint8Array(await (await fetch(url)).arrayBuffer());
}

/** Where a certificate says that something about its issuer is. */
function accessUrl({ extensions }: Certificate, method: string): string {
  const access = EXTENSIONS.authorityInfoAccess.find(extensions)!.find(({ accessMethod }) => accessMethod === method);
  const location = access?.accessLocation;
  if (location?.kind !== 'uri') throw new RangeError(`the certificate names no ${method}`);
  return location.value;
}
