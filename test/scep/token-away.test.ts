import { NO_ATTESTATION } from '../../core/enrollment/attestation-policy.ts';
import { describe, expect, it } from 'vitest';

import type { ServiceIdentity } from '../../core/authority/service-identities.ts';
import { UpstreamError } from '../../core/errors/muster-error.ts';
import { OPEN_SCEP } from '../../core/enrollment/scep-settings.ts';
import { ScepService, type ScepDependencies } from '../../protocols/scep/service.ts';
import { makeCsr, makeKey, publicKeyOf, signWith, TestAuthority } from '../support/test-pki.ts';
import { buildMessage, selfSigned } from './device.ts';

describe('while the token is away', () => {
  it('answers nothing in SCEP: the same message may be sent again', async () => {
    const token = new Token();
    const service = new ScepService(dependenciesOn(token));
    const key = makeKey('ec-p256');
    const signer = selfSigned({ key });
    const message = await buildMessage({
      signer,
      content: makeCsr({ key }).der,
      recipient: token.identity.certificate.der,
    });
    const open = await service.open(undefined);
    const answer = () => service.answer(open, message, { requestId: 'r', sourceAddress: '192.0.2.1' });
    token.isAway = true;
    await expect(answer()).rejects.toMatchObject({ reason: 'hsm-unavailable' });
    token.isAway = false;
    expect((await answer()).failure).toMatchObject({ failInfo: 'badMessageCheck' });
  });
});

/** A token with the RA's key, that can go away. It decrypts to octets that open nothing. */
class Token {
  isAway = false;
  readonly identity: ServiceIdentity;

  constructor() {
    const issuing = TestAuthority.root();
    const privateKey = makeKey('rsa-2048');
    const { certificate } = issuing.leaf({ key: privateKey, keyUsage: ['digitalSignature', 'keyEncipherment'] });
    const whenThere = async <T>(work: () => T): Promise<T> => {
      if (this.isAway) throw new UpstreamError('hsm-unavailable', 'the token is away');
      return work();
    };
    this.identity = {
      certificate,
      chain: [issuing.der],
      key: {
        publicKey: publicKeyOf(privateKey),
        certificate,
        signatureAlgorithm: 'sha256WithRSAEncryption',
        sign: (data) => whenThere(() => signWith(privateKey, 'sha256WithRSAEncryption', data)),
        decryptRsa: (_padding, _ciphertext, { length }) => whenThere(() => new Uint8Array(length)),
      },
    };
  }
}

function dependenciesOn({ identity }: Token): ScepDependencies {
  const never = (): never => {
    throw new RangeError('nothing of a message that cannot be read gets this far');
  };
  return {
    clock: { now: () => Date.now() },
    endpoints: {
      resolve: async (label) => ({
        id: 'e',
        tenant: 't',
        label: label ?? 'default',
        profile: 'device',
        authority: 'issuing',
        revision: 1,
        isDefault: true,
        keyRules: {} as never,
        protocols: { scep: OPEN_SCEP },
        attestation: NO_ATTESTATION,
        admission: [],
        approval: 'automatic',
        registrationAuthorities: [],
        retryAfterSeconds: 60,
        pendingLifetimeSeconds: 60,
      }),
    },
    identities: { valid: async () => [identity] },
    authorities: { caCertificates: async () => [...identity.chain], successorCertificates: async () => [] },
    credentials: { signer: never, challenge: never },
    hall: { enroll: never, poll: never },
    certificateBySerial: never,
    crls: { current: never },
    observer: { legacyUsed: never },
  };
}
