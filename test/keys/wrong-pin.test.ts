import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openKeyStore } from '../../core/keys/key-store.ts';
import { formatKeyUri } from '../../core/keys/key-uri.ts';
import { Secret } from '../../core/keys/secret.ts';
import { type PrivateSoftHsm, privateSoftHsm } from '../support/softhsm.ts';

/** OpenSC's pkcs11-spy writes down every call: the token's own view of how often it was logged in to. */
const SPY = ['x86_64', 'aarch64']
  .map((machine) => `/usr/lib/${machine}-linux-gnu/pkcs11/pkcs11-spy.so`)
  .find((path) => existsSync(path))!;

describe('a wrong PIN', () => {
  let softHsm: PrivateSoftHsm;

  beforeAll(async () => {
    softHsm = await privateSoftHsm();
  });
  afterAll(() => softHsm.remove());

  it.each(['own', 'shared'] as const)('is tried once and never again (%s process)', async (process_) => {
    const log = join(softHsm.directory, `${process_}.log`);
    process.env['PKCS11SPY'] = softHsm.module;
    process.env['PKCS11SPY_OUTPUT'] = log;
    const config = { label: softHsm.label, module: SPY, pin: new Secret('not the PIN'), process: process_ };
    await using store = await openKeyStore([config]);
    const uri = formatKeyUri({ token: softHsm.label, object: 'any' });
    for (let attempt = 0; attempt < 3; attempt++) {
      await expect(store.open(uri)).rejects.toMatchObject({
        reason: 'hsm-pin-refused',
        message: expect.not.stringContaining('PIN'),
      });
      await delay(300);
    }
    expect(store.health()).toMatchObject([{ state: 'pin-refused', loginAttempts: 1, lastError: 'CKR_PIN_INCORRECT' }]);
    expect(readFileSync(log, 'utf8').match(/: C_Login\n/g)).toHaveLength(1);
  });
});
