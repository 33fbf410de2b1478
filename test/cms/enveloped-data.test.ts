import { randomBytes } from 'node:crypto';
import { afterAll, describe, expect, it } from 'vitest';
import { CmsDecryptError, CmsError } from '../../core/cms/cms-error.ts';
import { keyLengthOf } from '../../core/cms/content-cipher.ts';
import type { CbcCipher } from '../../core/cms/content-cipher.ts';
import {
  buildEnvelopedData,
  decryptEnvelopedData,
  keyTransportOf,
  parseEnvelopedData,
} from '../../core/cms/enveloped-data.ts';
import type { Recipient, RecipientKey } from '../../core/cms/enveloped-data.ts';
import { CONTENT_TYPE } from '../../core/cms/oids.ts';
import { TestAuthority } from '../support/test-pki.ts';
import type { IssuedCertificate, TestKeyKind } from '../support/test-pki.ts';
import { CommandPeer, hex } from './openssl-peer.ts';
import { ecdhKey, rsaKey } from './recipient-keys.ts';

const content = Buffer.from('content that is encrypted, longer than two blocks\n');
const authority = TestAuthority.root();
const rsa = authority.leaf({ key: 'rsa-2048', subject: 'CN=rsa', keyUsage: ['keyEncipherment'] });
const curves: readonly TestKeyKind[] = ['ec-p256', 'ec-p384', 'ec-p521'];
const ec = new Map(
  curves.map((key) => [key, authority.leaf({ key, subject: `CN=${key}`, keyUsage: ['keyAgreement'] })]),
);
const password = Buffer.from('correct horse');
const secret = randomBytes(16);
const peer = new CommandPeer();
afterAll(() => peer[Symbol.dispose]());

const ciphers: readonly CbcCipher[] = ['aes-128-cbc', 'aes-192-cbc', 'aes-256-cbc', 'des-ede3-cbc'];
const opensslName = {
  'aes-128-cbc': '-aes128',
  'aes-192-cbc': '-aes192',
  'aes-256-cbc': '-aes256',
  'des-ede3-cbc': '-des3',
};

function opensslDecrypts(message: Uint8Array, args: readonly string[]): string {
  return hex(peer.cms(['-decrypt', '-binary', '-inform', 'DER', '-in', peer.file(message), ...args]));
}

function opensslDecryptsFor(
  { der, privateKey }: IssuedCertificate,
  message: Uint8Array,
  extra: readonly string[] = [],
): string {
  return opensslDecrypts(message, ['-recip', peer.certificate(der), '-inkey', peer.privateKey(privateKey), ...extra]);
}

function opensslEncrypts(args: readonly string[]): Uint8Array {
  return peer.cms(['-encrypt', '-binary', '-outform', 'DER', '-in', peer.file(content), ...args]);
}

function build(recipient: Recipient, cipher: CbcCipher = 'aes-128-cbc'): Promise<Uint8Array> {
  return buildEnvelopedData({ content, cipher, recipients: [recipient] });
}

async function decrypted(message: Uint8Array, keys: readonly RecipientKey[]): Promise<string> {
  return hex((await decryptEnvelopedData(parseEnvelopedData(message), keys)).content);
}

