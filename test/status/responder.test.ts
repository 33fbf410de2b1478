import { setTimeout as delay } from 'node:timers/promises';
import * as pkijs from 'pkijs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import type { CertificateRow } from '../../core/authority/tables.ts';
import { parseCertificate } from '../../core/x509/certificate.ts';
import { nameToText } from '../../core/x509/name.ts';
import {
  type OcspAnswerRead,
  ocspRequest,
  ocspRequestOf,
  readOcspResponse,
  type RequestOptions,
} from './ocsp-messages.ts';
import { StatusSite } from './status-site.ts';

const BURST = 20;

describe('the OCSP responder', () => {
  let site: StatusSite;

  beforeAll(async () => {
    site = await StatusSite.open({ signing: { perSecond: 0, burst: BURST } });
  });
  afterEach(() => {
    site.site.keys.fault = undefined;
    site.database.away = false;
    site.site.clock.ahead = 0;
  });
  afterAll(() => site[Symbol.asyncDispose]());

  const requestOf = (rows: CertificateRow | readonly CertificateRow[], options: RequestOptions = {}): Buffer =>
    ocspRequest(
      site.issuer,
      [rows].flat().map(({ serial_number: serial }) => serial),
      options,
    );
  async function ask(row: CertificateRow | readonly CertificateRow[], options: RequestOptions = {}) {
    const response = await site.post(requestOf(row, options));
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('application/ocsp-response');
    return readOcspResponse(new Uint8Array(await response.arrayBuffer()));
  }
  const statuses = async (row: CertificateRow): Promise<string | number> => {
    const { status, responses } = await ask(row);
    return responses[0]?.status ?? status;
  };
  const TRY_LATER = 3;
  /** From another address each time, or the tests would share one budget. */
  let signatures = 0;
  const signedSince = (): number => {
    const count = site.site.keys.signed.length - signatures;
    signatures = site.site.keys.signed.length;
    return count;
  };

  it('says good and revoked under both hashes, with times that hold, signed by a delegate of the CA', async () => {
    const row = await site.issue();
    for (const hash of ['sha1', 'sha256'] as const) {
      const before = Math.floor(Date.now() / 1000) * 1000;
      const { basic, responses } = await ask(row, { hash });
      const [single] = responses;
      expect(single).toMatchObject({ serialNumber: row.serial_number, status: 'good' });
      const { producedAt, responderID } = basic!.tbsResponseData;
      expect(single!.thisUpdate.getTime()).toBeLessThanOrEqual(producedAt.getTime());
      expect(producedAt.getTime()).toBeGreaterThanOrEqual(before - 1000);
      expect(single!.nextUpdate!.getTime()).toBe(producedAt.getTime() + 3_600_000);
      expect(basic!.certs).toHaveLength(1);
      const delegate = parseCertificate(new Uint8Array(basic!.certs![0]!.toSchema().toBER()));
      expect(delegate.issuer.der).toEqual(site.issuer.subject.der);
      expect(responderID).toBeDefined();
      const root = new pkijs.Certificate({
        schema: (await import('asn1js')).fromBER(new Uint8Array(site.issuer.der).buffer).result,
      });
      await expect(basic!.verify({ trustedCerts: [root] })).resolves.toBe(true);
    }
    await site.revoke(row, 'keyCompromise');
    await site.view.look();
    for (const hash of ['sha1', 'sha256'] as const) {
      expect((await ask(row, { hash })).responses[0]).toMatchObject({ status: 'revoked', reason: 1 });
    }
  });

  it('finds the certificate that was meant when a proxy made one slash of two', async () => {
    for (;;) {
      const row = await site.issue();
      const text = requestOf(row).toString('base64');
      const merged = text.replace(/\/{2,}/g, '/');
      if (merged.length !== text.length - 1) continue;
      const response = await fetch(site.url(`/ocsp/${site.authority}/${merged}`));
      const [single] = readOcspResponse(new Uint8Array(await response.arrayBuffer())).responses;
      expect(single).toMatchObject({ serialNumber: row.serial_number, status: 'good' });
      return;
    }
  });

  it('says good of a hold that was released', async () => {
    const row = await site.issue();
    await site.revoke(row, 'certificateHold');
    await site.view.look();
    expect((await ask(row)).responses[0]).toMatchObject({ status: 'revoked', reason: 6 });
    await site.revoke(row, 'removeFromCRL');
    await site.view.look();
    expect(await statuses(row)).toBe('good');
  });

  it('says unknown of what was never issued, and unauthorized where the issuer is not of this tenant', async () => {
    const row = await site.issue();
    expect(await statuses({ ...row, serial_number: 'deadbeef' })).toBe('unknown');
    const stranger = parseCertificate((await site.site.tenant()).issuing.certificate);
    expect((await answered(ocspRequest(stranger, [row.serial_number]))).status).toBe(UNAUTHORIZED);
    const nobody = '0190b2a4-0000-7000-8000-000000000001';
    expect((await answered(requestOf(row), nobody)).status).toBe(UNAUTHORIZED);
  });

  const UNAUTHORIZED = 6;
  const answered = async (request: Buffer, authority?: string) =>
    readOcspResponse(new Uint8Array(await (await site.post(request, authority)).arrayBuffer()));
  /** Whose delegate signed an answer, as the delegate's certificate says. */
  const signerOf = ({ basic }: OcspAnswerRead): string =>
    nameToText(parseCertificate(new Uint8Array(basic!.certs![0]!.toSchema().toBER())).issuer);

  it('answers at one URL for every authority of the tenant, each by its own delegate, and for no other tenant', async () => {
    const row = await site.issue();
    const root = parseCertificate(site.tenant.root.certificate);
    const chain = ocspRequest(root, [site.issuer.serialNumber]);
    const before = await site.site.tenant();
    for (const authority of [site.tenant.root.id, site.authority]) {
      const ofRoot = await answered(chain, authority);
      expect(ofRoot.responses[0]).toMatchObject({ serialNumber: site.issuer.serialNumber, status: 'good' });
      expect(signerOf(ofRoot)).toBe(nameToText(root.subject));
      const ofIssuing = await answered(requestOf(row), authority);
      expect(ofIssuing.responses[0]).toMatchObject({ serialNumber: row.serial_number, status: 'good' });
      expect(signerOf(ofIssuing)).toBe(nameToText(site.issuer.subject));
    }
    // V1: the other tenant's URL says nothing of this one's certificates, nor this one's of the other's.
    for (const authority of [before.root.id, before.issuing.id])
      for (const request of [chain, requestOf(row)])
        expect((await answered(request, authority)).status).toBe(UNAUTHORIZED);
    const theirs = ocspRequest(parseCertificate(before.root.certificate), [
      parseCertificate(before.issuing.certificate).serialNumber,
    ]);
    expect((await answered(theirs)).status).toBe(UNAUTHORIZED);
    expect((await answered(theirs, before.issuing.id)).responses[0]).toMatchObject({ status: 'good' });
  });

  it('answers a request about two issuers for the one of its URL, and says unknown of the other', async () => {
    const row = await site.issue();
    const root = parseCertificate(site.tenant.root.certificate);
    const both = ocspRequestOf([
      [root, site.issuer.serialNumber],
      [site.issuer, row.serial_number],
    ]);
    const atIssuing = await answered(both);
    expect(atIssuing.responses.map(({ status }) => status)).toEqual(['unknown', 'good']);
    expect(signerOf(atIssuing)).toBe(nameToText(site.issuer.subject));
    const atRoot = await answered(both, site.tenant.root.id);
    expect(atRoot.responses.map(({ status }) => status)).toEqual(['good', 'unknown']);
    expect(signerOf(atRoot)).toBe(nameToText(root.subject));
  });

  it('answers several certificates in one response, in order', async () => {
    const rows = [await site.issue(), await site.issue()];
    await site.revoke(rows[1]!);
    const { responses } = await ask([...rows, { ...rows[0]!, serial_number: '0c' }]);
    expect(responses.map(({ status }) => status)).toEqual(['good', 'revoked', 'unknown']);
    expect(responses.map(({ serialNumber }) => serialNumber)).toEqual([
      rows[0]!.serial_number,
      rows[1]!.serial_number,
      '0c',
    ]);
  });

  it('signs once for many that ask, and again only for another question', async () => {
    const row = await site.issue();
    await ask(row, { hash: 'sha256' });
    signedSince();
    await Promise.all(Array.from({ length: 20 }, () => ask(row)));
    expect(signedSince()).toBe(1);
    await site.get(requestOf(row));
    expect(signedSince()).toBe(0);
  });

  it('signs a successor while the old one still holds', async () => {
    const row = await site.issue();
    const first = await ask(row);
    site.site.clock.ahead = 2_000_000;
    expect((await ask(row)).basic!.tbsResponseData.producedAt).toEqual(first.basic!.tbsResponseData.producedAt);
    await expect
      .poll(async () => (await ask(row)).basic!.tbsResponseData.producedAt.getTime())
      .toBeGreaterThan(first.basic!.tbsResponseData.producedAt.getTime());
  });

  it('notices within a second what nobody told it', async () => {
    const row = await site.issue();
    expect(await statuses(row)).toBe('good');
    await site.revoke(row);
    await expect.poll(() => statuses(row), { timeout: 1000, interval: 20 }).toBe('revoked');
  });

  it('does not keep a good that was overtaken while it was signed', async () => {
    const row = await site.issue();
    await ask(await site.issue());
    site.site.keys.fault = 'hung';
    const attempts = site.site.keys.attempts;
    const asked = statuses(row);
    await expect.poll(() => site.site.keys.attempts).toBeGreaterThan(attempts);
    await site.revoke(row);
    await site.view.look();
    site.site.keys.fault = undefined;
    expect(await asked).toBe('revoked');
    expect(await statuses(row)).toBe('revoked');
  });

  it('goes on from memory while the token is away, says tryLater of what it does not hold, and recovers', async () => {
    const held = await site.issue();
    const other = await site.issue();
    expect(await statuses(held)).toBe('good');
    site.site.keys.fault = 'away';
    expect(await statuses(held)).toBe('good');
    expect(await statuses(other)).toBe(TRY_LATER);
    await site.revoke(held);
    await site.view.look();
    expect(await statuses(held)).toBe(TRY_LATER);
    site.site.keys.fault = undefined;
    expect(await statuses(held)).toBe('revoked');
    expect(await statuses(other)).toBe('good');
  });

  it('answers until nextUpdate while the token is away, and not beyond', async () => {
    const row = await site.issue();
    expect(await statuses(row)).toBe('good');
    site.site.keys.fault = 'away';
    site.site.clock.ahead = 3_500_000;
    expect(await statuses(row)).toBe('good');
    site.site.clock.ahead = 3_601_000;
    expect(await statuses(row)).toBe(TRY_LATER);
  });

  it('says tryLater, and never good, once it is cut off from the database for two seconds', async () => {
    const row = await site.issue();
    expect(await statuses(row)).toBe('good');
    await site.revoke(row);
    site.database.away = true;
    await delay(2100);
    expect(await statuses(row)).toBe(TRY_LATER);
    site.database.away = false;
    expect(await statuses(row)).toBe('revoked');
  });

  it('asks the store when its view is old', async () => {
    const row = await site.issue();
    expect(await statuses(row)).toBe('good');
    await site.view.stop();
    await delay(2100);
    expect(await statuses(row)).toBe('good');
    expect(site.sources.at(-1)).toBe('store');
    await site.revoke(row);
    expect(await statuses(row)).toBe('revoked');
    await site.view.look();
  });
});

describe('a nonce', () => {
  it('comes back octet by octet, until its source has had enough: then the answer comes without', async () => {
    await using site = await StatusSite.open({ signing: { perSecond: 0, burst: 3 } });
    const row = await site.issue();
    const nonces: (string | undefined)[] = [];
    for (let i = 0; i < 5; i++) {
      const nonce = new Uint8Array(32).fill(i);
      const response = await site.post(ocspRequest(site.issuer, [row.serial_number], { nonce }));
      const answer = readOcspResponse(new Uint8Array(await response.arrayBuffer()));
      expect(answer.responses[0]).toMatchObject({ status: 'good' });
      nonces.push(answer.nonce && Buffer.from(answer.nonce).toString('hex'));
    }
    const expected = [0, 1, 2].map((i) => `0420${Buffer.alloc(32, i).toString('hex')}`);
    expect(nonces).toEqual([...expected, undefined, undefined]);
    const several = await site.post(ocspRequest(site.issuer, [row.serial_number, '0a']));
    expect(readOcspResponse(new Uint8Array(await several.arrayBuffer())).status).toBe(3);
  });
});
