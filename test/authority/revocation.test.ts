import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import {
  REVOCATION_REASONS,
  REVOCATIONS_CHANGED,
  revokeCertificate,
  type RevocationReason,
  type RevocationRequest,
  standingOf,
} from '../../core/authority/revocation.ts';
import { batchHandler, beginBatch, countOfBatch, findBatch } from '../../core/authority/revocation-batches.ts';
import type { AuthorityTables, CertificateRow } from '../../core/authority/tables.ts';
import type { JobTurn } from '../../core/store/job-runner.ts';
import { parseSerialNumber } from '../../core/x509/serial-number.ts';
import { issuedBy, Site, type SiteTenant } from '../enrollment/site.ts';
import { ENGINES } from '../support/stores.ts';

describe.each(ENGINES)('a revocation on %s', (engine) => {
  let site: Site;
  let acme: SiteTenant;
  let other: SiteTenant;

  beforeAll(async () => {
    site = await Site.open(engine);
    acme = await site.tenant('acme');
    other = await site.tenant('other');
  });
  afterAll(() => site[Symbol.asyncDispose]());

  async function issue(subject = 'CN=router'): Promise<CertificateRow> {
    const { certificateId } = issuedBy(await site.enroll(acme.endpoint, { names: { subject } }));
    return (await site.certificates(acme.id)).find(({ id }) => id === certificateId)!;
  }
  const revoke = ({ id }: CertificateRow, reason: RevocationReason, more: Partial<RevocationRequest> = {}) =>
    site.store.unit((tx) =>
      revokeCertificate(tx, { tenant: acme.id, certificateId: id, reason, actor: 'user:a', at: 5000, ...more }),
    );
  const standing = (row: CertificateRow) =>
    standingOf(site.store, acme.id, acme.issuing.id, parseSerialNumber(row.serial_number));
  const listed = (row: CertificateRow) =>
    site.store
      .read<AuthorityTables>()
      .selectFrom('revocations')
      .selectAll()
      .where('serial_number', '=', row.serial_number)
      .executeTakeFirst();

  it.each(REVOCATION_REASONS.filter((reason) => reason !== 'certificateHold' && reason !== 'removeFromCRL'))(
    'for %s is final',
    async (reason) => {
      const row = await issue();
      expect(await standing(row)).toEqual({ kind: 'good' });
      expect(await revoke(row, reason, { invalidityDate: 1000 })).toBe('revoked');
      expect(await standing(row)).toEqual({ kind: 'revoked', at: 5000, reason });
      expect(await listed(row)).toMatchObject({ state: 'revoked', revoked_at: 5000, invalidity_date: 1000 });
      for (const again of ['keyCompromise', 'certificateHold', 'removeFromCRL'] as const)
        expect(await revoke(row, again, { at: 6000 })).toBe('already-revoked');
      expect(await standing(row)).toEqual({ kind: 'revoked', at: 5000, reason });
    },
  );

  it('on hold is released, or becomes final from the time of the hold', async () => {
    const row = await issue();
    expect(await revoke(row, 'removeFromCRL')).toBe('released');
    expect(await listed(row)).toBeUndefined();
    expect(await revoke(row, 'certificateHold')).toBe('on-hold');
    expect(await revoke(row, 'certificateHold', { at: 5500 })).toBe('on-hold');
    expect(await listed(row)).toMatchObject({ state: 'held', reason: 6, revoked_at: 5000 });
    expect(await revoke(row, 'removeFromCRL', { at: 6000 })).toBe('released');
    expect(await standing(row)).toEqual({ kind: 'good' });
    expect(await listed(row)).toMatchObject({ state: 'released' });
    await revoke(row, 'certificateHold', { at: 7000 });
    expect(await revoke(row, 'keyCompromise', { at: 8000 })).toBe('revoked');
    expect(await standing(row)).toEqual({ kind: 'revoked', at: 7000, reason: 'keyCompromise' });
  });

  it('is audited once, with who and why', async () => {
    const row = await issue();
    await Promise.all([revoke(row, 'superseded'), revoke(row, 'superseded')]);
    const entries = (await site.audit(acme.id)).filter(({ object }) => object === `certificate:${row.id}`);
    expect(entries.filter(({ action }) => action === 'certificate.revoked')).toMatchObject([
      { actor: 'user:a', details: { reason: 'superseded', serialNumber: row.serial_number } },
    ]);
  });

  it('asks for the lists that name the certificate', async () => {
    const row = await issue();
    await revoke(row, 'superseded');
    const { shard } = (await listed(row))!;
    const jobs = await site.store.jobs.list({ kind: 'publish-crl', limit: 500 });
    const scopes = jobs
      .filter(({ payload }) => payload['authority'] === acme.issuing.id)
      .map(({ payload }) => payload['scope']);
    expect(scopes).toContain('changes');
    expect(scopes).toContain(String(shard));
    expect(new Set(scopes).size).toBe(scopes.length);
  });

  it('of another tenant, or of nothing, is refused as unknown', async () => {
    const row = await issue();
    expect(await revoke(row, 'keyCompromise', { tenant: other.id })).toBe('unknown');
    expect(await revoke({ ...row, id: 'none' }, 'keyCompromise')).toBe('unknown');
    expect(await standing(row)).toEqual({ kind: 'good' });
  });

  it('of all that a query finds goes on from where it stood', async () => {
    const device = await issue('CN=batch-device');
    const rows = [device, await issue('CN=batch-device'), await issue('CN=batch-device')];
    await revoke(rows[0]!, 'superseded');
    const query = { name: 'batch-device' };
    const request = { tenant: acme.id, query, reason: 'keyCompromise' as const, actor: 'user:b', at: site.clock.now() };
    expect(await countOfBatch(site.store, request)).toBe(2);
    const id = await site.store.unit((tx) => beginBatch(tx, request, 2));
    // Issued after the wish: not meant.
    const later = await issue('CN=batch-device');
    let announced = 0;
    const stop = site.store.onSignal(REVOCATIONS_CHANGED, () => announced++);
    const handler = batchHandler(site.store);
    const turn: JobTurn = {
      signal: new AbortController().signal,
      attempt: 1,
      fencingToken: 1,
      confirm: async () => undefined,
    };
    await handler({ tenant: acme.id, id }, turn);
    stop();
    expect(announced).toBe(1);
    expect(await findBatch(site.store, acme.id, id)).toMatchObject({ done: 2, expected: 2 });
    expect((await findBatch(site.store, acme.id, id))!.finished_at).not.toBeNull();
    expect(await standing(rows[0]!)).toMatchObject({ reason: 'superseded' });
    for (const row of rows.slice(1)) expect(await standing(row)).toMatchObject({ reason: 'keyCompromise' });
    expect(await standing(later)).toEqual({ kind: 'good' });
    // Once more changes nothing.
    await handler({ tenant: acme.id, id }, turn);
    expect(await findBatch(site.store, other.id, id)).toBeUndefined();
  });
});
