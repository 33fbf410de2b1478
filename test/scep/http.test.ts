import { connect } from 'node:net';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { decodeCertsOnly } from '../../core/cms/signed-data.ts';
import { type ScepCapability } from '../../core/enrollment/scep-settings.ts';
import { isSelfIssued, keyUsage, parseCertificate } from '../../core/x509/certificate.ts';
import { commonNames } from '../../core/x509/name.ts';
import { makeCsr, makeKey } from '../support/test-pki.ts';
import { buildMessage, selfSigned } from './device.ts';
import { readCertRep } from './reply.ts';
import { ScepSite } from './scep-site.ts';

let site: ScepSite;
/** A message of a device without a challenge: what is answered does not matter here, only that it was read. */
let message: Buffer;

beforeAll(async () => {
  site = await ScepSite.start();
  await site.addEndpoint('pair', { scep: { raCertificates: 'pair' } });
  await site.addEndpoint('no-root', { scep: { caCertificates: 'without-root' } });
  await site.addEndpoint('ra-only', { scep: { caCertificates: 'ra-only' } });
  await site.addEndpoint('shy', { scep: { withheldCapabilities: ['SHA-384', 'AES', 'SCEPStandard'] } });
  await site.addEndpoint('challenges-only', { scep: { authenticators: ['password'] } });
  await site.addEndpoint('ndes', { scep: { ndesPage: 'utf-8' } });
  await site.addEndpoint('ndes-16', { scep: { ndesPage: 'utf-16' } });
  const key = makeKey('ec-p256');
  const { der: content } = makeCsr({ key, challengePassword: 'none of ours' });
  message = Buffer.from(
    await buildMessage({ signer: selfSigned({ key }), content, recipient: await site.recipient() }),
  );
});
afterAll(async () => site[Symbol.asyncDispose]());

describe('GetCACaps', () => {
  it('is plain text with one keyword a line and no blank line (SC-5, S8, S13)', async () => {
    const { status, headers, text } = await site.get('default?operation=GetCACaps');
    expect(status).toBe(200);
    expect(headers['content-type']).toBe('text/plain');
    expect(text).toBe('AES\nDES3\nPOSTPKIOperation\nRenewal\nSHA-1\nSHA-256\nSHA-384\nSHA-512\nSCEPStandard\n');
  });

  it('names what the endpoint does, less what it withholds (SC-6, S14, S15)', async () => {
    const lines = async (label: string): Promise<string[]> =>
      (await site.get(`${label}?operation=GetCACaps`)).text.trim().split('\n');
    const withheld: ScepCapability[] = ['SHA-384', 'AES', 'SCEPStandard'];
    expect(await lines('shy')).toEqual(
      (await lines('default')).filter((line) => !withheld.includes(line as ScepCapability)),
    );
    expect(await lines('challenges-only')).not.toContain('Renewal');
  });
});

describe('GetCACert', () => {
  it('is a degenerate SignedData of RA certificate and path (SC-8, SC-9, S17, S18, S19, S20)', async () => {
    const { headers, body } = await site.get('default?operation=GetCACert&message=anything');
    expect(headers['content-type']).toBe('application/x-x509-ca-ra-cert');
    expect(headers['content-length']).toBe(String(body.length));
    const [ra, issuing, root, ...others] = decodeCertsOnly(body).certificates.map(parseCertificate);
    expect(others).toEqual([]);
    expect(keyUsage(ra!)).toEqual(new Set(['digitalSignature', 'keyEncipherment']));
    expect(ra!.publicKey.algorithm).toMatchObject({ kind: 'rsa', bits: 2048 });
    // S23: the RA has an RSA key also where the authority has none.
    expect(issuing!.publicKey.algorithm.kind).toBe('ec');
    expect([isSelfIssued(issuing!), isSelfIssued(root!)]).toEqual([false, true]);
  });

  it('holds a pair where the endpoint has one, less the root where it shall not be there', async () => {
    const certificates = async (label: string) =>
      decodeCertsOnly((await site.get(`${label}?operation=GetCACert`)).body).certificates.map(parseCertificate);
    const [encryption, signing] = await certificates('pair');
    expect(keyUsage(encryption!)).toEqual(new Set(['keyEncipherment']));
    expect(keyUsage(signing!)).toEqual(new Set(['digitalSignature']));
    const bare = await certificates('no-root');
    expect(bare.map(isSelfIssued)).toEqual([false, false]);
  });

  it('is one bare certificate where there is only one (SC-7)', async () => {
    const { headers, body } = await site.get('ra-only?operation=GetCACert');
    expect(headers['content-type']).toBe('application/x-x509-ca-cert');
    expect(commonNames(parseCertificate(body).subject)).toHaveLength(1);
  });

  it('ignores what the message names (S6)', async () => {
    const answers = await Promise.all(
      ['', '&message=', '&message=0', '&message=1', '&message=Test-Router', '&message=default'].map((query) =>
        site.get(`default?operation=GetCACert${query}`),
      ),
    );
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
  });
});

