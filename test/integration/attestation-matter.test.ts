import { randomBytes } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { parseCertificate } from '../../core/x509/certificate.ts';
import { commonNames } from '../../core/x509/name.ts';
import { publicKeysEqual } from '../../core/x509/public-key.ts';
import { type MatterDevice, MatterVendor } from '../fakes/matter-device.ts';
import { publicKeyOf } from '../support/test-pki.ts';
import { AttestationSite, octetsOf } from './attestation-site.ts';

/** What a gateway forwards of a Matter device that it commissions. */
describe('the Matter front door', () => {
  let site: AttestationSite;
  const vendor = new MatterVendor();

  beforeAll(async () => {
    site = await AttestationSite.start();
    await site.anchor('paa', vendor.paa.der);
    await site.anchor('cd', vendor.declarations.certificate.der);
    await site.endpoint({
      label: 'matter',
      protocols: { attestation: { services: ['matter'], requestsPerMinute: 0 } },
      attestation: { mode: 'enforce', allowTestDevices: true },
    });
    await site.endpoint({
      label: 'slow',
      protocols: { attestation: { services: ['matter'], requestsPerMinute: 2 } },
    });
  });
  afterAll(async () => site[Symbol.asyncDispose]());

  const nonce = async (): Promise<Uint8Array> =>
    new Uint8Array(Buffer.from((await site.ask('matter', 'nonce')).json.nonce, 'base64url'));

  /** Both answers of one session, as JSON has them. */
  function session(device: MatterDevice, fresh: Uint8Array) {
    const challenge = new Uint8Array(randomBytes(16));
    const nocsr = device.requestCertificate(fresh, challenge);
    const attestation = device.attest(fresh, challenge);
    return {
      dac: device.dac,
      pai: device.pai,
      challenge,
      nocsr: nocsr.elements,
      nocsrSignature: nocsr.signature,
      elements: attestation.elements,
      elementsSignature: attestation.signature,
    };
  }

  it('certifies the key of the NOCSR, named as the attestation proves it', async () => {
    const device = vendor.device();
    const { status, json, text } = await site.ask('matter', 'matter', session(device, await nonce()));
    expect(status, text).toBe(200);
    const [leaf, issuing] = json.chain.map(octetsOf).map(parseCertificate);
    expect(publicKeysEqual(leaf!.publicKey, publicKeyOf(device.operationalKey))).toBe(true);
    expect(commonNames(leaf!.subject)).toHaveLength(1);
    expect(issuing!.subject.der).toEqual(leaf!.issuer.der);
    expect((await site.verdicts()).at(-1)).toMatchObject({ type: 'matter-dac', decision: 'admitted' });
  });

  it('refuses an old nonce, another name, another DAC', async () => {
    const device = vendor.device();
    const fresh = await nonce();
    expect((await site.ask('matter', 'matter', session(device, fresh))).status).toBe(200);
    const again = await site.ask('matter', 'matter', session(device, fresh));
    expect(again.status).toBe(403);
    expect(again.json.findings).toEqual(['nonce-not-ours']);
    const renamed = await site.ask('matter', 'matter', { ...session(device, await nonce()), device: 'somebody-else' });
    expect(renamed.status).toBe(403);
    expect(renamed.json.reason).toBe('subject-mismatch');
    const other = { ...session(device, await nonce()), dac: vendor.device().dac };
    const forged = await site.ask('matter', 'matter', other);
    expect(forged.status).toBe(403);
    expect(forged.json).toMatchObject({ reason: 'evidence-refused', findings: ['dac-proof-invalid'] });
  });

  it.each([
    ['no request', { nocsr: Uint8Array.of(0x15, 0x18) }, /begins with a certification request/],
    ['no DAC', { dac: undefined }, /dac: expected base64/],
    ['text for octets', { challenge: '!' }, /challenge: expected base64/],
  ])('refuses %s as malformed', async (_what, change, detail) => {
    const answer = await site.ask('matter', 'matter', { ...session(vendor.device(), await nonce()), ...change });
    expect(answer.status).toBe(400);
    expect(answer.json.detail).toMatch(detail);
  });

  it('is one service of several, each to be opened, and bounded by source', async () => {
    const evidence = { type: 'matter-dac', ...session(vendor.device(), await nonce()) };
    const ticket = await site.ask('matter', 'ticket', {
      evidence,
      publicKey: publicKeyOf(vendor.device().operationalKey).der,
    });
    expect(ticket.status).toBe(404);
    expect(ticket.json.reason).toBe('protocol-not-open');
    expect((await site.ask('nobody', 'nonce')).status).toBe(404);
    const statuses = [];
    for (let i = 0; i < 3; i += 1) statuses.push((await site.ask('slow', 'nonce')).status);
    expect(statuses).toEqual([200, 200, 429]);
  });
});
