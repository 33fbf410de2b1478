import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PolicyError, UpstreamError } from '../../../core/errors/muster-error.ts';
import { createPlainListener, type Listener } from '../../../server/http/listener.ts';
import { listen, stopListeners } from '../../../server/http/listening.ts';
import { listenerContext, type RecordingContext } from '../support/listener-context.ts';
import { exchange } from '../support/raw-http.ts';

describe('the plain listener', () => {
  let listener: Listener;
  let context: RecordingContext;
  let port: number;

  beforeEach(async () => {
    context = listenerContext();
    listener = createPlainListener(context);
    const { app } = listener;
    app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
    app.get('/ok', (_request, reply) =>
      reply.header('www-authenticate', 'Basic realm="est"').type('text/plain').send('ok'),
    );
    app.get('/stream', (_request, reply) => reply.type('text/plain').send(Readable.from(['a', 'b'])));
    app.get('/raw', (_request, reply) => {
      reply.hijack();
      reply.raw.writeHead(200, 'OK', ['content-type', 'text/plain', 'retry-after', '5']);
      reply.raw.end('raw');
    });
    app.post('/body', (request, reply) => reply.type('text/plain').send((request.body as Buffer).toString('hex')));
    app.get('/refused', () => {
      throw new PolicyError('not-authorized', 'this device may not ask');
    });
    app.get('/away', () => {
      throw new UpstreamError('hsm-unavailable', 'the token did not answer', { retryAfterSeconds: 7 });
    });
    app.get('/broken', () => {
      throw new TypeError('secret-internal-text at line 12');
    });
    port = await listen(listener, { host: '127.0.0.1', port: 0 });
  });
  afterEach(() => stopListeners([listener], 1));

  const get = (path: string, ...headers: string[]) =>
    exchange(port, [`GET ${path} HTTP/1.1`, 'Connection: close', ...headers, '', ''].join('\r\n'));

  it('answers a GET without a Host header, as strongSwan sends it (S3)', async () => {
    expect(await get('/ok')).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  });

  it('spells header names canonically and sends Content-Length', async () => {
    const answer = await get('/ok');
    expect(answer).toContain('\r\nContent-Type: text/plain\r\n');
    expect(answer).toContain('\r\nWWW-Authenticate: Basic realm="est"\r\n');
    expect(answer).toContain('\r\nContent-Length: 2\r\n');
    expect(
      answer
        .split('\r\n\r\n')[0]!
        .split('\r\n')
        .slice(1)
        .filter((line) => /^[a-z]/.test(line)),
    ).toEqual([]);
    expect(answer.indexOf('\r\n\r\n')).toBeLessThan(512);
  });

  it('spells header names canonically when a protocol writes the head itself', async () => {
    const answer = await get('/raw');
    expect(answer).toContain('\r\nContent-Type: text/plain\r\nRetry-After: 5\r\n');
    expect(answer).not.toContain('chunked');
  });

  it('never sends chunks: a stream ends with the connection', async () => {
    const answer = await exchange(port, 'GET /stream HTTP/1.1\r\n\r\n');
    expect(answer).not.toMatch(/transfer-encoding/i);
    expect(answer).toMatch(/\r\nConnection: close\r\n\r\nab$/);
  });

  it('answers HTTP/1.0 and closes (S2)', async () => {
    const answer = await exchange(
      port,
      'GET /ok HTTP/1.0\r\nUser-Agent: Mozilla/4.0 (compatible; MSIE 5.0; Cisco PKI)\r\n\r\n',
    );
    expect(answer).toContain('200 OK');
    expect(answer).toContain('\r\n\r\nok');
  });

  it('takes a request line of 60 kB and refuses 70 kB with 414 in plain text (S4)', async () => {
    expect(await get(`/ok?message=${'A'.repeat(60_000)}`)).toContain('200 OK');
    const answer = await get(`/ok?message=${'A'.repeat(70_000)}`);
    expect(answer).toMatch(/^HTTP\/1\.1 414 [^]*Content-Type: text\/plain\r\n/);
  });

  it('hands over the body whatever its type, also without one (S7)', async () => {
    const post = (...headers: string[]) =>
      exchange(
        port,
        ['POST /body HTTP/1.1', 'Connection: close', 'Content-Length: 3', ...headers, '', '0\x82A'].join('\r\n'),
      );
    expect(await post()).toMatch(/\r\n\r\n30/);
    expect(await post('Content-Type: application/json')).toMatch(/\r\n\r\n30/);
  });

  it('refuses a body beyond the limit with 413', async () => {
    const answer = await exchange(port, `POST /body HTTP/1.1\r\nContent-Length: 20000\r\n\r\n${'x'.repeat(20_000)}`);
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
  });

  it('names the methods of a path on a wrong one', async () => {
    const answer = await exchange(port, 'DELETE /ok?x=1 HTTP/1.1\r\nConnection: close\r\n\r\n');
    expect(answer).toMatch(/^HTTP\/1\.1 405 [^]*\r\nAllow: GET\r\n/);
    expect(answer).toContain('expected GET, found DELETE\n');
  });

  it('answers 404 in plain text for an unknown path', async () => {
    expect(await get('/nowhere')).toMatch(/^HTTP\/1\.1 404 [^]*\r\nContent-Type: text\/plain\r\n[^]*nothing is served/);
  });

  it('words refusals and outages in plain text, with Retry-After', async () => {
    expect(await get('/refused')).toMatch(/^HTTP\/1\.1 403 [^]*\r\n\r\nthis device may not ask\n$/);
    expect(await get('/away')).toMatch(
      /^HTTP\/1\.1 503 [^]*\r\nRetry-After: 7\r\n[^]*the token did not answer \(request /,
    );
  });

  it('tells nothing of an unknown error but the request id, which is in the log beside the error', async () => {
    const answer = await get('/broken');
    expect(answer).toMatch(/^HTTP\/1\.1 500 /);
    expect(answer).not.toContain('secret-internal-text');
    const [, id] = /\(request ([0-9a-f-]{36})\)/.exec(answer) ?? [];
    expect(context.logged.find((line) => line.includes('secret-internal-text'))).toContain(id);
  });

  it('answers what is not HTTP in plain text', async () => {
    const answer = await exchange(port, 'hello there\r\n\r\n');
    expect(answer).toMatch(/^HTTP\/1\.1 400 [^]*Content-Type: text\/plain\r\n[^]*not well-formed HTTP\n$/);
  });

  it('cuts off a request whose headers trickle (V39)', async () => {
    const answer = await exchange(port, 'GET /ok HTTP/1.1\r\nX-Slow: ');
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
  });

  it('observes the pattern of the route, never the path', async () => {
    await get('/nowhere/at/all');
    await get('/ok?secret=1');
    await expect
      .poll(() => context.observed.map(({ route, status }) => [route, status]))
      .toEqual([
        ['unmatched', 404],
        ['/ok', 200],
      ]);
  });
});

describe('connections per source', () => {
  it('resets the connections beyond the limit and takes new ones when others end', async () => {
    const listener = createPlainListener(
      listenerContext({ connectionsPerSource: 2, headersTimeoutSeconds: 10, requestTimeoutSeconds: 10 }),
    );
    listener.app.get('/ok', () => 'ok');
    const port = await listen(listener, { host: '127.0.0.1', port: 0 });
    const held = [connect(port, '127.0.0.1'), connect(port, '127.0.0.1')];
    await Promise.all(held.map((socket) => new Promise((resolve) => socket.once('connect', resolve))));
    const request = () => exchange(port, 'GET /ok HTTP/1.1\r\nConnection: close\r\n\r\n');
    await expect(request()).rejects.toThrow('ECONNRESET');
    held[0]!.destroy();
    await expect.poll(() => request().catch(() => '')).toContain('200 OK');
    held[1]!.destroy();
    await stopListeners([listener], 1);
  });
});