describe('GetNextCACert', () => {
  it('is refused clearly while there is no successor (SC-10)', async () => {
    const { status, headers, text } = await site.get('default?operation=GetNextCACert');
    expect([status, headers['content-type'], text]).toEqual([
      404,
      'text/plain',
      'no authority takes over from this one yet\n',
    ]);
  });
});

describe('paths (S1)', () => {
  it.each([
    '/scep/default',
    '/scep/default/',
    '/scep/default/pkiclient.exe',
    '/scep/default/cgi-bin/pkiclient.exe',
    '/scep/default/CertSrv/mscep/mscep.dll/pkiclient.exe',
    '/scep',
    '/scep/',
    '/scep/pkiclient.exe',
    '/scep/cgi-bin/pkiclient.exe',
    '/cgi-bin/pkiclient.exe',
    '/certsrv/mscep/mscep.dll',
    '/CertSrv/mscep/mscep.dll/pkiclient.exe',
  ])('leads %s to the default endpoint', async (path) => {
    expect((await site.get(`${path}?operation=GetCACaps`)).status).toBe(200);
  });

  it('knows no other label, and no endpoint that is closed', async () => {
    for (const path of ['nowhere', 'default-ra', 'cgi-bin2/pkiclient.exe']) {
      const { status, headers } = await site.get(`${path}?operation=GetCACaps`);
      expect([status, headers['content-type']]).toEqual([404, 'text/plain']);
    }
  });
});

