import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { Endpoint } from '../../core/enrollment/endpoint.ts';
import { InternalError } from '../../core/errors/muster-error.ts';
import { durableRows } from '../../core/store/rows.ts';
import { findEvidence, forgetEvidence, keptEvidence } from '../../devices/attestation/evidence-records.ts';
import { plainEvidence, type PlainEvidence } from '../fakes/plain-evidence.ts';
import { makeCsr, makeKey, publicKeyOf } from '../support/test-pki.ts';
import { ENGINES } from '../support/stores.ts';
import { issuedBy } from '../enrollment/site.ts';
import { GateSite } from './gate-site.ts';

const key = makeKey();
const csr = makeCsr({ subject: 'CN=router1', key }).der;
const own = publicKeyOf(key);
const another = publicKeyOf(makeKey());

describe.each(ENGINES)('the attestation gate on %s', (engine) => {
  let gates: GateSite;
  let enforcing: Endpoint;

  beforeAll(async () => {
    gates = await GateSite.open(engine);
    enforcing = await gates.endpoint();
  });
  afterAll(() => gates[Symbol.asyncDispose]());

  const evidence = async (said: PlainEvidence = {}, endpoint = enforcing) =>
    plainEvidence({ key: own, nonce: await gates.gate.challenge(endpoint), ...said });

  it('affirms evidence with a nonce of its own and the requested key, and records it', async () => {
    const identifiers = { 'ek-sha256': 'ab'.repeat(32) };
    const sent = await evidence({ identifiers });
    const { enrollmentId } = issuedBy(await gates.enroll(enforcing, { csr, evidence: sent }));
    expect(await gates.lastVerdict()).toMatchObject({
      type: 'eat',
      verdict: 'affirmed',
      decision: 'admitted',
      mode: 'enforce',
      enrollment: enrollmentId,
      device_name: 'router1',
      identity: `ek-sha256:${'ab'.repeat(32)}`,
      identifiers: JSON.stringify(identifiers),
      claims: JSON.stringify({ fake: true }),
      octets: sent.bytes.length,
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      attested_key_sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      keep_until: null,
    });
  });

  it.each<[string, string, () => Promise<ReturnType<typeof plainEvidence>>]>([
    ['of a kind nobody knows', 'evidence-type-unknown', async () => plainEvidence({ key: own }, '1.2.3.4')],
    ['of a kind nobody verifies here', 'evidence-type-unknown', async () => plainEvidence({ key: own }, 'acme-apple')],
    ['that its verifier refuses', 'evidence-malformed', () => evidence({ fails: 'untrusted' })],
    ['for another key', 'key-is-another', () => evidence({ key: another })],
    ['that attests no key and was not proved', 'key-none-attested', async () => plainEvidence({})],
    ['that is larger than any is', 'evidence-too-large', async () => ({ type: 'eat', bytes: new Uint8Array(300_000) })],
    ['with a nonce nobody issued', 'nonce-not-ours', () => evidence({ nonce: new Uint8Array(32).fill(1) })],
  ])('refuses evidence %s: %s', async (_, code, make) => {
    const outcome = await gates.enroll(enforcing, { csr, evidence: await make() });
    expect(outcome).toMatchObject({ kind: 'rejected', reason: 'evidence-refused' });
    expect(outcome.kind === 'rejected' && outcome.message).toContain(code);
    const row = await gates.lastVerdict();
    expect(row).toMatchObject({ decision: 'refused' });
    expect(row.faults).toContain(code);
  });

  it('takes a nonce once, on any node, at the endpoint it was issued for, while it lives', async () => {
    const nonce = await gates.gate.challenge(enforcing);
    issuedBy(
      await gates.enroll(enforcing, {
        csr: makeCsr({ key, subject: 'CN=n1' }).der,
        evidence: await evidence({ nonce }),
      }),
    );
    const again = await gates.newGate().appraise(plainEvidence({ key: own, nonce }), enforcing);
    expect(again).toMatchObject({ verdict: 'refused', findings: ['nonce-not-ours'] });
    const elsewhere = await gates.endpoint();
    const foreign = plainEvidence({ key: own, nonce: await gates.gate.challenge(elsewhere) });
    expect(await gates.gate.appraise(foreign, enforcing)).toMatchObject({ findings: ['nonce-not-ours'] });
    const late = await evidence();
    gates.later(601_000);
    expect(await gates.gate.appraise(late, enforcing)).toMatchObject({ findings: ['nonce-not-ours'] });
  });

  it('issues nonces of 32 to 64 octets', async () => {
    expect(await gates.gate.challenge(enforcing)).toHaveLength(32);
    expect(await gates.gate.challenge(enforcing, 64)).toHaveLength(64);
    await expect(gates.gate.challenge(enforcing, 31)).rejects.toMatchObject({ reason: 'malformed-request' });
    await expect(gates.gate.challenge(enforcing, 65)).rejects.toMatchObject({ reason: 'malformed-request' });
  });

  it('passes on what is its own fault: no verdict, no certificate', async () => {
    await expect(gates.gate.appraise(await evidence({ fails: 'bug' }), enforcing)).rejects.toBeInstanceOf(
      InternalError,
    );
  });

  it('refuses kinds of evidence that the endpoint does not accept', async () => {
    const endpoint = await gates.endpoint({ attestation: { mode: 'enforce', accepts: ['tpm-certify'] } });
    const outcome = await gates.enroll(endpoint, { csr, evidence: await evidence({}, endpoint) });
    expect(outcome).toMatchObject({ message: 'attestation refused: evidence-type-not-accepted' });
  });

  it('says the same in observe as in enforce, but for the decision', async () => {
    const endpoint = await gates.endpoint({ attestation: 'observe' });
    const bad = async () => ({
      csr,
      evidence: await evidence({ key: another, identifiers: { model: 'M' } }, endpoint),
    });
    issuedBy(await gates.enroll(endpoint, await bad()));
    const observed = await gates.lastVerdict();
    const switched = await gates.site.changeEndpoint(endpoint, { attestation: 'enforce' });
    expect(await gates.enroll(switched, await bad())).toMatchObject({ reason: 'evidence-refused' });
    const refused = await gates.lastVerdict();
    expect([observed.decision, refused.decision]).toEqual(['observed', 'refused']);
    const shown = ({
      type,
      verdict,
      findings,
      identifiers,
      claims,
      identity,
      faults,
      device_name,
    }: typeof observed) => ({
      type,
      verdict,
      findings,
      identifiers,
      claims,
      identity,
      faults,
      device_name,
    });
    expect(shown(refused)).toEqual(shown(observed));
  });

  it('keeps the evidence itself for as long as the policy says', async () => {
    const endpoint = await gates.endpoint({ attestation: { mode: 'enforce', retainEvidenceDays: 2 } });
    const sent = await evidence({}, endpoint);
    issuedBy(await gates.enroll(endpoint, { csr: makeCsr({ key, subject: 'CN=kept' }).der, evidence: sent }));
    const { id } = await gates.lastVerdict();
    const kept = () => keptEvidence(durableRows(gates.site.store), gates.acme.id, id);
    expect(Buffer.from((await kept())!)).toEqual(Buffer.from(sent.bytes));
    gates.later(2 * 86_400_000 + 1);
    await forgetEvidence(gates.site.store, 1000);
    expect(await kept()).toBeUndefined();
    expect(await findEvidence(durableRows(gates.site.store), gates.acme.id, id)).toMatchObject({ verdict: 'affirmed' });
  });

  describe('beforehand', () => {
    const lifetimeSeconds = 60;

    it('keeps a verdict for one request with the same key at the same endpoint', async () => {
      const { evidenceId } = await gates.gate.preAppraise(await evidence(), enforcing, { lifetimeSeconds });
      const foreign = makeCsr({ subject: 'CN=router1' }).der;
      expect(await gates.enroll(enforcing, { csr: foreign, evidenceId })).toMatchObject({
        message: 'attestation refused: key-is-another',
      });
      const elsewhere = await gates.endpoint();
      expect(await gates.enroll(elsewhere, { csr, evidenceId })).toMatchObject({ reason: 'evidence-required' });
      issuedBy(await gates.enroll(enforcing, { csr, evidenceId }));
      expect(
        await gates.enroll(enforcing, { csr: makeCsr({ key, subject: 'CN=router2' }).der, evidenceId }),
      ).toMatchObject({
        reason: 'evidence-required',
      });
    });

    it('lets only one of two requests at a time use it', async () => {
      const { evidenceId } = await gates.gate.preAppraise(await evidence(), enforcing, { lifetimeSeconds });
      const ask = (name: string) =>
        gates.enroll(enforcing, { csr: makeCsr({ key, subject: `CN=${name}` }).der, evidenceId });
      const outcomes = await Promise.all(['race1', 'race2', 'race3'].map(ask));
      expect(outcomes.map(({ kind }) => kind).sort()).toEqual(['issued', 'rejected', 'rejected']);
    });

    it('forgets one that is over, and one that was refused admits nobody', async () => {
      const kept = await gates.gate.preAppraise(await evidence(), enforcing, { lifetimeSeconds });
      gates.later(61_000);
      expect(await gates.gate.recall(kept.evidenceId, enforcing)).toBeUndefined();
      await forgetEvidence(gates.site.store, 0);
      expect(await findEvidence(durableRows(gates.site.store), gates.acme.id, kept.evidenceId)).toBeUndefined();
      const bad = await gates.gate.preAppraise(await evidence({ fails: 'untrusted' }), enforcing, { lifetimeSeconds });
      expect(bad.verdict).toBe('refused');
      expect(await gates.enroll(enforcing, { csr, evidenceId: bad.evidenceId })).toMatchObject({
        message: 'attestation refused: evidence-malformed',
      });
      await expect(gates.credentials.attested(enforcing, bad.evidenceId)).rejects.toMatchObject({
        reason: 'evidence-refused',
      });
    });

    it('stands for the key it was bound to where the evidence attests none', async () => {
      const bound = { lifetimeSeconds, publicKey: own };
      const { evidenceId } = await gates.gate.preAppraise(plainEvidence({}), enforcing, bound);
      const foreign = makeCsr({ subject: 'CN=bound' }).der;
      expect(await gates.enroll(enforcing, { csr: foreign, evidenceId })).toMatchObject({ reason: 'evidence-refused' });
      issuedBy(await gates.enroll(enforcing, { csr: makeCsr({ key, subject: 'CN=bound' }).der, evidenceId }));
    });
  });
});
