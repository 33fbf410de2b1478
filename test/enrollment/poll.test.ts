import { createHash, type KeyObject } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { DEVICE_PROFILE } from '../../core/authority/profile.ts';
import type { AuthorityTables } from '../../core/authority/tables.ts';
import { OPEN_CMP } from '../../core/enrollment/cmp-settings.ts';
import type { Endpoint, EndpointSettings } from '../../core/enrollment/endpoint.ts';
import { approve, reject } from '../../core/enrollment/enrollments.ts';
import type { Hall, PollQuery } from '../../core/enrollment/hall.ts';
import type { Outcome } from '../../core/enrollment/outcome.ts';
import type { EnrollmentRequest, RestoredRequest } from '../../core/enrollment/request.ts';
import { OPEN_SCEP } from '../../core/enrollment/scep-settings.ts';
import { createMacSecret } from '../../core/enrollment/sealed-secrets.ts';
import { InternalError } from '../../core/errors/muster-error.ts';
import { newId } from '../../core/store/id.ts';
import { commonNames } from '../../core/x509/name.ts';
import { parseCertificate } from '../../core/x509/certificate.ts';
import { parseCertificationRequest } from '../../core/x509/certification-request.ts';
import { publicKeysEqual } from '../../core/x509/public-key.ts';
import { ENGINES } from '../support/stores.ts';
import { makeCsr, makeKey } from '../support/test-pki.ts';
import { issuedBy, OPEN_ENDPOINT, Site, type SiteTenant } from './site.ts';

const HOUR_MS = 3_600_000;

const MANUAL: EndpointSettings = {
  ...OPEN_ENDPOINT,
  protocols: { scep: OPEN_SCEP, cmp: OPEN_CMP },
  approval: 'manual',
};

