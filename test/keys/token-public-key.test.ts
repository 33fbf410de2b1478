import { type KeyObject, generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { curveParameters, ecSpki, ed25519Spki, mlDsaSpki, rsaSpki } from '../../core/keys/pkcs11/token-public-key.ts';

const der = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' });
const field = (key: KeyObject, name: 'n' | 'e' | 'x' | 'y'): Buffer =>
  Buffer.from(key.export({ format: 'jwk' })[name]!, 'base64url');
const wrap = (point: Buffer): Buffer =>
  Buffer.concat([point.length < 128 ? Buffer.of(4, point.length) : Buffer.of(4, 0x81, point.length), point]);

describe('public keys from the attributes of tokens', () => {
  it.each(['P-256', 'P-384', 'P-521'] as const)('%s, the point wrapped or bare', (curve) => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: curve });
    const point = Buffer.concat([Buffer.of(4), field(publicKey, 'x'), field(publicKey, 'y')]);
    for (const value of [point, wrap(point)]) {
      expect(Buffer.from(ecSpki(curveParameters(curve), value)!)).toEqual(der(publicKey));
    }
  });

  it('Ed25519, the point wrapped or bare', () => {
    const { publicKey } = generateKeyPairSync('ed25519');
    for (const value of [field(publicKey, 'x'), wrap(field(publicKey, 'x'))]) {
      expect(Buffer.from(ed25519Spki(value)!)).toEqual(der(publicKey));
    }
  });

  it('RSA, with and without leading zeros', () => {
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const [n, e] = [field(publicKey, 'n'), field(publicKey, 'e')];
    expect(Buffer.from(rsaSpki(n, e))).toEqual(der(publicKey));
    expect(Buffer.from(rsaSpki(Buffer.concat([Buffer.alloc(2), n]), Buffer.concat([Buffer.alloc(1), e])))).toEqual(
      der(publicKey),
    );
  });

  it.each([44, 65, 87] as const)('ML-DSA-%i', (parameterSet) => {
    const { publicKey } = generateKeyPairSync(`ml-dsa-${parameterSet}`);
    const octets = { 44: 1312, 65: 1952, 87: 2592 }[parameterSet];
    expect(Buffer.from(mlDsaSpki(parameterSet, der(publicKey).subarray(-octets)))).toEqual(der(publicKey));
  });

  it('leaves out what it does not know', () => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const point = Buffer.concat([Buffer.of(4), field(publicKey, 'x'), field(publicKey, 'y')]);
    expect(ecSpki(Buffer.from('06052b8104000a', 'hex'), point)).toBeUndefined();
    expect(ecSpki(curveParameters('P-256'), point.subarray(1))).toBeUndefined();
    expect(ecSpki(curveParameters('P-256'), Buffer.concat([Buffer.of(2), point.subarray(1)]))).toBeUndefined();
    expect(ed25519Spki(Buffer.alloc(31))).toBeUndefined();
  });
});
