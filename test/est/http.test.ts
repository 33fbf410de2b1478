import { connect } from 'node:tls';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { decodeCertsOnly } from '../../core/cms/signed-data.ts';
import { UpstreamError } from '../../core/errors/muster-error.ts';
import { encodePem } from '../../core/x509/pem.ts';
import { type EstFixture, startEst } from '../support/est-fixture.ts';
import { makeCsr } from '../support/test-pki.ts';
import { basic, connection, enroll, send } from './est-client.ts';

describe('EST over HTTP', () => {
  let est: EstFixture;
  const csr = makeCsr({ subject: 'CN=router1,serialNumber=R1', san: ['dns:router1.example'] });
  const base64 = Buffer.from(csr.der).toString('base64');

  beforeAll(async () => {
    est = await startEst({
      endpoints: [
        { label: 'simpleenroll' },
        { label: 'wrapped', est: { wrapping: 'columns-64' } },
        { label: 'unwrapped', est: { wrapping: 'none' } },
        { label: 'closed', est: 'closed' },
        { label: 'certificates-only', est: { authenticators: ['certificate'] } },
        { label: 'no-keys', est: { serverKeyGeneration: false } },
        { label: 'manual', approval: 'manual', retryAfterSeconds: 77 },
      ],
    });
    est.credentials.addPassword('device-password', 'router1');
  });
  afterAll(async () => est[Symbol.asyncDispose]());

  const credentials = basic('router1', 'device-password');

  it('distributes issuing and root certificate to anybody, in canonical headers (ES-3, ES-4, ES-23)', async () => {
    const answer = await send(est, 'cacerts');
    expect(answer.status).toBe(200);
    expect(answer.headers).toMatchObject({
      'Content-Type': 'application/pkcs7-mime; smime-type=certs-only',
      'Content-Transfer-Encoding': 'base64',
      'Content-Length': String(answer.body.length),
    });
    expect(answer.headers).not.toHaveProperty('Transfer-Encoding');
    const { certificates } = decodeCertsOnly(Buffer.from(answer.text, 'base64'));
    expect(certificates.map((der) => Buffer.from(der))).toEqual([
      Buffer.from(est.issuing.der),
      Buffer.from(est.root.der),
    ]);
  });

  it('wraps by endpoint, and where the endpoint leaves it open by the presence of a User-Agent', async () => {
    const lines = async (path: string, headers = {}): Promise<string[]> =>
      (await send(est, path, { headers })).text.split('\n');
    expect(await lines('cacerts')).toHaveLength(1);
    const wrapped = await lines('cacerts', { 'User-Agent': 'libest 3.2.0p' });
    expect(wrapped.length).toBeGreaterThan(5);
    expect(wrapped.slice(0, -2).every((line) => line.length === 64)).toBe(true);
    expect(wrapped.at(-1)).toBe('');
    expect((await lines('wrapped/cacerts')).length).toBeGreaterThan(5);
    expect(await lines('unwrapped/cacerts', { 'User-Agent': 'libest 3.2.0p' })).toHaveLength(1);
  });

  it('keeps the header block below 1 kB and speaks HTTP/1.1 only (ES-23)', async () => {
    const socket = connect({
      port: est.port,
      host: '127.0.0.1',
      servername: 'localhost',
      ca: encodePem('CERTIFICATE', est.root.der),
      ALPNProtocols: ['h2', 'http/1.1'],
    });
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.write(
      'POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\nContent-Type: application/pkcs10\r\n\r\n',
    );
    await new Promise((done) => socket.on('close', done));
    const head = Buffer.concat(chunks).toString('latin1').split('\r\n\r\n')[0]!;
    expect(socket.alpnProtocol).toBe('http/1.1');
    expect(head).toContain('HTTP/1.1 401');
    expect(head).toContain('WWW-Authenticate: Basic realm="Muster"');
    expect(head.length).toBeLessThan(1024);
  });

  it.each([
    ['base64 in one line', base64],
    ['base64 in LF lines', base64.replaceAll(/.{64}/g, '$&\n')],
    ['base64 in CRLF lines of 76', `${base64.replaceAll(/.{76}/g, '$&\r\n')}\r\n`],
    ['DER', csr.der],
    ['PEM', encodePem('CERTIFICATE REQUEST', csr.der)],
    ['PEM of old', encodePem('NEW CERTIFICATE REQUEST', csr.der).replaceAll('\n', '\r\n')],
  ])('takes the request as %s and answers the issued certificate alone (ES-5, ES-13, ES-24)', async (_form, body) => {
    for (const headers of [credentials, { ...credentials, 'Content-Transfer-Encoding': 'base64' }]) {
      const answer = await enroll(est, 'simpleenroll', body, { headers });
      expect(answer.status).toBe(200);
      expect(answer.headers['Content-Type']).toBe('application/pkcs7-mime; smime-type=certs-only');
      const { certificates } = decodeCertsOnly(Buffer.from(answer.text, 'base64'));
      expect(certificates).toHaveLength(1);
    }
  });

  it('hands the hall what the request says, and the same key for the same request (ES-14)', async () => {
    const before = est.hall.requests.length;
    await enroll(est, 'simpleenroll', base64, { headers: credentials });
    await enroll(est, 'simpleenroll', csr.der, { headers: credentials });
    await enroll(est, 'simpleenroll', makeCsr({ subject: 'CN=other' }).der, { headers: credentials });
    const [first, second, other] = est.hall.requests.slice(before);
    expect(first).toMatchObject({
      protocol: 'est',
      operation: 'enroll',
      proofOfPossession: 'signature',
      sourceAddress: '127.0.0.1',
    });
    expect(first?.subjectAltName).toEqual([{ kind: 'dnsName', value: 'router1.example' }]);
    expect(first?.requestedExtensions).toEqual([]);
    expect(first?.requestKey).toEqual(second?.requestKey);
    expect(first?.requestKey).not.toEqual(other?.requestKey);
  });

  it.each([
    ['cacerts', 'POST', 405],
    ['simpleenroll', 'GET', 405],
    ['simpleenroll', 'DELETE', 405],
    ['csrattrs', 'PROPFIND', 405],
    ['fullcmc', 'GET', 405],
    ['fullcmc', 'POST', 501],
    ['no-keys/serverkeygen', 'POST', 501],
    ['crls', 'GET', 404],
    ['', 'GET', 404],
    ['cacerts/', 'GET', 404],
    ['a/b/cacerts', 'GET', 404],
    ['nowhere/cacerts', 'GET', 404],
    ['Default/cacerts', 'GET', 404],
    [`${'x'.repeat(200)}/cacerts`, 'GET', 404],
    ['closed/cacerts', 'GET', 404],
    ['default/cacerts', 'GET', 200],
    ['simpleenroll/cacerts', 'GET', 200],
    ['cacerts', 'HEAD', 200],
  ])('answers %s with %s by %i (ES-2, ES-21, E6)', async (path, method, status) => {
    const headers = { 'Content-Type': 'application/pkcs10', ...credentials };
    const answer = await send(est, path, { method, headers: method === 'POST' ? headers : {} });
    expect(answer.status).toBe(status);
    if (status === 405) expect(answer.headers['Allow']).toMatch(/^(GET, HEAD|POST)$/);
    if (status !== 200) expectPlainText(answer.headers, answer.text);
  });

  it.each([
    ['no content type', { 'Content-Type': '' }, 415],
    ['another content type', { 'Content-Type': 'application/json' }, 415],
    ['a malformed content type', { 'Content-Type': '///' }, 415],
    ['a content encoding', { 'Content-Encoding': 'gzip' }, 415],
    ['identity encoding', { 'Content-Encoding': 'identity' }, 200],
    ['parameters', { 'Content-Type': 'Application/PKCS10; charset=utf-8' }, 200],
  ])('judges the headers of a request with %s (ES-5, V33)', async (_what, headers, status) => {
    const answer = await enroll(est, 'simpleenroll', base64, { headers: { ...credentials, ...headers } });
    expect(answer.status).toBe(status);
    if (status !== 200) expectPlainText(answer.headers, answer.text);
  });

  it.each([
    ['an empty body', '', /empty body/],
    ['no base64', 'not base64 at all!', /expected base64/],
    ['base64 of nothing', Buffer.from('hello').toString('base64'), /CertificationRequest/],
    ['truncated DER', csr.der.subarray(0, 100), /CertificationRequest/],
    ['octets after the request', Buffer.concat([csr.der, Buffer.of(0)]), /the end of the input/],
    ['a certificate in PEM', encodePem('CERTIFICATE', csr.der), /CERTIFICATE REQUEST/],
    ['a wrong signature', tampered(csr.der), /signature/],
  ])('refuses %s with a text that names the fault (ES-5, ES-6)', async (_what, body, text) => {
    const answer = await enroll(est, 'simpleenroll', body, { headers: credentials });
    expect(answer.status).toBe(400);
    expect(answer.text).toMatch(text);
    expectPlainText(answer.headers, answer.text);
  });

  it('refuses more than 64 kB, announced or not', async () => {
    const large = Buffer.alloc(65 * 1024, 'A');
    expect((await enroll(est, 'simpleenroll', large, { headers: credentials })).status).toBe(413);
    const chunked = await enroll(est, 'simpleenroll', large, {
      headers: { ...credentials, 'Transfer-Encoding': 'chunked' },
    });
    expect(chunked.status).toBe(413);
    expectPlainText(chunked.headers, chunked.text);
  });

  it('asks for credentials where none came, then takes them on the same connection (E2, ES-7)', async () => {
    const agent = connection(est);
    const first = await enroll(est, 'simpleenroll', base64, { agent });
    expect(first.status).toBe(401);
    expect(first.headers['WWW-Authenticate']).toBe('Basic realm="Muster"');
    expect((await enroll(est, 'simpleenroll', base64, { agent, headers: credentials })).status).toBe(200);
    agent.destroy();
  });

  it('answers alike to a wrong name, a wrong password and a malformed header (V49)', async () => {
    const wrong = [
      basic('router1', 'wrong'),
      basic('somebody', 'device-password'),
      { Authorization: 'Basic %%%' },
      { Authorization: `Basic ${Buffer.from('nocolon').toString('base64')}` },
    ];
    const answers = await Promise.all(wrong.map((headers) => enroll(est, 'simpleenroll', base64, { headers })));
    expect(answers.map(({ status }) => status)).toEqual([401, 401, 401, 401]);
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
  });

  it('does not ask for a password where none is taken', async () => {
    const answer = await enroll(est, 'certificates-only/simpleenroll', base64, { headers: credentials });
    expect(answer.status).toBe(403);
    expect(answer.headers).not.toHaveProperty('WWW-Authenticate');
  });

  it('tells a device to wait, in seconds, and answers the same request after approval (ES-14, E5)', async () => {
    const first = await enroll(est, 'manual/simpleenroll', base64, { headers: credentials });
    expect(first.status).toBe(202);
    expect(first.headers['Retry-After']).toBe('77');
    expect((await enroll(est, 'manual/simpleenroll', csr.der, { headers: credentials })).status).toBe(202);
    est.hall.approveAll();
    const issued = await enroll(est, 'manual/simpleenroll', base64, { headers: credentials });
    const again = await enroll(est, 'manual/simpleenroll', base64, { headers: credentials });
    expect([issued.status, again.status]).toEqual([200, 200]);
    expect(again.body).toEqual(issued.body);
  });

  it('answers 503 with Retry-After while the token is away, and tells nothing of it', async () => {
    est.hall.fault = new UpstreamError('hsm-unavailable', 'the token muster-0 did not answer', {
      retryAfterSeconds: 5,
    });
    const away = await enroll(est, 'simpleenroll', base64, { headers: credentials });
    est.hall.fault = new TypeError('cannot read properties of undefined');
    const broken = await enroll(est, 'simpleenroll', base64, { headers: credentials });
    est.hall.fault = undefined;
    expect(away.status).toBe(503);
    expect(away.headers['Retry-After']).toBe('5');
    expect(away.text).not.toContain('muster-0');
    expect(broken.status).toBe(500);
    expect(broken.text).toMatch(/^a fault of the server \(request [\w-]+\)\n$/);
    expect(est.logged.some((line) => line.includes('cannot read properties'))).toBe(true);
  });

  it('does not take the store being away for a wrong credential (V2)', async () => {
    est.credentials.fault = new UpstreamError('store-unavailable', 'the database did not answer');
    const answer = await enroll(est, 'simpleenroll', base64, { headers: credentials });
    est.credentials.fault = undefined;
    expect(answer.status).toBe(503);
  });

  it('logs no password, no Authorization header and no request', () => {
    const logged = est.logged.join('\n');
    expect(logged).not.toContain('device-password');
    expect(logged).not.toContain(credentials.Authorization.slice(6));
    expect(logged).not.toContain(base64.slice(0, 64));
  });
});

function expectPlainText(headers: Readonly<Record<string, string>>, text: string): void {
  expect(headers['Content-Type']).toBe('text/plain');
  expect(headers['Content-Length']).toBe(String(text.length));
  expect(text).toMatch(/^[\u0020-\u007e]+\n$/);
  expect(text).not.toMatch(/<|\bat .*:\d+/);
}

function tampered(der: Uint8Array): Uint8Array {
  const copy = Buffer.from(der);
  copy[copy.indexOf('router1')] = 0x52;
  return copy;
}