describe('PKIOperation', () => {
  const isAnswered = (answer: { status: number; headers: Readonly<Record<string, string>>; body: Buffer }): void => {
    expect(answer.status).toBe(200);
    expect(answer.headers['content-type']).toBe('application/x-pki-message');
    // The challenge is none of ours: the message was read to its end.
    expect(readCertRep(answer.body)).toMatchObject({ pkiStatus: '2', failInfo: '2' });
  };

  it.each([
    ['without a Content-Type', {}],
    ['as octets', { 'Content-Type': 'application/octet-stream' }],
    ['as a PKI message', { 'Content-Type': 'application/x-pki-message' }],
    ['as a form', { 'Content-Type': 'application/x-www-form-urlencoded' }],
    ['as something malformed', { 'Content-Type': ';;' }],
    ['as text of a charset', { 'Content-Type': 'text/plain; charset=utf-8' }],
  ])('takes a POST %s (SC-3, SC-11, S7)', async (_what, headers) => {
    isAnswered(await site.call('default?operation=PKIOperation', { method: 'POST', body: message, headers }));
  });

  it('takes a POST in base64, and in chunks (S7, S9)', async () => {
    const path = 'default/pkiclient.exe?operation=PKIOperation';
    const lines = message.toString('base64').replaceAll(/.{64}/g, '$&\r\n');
    isAnswered(await site.call(path, { method: 'POST', body: lines }));
    isAnswered(await site.call(path, { method: 'POST', body: message, headers: { 'Transfer-Encoding': 'chunked' } }));
  });

  const base64 = (): string => message.toString('base64');
  it.each<[string, () => string]>([
    ['as RFC 8894 has it', () => encodeURIComponent(base64())],
    ['in lines of 64 (Cisco, strongSwan)', () => encodeURIComponent(base64().replaceAll(/.{64}/g, '$&\n') + '\n')],
    ['with only = escaped (macOS)', () => base64().replaceAll('=', '%3D')],
    ['with nothing escaped', base64],
    ['with plus signs that became spaces', () => base64().replaceAll('+', '%20')],
    ['escaped twice', () => encodeURIComponent(encodeURIComponent(base64()))],
    ['in the URL-safe alphabet without padding', () => message.toString('base64url')],
  ])('takes a GET %s (SC-2, S4, S5)', async (_what, encoded) => {
    isAnswered(await site.get(`default/pkiclient.exe?operation=PKIOperation&message=${encoded()}`));
  });

  it('takes HTTP/1.0 without Host, and HTTP/1.1 without Host (S2, S3)', async () => {
    const { hostname, port } = new URL(site.composed.plain);
    const query = `operation=PKIOperation&message=${encodeURIComponent(base64())}`;
    for (const version of ['1.0', '1.1']) {
      const agent = 'User-Agent: Mozilla/4.0 (compatible; MSIE 5.0; Cisco PKI)';
      const head = `GET /scep/default/pkiclient.exe?${query} HTTP/${version}\r\n${agent}\r\nConnection: close\r\n\r\n`;
      const answer = await raw(hostname, Number(port), head);
      const text = answer.toString('latin1');
      expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
      expect(text).toContain('\r\nContent-Type: application/x-pki-message\r\n');
      expect(text).not.toContain('Transfer-Encoding');
      expect(readCertRep(answer.subarray(answer.indexOf('\r\n\r\n') + 4)).pkiStatus).toBe('2');
    }
  });

  it('takes all of it over TLS as well, and asks for no certificate (S10)', async () => {
    const { tls } = site.composed.server.urls;
    const long = `default?operation=PKIOperation&message=${encodeURIComponent(base64())}&filling=${'x'.repeat(40_000)}`;
    isAnswered(await site.call(long, {}, tls));
    isAnswered(await site.call('default?operation=PKIOperation', { method: 'POST', body: message }, tls));
  });

  it.each<[string, string, string, number, Record<string, string>?]>([
    ['a missing operation', 'GET', 'default', 400],
    ['an empty operation', 'GET', 'default?operation=', 400],
    ['an unknown operation', 'GET', 'default?operation=GetCACert2', 400],
    ['a prototype as operation', 'GET', 'default?operation=__proto__', 400],
    ['a POST of GetCACaps', 'POST', 'default?operation=GetCACaps', 405],
    ['a PUT of PKIOperation', 'PUT', 'default?operation=PKIOperation', 405],
    ['a GET without a message', 'GET', 'default?operation=PKIOperation', 400],
    ['a message that is not base64', 'GET', 'default?operation=PKIOperation&message=%7B%7D', 400],
    ['a message that is no CMS', 'GET', 'default?operation=PKIOperation&message=MIIB', 400],
    ['an empty body', 'POST', 'default?operation=PKIOperation', 400],
    ['a compressed body', 'POST', 'default?operation=PKIOperation', 415, { 'Content-Encoding': 'gzip' }],
  ])('answers %s in plain text (SC-4, S11, V33)', async (_what, method, path, status, headers = {}) => {
    const answer = await site.call(path, { method, headers });
    expect([answer.status, answer.headers['content-type']]).toEqual([status, 'text/plain']);
    expect(answer.text).toMatch(/^[ -~]+\n$/);
    if (status === 405) expect(answer.headers['allow']).toBe(path.includes('PKI') ? 'GET, POST' : 'GET, HEAD');
  });

  it('takes 256 kB by POST and 60 kB by GET, and not more (SC-41)', async () => {
    const post = (octets: number) =>
      site.call('default?operation=PKIOperation', { method: 'POST', body: Buffer.alloc(octets, 0x30) });
    expect((await post(256 * 1024)).status).toBe(400);
    expect((await post(256 * 1024 + 1)).status).toBe(413);
    const get = (characters: number) => site.get(`default?operation=PKIOperation&message=${'M'.repeat(characters)}`);
    expect((await get(60_000)).status).toBe(400);
    expect((await get(80_000)).status).toBe(414);
  });

  it('answers a HEAD of what can be read', async () => {
    const answer = await site.call('default?operation=GetCACaps', { method: 'HEAD' });
    expect([answer.status, answer.body.length]).toEqual([200, 0]);
  });
});

