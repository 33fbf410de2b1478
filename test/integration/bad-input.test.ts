import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { decodeCertsOnly } from '../../core/cms/signed-data.ts';
import { parseCertificate } from '../../core/x509/certificate.ts';
import { pemOfKey, run } from '../support/est-fixture.ts';
import {
  type Answer,
  api,
  basic,
  type Call,
  certificateOf,
  connection,
  createPassword,
  enroll,
  est,
  rest,
  send,
} from '../support/installation.ts';
import { MusterServer } from '../support/muster-server.ts';
import { makeCsr, TestAuthority } from '../support/test-pki.ts';

const PKCS10 = { 'Content-Type': 'application/pkcs10' };

/** A request, what it is answered with, and what the text must name. */
interface Case {
  readonly what: string;
  readonly path: string;
  readonly call: Call;
  readonly status: number;
  readonly names: RegExp;
  readonly headers?: Readonly<Record<string, string>>;
}

describe('the whole product answers EST', () => {
  let server: MusterServer;
  let user: { Authorization: string };
  const csr = makeCsr({ subject: 'CN=router1', san: ['dns:router1.example'] });
  const base64 = Buffer.from(csr.der).toString('base64');

  beforeAll(async () => {
    server = await MusterServer.start();
    user = basic('r1', await createPassword(server, { kind: 'device', username: 'r1' }));
    await api(server, 'POST', '/endpoints', { label: 'closed' });
    await api(server, 'POST', '/endpoints', {
      label: 'guarded',
      protocols: { est: { authenticators: ['certificate'], csrAttributes: 'template', channelBinding: 'required' } },
    });
  });
  afterAll(async () => server[Symbol.asyncDispose]());

  const post = (body: string | Uint8Array, headers: Record<string, string> = { ...user, ...PKCS10 }): Call => ({
    method: 'POST',
    body,
    headers,
  });

  /** A refusal is one line of printable text, whoever asks for whatever else. */
  function expectText(answer: Answer): void {
    expect(answer.headers['content-type']).toBe('text/plain');
    expect(answer.headers['content-length']).toBe(String(answer.body.length));
    expect(answer.text).toMatch(/^[ -~]{3,320}\n$/);
    expect(answer.text).not.toMatch(/<\/?[a-z]+>|\bat .*:\d+|\.ts\b|node_modules|Error:/i);
  }

  const flipped = Buffer.from(csr.der);
  flipped[flipped.length - 3]! ^= 1;
  const cases: readonly Case[] = [
    { what: 'wrong method', path: 'simpleenroll', call: {}, status: 405, names: /POST/, headers: { allow: 'POST' } },
    {
      what: 'wrong method',
      path: 'cacerts',
      call: { method: 'POST', body: '' },
      status: 405,
      names: /GET/,
      headers: { allow: 'GET, HEAD' },
    },
    {
      what: 'wrong method',
      path: 'default/serverkeygen',
      call: { method: 'DELETE' },
      status: 405,
      names: /POST/,
      headers: { allow: 'POST' },
    },
    {
      what: 'wrong type',
      path: 'simpleenroll',
      call: { method: 'POST', body: base64, headers: { 'Content-Type': 'text/html' } },
      status: 415,
      names: /application\/pkcs10.*text\/html/,
    },
    {
      what: 'no type',
      path: 'simpleenroll',
      call: { method: 'POST', body: base64 },
      status: 415,
      names: /application\/pkcs10/,
    },
    {
      what: 'compressed',
      path: 'simpleenroll',
      call: { method: 'POST', body: base64, headers: { ...PKCS10, 'Content-Encoding': 'gzip' } },
      status: 415,
      names: /Content-Encoding/,
    },
    {
      what: 'no credentials',
      path: 'simpleenroll',
      call: { method: 'POST', body: base64, headers: PKCS10 },
      status: 401,
      names: /certificate or a password/,
      headers: { 'www-authenticate': 'Basic realm="Muster"' },
    },
    {
      what: 'wrong password',
      path: 'simpleenroll',
      call: { method: 'POST', body: base64, headers: { ...PKCS10, ...basic('r1', 'wrong') } },
      status: 401,
      names: /credential/,
      headers: { 'www-authenticate': 'Basic realm="Muster"' },
    },
    {
      what: 'malformed Authorization',
      path: 'simpleenroll',
      call: { method: 'POST', body: base64, headers: { ...PKCS10, Authorization: 'Basic !' } },
      status: 401,
      names: /credential/,
    },
    {
      what: 'unknown label',
      path: 'nowhere/simpleenroll',
      call: { method: 'POST', body: base64, headers: PKCS10 },
      status: 404,
      names: /label/,
    },
    { what: 'unknown label', path: 'nowhere/cacerts', call: {}, status: 404, names: /label/ },
    { what: 'closed endpoint', path: 'closed/cacerts', call: {}, status: 404, names: /not open/ },
    { what: 'unknown operation', path: 'default/simpleunroll', call: {}, status: 404, names: /operation/ },
    { what: 'path too deep', path: 'a/b/cacerts', call: {}, status: 404, names: /operation/ },
    {
      what: 'fullcmc',
      path: 'fullcmc',
      call: { method: 'POST', body: base64, headers: { 'Content-Type': 'application/pkcs7-mime' } },
      status: 501,
      names: /fullcmc/,
    },
  ];

  it.each(cases)('$what: $status at $path', async ({ path, call, status, names, headers = {} }) => {
    const answer = await est(server, path, call);
    expect(answer.status, answer.text).toBe(status);
    expect(answer.text).toMatch(names);
    expect(answer.headers).toMatchObject(headers);
    expectText(answer);
  });

  it.each<[string, string | Uint8Array, number, RegExp]>([
    ['no body', '', 400, /body|base64|empty|CertificationRequest/i],
    ['bad base64', '*** not base64 ***', 400, /base64/],
    [
      'base64 of something else',
      Buffer.from('hello world, this is no request').toString('base64'),
      400,
      /CertificationRequest/,
    ],
    ['DER cut off', Buffer.from(csr.der.subarray(0, -9)).toString('base64'), 400, /CertificationRequest/],
    [
      'DER with something behind',
      Buffer.concat([csr.der, Buffer.from([5, 0])]).toString('base64'),
      400,
      /CertificationRequest|trailing|end/,
    ],
    ['a signature that is wrong', flipped.toString('base64'), 400, /signature/],
    ['a megabyte', 'A'.repeat(1024 * 1024 + 1), 413, /octets|large/],
  ])('%s: named, not guessed', async (_what, body, status, names) => {
    const answer = await est(server, 'simpleenroll', post(body));
    expect(answer.status, answer.text).toBe(status);
    expect(answer.text).toMatch(names);
    expectText(answer);
  });

  it.each([
    [
      'a CA certificate',
      { extensions: [{ oid: '2.5.29.19', critical: true, value: Buffer.from('30030101ff', 'hex') }] },
      /CA certificate/,
    ],
    ['no name', { subject: '' }, /names no device/],
    ['a key that no profile allows', { key: 'ed448' }, /Ed448/],
    ['a name that is none', { san: ['dns:a b'] }, /dns|name|lint/i],
  ] as const)('a request for %s: 403', async (_what, wish, names) => {
    const answer = await enroll(server, 'simpleenroll', makeCsr({ subject: 'CN=wish', ...wish }).der, {
      headers: user,
    });
    expect(answer.status, answer.text).toBe(403);
    expect(answer.text).toMatch(names);
    expectText(answer);
  });

  it('a credential that means nothing here: 403, and 401 where a password would do', async () => {
    const stranger = TestAuthority.root().leaf();
    const agent = connection(server, stranger);
    try {
      for (const [path, status] of [
        ['guarded/simpleenroll', 403],
        ['default/simplereenroll', 403],
      ] as const) {
        const answer = await enroll(server, path, csr.der, { agent });
        expect(answer.status, path).toBe(status);
        expectText(answer);
      }
    } finally {
      agent.destroy();
    }
    const nothing = await enroll(server, 'guarded/simpleenroll', csr.der);
    expect(nothing.status).toBe(403);
    expect(nothing.headers['www-authenticate']).toBeUndefined();
  });

  it('nonsense instead of HTTP, and paths no handler has: never HTML, never a stack', async () => {
    const paths = [
      '',
      '/',
      '/.well-known/est',
      '/.well-known/est/',
      '/.well-known/est/%00/cacerts',
      '/.well-known/',
      `/${'a'.repeat(9000)}`,
    ];
    for (const path of paths) {
      const answer = await send(server, `${server.mtls}${path}`);
      expect(answer.status, path).toBe(404);
      expect(answer.text, path).toMatch(/^[ -~]{3,320}\n$/);
    }
    for (const headers of [{ 'X-Long': 'a'.repeat(20_000) }, { 'Transfer-Encoding': 'chunked, gzip' }] as Record<
      string,
      string
    >[]) {
      const answer = await send(server, `${server.mtls}/.well-known/est/cacerts`, { headers });
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(answer.text).not.toMatch(/<html|at .*\.ts/i);
    }
  });

  it('REST in problem details: 400, 401, 404, 405, 413, 415, never HTML, never a stack', async () => {
    const json = { Authorization: `Bearer ${server.adminToken}`, 'Content-Type': 'application/json' };
    const admin = (path: string, call: Call): Promise<Answer> => send(server, `${server.admin}/api/v1${path}`, call);
    const answers: [number, Answer][] = [
      [400, await admin('/secrets', { method: 'POST', headers: json, body: '{' })],
      [400, await rest(server, 'POST', '/secrets', { endpoint: 'DEFAULT' })],
      [400, await rest(server, 'POST', '/secrets', { endpoint: 'default', colour: 'red' })],
      [400, await rest(server, 'GET', '/certificates?limit=0')],
      [401, await rest(server, 'GET', '/certificates', undefined, 'mst_wrong')],
      [401, await admin('/certificates', {})],
      [404, await rest(server, 'GET', '/certificates/nowhere')],
      [404, await rest(server, 'GET', '/nowhere')],
      [405, await rest(server, 'DELETE', '/certificates')],
      [413, await admin('/secrets', { method: 'POST', headers: json, body: `"${'a'.repeat(2 * 1024 * 1024)}"` })],
      [
        415,
        await admin('/secrets', { method: 'POST', headers: { ...json, 'Content-Type': 'text/xml' }, body: '<a/>' }),
      ],
    ];
    for (const [status, answer] of answers) {
      expect(answer.status, answer.text).toBe(status);
      expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
      expect(JSON.parse(answer.text)).toMatchObject({
        status,
        code: expect.any(String),
        requestId: expect.any(String),
      });
      expect(answer.text).not.toMatch(/\.ts:|node_modules|<html/i);
    }
  });

  it('locks out who guesses passwords, and still lets the right one in', async () => {
    for (let guess = 0; guess < 12; guess += 1) {
      const answer = await enroll(server, 'simpleenroll', csr.der, { headers: basic('r1', `guess-${guess}`) });
      expect(answer.status).toBe(401);
    }
    expect((await enroll(server, 'simpleenroll', csr.der, { headers: user })).status).toBe(200);
  });

  it('serverkeygen: a new key and its certificate, which openssl accepts; never the same twice', async () => {
    const keys = new Set<string>();
    for (let i = 0; i < 2; i += 1) {
      const answer = await enroll(server, 'serverkeygen', makeCsr({ subject: 'CN=made' }).der, { headers: user });
      expect(answer.status, answer.text).toBe(200);
      expect(answer.headers['content-type']).toMatch(/^multipart\/mixed; ?boundary=/);
      const [key, certs] = [...answer.text.matchAll(/\r\n\r\n([A-Za-z0-9+/=\r\n]+)\r\n--/g)].map(([, part]) =>
        Buffer.from(part!, 'base64'),
      );
      const privateKey = createPrivateKey({ key: key!, format: 'der', type: 'pkcs8' });
      const [leaf] = decodeCertsOnly(certs!).certificates;
      const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
      expect(spki).toEqual(Buffer.from(parseCertificate(leaf!).publicKey.der));
      keys.add(spki.toString('hex'));
      const ca = await server.file('ca.p7', Buffer.from((await est(server, 'cacerts')).text, 'base64'));
      const chain = await run('openssl', ['pkcs7', '-inform', 'DER', '-in', ca, '-print_certs', '-out', `${ca}.pem`]);
      expect(chain.status, chain.stderr).toBe(0);
      const file = await server.file('made.pem', new X509Certificate(leaf!).toString());
      const verified = await run('openssl', [
        'verify',
        '-CAfile',
        server.ready.rootCertificate,
        '-untrusted',
        `${ca}.pem`,
        file,
      ]);
      expect(verified.stdout.toString(), verified.stderr).toContain('OK');
      expect(server.output).not.toContain(pemOfKey(privateKey).split('\n')[1]);
    }
    expect(keys.size).toBe(2);
  });

  it('csrattrs: 204 where the endpoint asks for nothing, else what openssl reads', async () => {
    expect((await est(server, 'csrattrs')).status).toBe(204);
    const answer = await est(server, 'guarded/csrattrs');
    expect(answer.status).toBe(200);
    expect(answer.headers['content-type']).toBe('application/csrattrs');
    const printed = await run('openssl', ['asn1parse', '-inform', 'DER'], Buffer.from(answer.text, 'base64'));
    expect(printed.status, printed.stderr).toBe(0);
    // id-aa-certificationRequestInfoTemplate (RFC 9908 §3.4), challengePassword for the channel binding.
    expect(printed.stdout.toString()).toContain(':1.2.840.113549.1.9.16.2.61');
    expect(printed.stdout.toString()).toContain('challengePassword');
  });

  it('after all that, a good request as at first', async () => {
    expect(certificateOf(await enroll(server, 'simpleenroll', makeCsr().der, { headers: user })).serialNumber).toMatch(
      /^[0-9a-f]{40}$/,
    );
    expect(server.runs).toBe(true);
    expect(server.output).not.toContain('"level":"error"');
  });
});
