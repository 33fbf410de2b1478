import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { REGISTRATION_AUTHORITY_PROFILE, DEVICE_PROFILE } from '../../core/authority/profile.ts';
import type { AuthorityTables } from '../../core/authority/tables.ts';
import type { Authenticator, Endpoint } from '../../core/enrollment/endpoint.ts';
import type { Outcome } from '../../core/enrollment/outcome.ts';
import type { EnrollmentTables } from '../../core/enrollment/tables.ts';
import { newId } from '../../core/store/id.ts';
import { extendedKeyUsage, parseCertificate } from '../../core/x509/certificate.ts';
import { KEY_PURPOSE } from '../../core/x509/oids.ts';
import { ENGINES } from '../support/stores.ts';
import { type CsrOptions, makeCsr, TestAuthority } from '../support/test-pki.ts';
import { issuedBy, OPEN_ENDPOINT, openTo, Site, type SiteTenant } from './site.ts';

const DAY_MS = 86_400_000;

describe.each(ENGINES)('who may ask for what, on %s', (engine) => {
  let site: Site;
  let acme: SiteTenant;
  const factory = TestAuthority.root({ name: 'CN=Factory' });
  const gateways = TestAuthority.root({ name: 'CN=Gateways' });

  beforeAll(async () => {
    site = await Site.open(engine);
    acme = await site.tenant('acme');
    const anchors = [
      ['client', factory],
      ['ra', gateways],
    ] as const;
    await site.store.unit(async (tx) => {
      for (const [purpose, { der }] of anchors) {
        const row = { id: newId(), purpose, name: purpose, certificate: der, created_at: 0 };
        await tx.forTenant<EnrollmentTables>(acme.id).insertInto('trust_anchors', row).execute();
      }
    });
  });
  afterAll(() => site[Symbol.asyncDispose]());

  const open = (...authenticators: Authenticator[]) => site.endpoint(acme, openTo(...authenticators));
  const certificateOf = async (endpoint: Endpoint, names?: CsrOptions) =>
    issuedBy(await site.enroll(endpoint, { ...(names && { names }) })).certificate;

  /** Asks with a client certificate, for what the options of the request say. */
  async function ask(
    endpoint: Endpoint,
    der: Uint8Array,
    names: CsrOptions = {},
    asking: object = {},
  ): Promise<Outcome> {
    const fact = await site.credentials.tlsCertificate(endpoint, [der]);
    return site.hall.enroll(site.request(endpoint, [fact], { csr: makeCsr(names).der, ...asking }));
  }

  const refusal = (reason: string, text = '') => ({ kind: 'rejected', reason, message: expect.stringContaining(text) });

  describe('renewal by a certificate of ours', () => {
    const names = { subject: 'CN=r1,O=Acme', san: ['dns:r1.example', 'ip:192.0.2.1'] };

    it.each(['enroll', 'renew'] as const)('as %s replaces the old certificate', async (operation) => {
      const der = await certificateOf(acme.endpoint, names);
      const renewed = issuedBy(await ask(acme.endpoint, der, { ...names, san: names.san.toReversed() }, { operation }));
      const old = parseCertificate(der).serialNumber;
      const rows = await site.certificates(acme.id);
      const replacement = rows.find(({ enrollment }) => enrollment === renewed.enrollmentId)!;
      const replaced = rows.find(({ serial_number: serial }) => serial === old)!;
      expect(replaced).toMatchObject({ replaced_by: replacement.id, status: 'active' });
      expect(replacement.device).toBe(replaced.device);
      expect(await site.enrollment(acme.endpoint, renewed.enrollmentId)).toMatchObject({ replaces: replaced.id });
    });

    it.each<[string, CsrOptions]>([
      ['another subject', { ...names, subject: 'CN=r2,O=Acme' }],
      ['a name less', { ...names, san: ['dns:r1.example'] }],
      ['a name more', { ...names, san: [...names.san, 'dns:evil.example'] }],
      ['another name', { ...names, san: ['dns:r1.example', 'ip:192.0.2.2'] }],
      ['a name twice instead of two', { ...names, san: ['dns:r1.example', 'dns:r1.example'] }],
    ])('gets no %s (V10)', async (_, wanted) => {
      const der = await certificateOf(acme.endpoint, names);
      for (const operation of ['enroll', 'renew'] as const) {
        expect(await ask(acme.endpoint, der, wanted, { operation })).toMatchObject(refusal('subject-mismatch'));
      }
    });

    it('is none where the endpoint accepts no certificates, and none without one', async () => {
      const der = await certificateOf(acme.endpoint, names);
      const closed = await open('password', 'ra');
      expect(await ask(closed, der, names, { operation: 'renew' })).toMatchObject(refusal('not-authorized', 'renewal'));
      expect(await ask(closed, der, names)).toMatchObject(refusal('not-authorized'));
      const { secret } = await site.secret(acme.endpoint);
      const password = [await site.password(acme.endpoint, secret)];
      expect(await site.hall.enroll(site.request(acme.endpoint, password, { operation: 'renew' }))).toMatchObject(
        refusal('authentication-required'),
      );
    });

    it('opens no other profile: a device does not become a registration authority by renewing (V9, V11)', async () => {
      const der = await certificateOf(acme.endpoint, names);
      const forGateways = await site.endpoint(acme, OPEN_ENDPOINT, { profile: acme.raProfile });
      for (const operation of ['enroll', 'renew'] as const) {
        expect(await ask(forGateways, der, names, { operation })).toMatchObject(refusal('not-authorized'));
      }
      // The same profile at another endpoint is the same thing.
      issuedBy(await ask(await site.endpoint(acme, OPEN_ENDPOINT), der, names, { operation: 'renew' }));
    });

    it('is granted in its window', async () => {
      const endpoint = await site.endpoint(acme, { ...OPEN_ENDPOINT, renewalWindowSeconds: 30 * 86_400 });
      const der = await certificateOf(endpoint, names);
      const opens = new Date(parseCertificate(der).notAfter.getTime() - 30 * DAY_MS).toISOString();
      expect(await ask(endpoint, der, names, { operation: 'renew' })).toMatchObject(refusal('not-authorized', opens));
      expect(await ask(endpoint, der, names)).toMatchObject(refusal('not-authorized', opens));
      site.clock.ahead = 336 * DAY_MS;
      issuedBy(await ask(endpoint, der, names, { operation: 'renew' }));
      site.clock.ahead = 0;
    });

    it('is repeated with the same answer', async () => {
      const der = await certificateOf(acme.endpoint, names);
      const csr = makeCsr(names).der;
      const first = issuedBy(await ask(acme.endpoint, der, {}, { csr }));
      expect(issuedBy(await ask(acme.endpoint, der, {}, { csr }))).toMatchObject({
        enrollmentId: first.enrollmentId,
        replayed: true,
      });
    });
  });

  describe('a factory certificate', () => {
    const leaf = (subject: string, options = {}) => factory.leaf({ subject, ...options });

    it.each<[string, string, boolean]>([
      ['CN=Model 1,serialNumber=SN-1', 'CN=core1,serialNumber=SN-1', true],
      ['CN=Model 1,serialNumber=SN-1', 'CN=SN-1', true],
      ['CN=dev-1', 'CN=dev-1', true],
      ['CN=Model 1,serialNumber=SN-1', 'CN=core1,serialNumber=SN-2', false],
      ['CN=Model 1,serialNumber=SN-1', 'CN=core1', false],
      ['CN=dev-1', 'CN=dev-2', false],
      ['O=Nameless', 'O=Nameless', false],
    ])('of %s may ask for %s: %s', async (holder, wanted, admitted) => {
      const outcome = await ask(acme.endpoint, leaf(holder).der, { subject: wanted });
      if (admitted) issuedBy(outcome);
      else expect(outcome).toMatchObject(refusal('subject-mismatch'));
    });

    it('renews nothing, and is nothing where the endpoint does not accept it', async () => {
      const { der } = leaf('CN=dev-9');
      expect(await ask(acme.endpoint, der, { subject: 'CN=dev-9' }, { operation: 'renew' })).toMatchObject(
        refusal('not-authorized', 'renewal'),
      );
      expect(await ask(await open('password', 'certificate', 'ra'), der, { subject: 'CN=dev-9' })).toMatchObject(
        refusal('not-authorized'),
      );
    });

    it('is no registration authority for claiming to be one: its anchor is for devices', async () => {
      const { der } = leaf('CN=dev-8', { eku: [KEY_PURPOSE.clientAuth, KEY_PURPOSE.cmcRA] });
      expect(await ask(acme.endpoint, der, { subject: 'CN=somebody' })).toMatchObject(refusal('subject-mismatch'));
    });
  });

  describe('a registration authority', () => {
    const enrolRa = async (subject = 'CN=gateway') => {
      const endpoint = await site.endpoint(acme, OPEN_ENDPOINT, { profile: acme.raProfile });
      return { endpoint, der: await certificateOf(endpoint, { subject }) };
    };

    it('with a certificate of ours enrols others, by the profile of the endpoint', async () => {
      const { der } = await enrolRa();
      const outcome = issuedBy(await ask(acme.endpoint, der, { subject: 'CN=camera1' }));
      expect(extendedKeyUsage(parseCertificate(outcome.certificate))).toEqual(DEVICE_PROFILE.extendedKeyUsage);
      expect(await site.enrollment(acme.endpoint, outcome.enrollmentId)).toMatchObject({
        principal: `ra ${parseCertificate(der).serialNumber}`,
        replaces: null,
      });
      issuedBy(
        await ask(acme.endpoint, der, { subject: 'CN=camera2' }, { proofOfPossession: 'registration-authority' }),
      );
    });

    it('is not admitted where the endpoint admits none', async () => {
      const { der } = await enrolRa();
      expect(await ask(await open('password', 'certificate'), der, { subject: 'CN=camera1' })).toMatchObject(
        refusal('not-authorized'),
      );
    });

    it('makes none of its kind (V11), and renews itself', async () => {
      const { endpoint, der } = await enrolRa();
      expect(await ask(endpoint, der, { subject: 'CN=gateway2' })).toMatchObject(
        refusal('not-authorized', 'privileges'),
      );
      for (const operation of ['enroll', 'renew'] as const) {
        const renewed = issuedBy(await ask(endpoint, der, { subject: 'CN=gateway' }, { operation }));
        expect(extendedKeyUsage(parseCertificate(renewed.certificate))).toEqual(
          REGISTRATION_AUTHORITY_PROFILE.extendedKeyUsage,
        );
        expect(await site.enrollment(endpoint, renewed.enrollmentId)).toMatchObject({ replaces: expect.any(String) });
      }
    });

    it('under an anchor for registration authorities needs the purpose, too', async () => {
      const eku = [KEY_PURPOSE.clientAuth, KEY_PURPOSE.cmcRA];
      issuedBy(await ask(acme.endpoint, gateways.leaf({ subject: 'CN=line-1', eku }).der, { subject: 'CN=camera3' }));
      expect(
        await ask(acme.endpoint, gateways.leaf({ subject: 'CN=line-2' }).der, { subject: 'CN=line-2' }),
      ).toMatchObject(refusal('not-authorized'));
    });

    it('may be any certificate on the list of the endpoint, there alone', async () => {
      const { der } = factory.leaf({ subject: 'CN=line-3' });
      const { fingerprint } = await site.credentials.tlsCertificate(acme.endpoint, [der]);
      const listing = await site.endpoint(acme, { ...OPEN_ENDPOINT, registrationAuthorities: [fingerprint] });
      issuedBy(await ask(listing, der, { subject: 'CN=camera4' }));
      expect(await ask(acme.endpoint, der, { subject: 'CN=camera5' })).toMatchObject(refusal('subject-mismatch'));
    });

    it('alone may vouch for the possession of a key (V11)', async () => {
      const vouched = { proofOfPossession: 'registration-authority' } as const;
      const der = await certificateOf(acme.endpoint, { subject: 'CN=r7' });
      expect(await ask(acme.endpoint, der, { subject: 'CN=r7' }, vouched)).toMatchObject(
        refusal('not-authorized', 'vouch'),
      );
      const { secret, id } = await site.secret(acme.endpoint);
      const password = [await site.password(acme.endpoint, secret)];
      expect(await site.hall.enroll(site.request(acme.endpoint, password, vouched))).toMatchObject(
        refusal('not-authorized', 'vouch'),
      );
      expect(await site.secretState(acme.endpoint, id)).toBe('free');
    });
  });

  it('a password helps out where the certificate is for other names', async () => {
    const der = await certificateOf(acme.endpoint, { subject: 'CN=old' });
    const { secret, id } = await site.secret(acme.endpoint);
    const facts = [
      await site.credentials.tlsCertificate(acme.endpoint, [der]),
      await site.password(acme.endpoint, secret),
    ];
    const outcome = issuedBy(
      await site.hall.enroll(site.request(acme.endpoint, facts, { csr: makeCsr({ subject: 'CN=new' }).der })),
    );
    expect(await site.enrollment(acme.endpoint, outcome.enrollmentId)).toMatchObject({
      principal: `password ${id}`,
      secret: id,
    });
    // Where it is for the same names, the certificate is renewed and the secret is kept.
    const { secret: kept, id: keptId } = await site.secret(acme.endpoint);
    const both = [facts[0]!, await site.password(acme.endpoint, kept)];
    issuedBy(await site.hall.enroll(site.request(acme.endpoint, both, { csr: makeCsr({ subject: 'CN=old' }).der })));
    expect(await site.secretState(acme.endpoint, keptId)).toBe('free');
  });

  it('nobody is admitted by nothing, nor at a door that is closed, and only who showed something is recorded', async () => {
    const before = (await site.audit(acme.id)).length;
    expect(await site.hall.enroll(site.request(acme.endpoint, []))).toMatchObject(refusal('authentication-required'));
    expect((await site.audit(acme.id)).length).toBe(before);
    const closed = await site.endpoint(acme, { ...OPEN_ENDPOINT, protocols: {} });
    const { secret } = await site.secret(closed);
    expect(await site.hall.enroll(site.request(closed, [await site.password(closed, secret)]))).toMatchObject(
      refusal('not-authorized'),
    );
    const scep = { protocol: 'scep' } as const;
    const open = await site.secret(acme.endpoint);
    expect(
      await site.hall.enroll(site.request(acme.endpoint, [await site.password(acme.endpoint, open.secret)], scep)),
    ).toMatchObject(refusal('not-authorized'));
    expect((await site.audit(acme.id)).slice(before).map(({ action }) => action)).toEqual([
      'enrollment.refused',
      'enrollment.refused',
    ]);
    expect(await site.enrollments(closed)).toEqual([]);
  });

  it('what is asked at one endpoint is not what was asked at another', async () => {
    const der = await certificateOf(acme.endpoint, { subject: 'CN=twice' });
    const csr = makeCsr({ subject: 'CN=twice' }).der;
    const second = await open('certificate');
    const outcomes = [await ask(acme.endpoint, der, {}, { csr }), await ask(second, der, {}, { csr })].map(issuedBy);
    expect(outcomes[0]!.enrollmentId).not.toBe(outcomes[1]!.enrollmentId);
    const rows = site.store
      .forTenant<AuthorityTables>(acme.id)
      .selectFrom('certificates')
      .select('id')
      .where('subject', '=', 'CN=twice');
    expect(await rows.execute()).toHaveLength(3);
  });
});
