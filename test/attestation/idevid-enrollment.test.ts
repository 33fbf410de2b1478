import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { durableRows } from '../../core/store/rows.ts';
import { listAlarms } from '../../devices/inventory/alarms.ts';
import { findExpected } from '../../devices/inventory/expected-devices.ts';
import { expectAgain, releaseDevice } from '../../devices/inventory/ownership.ts';
import { TestManufacturer } from '../fakes/test-manufacturer.ts';
import { makeCsr } from '../support/test-pki.ts';
import { ENGINES } from '../support/stores.ts';
import { issuedBy } from '../enrollment/site.ts';
import { GateSite } from './gate-site.ts';

describe.each(ENGINES)('enrolment by IDevID on %s', (engine) => {
  let gates: GateSite;
  const maker = new TestManufacturer();
  let serial = 0;
  const newDevice = () => maker.device(`SN-${engine}-${++serial}`);

  beforeAll(async () => {
    gates = await GateSite.open(engine);
    await gates.trust('idevid', maker.root.der, { manufacturer: 'Example' });
  });
  afterAll(() => gates[Symbol.asyncDispose]());

  const alarms = () => listAlarms(durableRows(gates.site.store), gates.acme.id, { limit: 100 });
  const expected = async (key: string) => (await findExpected(durableRows(gates.site.store), gates.acme.id, key))!;

  it('admits the device that the certificate names, with any key it holds', async () => {
    const endpoint = await gates.idevidEndpoint();
    const device = newDevice();
    const { certificate } = issuedBy(
      await gates.enrollByTls(endpoint, device.chain, `serialNumber=${device.serialNumber},CN=router`),
    );
    expect(await gates.lastVerdict()).toMatchObject({ type: 'idevid', verdict: 'affirmed', decision: 'admitted' });
    // It renews with another key by the certificate it got: the identity never bound a key.
    const fact = await gates.credentials.tlsCertificate(endpoint, [certificate]);
    const renewal = makeCsr({ subject: `serialNumber=${device.serialNumber},CN=router` }).der;
    issuedBy(await gates.hall.enroll(gates.site.request(endpoint, [fact], { csr: renewal, operation: 'renew' })));
    expect(await alarms()).toEqual([]);
  });

  it('admits no other name, no key without a proof, and nobody where the door is not open for it', async () => {
    const endpoint = await gates.idevidEndpoint('observe');
    const device = newDevice();
    expect(await gates.enrollByTls(endpoint, device.chain, 'serialNumber=another')).toMatchObject({
      reason: 'subject-mismatch',
    });
    const unproved = { proofOfPossession: 'indirect' } as const;
    expect(await gates.enrollByTls(endpoint, device.chain, `CN=${device.serialNumber}`, unproved)).toMatchObject({
      reason: 'evidence-refused',
      message: 'attestation refused: key-not-proved',
    });
    const closed = await gates.endpoint({ attestation: 'off' });
    expect(await gates.enrollByTls(closed, device.chain, `CN=${device.serialNumber}`)).toMatchObject({
      reason: 'not-authorized',
    });
  });

  it('is evidence beside a password, too', async () => {
    const endpoint = await gates.endpoint();
    const device = newDevice();
    const { secret } = await gates.site.secret(endpoint);
    const facts = [
      await gates.credentials.tlsCertificate(endpoint, device.chain),
      await gates.credentials.password(endpoint, 'est', 'any', secret, '192.0.2.1'),
    ];
    const csr = makeCsr({ subject: 'CN=edge-7.example' }).der;
    issuedBy(await gates.hall.enroll(gates.site.request(endpoint, facts, { csr })));
    expect(await gates.lastVerdict()).toMatchObject({ type: 'idevid', decision: 'admitted' });
  });

  it.each([
    ['enforce', 'evidence-refused'],
    ['ignore-device', undefined],
  ] as const)('treats an expired one as its anchor says: %s', async (expiry, reason) => {
    const old = new TestManufacturer({ name: `Old ${expiry} ${engine}` });
    await gates.trust('idevid', old.root.der, { expiry });
    const device = old.device(`OLD-${expiry}`, { notAfter: new Date('2021-01-01T00:00:00Z') });
    const outcome = await gates.enrollByTls(await gates.idevidEndpoint(), device.chain, `CN=OLD-${expiry}`);
    if (reason === undefined) issuedBy(outcome);
    else expect(outcome).toMatchObject({ reason, message: expect.stringContaining('idevid-expired') });
  });

  it('alarms when the identity comes with a second key, and lets it pass', async () => {
    const endpoint = await gates.idevidEndpoint();
    const device = newDevice();
    const subject = `CN=${device.serialNumber}`;
    issuedBy(await gates.enrollByTls(endpoint, device.chain, subject));
    const before = gates.alarms.length;
    const second = issuedBy(await gates.enrollByTls(endpoint, device.chain, subject));
    expect(gates.alarms.slice(before)).toMatchObject([{ enrollment: second.enrollmentId, refused: false }]);
    const [alert] = (await alarms()).filter(({ object }) => object === gates.alarms.at(-1)!.identity);
    expect(alert).toMatchObject({ kind: 'identity-cloned', state: 'open', occurrences: 1 });
    issuedBy(await gates.enrollByTls(endpoint, device.chain, subject));
    expect((await alarms()).find(({ id }) => id === alert!.id)).toMatchObject({ occurrences: 2 });
    const entries = await gates.site.audit(gates.acme.id);
    expect(entries.filter(({ action }) => action === 'identity.cloned')).toHaveLength(2);
  });

  describe('with a manifest', () => {
    const once = { mode: 'enforce', oneTime: true, expectedDevice: 'required' } as const;
    const subjectOf = (serialNumber: string) => `CN=${serialNumber}`;

    it('follows a device from expected to enrolled, once, until it is expected anew', async () => {
      const endpoint = await gates.idevidEndpoint(once);
      const device = newDevice();
      const { serialNumber, chain } = device;
      const ask = () => gates.enrollByTls(endpoint, chain, subjectOf(serialNumber));
      expect(await ask()).toMatchObject({ message: 'attestation refused: device-not-expected' });
      await gates.expect({ serial: serialNumber, model: 'M1' });
      expect((await expected(serialNumber)).state).toBe('expected');
      const first = issuedBy(await ask());
      expect(await expected(serialNumber)).toMatchObject({ state: 'enrolled', enrollment: first.enrollmentId });
      const before = gates.alarms.length;
      expect(await ask()).toMatchObject({ message: 'attestation refused: identity-used' });
      expect(gates.alarms.slice(before)).toMatchObject([{ refused: true }]);

      const change = { tenant: gates.acme.id, actor: 'user:a', at: gates.later(1000) };
      const row = await expected(serialNumber);
      await gates.site.store.unit((tx) => releaseDevice(tx, row, change));
      await expect(gates.credentials.tlsCertificate(endpoint, [first.certificate])).rejects.toMatchObject({
        reason: 'certificate-revoked',
      });
      expect(await ask()).toMatchObject({ message: expect.stringContaining('device-released') });
      const released = await expected(serialNumber);
      await gates.site.store.unit((tx) => expectAgain(tx, released, { ...change, at: gates.later(1000) }));
      issuedBy(await ask());
    });

    it('notes a second use where it only observes, and lets it pass', async () => {
      const endpoint = await gates.idevidEndpoint({ mode: 'observe', oneTime: true });
      const { serialNumber, chain } = newDevice();
      issuedBy(await gates.enrollByTls(endpoint, chain, subjectOf(serialNumber)));
      const before = gates.alarms.length;
      issuedBy(await gates.enrollByTls(endpoint, chain, subjectOf(serialNumber)));
      expect(await gates.lastVerdict()).toMatchObject({ decision: 'observed', faults: '["identity-used"]' });
      expect(gates.alarms.slice(before)).toMatchObject([{ refused: false }]);
    });

    it('renews after it enrolled once', async () => {
      const endpoint = await gates.idevidEndpoint(once);
      const { serialNumber, chain } = newDevice();
      await gates.expect({ serial: serialNumber });
      const { certificate } = issuedBy(await gates.enrollByTls(endpoint, chain, subjectOf(serialNumber)));
      const fact = await gates.credentials.tlsCertificate(endpoint, [certificate]);
      const csr = makeCsr({ subject: subjectOf(serialNumber) }).der;
      issuedBy(await gates.hall.enroll(gates.site.request(endpoint, [fact], { csr, operation: 'renew' })));
    });

    it('holds a device to what the manifest says of it', async () => {
      const endpoint = await gates.idevidEndpoint();
      const { serialNumber, chain } = newDevice();
      await gates.expect({ serial: serialNumber, 'idevid-sha256': 'cd'.repeat(32) });
      expect(await gates.enrollByTls(endpoint, chain, subjectOf(serialNumber))).toMatchObject({
        message: 'attestation refused: device-mismatch',
      });
      const named = newDevice();
      await gates.expect({ serial: named.serialNumber, name: `edge-${named.serialNumber}` });
      expect(await gates.enrollByTls(endpoint, named.chain, subjectOf(named.serialNumber))).toMatchObject({
        reason: 'subject-mismatch',
      });
      issuedBy(await gates.enrollByTls(endpoint, named.chain, `CN=edge-${named.serialNumber}`));
    });

    it('lets nobody take the name of an expected device with other evidence', async () => {
      const endpoint = await gates.endpoint();
      await gates.expect({ serial: `VICTIM-${engine}`, 'ek-sha256': 'ee'.repeat(32) });
      const { chain } = newDevice();
      const { secret } = await gates.site.secret(endpoint);
      const facts = [
        await gates.credentials.tlsCertificate(endpoint, chain),
        await gates.credentials.password(endpoint, 'est', 'any', secret, '192.0.2.1'),
      ];
      const csr = makeCsr({ subject: `CN=VICTIM-${engine}` }).der;
      expect(await gates.hall.enroll(gates.site.request(endpoint, facts, { csr }))).toMatchObject({
        message: 'attestation refused: device-mismatch',
      });
    });
  });
});
