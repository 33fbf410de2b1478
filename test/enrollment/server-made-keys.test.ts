import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { approve } from '../../core/enrollment/enrollments.ts';
import { parseCertificate } from '../../core/x509/certificate.ts';
import { ENGINES } from '../support/stores.ts';
import { makeCsr, makeKey, publicKeyOf } from '../support/test-pki.ts';
import { issuedBy, OPEN_ENDPOINT, Site, type SiteTenant } from './site.ts';

const HOUR_MS = 3_600_000;

describe.each(ENGINES)('a key made here on %s', (engine) => {
  let site: Site;
  let acme: SiteTenant;

  beforeAll(async () => {
    site = await Site.open(engine);
    acme = await site.tenant('acme');
  });
  afterAll(() => site[Symbol.asyncDispose]());

  const serverKey = () => ({ proofOfPossession: 'server-generated' as const, publicKey: publicKeyOf(makeKey()) });

  it('makes a new pair at each request and revokes the certificate nobody confirmed', async () => {
    const { secret, id } = await site.secret(acme.endpoint, { lifetimeSeconds: 999_999 });
    const csr = makeCsr({ subject: 'CN=keyless' }).der;
    const ask = async () =>
      site.hall.enroll(
        site.request(acme.endpoint, [await site.password(acme.endpoint, secret)], { csr, ...serverKey() }),
      );
    const first = issuedBy(await ask());
    const second = issuedBy(await ask());
    expect(second.replayed).toBe(false);
    const rows = (await site.certificates(acme.id)).slice(-2);
    expect(rows.map(({ status, revocation_reason: reason }) => [status, reason])).toEqual([
      ['revoked', 4],
      ['active', null],
    ]);
    expect(rows.map(({ enrollment }) => enrollment)).toEqual([first.enrollmentId, second.enrollmentId]);
    expect(await site.secretState(acme.endpoint, id)).toBe('spent');
    const revocations = (await site.audit(acme.id)).filter(
      ({ action, object }) => action === 'certificate.revoked' && object === `enrollment:${first.enrollmentId}`,
    );
    expect(revocations).toHaveLength(1);
    site.clock.ahead = 25 * HOUR_MS;
    expect(await ask()).toMatchObject({ kind: 'rejected', reason: 'bad-credential' });
    site.clock.ahead = 0;
    expect((await site.certificates(acme.id)).at(-1)).toMatchObject({ id: rows[1]!.id, status: 'active' });
  });

  it('leaves one certificate alive of many that were asked for at once, on two nodes', async () => {
    const { secret } = await site.secret(acme.endpoint);
    const csr = makeCsr({ subject: 'CN=keyless-at-once' }).der;
    const halls = [site.hall, site.newHall()];
    const outcomes = await Promise.allSettled(
      Array.from({ length: 8 }, async (_, index) =>
        halls[index % 2]!.enroll(
          site.request(acme.endpoint, [await site.password(acme.endpoint, secret)], { csr, ...serverKey() }),
        ),
      ),
    );
    const issued = outcomes.flatMap((result) =>
      result.status === 'fulfilled' && result.value.kind === 'issued' ? [result.value] : [],
    );
    expect(issued.length).toBeGreaterThan(0);
    const rows = (await site.certificates(acme.id)).filter(({ subject }) => subject === 'CN=keyless-at-once');
    expect(rows.filter(({ status }) => status === 'active')).toHaveLength(1);
    for (const { enrollment } of rows) {
      const revoked = (await site.audit(acme.id)).filter(
        ({ action, object }) => action === 'certificate.revoked' && object === `enrollment:${enrollment}`,
      );
      expect(revoked.length).toBeLessThanOrEqual(1);
    }
  });

  it('waits for an operator like any other', async () => {
    const endpoint = await site.endpoint(acme, { ...OPEN_ENDPOINT, approval: 'manual' });
    const { secret } = await site.secret(endpoint);
    const csr = makeCsr().der;
    const key = serverKey();
    const ask = async (made: object) =>
      site.hall.enroll(site.request(endpoint, [await site.password(endpoint, secret)], { csr, ...made }));
    const { enrollmentId } = await ask(serverKey());
    await site.store.unit((tx) =>
      approve(tx, { tenant: acme.id, id: enrollmentId!, actor: 'user:a', comment: '', now: site.clock.now() }),
    );
    const issued = issuedBy(await ask(key));
    expect(issued.enrollmentId).toBe(enrollmentId);
    expect(parseCertificate(issued.certificate).publicKey.der).toEqual(key.publicKey.der);
  });
});
