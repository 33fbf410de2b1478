import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import type { EnrollmentTables } from '../../core/enrollment/tables.ts';
import type { FaultPoint } from '../../core/enrollment/issuance.ts';
import { parseCertificate } from '../../core/x509/certificate.ts';
import { listDevices, setBlocked } from '../../devices/inventory/devices.ts';
import { makeCsr, makeKey, publicKeyOf } from '../support/test-pki.ts';
import { ENGINES } from '../support/stores.ts';
import { issuedBy, Site, type SiteTenant } from './site.ts';

const LEASE_MS = 10_000;
const hex = (octets: Uint8Array | null | undefined): string => Buffer.from(octets ?? []).toString('hex');

/** What a fault point throws: the process is as good as dead there. */
class Crash extends Error {}

describe.each(ENGINES)('an enrolment that was interrupted, on %s', (engine) => {
  let site: Site;
  let acme: SiteTenant;

  beforeAll(async () => {
    site = await Site.open(engine);
    acme = await site.tenant('acme');
  });
  afterEach(() => {
    site.keys.fault = undefined;
    site.clock.ahead = 0;
  });
  afterAll(() => site[Symbol.asyncDispose]());

  async function device(tenant = acme, subject = 'CN=router') {
    const { endpoint } = tenant;
    const { secret } = await site.secret(endpoint);
    const csr = makeCsr({ subject }).der;
    const ask = async (hall = site.hall) =>
      hall.enroll(site.request(endpoint, [await site.password(endpoint, secret)], { csr }));
    const row = async () => (await site.enrollments(endpoint)).find(({ request }) => hex(request) === hex(csr))!;
    return { ask, row };
  }

  /** A hall that dies at a fault point. */
  const crashing = (at: FaultPoint) =>
    site.newHall({
      faultPoint: async (point) => {
        if (point === at) throw new Crash();
      },
    });

  it.each(['away', 'signed-but-away', 'wrong-signature'] as const)(
    'by a token that is %s stays in signing, and a repeat gets the serial number it had',
    async (fault) => {
      const { ask, row } = await device();
      site.keys.fault = fault;
      await expect(ask()).rejects.toMatchObject({ reason: 'hsm-unavailable' });
      const stored = await row();
      expect(stored).toMatchObject({ status: 'signing' });
      expect(stored.tbs).not.toBeNull();
      // A second failure changes nothing.
      await expect(ask()).rejects.toMatchObject({ reason: 'hsm-unavailable' });
      site.keys.fault = undefined;
      const { certificate } = issuedBy(await ask());
      expect(parseCertificate(certificate).serialNumber).toBe(stored.serial_number);
      expect(hex(parseCertificate(certificate).tbsDer)).toBe(hex(stored.tbs));
      expect(issuedBy(await ask()).replayed).toBe(true);
    },
  );

  it.each<[FaultPoint, string | undefined]>([
    ['before-unit-1', undefined],
    ['after-unit-1', 'signing'],
    ['after-sign', 'signing'],
    ['after-unit-2', 'issued'],
  ])('%s leaves what the next node finishes with the same serial number', async (point, status) => {
    const { ask, row } = await device();
    await expect(ask(crashing(point))).rejects.toBeInstanceOf(Crash);
    const stored = await row();
    expect(stored?.status).toBe(status);
    site.clock.ahead = LEASE_MS + 1000;
    const { certificate } = issuedBy(await ask());
    if (stored) expect(parseCertificate(certificate).serialNumber).toBe(stored.serial_number);
    const issued = await site.certificates(acme.id);
    expect(issued.filter(({ enrollment }) => enrollment === stored?.id)).toHaveLength(stored ? 1 : 0);
  });

  it('sends no serial number to the token that the store does not know', async () => {
    const { ask } = await device();
    const before = site.keys.attempts;
    await expect(ask(crashing('before-unit-1'))).rejects.toBeInstanceOf(Crash);
    expect(site.keys.attempts).toBe(before);
  });

  it('is taken over by another node when the lease ends, and not before', async () => {
    const { ask, row } = await device();
    await expect(ask(crashing('after-unit-1'))).rejects.toBeInstanceOf(Crash);
    const other = site.newHall();
    expect(await ask(other)).toMatchObject({ kind: 'pending', retryAfterSeconds: 2 });
    expect(await other.resumeInterrupted(false)).toBe(0);
    const before = await row();
    expect(before.status).toBe('signing');
    site.clock.ahead = LEASE_MS + 1000;
    const { certificate } = issuedBy(await ask(other));
    expect(parseCertificate(certificate).serialNumber).toBe(before.serial_number);
  });

  it('is answered by the other node as soon as the first has issued it', async () => {
    const { ask } = await device();
    let goOn = (): void => undefined;
    const held = new Promise<void>((resolve) => (goOn = resolve));
    const slow = site.newHall({ faultPoint: (point) => (point === 'after-sign' ? held : Promise.resolve()) });
    const first = ask(slow);
    await delay(100);
    const second = ask(site.newHall());
    await delay(150);
    goOn();
    const [one, two] = [issuedBy(await first), issuedBy(await second)];
    expect(hex(two.certificate)).toBe(hex(one.certificate));
    expect(two.replayed).toBe(true);
  });

  it('is recorded once when two nodes sign it: both answer what the first stored', async () => {
    const { ask, row } = await device();
    let goOn = (): void => undefined;
    const held = new Promise<void>((resolve) => (goOn = resolve));
    const slow = site.newHall({ faultPoint: (point) => (point === 'after-sign' ? held : Promise.resolve()) });
    const first = ask(slow);
    await delay(100);
    // The first node's lease ends while it is at it.
    site.clock.ahead = LEASE_MS + 1000;
    const second = issuedBy(await ask(site.newHall()));
    goOn();
    expect(hex(issuedBy(await first).certificate)).toBe(hex(second.certificate));
    const { id } = await row();
    expect((await site.certificates(acme.id)).filter(({ enrollment }) => enrollment === id)).toHaveLength(1);
    const events = (await site.audit(acme.id)).filter(({ details }) => details['enrollment'] === id);
    expect(events).toHaveLength(1);
  });

  it('waits for a hung token without a second enrolment, and goes on when the token does', async () => {
    const { ask, row } = await device();
    site.keys.fault = 'hung';
    const all = [ask(), ask(), ask()];
    await delay(100);
    expect(await row()).toMatchObject({ status: 'signing' });
    site.keys.fault = undefined;
    const certificates = (await Promise.all(all)).map((outcome) => hex(issuedBy(outcome).certificate));
    expect(new Set(certificates).size).toBe(1);
  });

  it('is finished by the sweep: after its lease, or at once by the only node', async () => {
    const [one, two] = [await device(), await device()];
    for (const { ask } of [one, two]) await expect(ask(crashing('after-unit-1'))).rejects.toBeInstanceOf(Crash);
    expect(await site.hall.resumeInterrupted(false)).toBe(0);
    expect(await site.hall.resumeInterrupted(true)).toBe(2);
    expect(await site.hall.resumeInterrupted(true)).toBe(0);
    for (const { ask } of [one, two]) expect(issuedBy(await ask())).toMatchObject({ replayed: true });
    const third = await device();
    await expect(third.ask(crashing('after-sign'))).rejects.toBeInstanceOf(Crash);
    site.clock.ahead = LEASE_MS + 1000;
    expect(await site.newHall().resumeInterrupted(false)).toBe(1);
    expect(await third.row()).toMatchObject({ status: 'issued' });
  });

  it('keeps no other waiting when it cannot be finished', async () => {
    const other = await site.tenant();
    const [stuck, fine] = [await device(), await device(other)];
    for (const { ask } of [stuck, fine]) await expect(ask(crashing('after-unit-1'))).rejects.toBeInstanceOf(Crash);
    const { id } = await stuck.row();
    await site.store.unit(async (tx) => {
      const rows = tx.forTenant<EnrollmentTables>(acme.id);
      await rows.updateTable('enrollments', { authority: 'gone' }).where('id', '=', id).execute();
    });
    await expect(site.hall.resumeInterrupted(true)).rejects.toMatchObject({ name: 'InternalError' });
    expect(await fine.row()).toMatchObject({ status: 'issued' });
    await site.store.unit(async (tx) => {
      const rows = tx.forTenant<EnrollmentTables>(acme.id);
      await rows.updateTable('enrollments', { authority: acme.issuing.id }).where('id', '=', id).execute();
    });
    site.keys.fault = 'away';
    await expect(site.newHall().resumeInterrupted(true)).rejects.toMatchObject({ reason: 'hsm-unavailable' });
    site.keys.fault = undefined;
    expect(await site.hall.resumeInterrupted(true)).toBe(1);
  });

  it('ends without a certificate when the device was blocked meanwhile', async () => {
    const subject = `CN=blocked-${engine}`;
    const earlier = await device(acme, subject);
    issuedBy(await earlier.ask());
    const { ask, row } = await device(acme, subject);
    await expect(ask(crashing('after-unit-1'))).rejects.toBeInstanceOf(Crash);
    const [found] = await listDevices(site.store, acme.id, { limit: 1, name: `blocked-${engine}` });
    const change = { tenant: acme.id, id: found!.id, actor: 'user:a', now: site.clock.now() };
    await site.store.unit((tx) => setBlocked(tx, { ...change, blocked: true }));
    const signed = site.keys.signed.length;
    expect(await site.hall.resumeInterrupted(true)).toBe(0);
    expect(await row()).toMatchObject({ status: 'rejected', reason: 'device-blocked', tbs: null });
    expect(await ask()).toMatchObject({ kind: 'rejected', reason: 'device-blocked' });
    expect(site.keys.signed).toHaveLength(signed);
    await site.store.unit((tx) => setBlocked(tx, { ...change, blocked: false }));
    issuedBy(await ask());
  });

  it('with a key made here is never finished: its private key is gone, and the next request makes another', async () => {
    const { endpoint } = acme;
    const { secret } = await site.secret(endpoint);
    const csr = makeCsr().der;
    const ask = async (hall = site.hall) => {
      const facts = [await site.password(endpoint, secret)];
      const made = { proofOfPossession: 'server-generated', publicKey: publicKeyOf(makeKey()) } as const;
      return hall.enroll(site.request(endpoint, facts, { csr, ...made }));
    };
    site.keys.fault = 'signed-but-away';
    await expect(ask()).rejects.toMatchObject({ reason: 'hsm-unavailable' });
    site.keys.fault = undefined;
    const rows = async () => (await site.enrollments(endpoint)).filter(({ request }) => hex(request) === hex(csr));
    const [lost] = await rows();
    issuedBy(await ask());
    expect((await rows()).map(({ status }) => status)).toEqual(['expired', 'issued']);
    // The serial number the token may have signed stays known.
    expect((await rows())[0]).toMatchObject({ serial_number: lost!.serial_number, reason: 'enrollment-expired' });
  });
});
