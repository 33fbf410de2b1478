import { webcrypto } from 'node:crypto';
import * as asn1js from 'asn1js';
import forge from 'node-forge';
import * as pkijs from 'pkijs';
import { describe, expect, it } from 'vitest';
import { decryptEnvelopedData, buildEnvelopedData, parseEnvelopedData } from '../../core/cms/enveloped-data.ts';
import { CONTENT_TYPE } from '../../core/cms/oids.ts';
import { buildSignedData, encodeCertsOnly, parseSignedData, verifySignedData } from '../../core/cms/signed-data.ts';
import { encodePem } from '../../core/x509/pem.ts';
import { TestAuthority, signWith } from '../support/test-pki.ts';
import { hex } from './openssl-peer.ts';
import { ecdhKey, rsaKey } from './recipient-keys.ts';

const content = Buffer.from('content for other libraries');
const authority = TestAuthority.root();
const rsa = authority.leaf({ subject: 'CN=rsa', key: 'rsa-2048' });
const ec = authority.leaf({ subject: 'CN=ec' });

pkijs.setEngine('node', new pkijs.CryptoEngine({ name: 'node', crypto: webcrypto as never }) as never);

function pkijsContent(message: Uint8Array): { contentType: string; content: pkijs.ContentInfo['content'] } {
  return pkijs.ContentInfo.fromBER(exactBuffer(message));
}

function exactBuffer(octets: Uint8Array): ArrayBuffer {
  return new Uint8Array(octets).buffer;
}

function forgeMessage(message: Uint8Array): forge.asn1.Asn1 {
  return forge.asn1.fromDer(Buffer.from(message).toString('binary'));
}

function fromForge(asn1: forge.asn1.Asn1): Uint8Array {
  return Buffer.from(forge.asn1.toDer(asn1).getBytes(), 'binary');
}

function forgeCertificate(der: Uint8Array): forge.pki.Certificate {
  return forge.pki.certificateFromPem(encodePem('CERTIFICATE', der));
}

function forgeKey(): forge.pki.rsa.PrivateKey {
  const pem = rsa.privateKey.export({ type: 'pkcs1', format: 'pem' });
  return forge.pki.privateKeyFromPem(pem.toString()) as forge.pki.rsa.PrivateKey;
}

