import { constants, createPublicKey, publicEncrypt, randomBytes, verify } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MusterError } from '../../core/errors/muster-error.ts';
import type { KeyAlgorithm } from '../../core/keys/key-algorithm.ts';
import { type KeyStore, type TokenConfig, type TokenKey, openKeyStore } from '../../core/keys/key-store.ts';
import { formatKeyUri, parseKeyUri } from '../../core/keys/key-uri.ts';
import type { RsaPadding } from '../../core/keys/token-backend.ts';
import type { SignatureAlgorithm } from '../../core/x509/signature-algorithm.ts';

/** A token under test, and what it cannot do, each with the reason. */
export interface TokenUnderTest {
  readonly config: TokenConfig;
  readonly lacks?: Partial<Record<KeyAlgorithm | RsaPadding, string>>;
  remove(): Promise<void>;
}

const TENANT = { tenant: 'tenant-a' };
const DATA = Buffer.from('to be signed');

/** The signature algorithms of each kind of key, with what node:crypto verifies them by. */
const ALGORITHMS: Record<Exclude<KeyAlgorithm, `ml-dsa-${number}` | 'rsa-4096'>, SignatureAlgorithm[]> = {
  'ec-p256': ['ecdsa-with-SHA256'],
  'ec-p384': ['ecdsa-with-SHA384'],
  'ec-p521': ['ecdsa-with-SHA512', 'ecdsa-with-SHA256'],
  'rsa-2048': [
    'sha256WithRSAEncryption',
    'sha384WithRSAEncryption',
    'sha512WithRSAEncryption',
    'rsassa-pss-sha256',
    'rsassa-pss-sha384',
    'rsassa-pss-sha512',
  ],
  'rsa-3072': ['sha384WithRSAEncryption'],
  ed25519: ['ed25519'],
};
const PADDINGS: readonly RsaPadding[] = ['pkcs1', 'oaep-sha1', 'oaep-sha256', 'oaep-sha384', 'oaep-sha512'];