describe('the NDES page (SC-42)', () => {
  const credentials = (password: string) => ({
    Authorization: `Basic ${Buffer.from(`anybody:${password}`).toString('base64')}`,
  });
  const page = (path: string, password?: string, base?: string) =>
    site.call(
      path,
      password === undefined ? {} : { headers: credentials(password) },
      base ?? site.composed.server.urls.tls,
    );

  it('shows a fresh challenge that enrols one device, in the words tools look for', async () => {
    const challenges: string[] = [];
    for (const path of ['ndes/certsrv/mscep_admin', 'ndes/certsrv/mscep_admin/', 'ndes/mscep_admin']) {
      const { status, headers, text } = await page(path, site.composed.adminToken);
      expect([status, headers['content-type'], headers['cache-control']]).toEqual([
        200,
        'text/html; charset=utf-8',
        'no-store',
      ]);
      const [, challenge = ''] = /enrollment challenge password is: <B> (\S*) <\/B>/i.exec(text) ?? [];
      expect(text).toMatch(
        /thumbprint \(hash value\) for the CA certificate is: <B> ([0-9A-F]{8} ){7}[0-9A-F]{8} <\/B>/,
      );
      expect(text).toContain('can be used only once and will expire within 60 minutes');
      challenges.push(challenge);
    }
    expect(new Set(challenges).size).toBe(3);
    const device = await site.device('pan-os', 'ndes', { challenge: challenges[0]! });
    expect((await site.send(device, 'ndes')).pkiStatus).toBe('0');
  });

  it('is in UTF-16 where the endpoint says so, as NDES has it', async () => {
    const { headers, body } = await page('ndes-16/certsrv/mscep_admin', site.composed.adminToken);
    expect(headers['content-type']).toBe('text/html; charset=utf-16');
    expect(body.toString('utf16le')).toMatch(/^\ufeff<HTML>[^]*password is: <B> \S+ <\/B>/);
  });

  it('asks for credentials, and takes only a token that may make secrets in this tenant', async () => {
    const { status, headers } = await page('ndes/certsrv/mscep_admin');
    expect([status, headers['www-authenticate']]).toEqual([401, 'Basic realm="Muster"']);
    const { id } = await site.composed.addTenant('other').then(({ tenant }) => tenant);
    const ofOther = await site.composed.tenantToken(id);
    const device = await site.composed.password('ndes', 'router1');
    for (const password of ['wrong', ofOther, device, '']) {
      expect((await page('ndes/certsrv/mscep_admin', password)).status).toBe(403);
    }
  });

  it('is nowhere on the plain listener, nor where an endpoint does not show it (V49)', async () => {
    const { adminToken, plain } = site.composed;
    expect((await page('ndes/certsrv/mscep_admin', adminToken, plain)).status).toBe(404);
    expect((await page('default/certsrv/mscep_admin', adminToken)).status).toBe(404);
    expect((await page('/certsrv/mscep_admin', adminToken)).status).toBe(404);
  });
});

/** What a server sends on a connection until it closes it. */
function raw(host: string, port: number, request: string): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const chunks: Buffer[] = [];
  const socket = connect({ host, port });
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.on('error', reject);
  socket.on('close', () => resolve(Buffer.concat(chunks)));
  socket.write(request);
  return promise;
}