describe.each(ENGINES)('a poll on %s', (engine) => {
  let site: Site;
  let acme: SiteTenant;
  let endpoint: Endpoint;

  beforeAll(async () => {
    site = await Site.open(engine);
    acme = await site.tenant('acme');
    endpoint = await site.endpoint(acme, MANUAL);
  });
  afterEach(() => {
    site.clock.ahead = 0;
    site.keys.fault = undefined;
  });
  afterAll(() => site[Symbol.asyncDispose]());

  const restore = (der: Uint8Array): RestoredRequest => {
    const { subject, publicKey } = parseCertificationRequest(der);
    return { subject, subjectAltName: [], requestedExtensions: [], publicKey, proofOfPossession: 'signature' };
  };

  /** SCEP's key: transactionID and public key, nothing of the rest. */
  function scepKey(csr: Uint8Array, transaction: string): Uint8Array {
    return createHash('sha256')
      .update(`${transaction}\0`)
      .update(parseCertificationRequest(csr).publicKey.der)
      .digest();
  }

  /** A device with one key that asks by SCEP, with a challenge, and polls without one. */
  function scepDevice({ key = makeKey(), transaction = newId(), at = endpoint } = {}) {
    const csrOf = (name: string): Uint8Array => makeCsr({ subject: `CN=${name}`, key }).der;
    const ask = async (name = 'router', hall: Hall = site.hall, secret?: Parameters<Site['password']>[1]) => {
      const csr = csrOf(name);
      const challenge = secret ?? (await site.secret(at)).secret;
      const fact = await site.credentials.challenge(at, {
        protocol: 'scep',
        challenge,
        deviceName: name,
        request: csr,
        transactionId: transaction,
        sourceAddress: '192.0.2.1',
      });
      const requestKey = scepKey(csr, transaction);
      return hall.enroll(site.request(at, [fact], { protocol: 'scep', csr, requestKey }));
    };
    const query = (): PollQuery => ({
      requestId: 'poll',
      endpoint: at,
      protocol: 'scep',
      requestKey: scepKey(csrOf('any'), transaction),
      facts: [],
      sourceAddress: '192.0.2.1',
      restore,
    });
    const poll = (hall: Hall = site.hall): Promise<Outcome | undefined> => hall.poll(query());
    return { ask, poll, query, key: key as KeyObject };
  }

  const decide = (how: typeof approve, id: string | undefined) =>
    site.store.unit((tx) => how(tx, { tenant: acme.id, id: id!, actor: 'user:a', comment: '', now: site.clock.now() }));

  describe('by SCEP, without a credential', () => {
    it('waits, then gets the certificate of what was approved, with its id, as often as it asks', async () => {
      const device = scepDevice();
      expect(await device.poll()).toBeUndefined();
      const pending = await device.ask();
      expect(await device.poll()).toEqual(pending);
      await decide(approve, pending.enrollmentId);
      const issued = issuedBy((await device.poll())!);
      expect(issued).toMatchObject({ enrollmentId: pending.enrollmentId, replayed: false });
      const [stored] = (await site.certificates(acme.id)).filter(({ id }) => id === issued.certificateId);
      expect(Buffer.from(stored!.der).equals(issued.certificate)).toBe(true);
      site.clock.ahead = 30 * HOUR_MS;
      expect(issuedBy((await device.poll())!)).toMatchObject({ certificateId: issued.certificateId, replayed: true });
      expect(site.decided.filter(({ enrollmentId }) => enrollmentId === pending.enrollmentId)).toHaveLength(4);
    });

    it('is answered after another challenge asked the same, and by a repeat of the request', async () => {
      const device = scepDevice();
      const { secret, id } = await site.secret(endpoint);
      const pending = await device.ask('router', site.hall, secret);
      // A fresh signature over the same request, as ECDSA makes it, is a repeat; a second challenge is not spent on it.
      const other = await site.secret(endpoint);
      expect(await device.ask('router', site.hall, other.secret)).toEqual(pending);
      await decide(approve, pending.enrollmentId);
      issuedBy(await device.ask('router', site.hall, secret));
      expect(await site.secretState(endpoint, id)).toBe('spent');
      expect(await site.secretState(endpoint, other.id)).toBe('free');
      expect(issuedBy((await device.poll())!).replayed).toBe(true);
    });

    it('never gets by an approval what was not approved', async () => {
      const device = scepDevice();
      const pending = await device.ask('router');
      for (const status of ['pending', 'approved']) {
        expect(await device.ask('administrator'), status).toMatchObject({
          kind: 'rejected',
          reason: 'transaction-in-use',
        });
        if (status === 'pending') await decide(approve, pending.enrollmentId);
      }
      const issued = issuedBy((await device.poll())!);
      expect(commonNames(parseCertificate(issued.certificate).subject)).toEqual(['router']);
    });

    it('lets go of its transaction once it is over: the same key may ask for another name then', async () => {
      const at = await site.endpoint(acme, { ...MANUAL, approval: 'automatic' });
      const device = scepDevice({ at });
      const [first, second] = [issuedBy(await device.ask('one')), issuedBy(await device.ask('two'))];
      expect(commonNames(parseCertificate(second.certificate).subject)).toEqual(['two']);
      expect(issuedBy(await device.ask('two')).certificateId).toBe(second.certificateId);
      expect(first.certificateId).not.toBe(second.certificateId);
      const both = await Promise.all([device.ask('three'), device.ask('four')]);
      const names = both.map((outcome) =>
        outcome.kind === 'issued' ? commonNames(parseCertificate(outcome.certificate).subject)[0] : outcome.kind,
      );
      expect(names).toEqual(['three', 'four']);
    });

    it('of a rejected request is rejected, until a credential that may asks the same', async () => {
      const admission = [{ name: 'known', rule: "principal.kind == 'static-password'" }];
      const scep = { ...OPEN_SCEP, authenticators: ['password', 'static-password'] } as const;
      const at = await site.endpoint(acme, { ...MANUAL, protocols: { scep }, approval: 'automatic', admission });
      const device = scepDevice({ at });
      const { secret } = await site.secret(at);
      for (let n = 0; n < 2; n++)
        expect(await device.ask('router', site.hall, secret)).toMatchObject({ reason: 'policy-refused' });
      expect(await device.poll()).toMatchObject({ kind: 'rejected', reason: 'policy-refused' });
      expect(await site.enrollments(at)).toHaveLength(1);
      const shared = await site.secret(at, { usage: 'static', allowed: ['router'] });
      const issued = issuedBy(await device.ask('router', site.hall, shared.secret));
      expect(issuedBy((await device.poll())!).certificateId).toBe(issued.certificateId);
    });

    it('does not know the transaction of another key, endpoint or id', async () => {
      const transaction = newId();
      const device = scepDevice({ transaction });
      await device.ask();
      expect(await scepDevice({ transaction }).poll()).toBeUndefined();
      expect(await scepDevice({ key: device.key }).poll()).toBeUndefined();
      const elsewhere = await site.endpoint(acme, MANUAL);
      expect(await scepDevice({ key: device.key, transaction, at: elsewhere }).poll()).toBeUndefined();
    });

    it('is told of a rejection, of time that ran out, and of a block', async () => {
      const refusedOne = scepDevice();
      await decide(reject, (await refusedOne.ask()).enrollmentId);
      expect(await refusedOne.poll()).toMatchObject({ kind: 'rejected', reason: 'operator-rejected' });
      const late = scepDevice();
      await late.ask();
      site.clock.ahead = 2 * HOUR_MS;
      for (let n = 0; n < 2; n++)
        expect(await late.poll()).toMatchObject({ kind: 'rejected', reason: 'enrollment-expired' });
    });

    it('is refused when the profile became stricter after the approval, for good', async () => {
      const at = await site.endpointWithProfile(acme, DEVICE_PROFILE, MANUAL);
      const device = scepDevice({ at });
      await decide(approve, (await device.ask()).enrollmentId);
      const settings = JSON.stringify({ ...DEVICE_PROFILE, keys: { ec: [], edwards: [], mlDsa: [] } });
      await site.store.unit(async (tx) => {
        const mine = tx.forTenant<AuthorityTables>(acme.id);
        await mine.updateTable('profiles', { settings, revision: 2 }).where('id', '=', at.profile).execute();
      });
      for (let n = 0; n < 2; n++)
        expect(await device.poll()).toMatchObject({ kind: 'rejected', reason: 'key-not-allowed' });
    });

    it('issues once to sixteen polls on two nodes', async () => {
      const device = scepDevice();
      await decide(approve, (await device.ask()).enrollmentId);
      const halls = [site.hall, site.newHall()];
      const outcomes = await Promise.all(Array.from({ length: 16 }, (_, n) => device.poll(halls[n % 2])));
      expect(new Set(outcomes.map((outcome) => issuedBy(outcome!).certificateId)).size).toBe(1);
    });

    it('finishes what the token interrupted, with the serial number it had', async () => {
      const device = scepDevice();
      const pending = await device.ask();
      await decide(approve, pending.enrollmentId);
      site.keys.fault = 'away';
      await expect(device.poll()).rejects.toMatchObject({ reason: 'hsm-unavailable' });
      site.keys.fault = undefined;
      const { serial_number: serialNumber } = await site.enrollment(endpoint, pending.enrollmentId);
      const issued = issuedBy((await device.poll())!);
      expect(parseCertificate(issued.certificate).serialNumber).toBe(serialNumber);
    });
  });

  describe('by CMP, with the credential that asked', () => {
    async function cmpDevice() {
      const csr = makeCsr({ subject: 'CN=router' }).der;
      const sealer = await site.dataKeys.sealer(acme.id);
      const made = await site.store.unit((tx) =>
        createMacSecret(tx, sealer, site.clock.now(), {
          tenant: acme.id,
          endpoint: endpoint.id,
          usage: 'one-time',
          lifetimeSeconds: 3600,
          createdBy: 'user:test',
        }),
      );
      const fact = async () =>
        (await site.credentials.macCredential(endpoint, 'cmp', Buffer.from(made.reference), '192.0.2.1'))!.fact();
      const request = async (): Promise<EnrollmentRequest> =>
        site.request(endpoint, [await fact()], { protocol: 'cmp', csr });
      const ask = async (): Promise<Outcome> => site.hall.enroll(await request());
      const poll = async (facts?: PollQuery['facts'], restored = restore): Promise<Outcome | undefined> => {
        const { requestId, protocol, requestKey, sourceAddress } = await request();
        const asking = { requestId, endpoint, protocol, requestKey, sourceAddress };
        return site.hall.poll({ ...asking, facts: facts ?? [await fact()], restore: restored });
      };
      return { ask, poll, fact, csr };
    }

    it('waits, and gets its certificate', async () => {
      const device = await cmpDevice();
      const pending = await device.ask();
      expect(await device.poll()).toEqual(pending);
      await decide(approve, pending.enrollmentId);
      const issued = issuedBy((await device.poll())!);
      const { publicKey } = parseCertificate(issued.certificate);
      expect(publicKeysEqual(publicKey, parseCertificationRequest(device.csr).publicKey)).toBe(true);
      expect(issuedBy((await device.poll())!)).toMatchObject({ certificateId: issued.certificateId, replayed: true });
    });

    it('is unknown to any other credential, and to none', async () => {
      const device = await cmpDevice();
      const pending = await device.ask();
      await decide(approve, pending.enrollmentId);
      const other = await cmpDevice();
      expect(await device.poll([await other.fact()])).toBeUndefined();
      expect(await device.poll([])).toBeUndefined();
      issuedBy((await device.poll([await other.fact(), await device.fact()]))!);
    });

    it('is refused when its request cannot be restored, or was restored as another; the enrolment stays', async () => {
      const device = await cmpDevice();
      const pending = await device.ask();
      await decide(approve, pending.enrollmentId);
      const { subjectAltName, requestedExtensions, publicKey, proofOfPossession } = restore(device.csr);
      const sameKey = { subjectAltName, requestedExtensions, publicKey, proofOfPossession };
      const another = restore(makeCsr({ subject: 'CN=administrator' }).der);
      const sameName = { ...another, subject: restore(device.csr).subject };
      for (const restored of [another, sameName, { ...another, ...sameKey }])
        await expect(device.poll(undefined, () => restored)).rejects.toThrow(InternalError);
      expect(await device.poll(undefined, () => restore(new Uint8Array()))).toMatchObject({
        kind: 'rejected',
        reason: 'malformed-request',
      });
      expect(await site.enrollment(endpoint, pending.enrollmentId)).toMatchObject({ status: 'approved' });
      issuedBy((await device.poll())!);
    });
  });
});
