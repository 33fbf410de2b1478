import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { parseNetwork } from '../../core/outside/networks.ts';
import { OutsideError } from '../../core/outside/outside-error.ts';
import { Outside } from '../../core/outside/outside.ts';
import { outsideResolver } from '../../core/outside/resolver.ts';
import { DnsServer } from '../fakes/dns-server.ts';

describe('a conversation with a host that somebody named (V40)', () => {
  let dns: DnsServer;
  let server: Server;
  let port: number;
  let answer: RequestListener = (_request, response) => response.end('page');

  beforeAll(async () => {
    dns = await DnsServer.start();
    server = createServer((request, response) => answer(request, response)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    ({ port } = server.address() as AddressInfo);
    dns.addresses.set('good.example', ['127.0.0.1']);
  });
  afterAll(async () => {
    server.closeAllConnections();
    server.close();
    await dns[Symbol.asyncDispose]();
  });

  function outside(allowed: string[] = ['127.0.0.1']): Outside {
    const policy = { allowed: allowed.map(parseNetwork), denied: [], ports: [port, 80, 443] };
    return new Outside({ ...policy, specialAddresses: 'as-listed' }, outsideResolver([dns.address]));
  }

  const get = (url: string, from = outside()) => {
    const limits = { signal: AbortSignal.timeout(2_000), maxOctets: 64, maxRedirects: 3 };
    return from.get(new URL(url), limits);
  };

  const faultOf = async (work: Promise<unknown>): Promise<string> => {
    const error = await work.then(
      () => undefined,
      (cause: unknown) => cause,
    );
    expect(error).toBeInstanceOf(OutsideError);
    expect((error as OutsideError).message).not.toContain('secret');
    return (error as OutsideError).fault;
  };

  it('fetches a page, with the name in the Host header', async () => {
    answer = (request, response) => response.end(request.headers.host);
    const { status, body } = await get(`http://good.example:${port}/x`);
    expect([status, Buffer.from(body).toString()]).toEqual([200, `good.example:${port}`]);
  });

  it('connects to the address that was checked, and asks once', async () => {
    answer = (_request, response) => response.end('page');
    // A rebinding name: its second answer is another address.
    dns.turns.set('rebind.example', [['127.0.0.1'], ['127.0.0.66']]);
    dns.asked.length = 0;
    expect((await get(`http://rebind.example:${port}/`)).status).toBe(200);
    expect(dns.asked.filter((question) => question === 'A rebind.example')).toHaveLength(1);
  });

  it.each([
    ['an address that is not allowed', ['127.0.0.2']],
    ['one bad address among good ones', ['127.0.0.1', '169.254.169.254']],
    ['a mapped address', ['::ffff:127.0.0.2']],
  ])('refuses a name with %s', async (_what, addresses) => {
    dns.addresses.set('bad.example', addresses);
    expect(await faultOf(get(`http://bad.example:${port}/`))).toBe('address');
  });

  it.each([
    'http://127.0.0.2',
    'http://2130706434',
    'http://0x7f000002',
    'http://0177.0.0.2',
    'http://[::1]',
    'http://127.2',
  ])('refuses the literal %s', async (literal) => expect(await faultOf(get(`${literal}:${port}/`))).toBe('address'));

  it('refuses a port that is not on the list', async () => {
    expect(await faultOf(get('http://good.example:22/'))).toBe('address');
  });

  it.each([
    ['an address that is not allowed', 'http://127.0.0.2:PORT/', 'address'],
    ['metadata', 'http://169.254.169.254/latest/', 'address'],
    ['another port', 'http://good.example:22/', 'address'],
    ['another scheme', 'file:///etc/passwd', 'answer'],
    ['a user name', 'http://root:secret@good.example/', 'answer'],
    ['itself for ever', '/', 'answer'],
    ['a name without address', 'http://nobody.example:PORT/', 'name'],
  ])('refuses a redirect to %s', async (_what, location, fault) => {
    answer = (_request, response) =>
      response.writeHead(302, { location: location.replace('PORT', String(port)) }).end('secret');
    expect(await faultOf(get(`http://good.example:${port}/`))).toBe(fault);
  });

  it('refuses a body without end', async () => {
    answer = (_request, response) => response.end('secret'.repeat(100));
    expect(await faultOf(get(`http://good.example:${port}/`))).toBe('answer');
  });

  it('reads TXT records in pieces and behind aliases', async () => {
    dns.texts.set('target.example', ['x'.repeat(300), 'second']);
    dns.aliases.set('alias.example', 'target.example');
    const texts = await outside().texts('alias.example', AbortSignal.timeout(2_000));
    expect(texts).toEqual(['x'.repeat(300), 'second']);
    expect(await outside().texts('nothing.example', AbortSignal.timeout(2_000))).toEqual([]);
  });

  it('says so when nobody answers', async () => {
    const silent = outsideResolver(['127.0.0.1:9']);
    expect(await faultOf(silent.addresses('good.example', AbortSignal.timeout(500)))).toBe('name');
  });
});