describe('buildEnvelopedData', () => {
  it.each(ciphers)('openssl opens %s', async (cipher) => {
    const message = await build({ kind: 'rsa', certificate: rsa.der, keyTransport: 'pkcs1' }, cipher);
    expect(opensslDecryptsFor(rsa, message)).toBe(hex(content));
  });

  it.each(['sha1', 'sha256', 'sha384', 'sha512'] as const)('openssl opens RSAES-OAEP with %s', async (oaepHash) => {
    const message = await build({ kind: 'rsa', certificate: rsa.der, keyTransport: 'oaep', oaepHash });
    expect(opensslDecryptsFor(rsa, message)).toBe(hex(content));
  });

  it.each([...ec])('openssl opens ephemeral-static ECDH for %s', async (_, holder) => {
    for (const cipher of ciphers) {
      const message = await build(
        { kind: 'ecdh', certificate: holder.der, identifiedBy: 'subjectKeyIdentifier' },
        cipher,
      );
      expect(opensslDecryptsFor(holder, message)).toBe(hex(content));
    }
  });

  it('openssl opens with a password and with a key-encryption key', async () => {
    const byPassword = await build({ kind: 'password', password, iterations: 1000 });
    expect(opensslDecrypts(byPassword, ['-pwri_password', password.toString()])).toBe(hex(content));
    const byKey = await build({ kind: 'key-encryption-key', keyIdentifier: Uint8Array.of(7, 8), key: secret });
    expect(opensslDecrypts(byKey, ['-secretkey', hex(secret), '-secretkeyid', '0708'])).toBe(hex(content));
  });

  it('openssl opens for each of several recipients', async () => {
    const holder = ec.get('ec-p256')!;
    const recipients: Recipient[] = [
      { kind: 'rsa', certificate: rsa.der, keyTransport: 'pkcs1', identifiedBy: 'subjectKeyIdentifier' },
      { kind: 'ecdh', certificate: holder.der },
    ];
    const message = await buildEnvelopedData({ content, cipher: 'aes-256-cbc', recipients });
    expect(opensslDecryptsFor(rsa, message)).toBe(hex(content));
    expect(opensslDecryptsFor(holder, message)).toBe(hex(content));
    expect(await decrypted(message, [ecdhKey(holder)])).toBe(hex(content));
  });

  it('writes the parameters of OAEP even where they are all defaults', async () => {
    const message = await build({ kind: 'rsa', certificate: rsa.der, keyTransport: 'oaep', oaepHash: 'sha1' });
    expect(hex(message)).toContain('300d06092a864886f70d0101073000');
  });

  it('repeats a device’s issuerAndSerialNumber octet for octet', async () => {
    // A Cisco device's own certificate (CSCuw41120): the serial number is negative.
    const issuerAndSerialNumber = Buffer.from('3017301231103' + '00e06035504030c07726f75746572310201f0', 'hex');
    const message = await build({ kind: 'rsa', certificate: rsa.der, keyTransport: 'pkcs1', issuerAndSerialNumber });
    expect(hex(message)).toContain(hex(issuerAndSerialNumber));
  });

  it('refuses single DES without leave, impossible recipients and impossible iteration counts', async () => {
    const refusals = [
      buildEnvelopedData({ content, cipher: 'des-cbc', recipients: [{ kind: 'password', password }] }),
      build({ kind: 'rsa', certificate: ec.get('ec-p256')!.der, keyTransport: 'pkcs1' }),
      build({ kind: 'ecdh', certificate: rsa.der }),
      build({ kind: 'password', password, iterations: 100_001 }),
      build({ kind: 'key-encryption-key', keyIdentifier: secret, key: randomBytes(17) }),
    ];
    for (const refusal of refusals) await expect(refusal).rejects.toThrow(CmsError);
  });
});

