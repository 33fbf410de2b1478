import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { parseCertificateList } from '../../core/x509/crl.ts';
import { parseCertificate } from '../../core/x509/certificate.ts';
import { EXTENSIONS } from '../../core/x509/extensions.ts';
import { distributionPointUrls } from '../../core/x509/distribution-points.ts';
import { changeStatusLifetimes, type StatusLifetimes } from '../../core/authority/status-lifetimes.ts';
import type { AuthorityTables, CertificateRow } from '../../core/authority/tables.ts';
import { exchange } from '../server/support/raw-http.ts';
import { ocspRequest, readOcspResponse } from './ocsp-messages.ts';
import { StatusSite } from './status-site.ts';

describe('the status services over HTTP', () => {
  let site: StatusSite;
  let row: CertificateRow;

  beforeAll(async () => {
    site = await StatusSite.open();
    row = await site.issue();
  });
  afterAll(() => site[Symbol.asyncDispose]());

  describe('OCSP', () => {
    const request = (): Buffer => ocspRequest(site.issuer, [row.serial_number]);

    it('is cached no longer than it holds (RFC 5019 §6.2)', async () => {
      const response = await site.get(request());
      const { nextUpdate } = readOcspResponse(new Uint8Array(await response.arrayBuffer())).responses[0]!;
      const control = response.headers.get('cache-control')!;
      expect(control).toMatch(/^max-age=300, public, no-transform, must-revalidate$/);
      expect(Date.parse(response.headers.get('expires')!)).toBeLessThanOrEqual(nextUpdate!.getTime());
      expect(Date.parse(response.headers.get('last-modified')!)).toBeLessThan(Date.now());
      site.site.clock.ahead = 3_590_000 - 1_800_000;
      const ahead = nextUpdate!.getTime() - 100_000 - Date.now();
      site.site.keys.fault = 'away';
      site.site.clock.ahead = ahead;
      const late = await site.get(request());
      const [, age] = /max-age=(\d+)/.exec(late.headers.get('cache-control')!)!;
      expect(Number(age)).toBeLessThanOrEqual(100);
      expect(Number(age)).toBeGreaterThan(80);
      expect(Date.parse(late.headers.get('expires')!)).toBeLessThanOrEqual(nextUpdate!.getTime());
      site.site.keys.fault = undefined;
      site.site.clock.ahead = 0;
    });

    it('holds as long as its authority says, and is cached no longer', async () => {
      const { tenant, authority } = { tenant: site.tenant.id, authority: site.authority };
      const change = (changes: Partial<StatusLifetimes>) =>
        site.site.store.unit((tx) =>
          changeStatusLifetimes(tx, { tenant, authority, changes, actor: 'user:a', at: Date.now() }),
        );
      await expect(change({ ocspSeconds: 200 })).rejects.toMatchObject({ reason: 'malformed-request' });
      await expect(change({ maxAgeSeconds: 3_601 })).rejects.toMatchObject({ reason: 'malformed-request' });
      await change({ ocspSeconds: 900, maxAgeSeconds: 60, fullCrlSeconds: 600 });
      await delay(1_100);
      const response = await site.get(ocspRequest(site.issuer, [(await site.issue()).serial_number]));
      expect(response.headers.get('cache-control')).toContain('max-age=60,');
      const { basic, responses } = readOcspResponse(new Uint8Array(await response.arrayBuffer()));
      const { producedAt } = basic!.tbsResponseData;
      expect(responses[0]!.nextUpdate!.getTime() - producedAt.getTime()).toBe(900_000);
      await site.crls.publish({ tenant, authority, scope: 'full' }, 'regular');
      const crl = await fetch(site.url(`/crl/${authority}.crl`));
      expect(crl.headers.get('cache-control')).toContain('max-age=60,');
      const { thisUpdate, nextUpdate } = parseCertificateList(new Uint8Array(await crl.arrayBuffer()));
      expect(nextUpdate!.getTime() - thisUpdate.getTime()).toBe(900_000);
      await change({ ocspSeconds: 3_600, maxAgeSeconds: 300, fullCrlSeconds: 86_400 });
      await delay(1_100);
    });

    it('is not sent twice to who has it', async () => {
      const first = await site.get(request());
      const etag = first.headers.get('etag')!;
      const since = first.headers.get('last-modified')!;
      for (const headers of [
        { 'if-none-match': etag },
        { 'if-none-match': `W/${etag}, "x"` },
        { 'if-modified-since': since },
      ]) {
        const again = await site.get(request(), { headers });
        expect(again.status).toBe(304);
        expect((await again.arrayBuffer()).byteLength).toBe(0);
      }
      for (const headers of [{ 'if-none-match': '"x"' }, { 'if-modified-since': new Date(0).toUTCString() }])
        expect((await site.get(request(), { headers })).status).toBe(200);
    });

    it('takes HEAD, an old HTTP without Host, and a path after a proxy merged its slashes', async () => {
      const head = await site.get(request(), { method: 'HEAD' });
      expect(Number(head.headers.get('content-length'))).toBeGreaterThan(300);
      const text = request()
        .toString('base64')
        .replace(/\/{2,}/g, '/');
      const answer = await exchange(site.port, `GET /ocsp/${site.authority}/${text} HTTP/1.0\r\n\r\n`);
      expect(answer).toMatch(/^HTTP\/1\.[01] 200 OK\r\n/);
      expect(answer).toContain('Content-Type: application/ocsp-response\r\n');
      expect(answer).toContain('ETag: ');
    });

    it.each<[string, () => Promise<Response>]>([
      ['no base64', () => fetch(site.url(`/ocsp/${site.authority}/%25%25`))],
      ['no authority', () => fetch(site.url('/ocsp/nobody/MA=='))],
      ['octets that are no request', () => site.post(Buffer.from('hello'))],
      ['an empty body', () => site.post(Buffer.alloc(0))],
      ['over 16 kB', () => site.post(Buffer.alloc(20_000, 0x30))],
    ])('answers %s with malformedRequest and 200, to be kept by nobody', async (_, send) => {
      const response = await send();
      expect(response.status).toBe(200);
      expect(response.headers.get('cache-control')).toBe('no-store');
      expect(readOcspResponse(new Uint8Array(await response.arrayBuffer())).status).toBe(1);
    });

    it('takes a body in pieces and ends a connection that sends too much', async () => {
      const body = request();
      const head = `POST /ocsp/${site.authority} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n`;
      const chunk = (octets: Buffer): string => `${octets.length.toString(16)}\r\n${octets.toString('latin1')}\r\n`;
      const answer = await exchange(
        site.port,
        `${head}${chunk(body.subarray(0, 9))}${chunk(body.subarray(9))}0\r\n\r\n`,
      );
      expect(answer).toMatch(/^HTTP\/1\.1 200/);
      expect(answer).toContain('max-age=300');
      const { promise, resolve } = Promise.withResolvers<void>();
      const socket = connect(site.port, '127.0.0.1', () => {
        socket.write(`POST /ocsp/${site.authority} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n`);
        socket.write(Buffer.alloc(50_000));
      });
      socket
        .resume()
        .on('error', () => resolve())
        .on('close', () => resolve());
      await promise;
    });

    it('takes no other method', async () => {
      const response = await fetch(site.url(`/ocsp/${site.authority}`), { method: 'PUT', body: 'x' });
      expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, HEAD, POST']);
    });
  });

  describe('CRLs', () => {
    const path = (scope: string): string => `/crl/${site.authority}${scope}.crl`;

    it('are where certificates say, and say so themselves', async () => {
      const points = EXTENSIONS.crlDistributionPoints.find(parseCertificate(row.der).extensions)!;
      const [url] = distributionPointUrls(points);
      await site.revoke(row);
      const response = await fetch(site.url(new URL(url!).pathname));
      expect(response.headers.get('content-type')).toBe('application/pkix-crl');
      const list = parseCertificateList(new Uint8Array(await response.arrayBuffer()));
      expect(list.entries.map(({ serialNumber }) => serialNumber)).toEqual([row.serial_number]);
      const idp = EXTENSIONS.issuingDistributionPoint.find(list.extensions)!;
      expect(idp.distributionPoint).toEqual(points[0]!.distributionPoint);
      const full = parseCertificateList(new Uint8Array(await (await fetch(site.url(path('')))).arrayBuffer()));
      const [delta] = distributionPointUrls(EXTENSIONS.freshestCRL.find(full.extensions)!);
      const ofDelta = parseCertificateList(
        new Uint8Array(await (await fetch(site.url(new URL(delta!).pathname))).arrayBuffer()),
      );
      expect(EXTENSIONS.deltaCRLIndicator.find(ofDelta.extensions)).toBeDefined();
    });

    it('that nobody asked for yet are signed once, however many ask', async () => {
      const scopes = Array.from({ length: 4 }, (_, shard) => `/${shard}`);
      const before = site.site.keys.signed.length;
      await Promise.all([...scopes, ...scopes, ...scopes].map((scope) => fetch(site.url(path(scope)))));
      expect(site.site.keys.signed.length - before).toBeLessThanOrEqual(4);
    });

    it('come whole, by HEAD, and not twice', async () => {
      const response = await fetch(site.url(path('')));
      const octets = await response.arrayBuffer();
      const length = String(octets.byteLength);
      expect(response.headers.get('content-length')).toBe(length);
      const head = await fetch(site.url(path('')), { method: 'HEAD' });
      expect(head.headers.get('content-length')).toBe(length);
      expect(head.headers.get('etag')).toBe(response.headers.get('etag'));
      for (const [name, value] of [
        ['if-none-match', response.headers.get('etag')!],
        ['if-modified-since', response.headers.get('last-modified')!],
      ] as const) {
        expect((await fetch(site.url(path('')), { headers: { [name]: value } })).status).toBe(304);
      }
    });

    it.each(['/00', '/9', '/99999', '/x', '/delta/x', '/-1'])('%s is none of ours', async (scope) => {
      expect((await fetch(site.url(path(scope)))).status).toBe(404);
      expect((await fetch(site.url('/crl/nobody.crl'))).status).toBe(404);
    });

    it('stay while token and database are away', async () => {
      await fetch(site.url(path('')));
      site.site.keys.fault = 'away';
      site.database.away = true;
      const response = await fetch(site.url(path('')));
      expect(response.status).toBe(200);
      site.site.keys.fault = undefined;
      site.database.away = false;
    });

    it('too long for memory come slice by slice', async () => {
      await insertRevocations(site, 100_000);
      await site.crls.publish({ tenant: site.tenant.id, authority: site.authority, scope: 'full' }, 'regular');
      const response = await fetch(site.url(path('')));
      const octets = new Uint8Array(await response.arrayBuffer());
      expect(octets.length).toBeGreaterThan(4 * 1024 * 1024);
      expect(parseCertificateList(octets).entries.length).toBeGreaterThanOrEqual(100_000);
    }, 60_000);
  });

  it('certificates of authorities are where certificates say', async () => {
    const response = await fetch(site.url(`/ca/${site.authority}.cer`));
    expect(response.headers.get('content-type')).toBe('application/pkix-cert');
    expect(Buffer.from(await response.arrayBuffer())).toEqual(Buffer.from(site.issuer.der));
    expect((await fetch(site.url('/ca/nobody.cer'))).status).toBe(404);
  });
});

async function insertRevocations({ site, tenant, authority }: StatusSite, count: number): Promise<void> {
  for (let done = 0; done < count; done += 2000) {
    const rows = Array.from({ length: 2000 }, (_, index) => ({
      tenant: tenant.id,
      authority,
      serial_number: (0x40n * (1n << 152n) + BigInt(done + index)).toString(16),
      certificate: '',
      shard: 0,
      state: 'revoked' as const,
      reason: 1,
      revoked_at: 0,
      invalidity_date: null,
      not_after: Date.now() + 3_600_000,
      changed_at: 0,
    }));
    await site.store.unit((tx) => tx.db<AuthorityTables>().insertInto('revocations').values(rows).execute());
  }
}
