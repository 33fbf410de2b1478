import { createPrivateKey, createPublicKey } from 'node:crypto';
import { describe, expect, it } from 'vitest';

import { DeviceKeyMaker } from '../../core/keys/device-key.ts';

const P256 = { kind: 'ec', curve: 'P-256' } as const;

describe('a key made for a device', () => {
  it.each([
    P256,
    { kind: 'ec', curve: 'P-384' },
    { kind: 'rsa', bits: 2048, exponent: 65_537 },
    { kind: 'ed25519' },
    { kind: 'ed448' },
    { kind: 'ml-dsa', parameterSet: 44 },
  ] as const)('is of the kind asked for, and its halves belong together: %j', async (algorithm) => {
    using key = await new DeviceKeyMaker().make(algorithm);
    expect(key.publicKey.algorithm).toEqual(algorithm);
    const privateKey = createPrivateKey({ key: Buffer.from(key.pkcs8), format: 'der', type: 'pkcs8' });
    const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
    expect(spki.equals(key.publicKey.der)).toBe(true);
  });

  it('is erased when it is disposed of', async () => {
    const key = await new DeviceKeyMaker().make(P256);
    expect(key.pkcs8.some((octet) => octet !== 0)).toBe(true);
    key[Symbol.dispose]();
    expect(key.pkcs8.every((octet) => octet === 0)).toBe(true);
  });

  it('is refused beyond two at once, and made again afterwards', async () => {
    const maker = new DeviceKeyMaker();
    const results = await Promise.allSettled([1, 2, 3].map(() => maker.make(P256)));
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected']);
    await expect(maker.make(P256)).resolves.toBeDefined();
  });

  it('is refused where the profile allows none', async () => {
    await expect(new DeviceKeyMaker().make(undefined)).rejects.toMatchObject({ reason: 'key-not-allowed' });
  });
});
