import type { KeyObject } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { Endpoint, EndpointSettings } from '../../core/enrollment/endpoint.ts';
import type { Evidence } from '../../core/enrollment/request.ts';
import type { Hall } from '../../core/enrollment/hall.ts';
import { listDevices, setBlocked } from '../../devices/inventory/devices.ts';
import { appraisalWith, evidenceFor, FakeGate } from '../fakes/fake-gate.ts';
import { makeCsr, makeKey, publicKeyOf, type CsrOptions } from '../support/test-pki.ts';
import { ENGINES } from '../support/stores.ts';
import { approve } from '../../core/enrollment/enrollments.ts';
import { issuedBy, OPEN_ENDPOINT, Site, type SiteTenant } from './site.ts';

describe.each(ENGINES)('admission on %s', (engine) => {
  let site: Site;
  let acme: SiteTenant;

  beforeAll(async () => {
    site = await Site.open(engine);
    acme = await site.tenant('acme');
  });
  afterAll(() => site[Symbol.asyncDispose]());

  const withSettings = (changes: Partial<EndpointSettings>) => site.endpoint(acme, { ...OPEN_ENDPOINT, ...changes });
  const admitting = (rule: string) => withSettings({ admission: [{ name: 'the-rule', rule }] });

  it.each<[string, CsrOptions, boolean]>([
    ["request.commonName == 'router1'", { subject: 'CN=router1' }, true],
    ["request.commonName == 'router1'", { subject: 'CN=router2' }, false],
    [
      "request.serialNumber.startsWith('FOC') && request.organization == 'Acme'",
      { subject: 'CN=a,O=Acme,serialNumber=FOC1' },
      true,
    ],
    [
      "request.names.all(n, n.startsWith('dns:') && n.endsWith('.acme.example'))",
      { san: ['dns:a.acme.example'] },
      true,
    ],
    [
      "request.names.all(n, n.startsWith('dns:') && n.endsWith('.acme.example'))",
      { san: ['dns:a.acme.example', 'ip:192.0.2.1'] },
      false,
    ],
    ["request.key == 'EC P-256'", {}, true],
    ["request.key in ['EC P-384', 'RSA 3072']", {}, false],
    ["request.protocol == 'est' && request.operation == 'enroll' && request.source == '192.0.2.1'", {}, true],
    ["principal.kind == 'password' && principal.username == 'any'", {}, true],
    ["!device.known && device.state == '' && device.name == 'never-seen'", { subject: 'CN=never-seen' }, true],
    ['device.known', { subject: 'CN=never-seen-2' }, false],
    ['evidence.affirmed', {}, false],
    ["endpoint.tenant != '' && endpoint.label.startsWith('e-')", {}, true],
  ])('by the rule %s of %j: %s', async (rule, names, admitted) => {
    const outcome = await site.enroll(await admitting(rule), { names });
    if (admitted) issuedBy(outcome);
    else
      expect(outcome).toMatchObject({
        kind: 'rejected',
        reason: 'policy-refused',
        message: 'refused by the admission rule the-rule',
      });
  });

  it.each([
    ['a text instead of a boolean', 'request.commonName'],
    ['an unknown variable', "weather == 'fine'"],
    ['an unknown member', "request.weather == 'fine'"],
    ['a type that does not fit', 'request.commonName > 3'],
    ['a number by zero', '1 / 0 == 1'],
    ['an index that is not there', "request.names[7] == 'dns:a'"],
  ])('never by a rule that yields %s', async (_, rule) => {
    expect(await site.enroll(await admitting(rule))).toMatchObject({
      kind: 'rejected',
      reason: 'policy-refused',
      message: 'the admission rule the-rule could not be evaluated',
    });
    const approval = await withSettings({ approval: { when: rule } });
    expect(await site.enroll(approval)).toMatchObject({ kind: 'rejected', reason: 'policy-refused' });
  });

  it('by all rules, the first refusal counts', async () => {
    const rules = ['true', 'false', 'request.nonsense'].map((rule, index) => ({ name: `rule-${index}`, rule }));
    const endpoint = await withSettings({ admission: rules });
    expect(await site.enroll(endpoint)).toMatchObject({ message: 'refused by the admission rule rule-1' });
  });

  it('asks an operator when the rule says so, and for a renewal not by the rule for enrolments', async () => {
    const endpoint = await withSettings({ approval: { when: "request.operation == 'enroll' && !device.known" } });
    const names = { subject: `CN=ask-${engine}` };
    const key = makeKey();
    const csr = makeCsr({ ...names, key }).der;
    const { secret } = await site.secret(endpoint);
    const ask = async () => site.hall.enroll(site.request(endpoint, [await site.password(endpoint, secret)], { csr }));
    const pending = await ask();
    expect(pending.kind).toBe('pending');
    await site.store.unit((tx) =>
      approve(tx, { tenant: acme.id, id: pending.enrollmentId!, actor: 'user:a', comment: '', now: Date.now() }),
    );
    const { certificate } = issuedBy(await ask());
    issuedBy(await site.enroll(endpoint, { names }));
    const fact = await site.credentials.tlsCertificate(endpoint, [certificate]);
    issuedBy(await site.hall.enroll(site.request(endpoint, [fact], { csr: makeCsr(names).der, operation: 'renew' })));
  });

  it('never of a blocked device, whatever it shows, and again once it is unblocked', async () => {
    const names = { subject: `CN=bad-${engine}` };
    const { certificate } = issuedBy(await site.enroll(acme.endpoint, { names }));
    const [device] = await listDevices(site.store, acme.id, { limit: 1, name: `bad-${engine}` });
    const change = { tenant: acme.id, id: device!.id, actor: 'user:a', now: site.clock.now() };
    await site.store.unit((tx) => setBlocked(tx, { ...change, blocked: true }));
    const { secret } = await site.secret(acme.endpoint);
    const csr = makeCsr(names).der;
    const ask = async () =>
      site.hall.enroll(site.request(acme.endpoint, [await site.password(acme.endpoint, secret)], { csr }));
    const blocked = { kind: 'rejected', reason: 'device-blocked' };
    expect(await ask()).toMatchObject(blocked);
    const fact = await site.credentials.tlsCertificate(acme.endpoint, [certificate]);
    expect(
      await site.hall.enroll(site.request(acme.endpoint, [fact], { csr: makeCsr(names).der, operation: 'renew' })),
    ).toMatchObject(blocked);
    await site.store.unit((tx) => setBlocked(tx, { ...change, blocked: false }));
    issuedBy(await ask());
  });

  it('of a device that was blocked after its approval: no', async () => {
    const names = { subject: `CN=late-${engine}` };
    issuedBy(await site.enroll(acme.endpoint, { names }));
    const endpoint = await withSettings({ approval: 'manual' });
    const { secret } = await site.secret(endpoint);
    const csr = makeCsr(names).der;
    const ask = async () => site.hall.enroll(site.request(endpoint, [await site.password(endpoint, secret)], { csr }));
    const { enrollmentId } = await ask();
    const decision = { tenant: acme.id, actor: 'user:a', now: site.clock.now() };
    await site.store.unit((tx) => approve(tx, { ...decision, id: enrollmentId!, comment: '' }));
    const [device] = await listDevices(site.store, acme.id, { limit: 1, name: `late-${engine}` });
    await site.store.unit((tx) => setBlocked(tx, { ...decision, id: device!.id, blocked: true }));
    expect(await ask()).toMatchObject({ kind: 'rejected', reason: 'device-blocked', enrollmentId });
  });

  describe('with attestation', () => {
    const key = makeKey();
    const csr = makeCsr({ subject: 'CN=attested', key }).der;
    const another = publicKeyOf(makeKey());
    let gate: FakeGate;
    let guarded: Hall;

    beforeAll(() => {
      gate = new FakeGate();
      guarded = site.newHall({ gate });
    });

    const own = evidenceFor(publicKeyOf(key));
    const ask = async (endpoint: Endpoint, hall: Hall, evidence: Evidence | undefined) => {
      const { secret } = await site.secret(endpoint);
      const facts = [await site.password(endpoint, secret)];
      return hall.enroll(site.request(endpoint, facts, { csr, ...(evidence && { evidence }) }));
    };

    it('refuses everybody where no gate is wired', async () => {
      const endpoint = await withSettings({ attestation: 'enforce' });
      for (const evidence of [own, undefined]) {
        expect(await ask(endpoint, site.hall, evidence)).toMatchObject({
          kind: 'rejected',
          reason: 'evidence-required',
        });
      }
    });

    it('enforces evidence, and that the attested key is the requested key (V13)', async () => {
      const endpoint = await withSettings({ attestation: 'enforce' });
      expect(await ask(endpoint, guarded, undefined)).toMatchObject({ reason: 'evidence-required' });
      expect(await ask(endpoint, guarded, evidenceFor(another))).toMatchObject({
        kind: 'rejected',
        reason: 'evidence-refused',
        message: 'attestation refused: key-is-another',
      });
      expect(await ask(endpoint, guarded, { type: 'unknown', bytes: new Uint8Array() })).toMatchObject({
        reason: 'evidence-refused',
        message: 'attestation refused: unknown-evidence',
      });
      issuedBy(await ask(endpoint, guarded, own));
    });

    it.each([
      ['says nothing about a key', { verdict: 'affirmed' as const, attestedPublicKey: undefined }],
      ['is refused without a reason', { verdict: 'refused' as const, attestedPublicKey: publicKeyOf(key) }],
    ])('refuses evidence that %s', async (_, appraisal) => {
      const endpoint = await withSettings({ attestation: 'enforce' });
      const hall = site.newHall({ gate: new FakeGate(() => appraisalWith(appraisal)) });
      expect(await ask(endpoint, hall, own)).toMatchObject({ kind: 'rejected', reason: 'evidence-refused' });
    });

    it('observes without refusing: what it would have refused stands in the audit log', async () => {
      const endpoint = await withSettings({ attestation: 'observe' });
      const found = async () =>
        (await site.audit(acme.id)).filter(({ action }) => action === 'enrollment.observed').at(-1);
      const cases = [
        [undefined, ['evidence-absent']],
        [evidenceFor(another), ['key-is-another']],
        [{ type: 'unknown', bytes: new Uint8Array() }, ['unknown-evidence']],
      ] as const;
      for (const [evidence, findings] of cases) {
        const { enrollmentId } = issuedBy(await ask(endpoint, guarded, evidence));
        expect(await found()).toMatchObject({ object: `enrollment:${enrollmentId}`, details: { findings } });
      }
      const before = await found();
      issuedBy(await ask(endpoint, guarded, own));
      expect(await found()).toEqual(before);
      // With nothing wired it observes that there is nothing.
      issuedBy(await ask(endpoint, site.hall, own));
      expect(await found()).toMatchObject({ details: { findings: ['evidence-absent'] } });
    });

    it('does not look where it is off', async () => {
      const before = gate.appraised;
      issuedBy(await ask(acme.endpoint, guarded, evidenceFor(another)));
      expect(gate.appraised).toBe(before);
    });

    it('hands the rules what was proved, and only when it was', async () => {
      const rule = { name: 'hardware', rule: "evidence.affirmed && evidence.identifiers['serial'] == 'SN-1'" };
      const endpoint = await withSettings({ attestation: 'observe', admission: [rule] });
      issuedBy(await ask(endpoint, guarded, own));
      expect(await ask(endpoint, guarded, evidenceFor(another))).toMatchObject({ reason: 'policy-refused' });
    });

    const renew = async (
      endpoint: Endpoint,
      certificate: Uint8Array,
      { newKey, evidence }: { newKey: KeyObject | undefined; evidence?: Evidence },
    ) => {
      const fact = await site.credentials.tlsCertificate(endpoint, [certificate]);
      const renewal = makeCsr({ subject: 'CN=attested', key: newKey ?? key }).der;
      const changes = { csr: renewal, operation: 'renew', ...(evidence && { evidence }) } as const;
      return guarded.enroll(site.request(endpoint, [fact], changes));
    };

    it('asks a renewal for it when it brings another key', async () => {
      const endpoint = await withSettings({ attestation: 'enforce' });
      const { certificate } = issuedBy(await ask(endpoint, guarded, own));
      issuedBy(await renew(endpoint, certificate, { newKey: undefined }));
      const newKey = makeKey();
      expect(await renew(endpoint, certificate, { newKey })).toMatchObject({ reason: 'evidence-required' });
      expect(await renew(endpoint, certificate, { newKey, evidence: own })).toMatchObject({
        reason: 'evidence-refused',
        message: 'attestation refused: key-is-another',
      });
      issuedBy(await renew(endpoint, certificate, { newKey, evidence: evidenceFor(publicKeyOf(newKey)) }));
    });

    it.each([
      ['every renewal', 'every', false],
      ['none', 'none', true],
    ] as const)('asks %s for it where the policy says so', async (_, renewal, passes) => {
      const endpoint = await withSettings({ attestation: { mode: 'enforce', renewal } });
      const { certificate } = issuedBy(await ask(endpoint, guarded, own));
      for (const newKey of [undefined, makeKey()]) {
        const expected = passes ? { kind: 'issued' } : { reason: 'evidence-required' };
        expect(await renew(endpoint, certificate, { newKey })).toMatchObject(expected);
      }
    });

    it('lets a certificate that was given on an identity alone renew with another key', async () => {
      const endpoint = await withSettings({ attestation: 'enforce' });
      const { certificate } = issuedBy(await ask(endpoint, guarded, own));
      gate.lastStanding = { evidenceId: 'evidence-1', boundKey: false };
      issuedBy(await renew(endpoint, certificate, { newKey: makeKey() }));
      gate.lastStanding = { evidenceId: 'evidence-1', boundKey: true };
      expect(await renew(endpoint, certificate, { newKey: makeKey() })).toMatchObject({ reason: 'evidence-required' });
      gate.lastStanding = undefined;
    });

    it('records each decision with what spoke against it', async () => {
      const cases = [
        ['enforce', own, { decision: 'admitted', faults: [] }],
        ['enforce', evidenceFor(another), { decision: 'refused', faults: ['key-is-another'] }],
        ['observe', evidenceFor(another), { decision: 'observed', faults: ['key-is-another'] }],
      ] as const;
      for (const [mode, evidence, decided] of cases) {
        await ask(await withSettings({ attestation: mode }), guarded, evidence);
        expect(gate.decided.at(-1)).toMatchObject({ ...decided, name: 'attested', enrollment: expect.any(String) });
      }
    });
  });
});
