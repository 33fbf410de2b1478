import { constants, generateKeyPairSync, privateDecrypt, publicEncrypt, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { RsaDecryption, type RsaPrivateOperations } from '../../core/keys/rsa-decryption.ts';
import { parseSubjectPublicKeyInfo } from '../../core/x509/public-key.ts';

/** A key in software, with a count of the operations it did. */
function softwareKey() {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const operations = {
    decryption: 'raw' as const,
    count: 0,
    /** Tokens that drop leading zeros of the result exist. */
    dropZeros: false,
    async raw(block: Uint8Array): Promise<Uint8Array> {
      operations.count++;
      const result = privateDecrypt({ key: privateKey, padding: constants.RSA_NO_PADDING }, block);
      return operations.dropZeros ? result.subarray(result.findIndex((octet) => octet !== 0)) : result;
    },
    unwrap: () => Promise.reject(new TypeError('not asked')),
  } satisfies RsaPrivateOperations & Record<string, unknown>;
  const encrypt = (message: Uint8Array): Buffer =>
    publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_PADDING }, message);
  return { spki: parseSubjectPublicKeyInfo(publicKey.export({ type: 'spki', format: 'der' })), operations, encrypt };
}

const hex = (octets: Uint8Array): string => Buffer.from(octets).toString('hex');

describe('RSA decryption with implicit rejection', () => {
  const key = softwareKey();
  const wrong = key.encrypt(randomBytes(17));
  const reject = async (decryption: RsaDecryption, ciphertext = wrong, length = 16): Promise<string> =>
    hex(await decryption.decrypt(key.operations, 'pkcs1', ciphertext, length));

  it('answers a wrong ciphertext alike on every node and after every start', async () => {
    expect(await reject(new RsaDecryption(key.spki))).toBe(await reject(new RsaDecryption(key.spki)));
  });

  it('answers differently for another ciphertext, length and key', async () => {
    const decryption = new RsaDecryption(key.spki);
    const other = softwareKey();
    const answers = [
      await reject(decryption),
      await reject(decryption, key.encrypt(randomBytes(17))),
      (await reject(decryption, wrong, 24)).slice(0, 32),
      hex(await decryption.decrypt(key.operations, 'oaep-sha256', wrong, 16)),
      hex(await new RsaDecryption(other.spki).decrypt(other.operations, 'pkcs1', wrong, 16)),
    ];
    expect(new Set(answers).size).toBe(answers.length);
  });

  it('asks the token once for each ciphertext, right, wrong or impossible', async () => {
    const decryption = new RsaDecryption(key.spki);
    await reject(decryption);
    for (const ciphertext of [
      key.encrypt(randomBytes(16)),
      wrong,
      Buffer.alloc(256, 0xff),
      Buffer.alloc(3),
      Buffer.alloc(10_000),
    ]) {
      const before = key.operations.count;
      await reject(decryption, ciphertext);
      expect(key.operations.count - before).toBe(1);
    }
  });

  it('takes results without their leading zeros', async () => {
    const message = randomBytes(16);
    const dropping = { ...key.operations, raw: (block: Uint8Array) => key.operations.raw(block) };
    key.operations.dropZeros = true;
    expect(hex(await new RsaDecryption(key.spki).decrypt(dropping, 'pkcs1', key.encrypt(message), 16))).toBe(
      hex(message),
    );
    const dropped = await reject(new RsaDecryption(key.spki));
    key.operations.dropZeros = false;
    expect(await reject(new RsaDecryption(key.spki))).toBe(dropped);
  });

  it('spreads its answers like chance', async () => {
    const decryption = new RsaDecryption(key.spki);
    const octets: number[] = [];
    for (let i = 0; i < 64; i++)
      octets.push(...(await decryption.decrypt(key.operations, 'pkcs1', randomBytes(40), 64)));
    const mean = octets.reduce((sum, octet) => sum + octet, 0) / octets.length;
    expect(mean).toBeGreaterThan(120);
    expect(mean).toBeLessThan(135);
    expect(new Set(octets).size).toBe(256);
  });
});
