import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { type CertificateFilter, listCertificates } from '../../core/authority/certificate-search.ts';
import {
  certificateDer,
  certificateStatus,
  getCertificate,
  keyWasCertified,
  markReplaced,
} from '../../core/authority/certificates.ts';
import { revokeCertificate } from '../../core/authority/revocation.ts';
import type { AuthorityTables, CertificateRow } from '../../core/authority/tables.ts';
import { parseCertificate } from '../../core/x509/certificate.ts';
import { issuedBy, Site, type SiteTenant } from '../enrollment/site.ts';
import { ENGINES } from '../support/stores.ts';

describe.each(ENGINES)('the certificates of a tenant on %s', (engine) => {
  let site: Site;
  let acme: SiteTenant;
  let other: SiteTenant;
  let rows: CertificateRow[];

  beforeAll(async () => {
    site = await Site.open(engine);
    acme = await site.tenant('acme');
    other = await site.tenant('other');
    for (const name of ['router1', 'Router2', 'router3']) {
      const names = { subject: `CN=${name},O=Acme`, san: [`dns:${name}.example`, 'ip:192.0.2.7'] };
      issuedBy(await site.enroll(acme.endpoint, { names }));
    }
    rows = await site.certificates(acme.id);
  });
  afterAll(() => site[Symbol.asyncDispose]());

  const list = async (filter: Partial<CertificateFilter>, tenant = acme.id): Promise<string[]> =>
    (await listCertificates(site.store, tenant, { limit: 100, ...filter })).map(({ id }) => id);

  it('are in the order they were made in, page by page', async () => {
    const ids = rows.map(({ id }) => id);
    expect(await list({})).toEqual(ids);
    const [first, second] = await list({ limit: 2 });
    expect(await list({ limit: 2, after: second })).toEqual(ids.slice(2));
    expect(await list({ after: ids.at(-1) })).toEqual([]);
    expect(first).toBe(ids[0]);
  });

  it.each<[string, (row: CertificateRow) => Partial<CertificateFilter>]>([
    ['by serial number', (row) => ({ serialNumber: row.serial_number })],
    ['by device', (row) => ({ device: row.device! })],
    ['by common name, without case', () => ({ name: 'ROUTER2' })],
    ['by host name, without case', () => ({ name: 'dns:router2.EXAMPLE' })],
  ])('are found %s', async (_, filter) => {
    expect(await list(filter(rows[1]!))).toEqual([rows[1]!.id]);
  });

  it('are found by what they share, and not by a part of it', async () => {
    expect(await list({ name: 'ip:192.0.2.7' })).toHaveLength(3);
    expect(await list({ name: 'router' })).toEqual([]);
    expect(await list({ expiresBefore: rows[0]!.not_after + 1 })).toContain(rows[0]!.id);
    expect(await list({ expiresBefore: rows[0]!.not_after })).not.toContain(rows[0]!.id);
  });

  it('with long names are found by their beginning', async () => {
    // Random: what a database could compress would not show the bound of its index.
    const uri = `uri:urn:dev:${randomBytes(4000).toString('hex')}`;
    issuedBy(await site.enroll(acme.endpoint, { names: { subject: 'CN=long', san: [uri] } }));
    const [byName] = await list({ name: uri });
    expect((await site.certificates(acme.id)).at(-1)!.id).toBe(byName);
  });

  it('may name themselves twice', async () => {
    const san = ['dns:twin.example', 'dns:TWIN.example', 'dns:twin.example'];
    issuedBy(await site.enroll(acme.endpoint, { names: { subject: 'CN=twin+OU=twin', san } }));
    expect(await list({ name: 'dns:twin.example' })).toHaveLength(1);
  });

  it('are nobody else’s', async () => {
    const [row] = rows;
    for (const filter of [{}, { name: 'router1' }, { serialNumber: row!.serial_number }])
      expect(await list(filter, other.id)).toEqual([]);
    expect(await getCertificate(site.store, other.id, row!.id)).toBeUndefined();
    expect(await certificateDer(site.store, other.id, row!.id)).toBeUndefined();
    const certificate = parseCertificate(row!.der);
    expect(await certificateStatus(site.store, other.id, row!.authority!, certificate)).toBeUndefined();
    expect(await certificateStatus(site.store, acme.id, acme.root.id, certificate)).toBeUndefined();
    expect(await certificateStatus(site.store, acme.id, row!.authority!, certificate)).toMatchObject({ id: row!.id });
    // The same serial number in other octets is another certificate.
    const twin = { ...certificate, der: certificate.der.toReversed() };
    expect(await certificateStatus(site.store, acme.id, row!.authority!, twin)).toBeUndefined();
    expect(await keyWasCertified(site.store, other.id, row!.spki_sha256)).toBe(false);
    await site.store.unit(async (tx) => {
      const foreign = {
        tenant: other.id,
        certificateId: row!.id,
        reason: 'keyCompromise',
        actor: 'test',
        at: 1,
      } as const;
      expect(await revokeCertificate(tx, foreign)).toBe('unknown');
      await markReplaced(tx, other.id, row!.id, 'x');
    });
    expect(await getCertificate(site.store, acme.id, row!.id)).toMatchObject({ status: 'active', replaced_by: null });
  });

  it('are revoked once, for the first reason', async () => {
    const { id, der, authority, spki_sha256: spki } = rows[2]!;
    const status = () => certificateStatus(site.store, acme.id, authority!, parseCertificate(der));
    expect(await status()).toMatchObject({ id, status: 'active', profile: acme.profile });
    const request = { tenant: acme.id, certificateId: id, actor: 'test' };
    const first = { ...request, reason: 'keyCompromise', at: 1000 } as const;
    const second = { ...request, reason: 'cessationOfOperation', at: 2000 } as const;
    expect(await site.store.unit((tx) => revokeCertificate(tx, first))).toBe('revoked');
    expect(await site.store.unit((tx) => revokeCertificate(tx, second))).toBe('already-revoked');
    expect(await status()).toMatchObject({ status: 'revoked' });
    expect(await getCertificate(site.store, acme.id, id)).toMatchObject({ revoked_at: 1000, revocation_reason: 1 });
    expect(await list({ status: 'revoked' })).toEqual([id]);
    expect(await keyWasCertified(site.store, acme.id, spki)).toBe(true);
  });

  it('have one serial number each: the database refuses a second', async () => {
    const { id: _, ...first } = rows[0]!;
    const again = site.store.unit((tx) =>
      tx
        .forTenant<AuthorityTables>(acme.id)
        .insertInto('certificates', { ...first, id: 'again' })
        .execute(),
    );
    await expect(again).rejects.toMatchObject({ reason: 'conflict' });
  });
});
