import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { localBuilder } from '../../core/authority/crl-building.ts';
import { Crls } from '../../core/authority/crls.ts';
import { findBySerial, revokeCertificate, type RevocationReason } from '../../core/authority/revocation.ts';
import { crlShard } from '../../core/authority/prepare.ts';
import type { CertificateRow, CrlRow } from '../../core/authority/tables.ts';
import { parseCertificate } from '../../core/x509/certificate.ts';
import { parseCertificateList } from '../../core/x509/crl.ts';
import { EXTENSIONS } from '../../core/x509/extensions.ts';
import { encodePem } from '../../core/x509/pem.ts';
import { parseSerialNumber } from '../../core/x509/serial-number.ts';
import { issuedBy, Site, type SiteTenant } from '../enrollment/site.ts';
import { ENGINES } from '../support/stores.ts';
import { Scratch, tryOpenssl } from '../x509/openssl.ts';

describe.each(ENGINES)('the CRLs of an authority on %s', (engine) => {
  let site: Site;
  let acme: SiteTenant;
  let crls: Crls;
  let rows: CertificateRow[];
  const published: CrlRow[] = [];

  beforeAll(async () => {
    site = await Site.open(engine);
    acme = await site.tenant('acme');
    crls = newCrls();
    for (let i = 0; i < 12; i++) {
      issuedBy(await site.enroll(acme.endpoint, { names: { subject: `CN=router${i}` } }));
    }
    rows = await site.certificates(acme.id);
  });
  afterAll(() => site[Symbol.asyncDispose]());

  const newCrls = (): Crls =>
    new Crls({
      store: site.store,
      authorities: site.authorities,
      build: localBuilder(site.store),
      onPublished: (crl) => published.push(crl),
    });
  const revoke = (row: CertificateRow, reason: RevocationReason, more: { invalidityDate?: number } = {}) =>
    site.store.unit((tx) =>
      revokeCertificate(tx, {
        tenant: acme.id,
        certificateId: row.id,
        reason,
        actor: 'user:test',
        at: site.clock.now(),
        ...more,
      }),
    );
  const publish = (scope: string, occasion: 'regular' | 'change' = 'change') =>
    crls.publish({ tenant: acme.id, authority: acme.issuing.id, scope }, occasion);
  const list = async (scope: string) => {
    const crl = await crls.inForce({ tenant: acme.id, authority: acme.issuing.id, scope });
    const parts: Uint8Array[] = [];
    for await (const part of crls.octets(crl)) parts.push(part);
    return parseCertificateList(Buffer.concat(parts));
  };
  const verify = (
    scratch: Scratch,
    row: CertificateRow,
    lists: readonly Uint8Array[],
    flags: readonly string[] = [],
  ) => {
    const anchors = scratch.file(
      'ca.pem',
      [acme.root, acme.issuing].map(({ certificate }) => encodePem('CERTIFICATE', certificate)).join(''),
    );
    const crl = scratch.file('crl.pem', lists.map((der) => encodePem('X509 CRL', der)).join(''));
    const leaf = scratch.file('leaf.pem', encodePem('CERTIFICATE', row.der));
    return tryOpenssl(['verify', '-crl_check', ...flags, '-CAfile', anchors, '-CRLfile', crl, leaf]);
  };

  it('list nothing before anything is revoked', async () => {
    const full = parseCertificateList(await crls.current(acme.id, acme.issuing.id));
    expect(full.entries).toEqual([]);
    expect(EXTENSIONS.crlNumber.find(full.extensions)).toBe(1n);
    using scratch = new Scratch();
    expect(verify(scratch, rows[0]!, [full.der])).toMatchObject({ ok: true });
  });

  it('list what is revoked: full, delta and shard agree, and openssl with them', async () => {
    expect(await revoke(rows[0]!, 'keyCompromise', { invalidityDate: site.clock.now() - 86_400_000 })).toBe('revoked');
    expect(await revoke(rows[1]!, 'unspecified')).toBe('revoked');
    expect(await revoke(rows[2]!, 'certificateHold')).toBe('on-hold');
    const base = await list('full');
    const shard = crlShard(rows[0]!.serial_number, 4);
    await publish(String(shard));
    await publish('changes');
    const delta = await list('delta');
    expect(EXTENSIONS.deltaCRLIndicator.find(delta.extensions)).toBe(1n);
    expect(EXTENSIONS.crlNumber.find(delta.extensions)).toBe(2n);
    expect(new Map(delta.entries.map(({ serialNumber, reason }) => [serialNumber, reason]))).toEqual(
      new Map<string, string | undefined>([
        [rows[0]!.serial_number, 'keyCompromise'],
        [rows[1]!.serial_number, undefined],
        [rows[2]!.serial_number, 'certificateHold'],
      ]),
    );
    const ofShard = await list(String(shard));
    expect(ofShard.entries.map(({ serialNumber }) => serialNumber)).toContain(rows[0]!.serial_number);
    using scratch = new Scratch();
    expect(verify(scratch, rows[0]!, [ofShard.der]).output).toContain('certificate revoked');
    expect(verify(scratch, rows[0]!, [base.der])).toMatchObject({ ok: true });
    const deltas = ['-use_deltas', '-extended_crl'];
    expect(verify(scratch, rows[0]!, [base.der, delta.der], deltas).output).toContain('certificate revoked');
    expect(verify(scratch, rows[3]!, [base.der, delta.der], deltas)).toMatchObject({ ok: true });
    await publish('full', 'regular');
    const full = await list('full');
    expect(verify(scratch, rows[2]!, [full.der]).output).toContain('certificate revoked');
    expect(verify(scratch, rows[3]!, [full.der])).toMatchObject({ ok: true });
    expect(EXTENSIONS.crlNumber.find(full.extensions)).toBe(3n);
  });

  it('take back what was on hold', async () => {
    expect(await revoke(rows[2]!, 'removeFromCRL')).toBe('released');
    expect(await revoke(rows[0]!, 'removeFromCRL')).toBe('already-revoked');
    await publish('changes');
    const delta = await list('delta');
    expect(delta.entries.find(({ serialNumber }) => serialNumber === rows[2]!.serial_number)).toMatchObject({
      reason: 'removeFromCRL',
    });
    const base = await list('full');
    using scratch = new Scratch();
    expect(verify(scratch, rows[2]!, [base.der]).output).toContain('certificate revoked');
    expect(verify(scratch, rows[2]!, [base.der, delta.der], ['-use_deltas', '-extended_crl'])).toMatchObject({
      ok: true,
    });
    await publish('full');
    expect((await list('full')).entries.map(({ serialNumber }) => serialNumber)).not.toContain(rows[2]!.serial_number);
    const found = await findBySerial(site.store, acme.id, acme.issuing.id, parseSerialNumber(rows[2]!.serial_number));
    expect(found).toMatchObject({ certificateId: rows[2]!.id, status: 'active', revokedAt: undefined });
  });

  it('are signed by the CA and name its key', async () => {
    const full = await list('full');
    const issuer = parseCertificate(acme.issuing.certificate);
    expect(full.issuer.der).toEqual(issuer.subject.der);
    using scratch = new Scratch();
    const ca = scratch.file('ca.pem', encodePem('CERTIFICATE', acme.issuing.certificate));
    const crl = scratch.file('crl.der', full.der);
    expect(tryOpenssl(['crl', '-inform', 'DER', '-in', crl, '-CAfile', ca, '-verify', '-noout']).output).toContain(
      'verify OK',
    );
  });
});
