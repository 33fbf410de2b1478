import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { batchHandler } from '../../../core/authority/revocation-batches.ts';
import { JobRunner } from '../../../core/store/job-runner.ts';
import { revocationFindings } from '../../../server/api/doctor-revocation.ts';
import type { AuthorityTables } from '../../../core/authority/tables.ts';
import { ApiServer } from '../support/api-server.ts';
import { seeded } from '../support/seed.ts';
import { muster } from '../support/terminal.ts';

const ours = seeded('default');
const SERIAL = '01ab';

describe('revocation by REST and by the command line', () => {
  let server: ApiServer;
  let admin: string;
  let data: string;
  let runner: JobRunner;

  beforeAll(async () => {
    server = await ApiServer.start();
    admin = await server.token('admin');
    data = await server.listen(admin);
    const handlers = { 'revoke-batch': batchHandler(server.store) };
    runner = new JobRunner(server.store, handlers, { pollMs: 20, report: () => undefined });
    runner.start();
  });
  afterAll(async () => {
    await runner.stop();
    await server[Symbol.asyncDispose]();
  });

  const post = (path: string, body: object, token = admin) => server.request(token, 'POST', `/api/v1/${path}`, body);
  const cli = (...args: readonly string[]) => muster(['--data', data, ...args]);
  const certificate = `certificates/${ours.certificate}`;

  it('holds, releases and revokes one certificate, and says how it stands each time', async () => {
    const outcomes: string[] = [];
    for (const [path, body] of [
      ['revoke', { reason: 'certificateHold' }],
      ['revoke', { reason: 'certificateHold' }],
      ['release', {}],
      ['revoke', { reason: 'keyCompromise', invalidityDate: '2026-01-01T00:00:00Z', comment: 'stolen' }],
      ['release', {}],
    ] as const) {
      const { statusCode, body: text } = await post(`${certificate}/${path}`, body);
      expect(statusCode, text).toBe(200);
      outcomes.push((JSON.parse(text) as { outcome: string }).outcome);
    }
    expect(outcomes).toEqual(['on-hold', 'on-hold', 'released', 'revoked', 'already-revoked']);
    const timeline = await server.request(admin, 'GET', `/api/v1/${certificate}/revocation`);
    expect(timeline.json()).toMatchObject({
      status: 'revoked',
      reason: 'keyCompromise',
      beyond: { ocspSeconds: 3600 },
    });
  });

  it('refuses a reason that is none, an unknown certificate, and who may only look', async () => {
    expect((await post(`${certificate}/revoke`, { reason: 'because' })).statusCode).toBe(400);
    expect((await post('certificates/none/revoke', {})).statusCode).toBe(404);
    expect((await post(`${certificate}/revoke`, {}, await server.token('auditor'))).statusCode).toBe(403);
    expect((await post('revocations', { query: {} })).statusCode).toBe(400);
  });

  it('by `muster cert`: serial numbers in any spelling, and the CRLs in force', async () => {
    await reactivate();
    const held = await cli('cert', 'revoke', '01:AB', '--reason', 'certificateHold');
    expect(held, held.err).toMatchObject({ code: 0, out: `certificate ${SERIAL} is on-hold\n` });
    expect((await cli('certificate', 'release', SERIAL)).out).toBe(`certificate ${SERIAL} is released\n`);
    expect((await cli('cert', 'revoke', ours.certificate, '--compromised', '2026-01-01')).code).toBe(0);
    expect((await cli('cert', 'revocation', SERIAL)).out).toContain('"status": "revoked"');
    expect(await cli('cert', 'revoke', 'dead')).toMatchObject({ code: 2 });
    expect(await cli('cert', 'revoke', SERIAL, '--reason', 'removeFromCRL')).toMatchObject({ code: 2 });
    expect((await cli('cert', 'crls', '--json')).out).toBe('[]\n');
  });

  it('revokes all that a query finds after a count that still holds', async () => {
    await reactivate();
    for (const query of [
      { authority: ours.authority },
      { device: ours.device, authority: ours.authority },
      { issuedBefore: '2999-01-01T00:00:00Z' },
    ]) {
      const counted = await post('revocations', { query, preview: true });
      expect(counted.json(), JSON.stringify(query)).toMatchObject({ state: 'preview', count: 1, done: 0 });
    }
    const none = await post('revocations', { query: { authority: 'another' }, preview: true });
    expect(none.json()).toMatchObject({ count: 0 });
    const preview = await cli('cert', 'revoke-all', '--device', ours.device);
    expect(preview.out).toBe('1 certificates; revoke them with --expected 1\n');
    const wrong = await cli('cert', 'revoke-all', '--device', ours.device, '--expected', '2');
    expect(wrong.code).not.toBe(0);
    expect(wrong.err).toContain('the query finds 1 now');
    const done = await cli('cert', 'revoke-all', '--device', ours.device, '--reason', 'superseded', '--expected', '1');
    expect(done, done.err).toMatchObject({ code: 0, out: '1 certificates are revoked\n' });
    expect((await server.request(admin, 'GET', `/api/v1/${certificate}`)).json()).toMatchObject({
      status: 'revoked',
      revocationReason: 4,
    });
  });

  it('`muster doctor` finds an old view, a CRL past its time and a crowded shard', async () => {
    const { store } = server;
    const states = async (ageMs: number) =>
      (await revocationFindings(store, { ageMs })).map(({ check, state }) => `${check} ${state}`);
    expect(await states(100)).toEqual(['revocations ok', 'crl ok']);
    const crl = {
      tenant: ours.tenant,
      authority: ours.authority,
      number: 1,
      base_number: null,
      this_update: 0,
      next_update: 1,
      published_at: 0,
      regular_at: 0,
      size: 1,
      sha256: '',
    };
    await store.unit((tx) =>
      tx
        .db<AuthorityTables>()
        .insertInto('crls')
        .values([
          { ...crl, scope: 'full', entries: 30_000 },
          { ...crl, scope: '3', entries: 20_001, next_update: Date.now() + 60_000 },
        ])
        .execute(),
    );
    expect(await states(3000)).toEqual(['revocations failed', 'crl failed', 'crl-shards warning']);
    const listed = await server.request(admin, 'GET', '/api/v1/crls');
    expect(listed.json()).toMatchObject({ items: [{ scope: '3' }, { scope: 'full', entries: 30_000 }] });
  });

  async function reactivate(): Promise<void> {
    await server.store.unit((tx) =>
      tx
        .forTenant<AuthorityTables>(ours.tenant)
        .updateTable('certificates', { status: 'active', revoked_at: null, revocation_reason: null })
        .where('id', '=', ours.certificate)
        .execute(),
    );
  }
});
