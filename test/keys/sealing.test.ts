import { createDecipheriv, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InternalError } from '../../core/errors/muster-error.ts';
import { type KeyStore, openKeyStore } from '../../core/keys/key-store.ts';
import { type DataKey, makeDataKey, sealer, unwrapDataKey } from '../../core/keys/sealing.ts';
import { Secret } from '../../core/keys/secret.ts';
import { type PrivateSoftHsm, privateSoftHsm } from '../support/softhsm.ts';

const dataKey = (number = 1): DataKey => ({ number, key: randomBytes(32) });
const place = { table: 'shared_secrets', row: 'r1' };

describe('a sealed secret', () => {
  it('opens as it was, whatever it is', () => {
    const key = dataKey();
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string(), (text, row) => {
        const at = { table: 'shared_secrets', row };
        const { seal, open } = sealer('t1', key, [key]);
        expect(open(at, seal(at, new Secret(text))).reveal()).toBe(text);
      }),
    );
  });

  it('is AES-256-GCM over version, key number, table, row and tenant, as node:crypto opens it', () => {
    const key = dataKey(7);
    const sealed = Buffer.from(sealer('t1', key, [key]).seal(place, new Secret('open sesame')));
    expect(sealed.subarray(0, 5).toString('hex')).toBe('0100000007');
    const decipher = createDecipheriv('aes-256-gcm', key.key, sealed.subarray(5, 17))
      .setAAD(Buffer.concat([sealed.subarray(0, 5), Buffer.from('shared_secrets\0r1\0t1')]))
      .setAuthTag(sealed.subarray(-16));
    expect(decipher.update(sealed.subarray(17, -16), undefined, 'utf8') + decipher.final('utf8')).toBe('open sesame');
  });

  it('opens in its own row, table and tenant only, and under its own key', () => {
    const key = dataKey();
    const sealed = sealer('t1', key, [key]).seal(place, new Secret('x'));
    const refused = [
      () => sealer('t2', key, [key]).open(place, sealed),
      () => sealer('t1', key, [key]).open({ ...place, row: 'r2' }, sealed),
      () => sealer('t1', key, [key]).open({ ...place, table: 'eab_keys' }, sealed),
      () => sealer('t1', key, [dataKey()]).open(place, sealed),
      () => sealer('t1', key, [dataKey(2)]).open(place, sealed),
    ];
    for (const open of refused) expect(open).toThrow(InternalError);
  });

  it('is refused for any change, and for any octets that are none', () => {
    const key = dataKey();
    const { seal, open } = sealer('t1', key, [key]);
    const sealed = seal(place, new Secret('a secret'));
    for (let at = 0; at < sealed.length; at++) {
      const changed = sealed.slice();
      changed[at]! ^= 1;
      expect(() => open(place, changed), `octet ${at}`).toThrow(InternalError);
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (octets) => {
        expect(() => open(place, octets)).toThrow(InternalError);
      }),
    );
  });

  it('outlives its key while that is held', () => {
    const [old, current] = [dataKey(1), dataKey(2)];
    const sealed = sealer('t1', old, [old]).seal(place, new Secret('kept'));
    const both = sealer('t1', current, [current, old]);
    expect(both.open(place, sealed).reveal()).toBe('kept');
    expect(Buffer.from(both.seal(place, new Secret('new')).subarray(1, 5)).readUInt32BE()).toBe(2);
  });
});

describe.each([
  { where: 'in this process', variant: { process: 'shared' }, padding: 'oaep-sha256' },
  { where: 'in the signer process', variant: { process: 'own' }, padding: 'oaep-sha256' },
  {
    where: 'that removes the padding itself',
    variant: { process: 'shared', rsaDecryption: 'unwrap' },
    padding: 'oaep-sha1',
  },
] as const)('a data key wrapped by a token $where', ({ variant, padding }) => {
  let softHsm: PrivateSoftHsm;
  let store: KeyStore;
  beforeAll(async () => {
    softHsm = await privateSoftHsm();
    const { label, module, pin } = softHsm;
    store = await openKeyStore([{ label, module, pin, ...variant }]);
  });
  afterAll(async () => {
    await store.close();
    await softHsm.remove();
  });

  const wrappingKey = () =>
    store.generate({ token: softHsm.label, algorithm: 'rsa-2048', label: 'sealing', usage: 'decrypt' });

  it('comes back from it, and from no other key', async () => {
    const key = await wrappingKey();
    const wrapped = await makeDataKey(key, 't1');
    expect(wrapped.padding).toBe(padding);
    const first = await unwrapDataKey(await store.open(key.uri), wrapped, 't1');
    expect(first).toHaveLength(32);
    expect(await unwrapDataKey(key, wrapped, 't1')).toEqual(first);
    expect(await unwrapDataKey(key, await makeDataKey(key, 't1'), 't1')).not.toEqual(first);
    await expect(unwrapDataKey(await wrappingKey(), wrapped, 't1')).rejects.toThrow(InternalError);
  });
});
