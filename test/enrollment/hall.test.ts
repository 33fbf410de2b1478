import { X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { DEVICE_PROFILE } from '../../core/authority/profile.ts';
import type { Endpoint } from '../../core/enrollment/endpoint.ts';
import type { Outcome } from '../../core/enrollment/outcome.ts';
import { parseCertificate } from '../../core/x509/certificate.ts';
import { EXTENSIONS } from '../../core/x509/extensions.ts';
import { KEY_PURPOSE } from '../../core/x509/oids.ts';
import { makeCsr, makeKey } from '../support/test-pki.ts';
import { ENGINES } from '../support/stores.ts';
import { issuedBy, OPEN_ENDPOINT, Site, type SiteTenant } from './site.ts';

const HOUR_MS = 3_600_000;

describe.each(ENGINES)('the hall on %s', (engine) => {
  let site: Site;
  let acme: SiteTenant;

  beforeAll(async () => {
    site = await Site.open(engine);
    acme = await site.tenant('acme');
  });
  afterAll(() => site[Symbol.asyncDispose]());

  /** The same device asking again: same request, same password, verified anew. */
  async function device(endpoint: Endpoint, csr = makeCsr({ subject: 'CN=router' }).der) {
    const { secret, id } = await site.secret(endpoint, { lifetimeSeconds: 999_999 });
    const ask = async (hall = site.hall, asking = csr): Promise<Outcome> =>
      hall.enroll(site.request(endpoint, [await site.password(endpoint, secret)], { csr: asking }));
    return { ask, csr, secretId: id };
  }

  it('issues a certificate for the key, the names and the device that asked', async () => {
    const key = makeKey();
    const csr = makeCsr({ subject: 'CN=router1,O=Acme', san: ['dns:router1.example'], key }).der;
    const { ask, secretId } = await device(acme.endpoint, csr);
    const { certificate, enrollmentId, replayed } = issuedBy(await ask());
    expect(replayed).toBe(false);
    const x509 = new X509Certificate(certificate);
    expect(x509.subject).toBe('O=Acme\nCN=router1');
    expect(x509.checkPrivateKey(key)).toBe(true);
    expect(x509.verify(new X509Certificate(acme.issuing.certificate).publicKey)).toBe(true);
    const [row] = (await site.certificates(acme.id)).slice(-1);
    expect(row).toMatchObject({
      enrollment: enrollmentId,
      status: 'active',
      authority: acme.issuing.id,
      profile: acme.profile,
    });
    const enrollment = await site.enrollment(acme.endpoint, enrollmentId);
    expect(enrollment).toMatchObject({
      status: 'issued',
      certificate: row!.id,
      serial_number: row!.serial_number,
      tbs: null,
      device_name: 'router1',
      lease_owner: null,
    });
    expect(await site.secretState(acme.endpoint, secretId)).toBe('spent');
    expect((await site.audit(acme.id)).at(-1)).toMatchObject({
      action: 'certificate.issued',
      object: `certificate:${row!.id}`,
      actor: `device:password ${secretId}`,
      outcome: 'success',
      details: { enrollment: enrollmentId, names: ['dns:router1.example'], serialNumber: row!.serial_number },
    });
  });

  it('answers a repeat with the same certificate for a day, and tells that it is one', async () => {
    const { ask } = await device(acme.endpoint);
    const first = issuedBy(await ask());
    const signed = site.keys.signed.length;
    site.clock.ahead = 24 * HOUR_MS - 60_000;
    const second = issuedBy(await ask());
    expect(second).toEqual({ ...first, certificate: second.certificate, replayed: true });
    expect(Buffer.from(second.certificate).equals(first.certificate)).toBe(true);
    expect(site.keys.signed).toHaveLength(signed);
    // After the day a one-time secret is worth nothing, even to its own request.
    site.clock.ahead = 24 * HOUR_MS + 60_000;
    expect(await ask()).toMatchObject({ kind: 'rejected', reason: 'bad-credential' });
    expect(site.keys.signed).toHaveLength(signed);
    site.clock.ahead = 0;
  });

  it('opens a new enrolment after a day for who may still ask', async () => {
    const { secret } = await site.secret(acme.endpoint, { usage: 'device', username: 'r7', lifetimeSeconds: 999_999 });
    const csr = makeCsr({ subject: 'CN=r7' }).der;
    const ask = async () =>
      site.hall.enroll(
        site.request(acme.endpoint, [await site.password(acme.endpoint, secret, { username: 'r7' })], { csr }),
      );
    const first = issuedBy(await ask());
    expect(issuedBy(await ask()).enrollmentId).toBe(first.enrollmentId);
    site.clock.ahead = 24 * HOUR_MS + 1000;
    const later = issuedBy(await ask());
    expect(later).toMatchObject({ replayed: false });
    expect(later.enrollmentId).not.toBe(first.enrollmentId);
    expect(issuedBy(await ask())).toMatchObject({ enrollmentId: later.enrollmentId, replayed: true });
    site.clock.ahead = 0;
  });

  it('gives identical requests that come at once one serial number', async () => {
    const { ask, csr } = await device(acme.endpoint);
    const halls = [site.hall, site.newHall()];
    const outcomes = (await Promise.all(Array.from({ length: 16 }, (_, index) => ask(halls[index % 2])))).map(issuedBy);
    expect(new Set(outcomes.map(({ certificate }) => Buffer.from(certificate).toString('hex'))).size).toBe(1);
    expect(outcomes.filter(({ replayed }) => !replayed)).toHaveLength(1);
    const rows = (await site.enrollments(acme.endpoint)).filter((row) => Buffer.from(row.request).equals(csr));
    expect(rows.map(({ status }) => status)).toEqual(['issued']);
  });

  it('gives different requests that come at once different serial numbers', async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        site.enroll(acme.endpoint, { names: { subject: `CN=at-once-${index}` } }),
      ),
    );
    const serials = outcomes.map((outcome) => parseCertificate(issuedBy(outcome).certificate).serialNumber);
    expect(new Set(serials).size).toBe(40);
  });

  it('refuses a key, a privilege or a name outside the profile, and says why to the operator and the audit log', async () => {
    const cmcRA = [EXTENSIONS.extendedKeyUsage.encode([KEY_PURPOSE.cmcRA])];
    const cases = [
      [{ subject: 'CN=a', key: makeKey('ed448') }, 'key-not-allowed'],
      [{ subject: 'CN=a', extensions: cmcRA }, 'template-not-allowed'],
      [{ subject: 'CN=a', san: ['dns:not a host'] }, 'lint-failed'],
      [{ subject: '', san: [] }, 'subject-not-allowed'],
      [{ subject: 'CN=one,CN=two' }, 'subject-not-allowed'],
    ] as const;
    for (const [names, reason] of cases) {
      const outcome = await site.enroll(acme.endpoint, {
        csr: makeCsr(names.subject === '' ? { subject: '' } : names).der,
      });
      expect(outcome, reason).toMatchObject({ kind: 'rejected', reason });
      const row = await site.enrollment(acme.endpoint, outcome.enrollmentId);
      expect(row).toMatchObject({ status: 'rejected', reason, serial_number: null });
      expect((await site.audit(acme.id)).at(-1)).toMatchObject({
        action: 'enrollment.rejected',
        object: `enrollment:${row.id}`,
        outcome: 'refused',
        details: { reason },
      });
    }
  });

  it('keeps to a rejection for the revision that pronounced it, and decides anew after a change', async () => {
    const rule = { name: 'no-guests', rule: "!request.commonName.startsWith('guest')", message: 'no guests here' };
    const endpoint = await site.endpoint(acme, { ...OPEN_ENDPOINT, admission: [rule] });
    const csr = makeCsr({ subject: 'CN=guest1' }).der;
    const { secret, id } = await site.secret(endpoint);
    const ask = async (at: Endpoint) => site.hall.enroll(site.request(at, [await site.password(at, secret)], { csr }));
    const refused = await ask(endpoint);
    expect(refused).toMatchObject({ kind: 'rejected', reason: 'policy-refused', message: 'no guests here' });
    expect(await ask(endpoint)).toEqual(refused);
    expect(await site.enrollments(endpoint)).toHaveLength(1);
    expect(await site.secretState(endpoint, id)).toBe('free');
    const changed = await site.changeEndpoint(endpoint, { admission: [] });
    const issued = issuedBy(await ask(changed));
    expect(issued.enrollmentId).not.toBe(refused.enrollmentId);
    expect((await site.enrollments(endpoint)).map(({ status }) => status)).toEqual(['rejected', 'issued']);
  });

  it.each([
    ['allowed', 'issued', 'issued'],
    ['renewal', 'key-reused', 'issued'],
    ['refused', 'key-reused', 'key-reused'],
  ] as const)(
    'with keys reused: %s, a second enrolment gets %s and a renewal %s',
    async (keyReuse, enrolment, renewal) => {
      const endpoint = await site.endpointWithProfile(acme, { ...DEVICE_PROFILE, keyReuse });
      const key = makeKey();
      const names = { subject: `CN=reuse-${keyReuse}`, key };
      const { certificate } = issuedBy(await site.enroll(endpoint, { names }));
      const told = (outcome: Outcome) => (outcome.kind === 'rejected' ? outcome.reason : outcome.kind);
      expect(told(await site.enroll(endpoint, { names }))).toBe(enrolment);
      const fact = await site.credentials.tlsCertificate(endpoint, [certificate]);
      const renewed = await site.hall.enroll(
        site.request(endpoint, [fact], { csr: makeCsr(names).der, operation: 'renew' }),
      );
      expect(told(renewed)).toBe(renewal);
    },
  );

  it('tells its observer of everything it decided', async () => {
    const before = site.decided.length;
    await site.enroll(acme.endpoint);
    await site.hall.enroll(site.request(acme.endpoint, []));
    expect(site.decided.slice(before).map(({ kind }) => kind)).toEqual(['issued', 'rejected']);
  });
});