describe('pkijs', () => {
  it.each(['sha256WithRSAEncryption', 'ecdsa-with-SHA256'] as const)('verifies our %s', async (signatureAlgorithm) => {
    const holder = signatureAlgorithm.startsWith('ecdsa') ? ec : rsa;
    const sign = async (data: Uint8Array): Promise<Uint8Array> => signWith(holder.privateKey, signatureAlgorithm, data);
    const message = await buildSignedData({
      content,
      signer: { certificate: holder.der, signatureAlgorithm, rsaIdentifier: 'specific', sign },
    });
    const signed = new pkijs.SignedData({ schema: pkijsContent(message).content });
    expect(await signed.verify({ signer: 0, checkChain: false })).toBe(true);
  });

  it('reads our certs-only messages in our order', () => {
    const message = encodeCertsOnly([rsa.der, authority.der]);
    const signed = new pkijs.SignedData({ schema: pkijsContent(message).content });
    const ders = (signed.certificates ?? []).map((it) => hex(new Uint8Array(it.toSchema().toBER(false))));
    expect(ders).toEqual([hex(rsa.der), hex(authority.der)]);
  });

  it('signs what we verify', async () => {
    const certificate = pkijs.Certificate.fromBER(exactBuffer(ec.der));
    const pkcs8 = ec.privateKey.export({ type: 'pkcs8', format: 'der' });
    const parameters = { name: 'ECDSA', namedCurve: 'P-256' };
    const key = await webcrypto.subtle.importKey('pkcs8', pkcs8, parameters, false, ['sign']);
    const digest = await webcrypto.subtle.digest('SHA-256', content);
    const signed = new pkijs.SignedData({
      version: 1,
      encapContentInfo: new pkijs.EncapsulatedContentInfo({
        eContentType: CONTENT_TYPE.data,
        eContent: new asn1js.OctetString({ valueHex: exactBuffer(content) }),
      }),
      signerInfos: [
        new pkijs.SignerInfo({
          version: 1,
          sid: new pkijs.IssuerAndSerialNumber({ issuer: certificate.issuer, serialNumber: certificate.serialNumber }),
          signedAttrs: new pkijs.SignedAndUnsignedAttributes({
            type: 0,
            attributes: [
              pkijsAttribute('1.2.840.113549.1.9.3', new asn1js.ObjectIdentifier({ value: CONTENT_TYPE.data })),
              pkijsAttribute('1.2.840.113549.1.9.4', new asn1js.OctetString({ valueHex: digest as ArrayBuffer })),
            ],
          }),
        }),
      ],
      certificates: [certificate],
    });
    await signed.sign(key as never, 0, 'SHA-256');
    const info = new pkijs.ContentInfo({ contentType: CONTENT_TYPE.signedData, content: signed.toSchema(true) });
    const verdict = verifySignedData(parseSignedData(new Uint8Array(info.toSchema().toBER(false))));
    expect(verdict).toMatchObject({ ok: true, contentType: CONTENT_TYPE.data });
  });

  it('encrypts what we open: RSAES-OAEP and ephemeral-static ECDH', async () => {
    for (const [holder, key] of [
      [rsa, rsaKey(rsa)],
      [ec, ecdhKey(ec)],
    ] as const) {
      const enveloped = new pkijs.EnvelopedData();
      enveloped.addRecipientByCertificate(pkijs.Certificate.fromBER(exactBuffer(holder.der)), {
        oaepHashAlgorithm: 'SHA-256',
        kdfAlgorithm: 'SHA-256',
      });
      await enveloped.encrypt({ name: 'AES-CBC', length: 256 } as never, exactBuffer(content));
      const info = new pkijs.ContentInfo({ contentType: CONTENT_TYPE.envelopedData, content: enveloped.toSchema() });
      const message = parseEnvelopedData(new Uint8Array(info.toSchema().toBER(false)));
      expect(hex((await decryptEnvelopedData(message, [key])).content)).toBe(hex(content));
    }
  });
});

function pkijsAttribute(type: string, value: asn1js.BaseBlock): pkijs.Attribute {
  return new pkijs.Attribute({ type, values: [value] });
}

describe('node-forge', () => {
  it.each(['aes-128-cbc', 'aes-256-cbc', 'des-ede3-cbc'] as const)('opens our %s', async (cipher) => {
    const recipients = [{ kind: 'rsa', certificate: rsa.der, keyTransport: 'pkcs1' }] as const;
    const message = await buildEnvelopedData({ content, cipher, recipients });
    const enveloped = forge.pkcs7.messageFromAsn1(forgeMessage(message)) as forge.pkcs7.PkcsEnvelopedData;
    const recipient = enveloped.findRecipient(forgeCertificate(rsa.der))!;
    enveloped.decrypt(recipient, forgeKey());
    expect(String(enveloped.content)).toContain(content.toString());
  });

  it('encrypts what we open', async () => {
    const enveloped = forge.pkcs7.createEnvelopedData();
    enveloped.addRecipient(forgeCertificate(rsa.der));
    enveloped.content = forge.util.createBuffer(content.toString('binary'));
    enveloped.encrypt();
    const message = parseEnvelopedData(fromForge(enveloped.toAsn1()));
    expect(hex((await decryptEnvelopedData(message, [rsaKey(rsa)])).content)).toBe(hex(content));
  });

  it('signs what we verify', () => {
    const signed = forge.pkcs7.createSignedData();
    signed.content = forge.util.createBuffer(content.toString('binary'));
    signed.addCertificate(forgeCertificate(rsa.der));
    signed.addSigner({
      key: forgeKey(),
      certificate: forgeCertificate(rsa.der),
      digestAlgorithm: forge.pki.oids.sha256!,
      authenticatedAttributes: [
        { type: forge.pki.oids.contentType!, value: forge.pki.oids.data! },
        { type: forge.pki.oids.messageDigest! },
        { type: forge.pki.oids.signingTime!, value: new Date() as never },
      ],
    });
    signed.sign();
    const verdict = verifySignedData(parseSignedData(fromForge(signed.toAsn1())));
    expect(verdict).toMatchObject({ ok: true, signatureAlgorithm: 'sha256WithRSAEncryption' });
  });
});