describe('decryptEnvelopedData', () => {
  it.each(ciphers)('opens %s by openssl', async (cipher) => {
    const name = opensslName[cipher as keyof typeof opensslName];
    const message = opensslEncrypts([name, '-recip', peer.certificate(rsa.der)]);
    expect(await decrypted(message, [rsaKey(rsa)])).toBe(hex(content));
    const byKeyId = opensslEncrypts([name, '-keyid', '-recip', peer.certificate(rsa.der)]);
    expect(await decrypted(byKeyId, [rsaKey(rsa)])).toBe(hex(content));
  });

  it.each(['sha1', 'sha256', 'sha384', 'sha512'])('opens RSAES-OAEP with %s by openssl', async (hash) => {
    const oaep = ['-keyopt', 'rsa_padding_mode:oaep', '-keyopt', `rsa_oaep_md:${hash}`];
    const message = opensslEncrypts(['-aes256', '-recip', peer.certificate(rsa.der), ...oaep]);
    const { recipient } = await decryptEnvelopedData(parseEnvelopedData(message), [rsaKey(rsa)]);
    expect(recipient.kind === 'key-transport' && keyTransportOf(recipient.algorithm)).toEqual({ scheme: 'oaep', hash });
  });

  it.each([...ec])('opens ephemeral-static ECDH by openssl for %s', async (_, holder) => {
    const to = ['-recip', peer.certificate(holder.der)];
    expect(await decrypted(opensslEncrypts(['-aes128', ...to]), [ecdhKey(holder)])).toBe(hex(content));
    for (const hash of ['sha224', 'sha256', 'sha384', 'sha512']) {
      const message = opensslEncrypts(['-aes256', '-aes256-wrap', ...to, '-keyopt', `ecdh_kdf_md:${hash}`]);
      expect(await decrypted(message, [ecdhKey(holder)])).toBe(hex(content));
    }
  });

  it.each(ciphers)('opens %s by openssl with a password', async (cipher) => {
    const name = opensslName[cipher as keyof typeof opensslName];
    const message = opensslEncrypts([name, '-pwri_password', password.toString()]);
    expect(await decrypted(message, [{ kind: 'password', password }])).toBe(hex(content));
    const wrong: RecipientKey = { kind: 'password', password: Buffer.from('wrong') };
    await expect(decrypted(message, [wrong])).rejects.toThrow(CmsDecryptError);
  });

  it('opens with a key-encryption key by openssl', async () => {
    const message = opensslEncrypts(['-aes128', '-secretkey', hex(secret), '-secretkeyid', '0708']);
    const key: RecipientKey = { kind: 'key-encryption-key', keyIdentifier: Uint8Array.of(7, 8), key: secret };
    expect(await decrypted(message, [key])).toBe(hex(content));
    await expect(decrypted(message, [{ ...key, key: randomBytes(16) }])).rejects.toThrow(CmsDecryptError);
    await expect(decrypted(message, [{ ...key, key: randomBytes(32) }])).rejects.toThrow(CmsError);
    await expect(decrypted(message, [{ ...key, keyIdentifier: secret }])).rejects.toThrow('recipient-absent');
  });

  it('opens BER: indefinite lengths and constructed strings', async () => {
    const message = opensslEncrypts(['-stream', '-aes128', '-recip', peer.certificate(rsa.der)]);
    expect(message[1]).toBe(0x80);
    expect(hex(message)).toContain('a080'); // encryptedContent [0], constructed
    expect(await decrypted(message, [rsaKey(rsa)])).toBe(hex(content));
  });

  it('opens single DES where the caller allows it, both ways', async () => {
    const providers = ['-provider', 'legacy', '-provider', 'default'];
    const message = opensslEncrypts(['-des-cbc', ...providers, '-recip', peer.certificate(rsa.der)]);
    await expect(decrypted(message, [rsaKey(rsa)])).rejects.toThrow('unsupported-algorithm');
    const parsed = parseEnvelopedData(message);
    const opened = await decryptEnvelopedData(parsed, [rsaKey(rsa)], { allowSingleDes: true });
    expect(hex(opened.content)).toBe(hex(content));
    const recipients: Recipient[] = [{ kind: 'rsa', certificate: rsa.der, keyTransport: 'pkcs1' }];
    const ours = await buildEnvelopedData({ content, cipher: 'des-cbc', allowSingleDes: true, recipients });
    expect(opensslDecryptsFor(rsa, ours, providers)).toBe(hex(content));
  });

  it('says what the content is', async () => {
    const recipients: Recipient[] = [{ kind: 'rsa', certificate: rsa.der, keyTransport: 'oaep' }];
    const template = { content, contentType: CONTENT_TYPE.signedData, cipher: 'aes-256-cbc', recipients } as const;
    const parsed = parseEnvelopedData(await buildEnvelopedData(template));
    expect(parsed.contentType).toBe(CONTENT_TYPE.signedData);
    expect((await decryptEnvelopedData(parsed, [rsaKey(rsa)])).contentType).toBe(CONTENT_TYPE.signedData);
  });

  it('refuses several recipients for one key before the key is used', async () => {
    const recipient: Recipient = { kind: 'rsa', certificate: rsa.der, keyTransport: 'pkcs1' };
    const twice = [recipient, { ...recipient, identifiedBy: 'subjectKeyIdentifier' }] as const;
    const message = parseEnvelopedData(await buildEnvelopedData({ content, cipher: 'aes-128-cbc', recipients: twice }));
    let used = 0;
    const key: RecipientKey = {
      kind: 'rsa',
      certificate: rsa.der,
      decryptKeyTransport: async ({ keyLength }) => new Uint8Array(keyLength).fill((used += 1)),
    };
    await expect(decryptEnvelopedData(message, [key])).rejects.toMatchObject({ fault: 'recipient-ambiguous' });
    expect(used).toBe(0);
  });

  it('says so where the key’s holder answers a key of another length', async () => {
    const message = parseEnvelopedData(await build({ kind: 'rsa', certificate: rsa.der, keyTransport: 'pkcs1' }));
    const key: RecipientKey = { kind: 'rsa', certificate: rsa.der, decryptKeyTransport: async () => randomBytes(32) };
    await expect(decryptEnvelopedData(message, [key])).rejects.toMatchObject({ fault: 'invalid-argument' });
  });

  it('asks for a key as long as the cipher needs, and answers every failure alike', async () => {
    for (const cipher of ciphers) {
      const message = parseEnvelopedData(
        await build({ kind: 'rsa', certificate: rsa.der, keyTransport: 'pkcs1' }, cipher),
      );
      const asked: number[] = [];
      const failures: unknown[] = [];
      for (let i = 0; i < 8; i++) {
        const key: RecipientKey = {
          kind: 'rsa',
          certificate: rsa.der,
          decryptKeyTransport: async ({ keyLength }) => {
            asked.push(keyLength);
            return randomBytes(keyLength); // as for a ciphertext with wrong padding
          },
        };
        await decryptEnvelopedData(message, [key]).catch((error: unknown) => failures.push(error));
      }
      expect(new Set(asked)).toEqual(new Set([keyLengthOf(cipher)]));
      // One key in 256 makes a padding that looks right: then the content is noise, and that is all.
      expect(failures.length).toBeGreaterThan(4);
      for (const failure of failures) {
        expect(failure).toBeInstanceOf(CmsDecryptError);
        expect((failure as Error).message).toBe('the content cannot be decrypted');
        expect((failure as Error).cause).toBeUndefined();
      }
    }
  });
});
