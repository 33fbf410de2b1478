import { afterAll, describe, expect, it } from 'vitest';
import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import {
  buildAuthEnvelopedData,
  decryptAuthEnvelopedData,
  parseAuthEnvelopedData,
} from '../../core/cms/auth-enveloped-data.ts';
import { CmsDecryptError } from '../../core/cms/cms-error.ts';
import { parseEnvelopedData } from '../../core/cms/enveloped-data.ts';
import type { Recipient } from '../../core/cms/enveloped-data.ts';
import { CONTENT_TYPE } from '../../core/cms/oids.ts';
import { TestAuthority } from '../support/test-pki.ts';
import { CommandPeer, hex } from './openssl-peer.ts';
import { ecdhKey, rsaKey } from './recipient-keys.ts';

const content = Buffer.from('content that is encrypted and authenticated\n');
const authority = TestAuthority.root();
const rsa = authority.leaf({ key: 'rsa-2048', subject: 'CN=rsa', keyUsage: ['keyEncipherment'] });
const ec = authority.leaf({ key: 'ec-p256', subject: 'CN=ec', keyUsage: ['keyAgreement'] });
const peer = new CommandPeer();
afterAll(() => peer[Symbol.dispose]());

const ciphers = ['aes-128-gcm', 'aes-192-gcm', 'aes-256-gcm'] as const;
const toRsa: Recipient = { kind: 'rsa', certificate: rsa.der, keyTransport: 'oaep' };

function opensslDecrypts(message: Uint8Array): string {
  const files = ['-recip', peer.certificate(rsa.der), '-inkey', peer.privateKey(rsa.privateKey)];
  return hex(peer.cms(['-decrypt', '-binary', '-inform', 'DER', '-in', peer.file(message), ...files]));
}

describe('AuthEnvelopedData', () => {
  it.each(ciphers)('openssl opens %s', async (cipher) => {
    const message = await buildAuthEnvelopedData({ content, cipher, recipients: [toRsa] });
    expect(opensslDecrypts(message)).toBe(hex(content));
  });

  it.each(ciphers)('opens %s by openssl', async (cipher) => {
    for (const [holder, key] of [
      [rsa, rsaKey(rsa)],
      [ec, ecdhKey(ec)],
    ] as const) {
      const to = ['-recip', peer.certificate(holder.der), '-in', peer.file(content)];
      const message = peer.cms(['-encrypt', '-binary', '-outform', 'DER', `-${cipher}`, ...to]);
      const opened = await decryptAuthEnvelopedData(parseAuthEnvelopedData(message), [key]);
      expect(hex(opened.content)).toBe(hex(content));
    }
  });

  it('authenticates the content type where it is not id-data (RFC 5083 §2.1)', async () => {
    const template = {
      content,
      contentType: CONTENT_TYPE.signedData,
      cipher: 'aes-256-gcm',
      recipients: [toRsa],
    } as const;
    const message = await buildAuthEnvelopedData(template);
    const parsed = parseAuthEnvelopedData(message);
    expect(parsed.authenticatedDer[0]).toBe(0x31);
    expect(hex((await decryptAuthEnvelopedData(parsed, [rsaKey(rsa)])).content)).toBe(hex(content));
    const stripped = { ...parsed, authenticatedDer: new Uint8Array() };
    await expect(decryptAuthEnvelopedData(stripped, [rsaKey(rsa)])).rejects.toThrow(CmsDecryptError);
  });

  it('refuses a changed bit anywhere in ciphertext, tag, nonce or encrypted key, always with the same error', async () => {
    const recipients: Recipient[] = [{ kind: 'rsa', certificate: rsa.der, keyTransport: 'pkcs1' }];
    const parsed = parseAuthEnvelopedData(await buildAuthEnvelopedData({ content, cipher: 'aes-128-gcm', recipients }));
    const [recipient] = parsed.recipients;
    if (recipient?.kind !== 'key-transport') throw new TypeError('expected key transport');
    const changed = [
      { ...parsed, encryptedContent: flip(parsed.encryptedContent) },
      { ...parsed, mac: flip(parsed.mac) },
      { ...parsed, mac: parsed.mac.subarray(0, 12) },
      { ...parsed, encryption: { ...parsed.encryption, nonce: flip(parsed.encryption.nonce) } },
      { ...parsed, recipients: [{ ...recipient, encryptedKey: flip(recipient.encryptedKey) }] },
    ];
    for (const message of changed) {
      const failure = await decryptAuthEnvelopedData(message, [rsaKey(rsa)]).catch((error: unknown) => error);
      expect(failure).toEqual(new CmsDecryptError());
    }
  });

  it('is not EnvelopedData, and the other way round', async () => {
    const message = await buildAuthEnvelopedData({ content, cipher: 'aes-128-gcm', recipients: [toRsa] });
    expect(() => parseEnvelopedData(message)).toThrow(Asn1Error);
  });
});

function flip(octets: Uint8Array): Uint8Array {
  const copy = new Uint8Array(octets);
  copy[copy.length >> 1]! ^= 0x10;
  return copy;
}
