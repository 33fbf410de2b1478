import { createHmac } from 'node:crypto';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AuthorityTables } from '../../core/authority/tables.ts';
import type { NotifyTables } from '../../server/notify/tables.ts';
import { watchExpiry } from '../../server/notify/expiry-watch.ts';
import { ComposedServer } from '../support/composed-server.ts';
import { api, basic, certificateOf, connection, enroll, type Listed, rest } from '../support/installation.ts';
import { makeCsr } from '../support/test-pki.ts';
import { selfSigned } from '../server/support/tls-identity.ts';

const KEY = 'a-key-of-the-webhook-1';
const DAY = 86_400_000;
/** What SIEMs would take for their own syntax. */
const SUBJECT = String.raw`CN=ending \"]|= router`;

interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** What a receiver on loopback got, and where it listens. */
class Receivers implements AsyncDisposable {
  readonly webhook: Received[] = [];
  readonly slack: Received[] = [];
  readonly mails: string[] = [];
  readonly syslog: string[] = [];
  /** The webhook answers so often with 503 before it takes anything. */
  refusals = 0;
  readonly #closing: (() => void)[] = [];

  http(into: Received[]): Promise<number> {
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const isRefused = into === this.webhook && this.refusals > 0;
        if (isRefused) this.refusals -= 1;
        else into.push({ headers: request.headers, body: Buffer.concat(chunks).toString() });
        response.writeHead(isRefused ? 503 : 204).end();
      });
    });
    this.#closing.push(() => server.close());
    return listening(server);
  }

  /** RFC 5321, as far as one message takes. */
  smtp(): Promise<number> {
    const server = createTcpServer((socket) => {
      let text = '';
      let inData = false;
      socket.write('220 relay\r\n');
      socket.on('data', (chunk) => {
        text += chunk.toString();
        for (
          let end = text.indexOf(inData ? '\r\n.\r\n' : '\r\n');
          end >= 0;
          end = text.indexOf(inData ? '\r\n.\r\n' : '\r\n')
        ) {
          const line = text.slice(0, end);
          text = text.slice(end + (inData ? 5 : 2));
          if (inData) this.mails.push(line);
          const isData = !inData && line === 'DATA';
          socket.write(isData ? '354 go on\r\n' : '250 ok\r\n');
          inData = isData;
          if (line === 'QUIT') socket.end();
        }
      });
    });
    this.#closing.push(() => server.close());
    return listening(server);
  }

  syslogOver(identity: { key: string; cert: string }): Promise<number> {
    const server = createTlsServer(identity, (socket) => {
      let text = '';
      socket.on('data', (chunk) => void (text += chunk.toString()));
      socket.on('end', () => {
        this.syslog.push(text);
        socket.end();
      });
    });
    this.#closing.push(() => server.close());
    return listening(server);
  }

  [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.#closing) close();
    return Promise.resolve();
  }
}

interface Listening {
  listen(port: number, host: string, done: () => void): unknown;
  address(): unknown;
}

async function listening(server: Listening): Promise<number> {
  await new Promise<void>((done) => void server.listen(0, '127.0.0.1', done));
  return (server.address() as { port: number }).port;
}

