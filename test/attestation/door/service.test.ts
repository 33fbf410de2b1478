import { describe, expect, it } from 'vitest';

import { DEFAULT_KEY_RULES } from '../../../core/authority/profile.ts';
import { attestationPolicy, type AttestationMode } from '../../../core/enrollment/attestation-policy.ts';
import { OPEN_ATTESTATION } from '../../../core/enrollment/attestation-settings.ts';
import type { Endpoint } from '../../../core/enrollment/endpoint.ts';
import type { Appraisal } from '../../../core/enrollment/ports.ts';
import { OPEN_SCEP } from '../../../core/enrollment/scep-settings.ts';
import { Secret } from '../../../core/keys/secret.ts';
import { AttestationDoor } from '../../../protocols/attestation/service.ts';
import type { TicketOrder } from '../../../protocols/attestation/dependencies.ts';
import type { TicketRequest } from '../../../protocols/attestation/messages.ts';
import { appraisalWith, FakeGate } from '../../fakes/fake-gate.ts';
import { makeKey, publicKeyOf } from '../../support/test-pki.ts';

const publicKey = publicKeyOf(makeKey());
const request: TicketRequest = {
  evidence: { type: 'eat', bytes: Uint8Array.of(1) },
  publicKey,
  device: undefined,
  protocol: 'scep',
};

/** A gate with one verdict, and what speaks against each candidate. */
class OneVerdict extends FakeGate {
  readonly #faults: readonly string[];

  constructor(appraisal: Partial<Appraisal>, faults: readonly string[] = []) {
    super(() => appraisalWith({ identifiers: { serial: 'SN-1' }, attestedPublicKey: publicKey, ...appraisal }));
    this.#faults = faults;
  }

  override async match(): Promise<readonly string[]> {
    return this.#faults;
  }
}

function endpoint(mode: AttestationMode): Endpoint {
  return {
    id: 'e',
    tenant: 't',
    label: 'door',
    profile: 'p',
    authority: 'a',
    revision: 1,
    isDefault: false,
    keyRules: DEFAULT_KEY_RULES,
    protocols: { attestation: OPEN_ATTESTATION, scep: OPEN_SCEP },
    attestation: attestationPolicy(mode),
    admission: [],
    approval: 'automatic',
    registrationAuthorities: [],
    retryAfterSeconds: 60,
    pendingLifetimeSeconds: 60,
  };
}

/** Asks for a ticket, and answers what was ordered of the office of tickets. */
async function ask(gate: FakeGate, mode: AttestationMode = 'enforce', change: Partial<TicketRequest> = {}) {
  const orders: TicketOrder[] = [];
  const notAsked = (): never => {
    throw new RangeError('not asked here');
  };
  const door = new AttestationDoor({
    endpoints: { resolve: async () => endpoint(mode) },
    gate,
    credentials: { attested: notAsked },
    hall: { enroll: notAsked },
    authorities: { caCertificates: notAsked },
    shortLived: { increment: async () => 1 },
    activation: { begin: notAsked },
    tickets: {
      async issue(_endpoint, order) {
        orders.push(order);
        return { reference: undefined, secret: new Secret('ticket'), expiresAt: 0 };
      },
    },
  });
  const open = await door.open('door', '192.0.2.1');
  const ticket = await door.ticket({ ...open, requestId: 'r', sourceAddress: '192.0.2.1' }, { ...request, ...change });
  return { ticket, orders };
}

describe('a ticket', () => {
  it('is for the device that the evidence proves, and the key that it attests', async () => {
    const { ticket, orders } = await ask(new OneVerdict({}));
    expect(ticket).toMatchObject({ device: 'SN-1' });
    expect(orders).toMatchObject([{ device: 'SN-1', protocol: 'scep', lifetimeSeconds: 300 }]);
    expect(orders[0]!.attested.evidenceId).toBe('evidence-1');
  });

  it.each<readonly [string, Partial<Appraisal>, string]>([
    ['does not convince', { verdict: 'refused', findings: ['eat-untrusted'] }, 'eat-untrusted'],
    ['attests no key', { attestedPublicKey: undefined }, 'key-none-attested'],
    ['attests another key', { attestedPublicKey: publicKeyOf(makeKey()) }, 'key-is-another'],
  ])('is not given for evidence that %s, in observe either', async (_what, appraisal, code) => {
    for (const mode of ['enforce', 'observe', 'off'] as const) {
      await expect(ask(new OneVerdict(appraisal), mode)).rejects.toMatchObject({ findings: [code] });
    }
  });

  it('is not given to another name; what else is noticed counts where the endpoint enforces', async () => {
    for (const mode of ['enforce', 'observe'] as const) {
      await expect(ask(new OneVerdict({}, ['device-name-mismatch']), mode)).rejects.toMatchObject({
        reason: 'subject-mismatch',
      });
    }
    const unexpected = new OneVerdict({}, ['device-not-expected']);
    await expect(ask(unexpected)).rejects.toMatchObject({ findings: ['device-not-expected'] });
    expect((await ask(unexpected, 'observe')).orders).toHaveLength(1);
  });

  it('is not given for a protocol that takes none, nor for a device without a name', async () => {
    await expect(ask(new OneVerdict({}), 'enforce', { protocol: 'cmp' })).rejects.toMatchObject({
      reason: 'protocol-not-open',
    });
    await expect(ask(new OneVerdict({ identifiers: {} }))).rejects.toMatchObject({ reason: 'malformed-request' });
  });
});
