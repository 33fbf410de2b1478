import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { CmpTransaction } from '../fakes/cmp-client.ts';
import { type MacSecret, passwordBasedMac, signature } from '../fakes/cmp-protection.ts';
import { certRequests, requestFor } from '../fakes/cmp-request.ts';
import type { CmpResponse } from '../fakes/cmp-response.ts';
import { newKey } from '../fakes/cmp-signatures.ts';
import { api, type Listed, type ListedCertificate } from '../support/installation.ts';
import { MusterServer } from '../support/muster-server.ts';

/** A transaction with its first answer, at a server that is no more. */
interface Interrupted {
  readonly transaction: CmpTransaction;
  readonly request: Uint8Array;
  readonly answer: CmpResponse;
}

/** What a transaction knows stands in the store: a device goes on where it was, whatever became of the server. */
describe('a server that is killed in the middle of transactions', () => {
  const key = newKey();
  let folder: string;
  let server: MusterServer;
  let issued: Interrupted;
  let confirmed: Interrupted;
  let waiting: Interrupted;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'muster-cmp-restart-'));
    server = await MusterServer.start({ folder });
    issued = await interrupted('issued');
    confirmed = await interrupted('confirmed');
    expect((await confirmed.transaction.confirm(confirmed.answer.certificate)).summary).toBe('pkiconf');
    await api(server, 'PATCH', '/endpoints/default', { approval: 'manual', retryAfterSeconds: 1 });
    waiting = await interrupted('waiting');
    expect(waiting.answer.status?.status).toBe('waiting');
    await server.kill();
    server = await MusterServer.start({ folder });
    await api(server, 'PATCH', '/endpoints/default', { approval: 'automatic' });
  });
  afterAll(async () => {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const peer = (): { url: string } => ({ url: `${server.plain}/.well-known/cmp/p/default` });

  async function interrupted(name: string): Promise<Interrupted> {
    const secret = await api<MacSecret>(server, 'POST', '/secrets', { kind: 'mac', usage: 'one-time' });
    const transaction = new CmpTransaction(peer(), { protect: passwordBasedMac(secret) });
    const answer = await transaction.send(certRequests('ir', requestFor(`CN=${name}`, key)));
    return { transaction, request: transaction.request, answer };
  }

  async function statusesOf(name: string): Promise<string[]> {
    const { items } = await api<Listed<ListedCertificate>>(server, 'GET', `/certificates?name=${name}`);
    return items.map(({ status }) => status);
  }

  it('answers the repeated request with the same certificate, and takes the certConf for it', async () => {
    const resumed = issued.transaction.at(peer());
    expect((await resumed.sendAsIs(issued.request)).certificate).toEqual(issued.answer.certificate);
    expect((await resumed.confirm(issued.answer.certificate)).summary).toBe('pkiconf');
    expect(await statusesOf('issued')).toEqual(['active']);
  });

  it('still knows what was confirmed, and who was enrolled', async () => {
    const { certificate, extraCerts } = confirmed.answer;
    const again = await confirmed.transaction.at(peer()).confirm(certificate);
    expect(again.status?.failures).toEqual(['certConfirmed']);
    const protect = signature({ key, certificate, chain: extraCerts });
    const kur = new CmpTransaction(peer(), { protect, implicitConfirm: true });
    const renewed = await kur.send(certRequests('kur', requestFor('CN=confirmed', newKey())));
    expect(renewed.summary).toBe('kup accepted');
  });

  it('goes on being polled, and grants what was approved in between', async () => {
    const polls = waiting.transaction.at(peer());
    expect((await polls.poll()).kind).toBe('pollRep');
    const { items } = await api<Listed<{ id: string }>>(server, 'GET', '/enrollments?status=pending');
    await api(server, 'POST', `/enrollments/${items[0]!.id}/approve`, {});
    const granted = await polls.poll();
    expect(granted.summary).toBe('ip accepted');
    expect((await polls.confirm(granted.certificate)).summary).toBe('pkiconf');
    expect(await statusesOf('waiting')).toEqual(['active']);
  });
});