/** What every token must do, wherever its module runs. */
export function describeTokenContract(
  name: string,
  prepare: () => Promise<TokenUnderTest>,
  lacks: TokenUnderTest['lacks'] = {},
): void {
  describe(name, () => {
    let token: TokenUnderTest;
    let store: KeyStore;
    const generate = (algorithm: KeyAlgorithm, label: string, usage: 'sign' | 'decrypt' = 'sign'): Promise<TokenKey> =>
      store.generate({ token: token.config.label, algorithm, label, usage });

    beforeAll(async () => {
      token = await prepare();
      store = await openKeyStore([token.config]);
    });
    afterAll(async () => {
      await store.close();
      await token.remove();
    });

    it('is up after one login', () => {
      expect(store.health()).toMatchObject([{ label: token.config.label, state: 'up', loginAttempts: 1 }]);
    });

    for (const [algorithm, signatureAlgorithms] of Object.entries(ALGORITHMS) as [
      KeyAlgorithm,
      SignatureAlgorithm[],
    ][]) {
      const missing = lacks[algorithm];
      it.skipIf(missing !== undefined)(
        `signs with ${algorithm}${missing === undefined ? '' : `: ${missing}`}`,
        async () => {
          const made = await generate(algorithm, `signs ${algorithm}`);
          const key = await store.open(made.uri);
          expect(key.algorithm).toBe(algorithm);
          expect(Buffer.from(key.publicKey.der)).toEqual(Buffer.from(made.publicKey.der));
          for (const signatureAlgorithm of signatureAlgorithms) {
            const signature = await key.sign(signatureAlgorithm, DATA, TENANT);
            expect(verifies(key, signatureAlgorithm, signature), signatureAlgorithm).toBe(true);
          }
        },
      );
    }

    it('refuses to make keys its token does not know', async () => {
      const unknown = Object.keys(lacks).find((name) => name in ALGORITHMS) ?? 'ml-dsa-65';
      await expect(generate(unknown as KeyAlgorithm, 'unknown')).rejects.toMatchObject({ reason: 'key-not-allowed' });
    });

    it('finds a key by id alone, by label alone, and by both, under one URI', async () => {
      const key = await generate('ec-p256', 'läbel; with/everything?');
      const { token: label, object, id } = parseKeyUri(key.uri);
      expect(object).toBe('läbel; with/everything?');
      for (const parts of [{ id }, { object }, { id, object }]) {
        expect((await store.open(formatKeyUri({ token: label, ...parts }))).uri).toBe(key.uri);
      }
    });

    it('gives each pair an id of its own, and refuses a label that two share', async () => {
      const [a, b] = [await generate('ec-p256', 'twin'), await generate('ec-p256', 'twin')];
      expect(a.uri).not.toBe(b.uri);
      const byLabel = formatKeyUri({ token: token.config.label, object: 'twin' });
      await expect(store.open(byLabel)).rejects.toMatchObject({
        reason: 'internal',
        message: expect.stringContaining('several'),
      });
    });

    it('says what is missing: key or token', async () => {
      const missing = formatKeyUri({ token: token.config.label, object: 'no such key' });
      await expect(store.open(missing)).rejects.toThrow('no key');
      await expect(store.open(formatKeyUri({ token: 'no such token', object: 'x' }))).rejects.toThrow('no token');
    });

    it('lists keys that cannot leave the token, with one usage each', async () => {
      const signing = await generate('ec-p384', 'listed');
      const decrypting = await generate('rsa-2048', 'listed decryption', 'decrypt');
      const listed = await store.list(token.config.label);
      const find = (key: TokenKey) => listed.find(({ uri }) => uri === key.uri)!;
      expect(find(signing).usages).toEqual({ sign: true, decrypt: false, unwrap: false });
      expect(find(decrypting).usages).toEqual({ sign: false, decrypt: true, unwrap: true });
      for (const { protection } of [find(signing), find(decrypting)]) {
        expect(protection).toMatchObject({ sensitive: true, extractable: false, modifiable: false });
        expect(protection).toMatchObject({ alwaysSensitive: true, neverExtractable: true });
      }
    });

    it('uses no key for what it was not made for', async () => {
      const decrypting = await generate('rsa-2048', 'only decrypts', 'decrypt');
      await expect(decrypting.sign('sha256WithRSAEncryption', DATA, TENANT)).rejects.toMatchObject({
        reason: 'key-not-allowed',
      });
      const signing = await generate('rsa-2048', 'only signs');
      await expect(signing.decryptRsa('pkcs1', randomBytes(256), { ...TENANT, length: 16 })).rejects.toBeInstanceOf(
        MusterError,
      );
      await expect(signing.sign('ecdsa-with-SHA256', DATA, TENANT)).rejects.toMatchObject({
        reason: 'key-not-allowed',
      });
      await expect(signing.sign('sha1WithRSAEncryption', DATA, TENANT)).rejects.toMatchObject({
        reason: 'key-not-allowed',
      });
      expect(store.health()[0]!.state).toBe('up');
    });

    it('signs for 64 at once with several keys', async () => {
      const keys = [await generate('ec-p256', 'busy EC'), await generate('rsa-2048', 'busy RSA')];
      const signed = await Promise.all(
        Array.from({ length: 64 }, async (_, i) => {
          const key = keys[i % 2]!;
          const algorithm = i % 2 === 0 ? 'ecdsa-with-SHA256' : 'sha256WithRSAEncryption';
          const data = Buffer.from(`message ${i}`);
          const signature = await key.sign(algorithm, data, { tenant: `tenant ${i % 3}` });
          return verifies(key, algorithm, signature, data);
        }),
      );
      expect(signed).toEqual(signed.map(() => true));
    });

    describe('RSA decryption', () => {
      let key: TokenKey;
      const encrypt = (padding: RsaPadding, message: Uint8Array): Buffer =>
        publicEncrypt(encryption(key, padding), message);
      const decrypt = (padding: RsaPadding, ciphertext: Uint8Array, length: number): Promise<Uint8Array> =>
        key.decryptRsa(padding, ciphertext, { ...TENANT, length });

      beforeAll(async () => {
        key = await generate('rsa-2048', 'decrypts', 'decrypt');
      });

      for (const padding of PADDINGS) {
        const missing = lacks[padding];
        it.skipIf(missing !== undefined)(`reads ${padding}${missing === undefined ? '' : `: ${missing}`}`, async () => {
          for (const length of [8, 16, 24, 32]) {
            const message = randomBytes(length);
            expect(Buffer.from(await decrypt(padding, encrypt(padding, message), length))).toEqual(message);
          }
        });

        it.skipIf(missing !== undefined)(
          `answers a wrong ${padding} with octets that are always the same`,
          async () => {
            const right = encrypt(padding, randomBytes(16));
            const other = padding === 'pkcs1' ? 'oaep-sha1' : 'pkcs1';
            const wrong = [
              randomBytes(256).fill(0, 0, 1),
              encrypt(other, randomBytes(16)),
              encrypt(padding, randomBytes(17)),
              Buffer.concat([right, Buffer.of(0)]),
              right.subarray(1),
              Buffer.alloc(256, 0xff),
              Buffer.alloc(0),
            ];
            const answers: string[] = [];
            for (const ciphertext of wrong) {
              const first = await decrypt(padding, ciphertext, 16);
              expect(first).toHaveLength(16);
              expect(Buffer.from(await decrypt(padding, ciphertext, 16))).toEqual(Buffer.from(first));
              answers.push(Buffer.from(first).toString('hex'));
            }
            expect(new Set(answers).size).toBe(wrong.length);
            expect(store.health()).toMatchObject([{ state: 'up', loginAttempts: 1 }]);
          },
        );
      }
    });
  });
}

function publicKeyOf(key: TokenKey) {
  return createPublicKey({ key: Buffer.from(key.publicKey.der), format: 'der', type: 'spki' });
}

function verifies(
  key: TokenKey,
  algorithm: SignatureAlgorithm,
  signature: Uint8Array,
  data: Uint8Array = DATA,
): boolean {
  const hash = /sha(256|384|512)/i.exec(algorithm)?.[1];
  const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
  const options = algorithm.startsWith('rsassa-pss') ? pss : {};
  return verify(hash === undefined ? null : `sha${hash}`, data, { key: publicKeyOf(key), ...options }, signature);
}

function encryption(key: TokenKey, padding: RsaPadding) {
  const oaepHash = padding.slice('oaep-'.length);
  return padding === 'pkcs1'
    ? { key: publicKeyOf(key), padding: constants.RSA_PKCS1_PADDING }
    : { key: publicKeyOf(key), padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash };
}