describe('certificates that are about to end', () => {
  let server: ComposedServer;
  const receivers = new Receivers();
  const observed: string[] = [];

  beforeAll(async () => {
    server = await ComposedServer.start();
    const identity = selfSigned('ec', 'localhost');
    const [webhook, slack] = [await receivers.http(receivers.webhook), await receivers.http(receivers.slack)];
    const [mail, log] = [
      await receivers.smtp(),
      await receivers.syslogOver({ key: identity.key, cert: identity.chain }),
    ];
    const to = { host: 'localhost', port: log, authority: identity.chain };
    const drafts = [
      { name: 'hook', webhook: { url: `http://127.0.0.1:${webhook}/hook` }, secret: KEY },
      { name: 'chat', slack: {}, secret: `http://127.0.0.1:${slack}/T0/B0/secret` },
      {
        name: 'mail',
        email: { host: '127.0.0.1', port: mail, security: 'none', from: 'muster@example.com', to: ['noc@example.com'] },
      },
      { name: 'log', syslog: to },
      { name: 'siem', syslog: { ...to, format: 'cef' } },
    ];
    for (const draft of drafts) await api(server, 'POST', '/channels', draft);
  });
  afterAll(async () => {
    await receivers[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  const until = async (what: () => boolean): Promise<void> => {
    for (let turn = 0; turn < 200 && !what(); turn += 1) await sleep(50);
    expect(what()).toBe(true);
  };
  const watch = () =>
    watchExpiry(server.server.kernel.store, { days: 30, percent: 33 }, (event) => void observed.push(event));
  const alerts = (state: string) =>
    api<Listed<{ id: string; subject: string; closedBy?: string }>>(server, 'GET', `/expiry-alerts?state=${state}`);

  it('a test through each channel arrives, and says so; a receiver that is away is named', async () => {
    for (const name of ['hook', 'chat', 'mail', 'log', 'siem'])
      expect(await api(server, 'POST', `/channels/${name}/test`), name).toMatchObject({ delivered: true });
    await until(() => receivers.syslog.length === 2);
    expect(receivers.mails).toHaveLength(1);
    await api(server, 'POST', '/channels', {
      name: 'gone',
      enabled: false,
      webhook: { url: 'http://127.0.0.1:1/' },
      secret: KEY,
    });
    expect(await api(server, 'POST', '/channels/gone/test')).toMatchObject({
      delivered: false,
      detail: expect.stringContaining('127.0.0.1:1'),
    });
    receivers.webhook.length = receivers.slack.length = receivers.mails.length = receivers.syslog.length = 0;
  });

  it('never shows the secret of a channel', async () => {
    for (const path of ['/channels', '/audit', '/audit?log=installation']) {
      const { text } = await rest(server, 'GET', path);
      expect(text).not.toContain(KEY);
      expect(text).not.toContain('/T0/B0/secret');
    }
  });

  it('is announced once by each channel, and the alert closes on renewal', async () => {
    receivers.refusals = 1;
    const csr = makeCsr({ subject: SUBJECT });
    const { der } = certificateOf(
      await enroll(server, 'default/simpleenroll', csr.der, { headers: basic('x', await server.password('default')) }),
    );
    await watch();
    expect((await alerts('open')).items).toEqual([]);
    server.clock.ahead = 340 * DAY;
    await watch();
    await watch();
    expect(observed).toEqual(['certificate.expiring']);
    const open = await alerts('open');
    expect(open.items).toMatchObject([{ subject: expect.stringContaining('ending'), state: 'open' }]);
    await until(
      () => receivers.webhook.length + receivers.slack.length + receivers.mails.length + receivers.syslog.length >= 5,
    );
    await watch();
    await sleep(300);
    const { id } = open.items[0]!;
    expect(receivers.webhook).toHaveLength(1);
    expect(receivers.slack).toHaveLength(1);
    expect(receivers.mails).toHaveLength(1);
    expect(receivers.syslog).toHaveLength(2);

    const [{ headers, body }] = receivers.webhook as [Received];
    const [, time, mac] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(headers['muster-signature']))!;
    expect(createHmac('sha256', KEY).update(`${time}.${body}`).digest('hex')).toBe(mac);
    expect(headers['muster-event-id']).toBe(id);
    expect(JSON.parse(body)).toMatchObject({ version: 1, id, type: 'certificate.expiring', tenant: 'default' });
    expect(JSON.parse(receivers.slack[0]!.body)).toMatchObject({ text: expect.stringContaining('ends in 24 days') });
    expect(receivers.mails[0]).toMatch(/^Message-ID: <[\w-]+@muster>/m);
    const cef = receivers.syslog.find((text) => text.includes('CEF:0|'))!;
    const plain = receivers.syslog.find((text) => !text.includes('CEF:0|'))!;
    expect(Number(plain.split(' ', 1)[0])).toBe(Buffer.byteLength(plain.slice(plain.indexOf(' ') + 1)));
    expect(plain).toMatch(/^\d+ <108>1 \S+Z \S+ muster - certificate\.expiring \[muster@32473 id="/);
    expect(plain).toContain(String.raw`ending \\\"\]|= router`);
    expect(cef).toMatch(/CEF:0\|Muster\|Muster\|[\d.]+\|1001\|A certificate is about to end\|5\|externalId=/);

    const agent = connection(server, { der, privateKey: csr.privateKey });
    const renewed = await enroll(server, 'default/simplereenroll', makeCsr({ subject: SUBJECT }).der, { agent });
    agent.destroy();
    expect(renewed.status, renewed.text).toBe(200);
    await watch();
    expect((await alerts('open')).items).toEqual([]);
    expect((await alerts('closed')).items).toMatchObject([{ id, closedBy: 'replaced' }]);
    await watch();
    expect(receivers.webhook).toHaveLength(1);
  });

  it("what Muster serves with and a week's fresh certificate raise none", async () => {
    const { store } = server.server.kernel;
    const own = await store
      .read<AuthorityTables>()
      .selectFrom('certificates')
      .select('id')
      .where('device', 'is', null)
      .where('not_after', '<', store.clock.now() + 30 * DAY)
      .execute();
    expect(own.length).toBeGreaterThan(0);
    const rows = await store.read<NotifyTables>().selectFrom('expiry_alerts').select('certificate').execute();
    for (const { id } of own) expect(rows.map(({ certificate }) => certificate)).not.toContain(id);
  });
});
