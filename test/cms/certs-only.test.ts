import { describe, expect, it } from 'vitest';
import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { buildSignedData, decodeCertsOnly, encodeCertsOnly } from '../../core/cms/signed-data.ts';
import { TestAuthority, signWith } from '../support/test-pki.ts';
import { CommandPeer, hex } from './openssl-peer.ts';

const root = TestAuthority.root();
const issuing = root.intermediate();
const device = issuing.leaf();

describe('encodeCertsOnly', () => {
  it('keeps the order of the caller, whichever it is', () => {
    const forward = [device.der, issuing.der, root.der];
    expect(decodeCertsOnly(encodeCertsOnly(forward)).certificates.map(hex)).toEqual(forward.map(hex));
    const backward = forward.toReversed();
    expect(decodeCertsOnly(encodeCertsOnly(backward)).certificates.map(hex)).toEqual(backward.map(hex));
  });

  it('is what RFC 5652 §5.2 describes, octet for octet', () => {
    const empty = encodeCertsOnly([]);
    // ContentInfo { signedData, [0] SignedData { 1, {}, { data }, {} } }
    expect(hex(empty)).toBe(
      '302306092a864886f70d010702a0163014020101' + '3100' + '300b06092a864886f70d010701' + '3100',
    );
  });

  it('is read by openssl pkcs7, certificates and CRLs alike', () => {
    using peer = new CommandPeer();
    const message = peer.file(encodeCertsOnly([device.der, issuing.der], [root.crl()]));
    const text = Buffer.from(
      peer.run('openssl', ['pkcs7', '-inform', 'DER', '-in', message, '-print_certs']),
    ).toString();
    expect(text.match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
    expect(text.match(/BEGIN X509 CRL/g)).toHaveLength(1);
  });
});

describe('decodeCertsOnly', () => {
  it('reads what openssl crl2pkcs7 writes', () => {
    using peer = new CommandPeer();
    const args = ['crl2pkcs7', '-nocrl', '-certfile', peer.certificate(device.der), '-outform', 'DER'];
    expect(decodeCertsOnly(peer.run('openssl', args)).certificates.map(hex)).toEqual([hex(device.der)]);
  });

  it('reads CRLs', () => {
    const crl = root.crl();
    expect(decodeCertsOnly(encodeCertsOnly([], [crl])).crls.map(hex)).toEqual([hex(crl)]);
  });

  it('refuses a message that is signed', async () => {
    const signed = await buildSignedData({
      content: new Uint8Array(),
      signer: {
        certificate: device.der,
        signatureAlgorithm: 'ecdsa-with-SHA256',
        sign: async (data) => signWith(device.privateKey, 'ecdsa-with-SHA256', data),
      },
    });
    expect(() => decodeCertsOnly(signed)).toThrow(Asn1Error);
  });
});
