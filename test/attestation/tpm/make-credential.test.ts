import { createECDH, createHmac, randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { toHex } from '../../../core/x509/octets.ts';
import { ekAlgorithms, isEndorsementKeyArea } from '../../../devices/attestation/tpm/ek-template.ts';
import { kdfA, kdfE } from '../../../devices/attestation/tpm/key-derivation.ts';
import { identityObject, makeCredential, seedFromEcdh } from '../../../devices/attestation/tpm/make-credential.ts';
import { parsePublicArea } from '../../../devices/attestation/tpm/public-area.ts';
import { tpmPublicKey } from '../../../devices/attestation/tpm/tpm-public-key.ts';
import { openCredential } from '../../fakes/software-tpm.ts';
import { makeKey, publicKeyOf, type TestKeyKind } from '../../support/test-pki.ts';
import { FIXTURES, hex } from './tpm-fixtures.ts';

const AK_NAME = hex(FIXTURES.akName);

describe('credentials that a TPM activated', () => {
  test('RSA-2048: AES-128, SHA-256', () => {
    const { seed, symKey, hmacKey, credential, idObject } = FIXTURES.makeCredentialRsa;
    expect(toHex(kdfA('sha256', hex(seed), 'STORAGE', { u: AK_NAME }, 128))).toBe(symKey);
    expect(toHex(kdfA('sha256', hex(seed), 'INTEGRITY', {}, 256))).toBe(hmacKey);
    const algorithms = { nameAlg: 'sha256', aesBits: 128 } as const;
    expect(toHex(identityObject({ algorithms, keyName: AK_NAME }, hex(seed), hex(credential)))).toBe(idObject.slice(4));
  });

  test('P-384: AES-256, SHA-384 (pitfall 9)', () => {
    const { seed, symKey, hmacKey, credential, idObject, akName, ephemeral, encryptedSecret } =
      FIXTURES.makeCredentialP384;
    const { keyBytes } = tpmPublicKey(parsePublicArea(hex(FIXTURES.ekPubAreaP384)));
    const ecdh = createECDH('secp384r1');
    ecdh.setPrivateKey(hex(ephemeral.d));
    expect(ecdh.computeSecret(keyBytes).toString('hex')).toBe(ephemeral.Z);
    const x = hex(encryptedSecret).subarray(4, 52);
    expect(toHex(seedFromEcdh('sha384', hex(ephemeral.Z), x, keyBytes.subarray(1, 49)))).toBe(seed);
    expect(toHex(kdfA('sha384', hex(seed), 'STORAGE', { u: hex(akName) }, 256))).toBe(symKey);
    expect(toHex(kdfA('sha384', hex(seed), 'INTEGRITY', {}, 384))).toBe(hmacKey);
    const algorithms = { nameAlg: 'sha384', aesBits: 256 } as const;
    const object = identityObject({ algorithms, keyName: hex(akName) }, hex(seed), hex(credential));
    expect(toHex(object)).toBe(idObject.slice(4));
  });

  test('the label goes in with its NUL (pitfall 10)', () => {
    const { seed } = FIXTURES.makeCredentialRsa;
    const block = createHmac('sha256', hex(seed))
      .update(hex('00000001'))
      .update('INTEGRITY')
      .update(hex('00000100'))
      .digest();
    expect(toHex(kdfA('sha256', hex(seed), 'INTEGRITY', {}, 256))).not.toBe(toHex(block));
    expect(kdfE('sha256', hex(seed), 'IDENTITY', {}, 512)).toHaveLength(64);
  });
});

/** The other side in software; what a real TPM opens is in swtpm.test.ts. */
describe('EK kinds', () => {
  test.each([
    ['rsa-2048', 'sha256', 128],
    ['rsa-3072', 'sha384', 256],
    ['ec-p256', 'sha256', 128],
    ['ec-p384', 'sha384', 256],
    ['ec-p521', 'sha512', 256],
  ] as const)('%s opens what is made for it with %s and AES-%i', (kind, nameAlg, aesBits) => {
    const privateKey = makeKey(kind);
    const ek = publicKeyOf(privateKey);
    const algorithms = ekAlgorithms(ek)!;
    expect(algorithms).toEqual({ nameAlg, aesBits });
    const secret = randomBytes(32);
    const wrapped = makeCredential({ ek, algorithms, keyName: AK_NAME }, secret, randomBytes);
    expect(toHex(openCredential(wrapped, privateKey, AK_NAME))).toBe(toHex(secret));
    expect(() => openCredential(wrapped, privateKey, hex(FIXTURES.ekName))).toThrow('TPM_RC_INTEGRITY');
  });

  test('RSA-4096 as RSA-3072', () => {
    const ek = { kind: 'rsa', bits: 4096, exponent: 65_537 } as const;
    expect(ekAlgorithms({ ...publicKeyOf(makeKey()), algorithm: ek })).toEqual({ nameAlg: 'sha384', aesBits: 256 });
    expect(ekAlgorithms({ ...publicKeyOf(makeKey()), algorithm: { ...ek, exponent: 3 } })).toBeUndefined();
  });

  test.each<TestKeyKind>(['ed25519', 'ed448', 'ml-dsa-44'])('%s is made by no template', (kind) => {
    expect(ekAlgorithms(publicKeyOf(makeKey(kind)))).toBeUndefined();
  });

  test('numbers of an ECDH have no leading zeros, so that every reading of them agrees', () => {
    const ek = publicKeyOf(makeKey());
    for (let round = 0; round < 400; round++) {
      const { secret } = makeCredential(
        { ek, algorithms: ekAlgorithms(ek)!, keyName: AK_NAME },
        new Uint8Array(32),
        randomBytes,
      );
      expect([secret[4], secret[38]]).not.toContain(0);
    }
  });

  test('the public area of an EK that a device sends must be that of its template', () => {
    const area = parsePublicArea(hex(FIXTURES.ekPubArea));
    const ek = tpmPublicKey(area);
    expect(isEndorsementKeyArea(area, ek)).toBe(true);
    expect(
      isEndorsementKeyArea(
        parsePublicArea(
          hex(
            FIXTURES.ekPubArea
              .replace('0001000b', '0001000c')
              .replace('0020837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa', '0000'),
          ),
        ),
        ek,
      ),
    ).toBe(false);
    expect(isEndorsementKeyArea(parsePublicArea(hex(FIXTURES.ekPubAreaP384)), ek)).toBe(false);
  });
});
