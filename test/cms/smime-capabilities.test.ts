import { afterAll, describe, expect, it } from 'vitest';
import { CMS_ATTRIBUTE } from '../../core/cms/oids.ts';
import { singleValue } from '../../core/cms/attribute.ts';
import { parseSignedData, verifySignedData } from '../../core/cms/signed-data.ts';
import {
  contentCiphersOf,
  decodeSmimeCapabilities,
  encodeSmimeCapabilities,
} from '../../core/cms/smime-capabilities.ts';
import { TestAuthority } from '../support/test-pki.ts';
import { CommandPeer } from './openssl-peer.ts';

const peer = new CommandPeer();
afterAll(() => peer[Symbol.dispose]());

describe('SMIMECapabilities', () => {
  it('by openssl name the ciphers it can open, the most preferred first', () => {
    const { der, privateKey } = TestAuthority.root().leaf();
    const files = [
      '-signer',
      peer.certificate(der),
      '-inkey',
      peer.privateKey(privateKey),
      '-in',
      peer.file('content'),
    ];
    const verdict = verifySignedData(parseSignedData(peer.cms(['-sign', '-nodetach', '-outform', 'DER', ...files])));
    const value = singleValue(verdict.ok ? verdict.signedAttributes : [], CMS_ATTRIBUTE.smimeCapabilities)!;
    const capabilities = decodeSmimeCapabilities(value);
    expect(contentCiphersOf(capabilities)).toEqual(['aes-256-cbc', 'aes-192-cbc', 'aes-128-cbc', 'des-ede3-cbc']);
    expect(Buffer.from(encodeSmimeCapabilities(capabilities))).toEqual(Buffer.from(value));
  });

  it('with single DES and unknown ciphers leave those out', () => {
    const capabilities = [
      { algorithm: '1.3.14.3.2.7' },
      { algorithm: '1.2.3' },
      { algorithm: '2.16.840.1.101.3.4.1.46' },
    ];
    expect(contentCiphersOf(capabilities)).toEqual(['aes-256-gcm']);
  });
});
