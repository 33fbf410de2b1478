import { randomBytes } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { encode } from '../../core/asn1/codec.ts';
import { bmpString, ia5String, octetString, t61String, utf8String } from '../../core/asn1/schema.ts';
import { attribute } from '../../core/cms/attribute.ts';
import { certificateIdentity } from '../../core/cms/certificate-identity.ts';
import { keyTransportOf, parseEnvelopedData } from '../../core/cms/enveloped-data.ts';
import { approve, reject } from '../../core/enrollment/enrollments.ts';
import { parseCertificate, subjectAltName } from '../../core/x509/certificate.ts';
import { EXTENSIONS } from '../../core/x509/extensions.ts';
import { generalNameToText } from '../../core/x509/general-name.ts';
import { REQUEST_ATTRIBUTE } from '../../core/x509/oids.ts';
import { nameToText } from '../../core/x509/name.ts';
import { publicKeysEqual } from '../../core/x509/public-key.ts';
import { makeCsr, makeKey, publicKeyOf } from '../support/test-pki.ts';
import { OID, printable, selfSigned, transactionOf } from './device.ts';
import { ScepSite } from './scep-site.ts';

let site: ScepSite;
const EC = makeKey('ec-p256');

beforeAll(async () => {
  site = await ScepSite.start();
  await site.addEndpoint('pair', { scep: { raCertificates: 'pair' } });
  await site.addEndpoint('chain', { scep: { replyCertificates: 'chain' } });
  await site.addEndpoint('manual', { approval: 'manual' });
  await site.addEndpoint('challenges-only', { scep: { authenticators: ['password'] } });
});
afterAll(async () => site[Symbol.asyncDispose]());

describe('PKCSReq', () => {
  it('is answered with the certificate alone, for the key and the names of the request (SC-22, SC-24, SC-32)', async () => {
    const device = await site.device('r1', 'default', { san: ['dns:r1.example'] });
    const { signer } = device;
    const senderNonce = randomBytes(16);
    const reply = await site.send({ ...device, senderNonce });
    expect(reply).toMatchObject({ pkiStatus: '0', messageType: '3', failInfo: undefined });
    expect(reply.transactionId).toBe(device.transactionId);
    expect(Buffer.from(reply.recipientNonce!)).toEqual(senderNonce);
    expect(reply.senderNonce).toHaveLength(16);
    expect(Buffer.from(reply.senderNonce)).not.toEqual(senderNonce);
    const [der, ...others] = await site.certificates(reply, signer);
    expect(others).toEqual([]);
    const certificate = parseCertificate(der!);
    expect(nameToText(certificate.subject)).toBe('CN=r1');
    expect(subjectAltName(certificate).map(generalNameToText)).toEqual(['dns:r1.example']);
    expect(publicKeysEqual(certificate.publicKey, publicKeyOf(signer.privateKey))).toBe(true);
  });

  it('brings the path along where the endpoint says so, the end entity first (S21)', async () => {
    const device = await site.device('r2', 'chain');
    const { signer } = device;
    const certificates = await site.certificates(await site.send(device, 'chain'), signer);
    expect(certificates).toHaveLength(3);
    expect(nameToText(parseCertificate(certificates[0]!).subject)).toBe('CN=r2');
  });

  it('is encrypted for one RA certificate and answered by another where there is a pair (S22)', async () => {
    const device = await site.device('r3', 'pair');
    const { signer } = device;
    const reply = await site.send(device, 'pair');
    expect(Buffer.from(reply.signerCertificate)).not.toEqual(Buffer.from(await site.recipient('pair')));
    expect(EXTENSIONS.keyUsage.find(parseCertificate(reply.signerCertificate).extensions)).toEqual(
      new Set(['digitalSignature']),
    );
    expect(await site.certificates(reply, signer)).toHaveLength(1);
  });

  it('mirrors digest, cipher and key transport, and names rsaEncryption (S26, S27, S28)', async () => {
    const cases = [
      ['sha1', 'des-ede3-cbc', { keyTransport: 'pkcs1' }],
      ['sha256', 'aes-128-cbc', { keyTransport: 'pkcs1' }],
      ['sha256', 'aes-192-cbc', { keyTransport: 'oaep', oaepHash: 'sha1' }],
      ['sha384', 'aes-256-cbc', { keyTransport: 'oaep', oaepHash: 'sha256' }],
      ['sha512', 'aes-256-cbc', { keyTransport: 'oaep', oaepHash: 'sha512' }],
    ] as const;
    const device = await site.device('r4');
    const { signer } = device;
    for (const [digest, cipher, transport] of cases) {
      const reply = await site.send({ ...device, digest, cipher, transport });
      const { encryption, recipients } = parseEnvelopedData(reply.envelope);
      expect([reply.digest, encryption.cipher]).toEqual([digest, cipher]);
      const [recipient] = recipients;
      if (recipient?.kind !== 'key-transport') throw new TypeError('expected a KeyTransRecipientInfo');
      expect(keyTransportOf(recipient.algorithm)).toEqual(
        transport.keyTransport === 'pkcs1' ? { scheme: 'pkcs1' } : { scheme: 'oaep', hash: transport.oaepHash },
      );
      expect(Buffer.from(reply.signerInfo.signatureAlgorithm).toString('hex')).toBe('300d06092a864886f70d0101010500');
      expect(await site.certificates(reply, signer)).toHaveLength(1);
    }
  });

  it('takes SignerInfo with rsaEncryption and with the name of the whole algorithm', async () => {
    const device = await site.device('r5');
    const reply = await site.send({ ...device, rsaIdentifier: 'specific' });
    expect(reply.pkiStatus).toBe('0');
  });

  it('finds the RSA key of a certificate with a negative serial number again, octet by octet (S37)', async () => {
    const device = await site.device('r6');
    const signer = selfSigned({ subject: 'CN=r6', key: device.signer.privateKey, serialNumber: '-5a01' });
    const reply = await site.send({ ...device, signer });
    const [recipient] = parseEnvelopedData(reply.envelope).recipients;
    const { issuer, serialNumber } = certificateIdentity(signer.der);
    expect(serialNumber[0]).toBeGreaterThanOrEqual(0x80);
    expect(recipient).toMatchObject({
      recipient: { kind: 'issuerAndSerialNumber', value: { issuer, serialNumber } },
    });
    expect(await site.certificates(reply, signer)).toHaveLength(1);
  });

  it('takes a signer certificate with a critical authorityKeyIdentifier and another subject (S36, SC-28)', async () => {
    const device = await site.device('r7');
    const critical = {
      ...EXTENSIONS.authorityKeyIdentifier.encode({ keyIdentifier: randomBytes(20) }),
      critical: true,
    };
    const subject = 'CN=SCEP Protocol Certificate';
    const signer = selfSigned({ subject, key: device.signer.privateKey, extensions: [critical] });
    expect((await site.send({ ...device, signer, digest: 'sha1' })).pkiStatus).toBe('0');
  });

  it('echoes nonces of eight octets and sends sixteen (S31)', async () => {
    const device = await site.device('r8');
    const reply = await site.send({ ...device, senderNonce: randomBytes(8) });
    expect([reply.recipientNonce!.length, reply.senderNonce.length]).toEqual([8, 16]);
  });

  it.each(['12345', '2B9E443E5E0A9BA816785A1915AA2E99', 'k5Vd+/Ab=', 'x'.repeat(128)])(
    'repeats the transactionID %s (S34)',
    async (transactionId) => {
      const device = await site.device(`t-${transactionId.length}`);
      expect((await site.send({ ...device, transactionId })).transactionId).toBe(transactionId);
    },
  );

  it('takes the challenge in whatever string type it comes (S35)', async () => {
    for (const type of [utf8String, t61String, ia5String, bmpString]) {
      const key = makeKey('ec-p256');
      const challenge = await site.challenge();
      const attributes = [{ type: REQUEST_ATTRIBUTE.challengePassword, values: [encode(type, challenge)] }];
      const { der: content } = makeCsr({ subject: 'CN=s35', key, attributes });
      const signer = selfSigned({ subject: 'CN=s35', key });
      const reply = await site.send({ signer, content });
      expect(await site.certificates(reply, signer, challenge)).toHaveLength(1);
    }
  });

  it('answers a device whose key encrypts nothing under its challenge (SC-25)', async () => {
    const device = await site.device('ec', 'default', { key: EC });
    const reply = await site.send(device);
    expect(parseEnvelopedData(reply.envelope).recipients.map(({ kind }) => kind)).toEqual(['password']);
    expect(await site.certificates(reply, device.signer, device.challenge)).toHaveLength(1);
  });
});

describe('idempotence', () => {
  it('answers a repeat with the same certificate, with and without the challenge (SC-38)', async () => {
    const device = await site.device('i1');
    const { signer } = device;
    const [first] = await site.certificates(await site.send(device), signer);
    const [second] = await site.certificates(await site.send(device), signer);
    const { der: bare } = makeCsr({ subject: 'CN=i1', key: signer.privateKey });
    const [third] = await site.certificates(await site.send({ ...device, content: bare }), signer);
    expect(Buffer.from(second!)).toEqual(Buffer.from(first!));
    expect(Buffer.from(third!)).toEqual(Buffer.from(first!));
  });

  it('spends a challenge once (SC-31)', async () => {
    const device = await site.device('i2');
    const { challenge } = device;
    expect((await site.send(device)).pkiStatus).toBe('0');
    const other = await site.device('i3', 'default', { key: makeKey('ec-p256'), challenge });
    expect(await site.send(other)).toMatchObject({
      pkiStatus: '2',
      failInfo: '2',
      failInfoText: 'the credential is not valid here',
    });
  });

  it('keeps transactions of different keys apart under one transactionID (V38)', async () => {
    const one = await site.device('i4');
    const two = await site.device('i5', 'default', { key: makeKey('ec-p256') });
    const send = (device: typeof one) => site.send({ ...device, transactionId: 'same' });
    const [first] = await site.certificates(await send(one), one.signer);
    const [second] = await site.certificates(await send(two), two.signer, two.challenge);
    expect(nameToText(parseCertificate(first!).subject)).toBe('CN=i4');
    expect(nameToText(parseCertificate(second!).subject)).toBe('CN=i5');
  });
});

describe('waiting for an operator', () => {
  const poll = { messageType: '20', content: Buffer.from('whatever') };

  it('is PENDING without an envelope, to a repeat and to a poll, and then SUCCESS (SC-34, SC-35, S41)', async () => {
    const device = await site.device('p1', 'manual');
    const { signer } = device;
    for (const message of [{}, {}, poll]) {
      const reply = await site.send({ ...device, ...message }, 'manual');
      expect([reply.pkiStatus, reply.failInfo, reply.envelope.length]).toEqual(['3', undefined, 0]);
    }
    await site.decide('p1', approve);
    const [der] = await site.certificates(await site.send({ ...device, ...poll }, 'manual'), signer);
    expect(nameToText(parseCertificate(der!).subject)).toBe('CN=p1');
    const [again] = await site.certificates(await site.send(device, 'manual'), signer);
    expect(Buffer.from(again!)).toEqual(Buffer.from(der!));
  });

  it('knows a poll by transaction and key, not by certificate (S37, S39)', async () => {
    const device = await site.device('p2', 'manual');
    const { signer } = device;
    await site.send(device, 'manual');
    await site.decide('p2', approve);
    const newCertificate = selfSigned({ subject: 'CN=p2', key: signer.privateKey });
    const reply = await site.send({ ...device, ...poll, signer: newCertificate }, 'manual');
    expect(await site.certificates(reply, newCertificate)).toHaveLength(1);
  });

  it('answers a poll after a device with an EC key, whose challenge it does not bring, by ECDH', async () => {
    const device = await site.device('p3', 'manual', { key: makeKey('ec-p256') });
    const { signer } = device;
    await site.send(device, 'manual');
    await site.decide('p3', approve);
    const reply = await site.send({ ...device, ...poll }, 'manual');
    expect(await site.certificates(reply, signer)).toHaveLength(1);
  });

  it('is FAILURE badRequest once the operator rejected it', async () => {
    const device = await site.device('p4', 'manual');
    await site.send(device, 'manual');
    await site.decide('p4', reject);
    const { der: bare } = makeCsr({ subject: 'CN=p4', key: device.signer.privateKey });
    for (const message of [poll, {}, { content: bare }]) {
      const reply = await site.send({ ...device, ...message }, 'manual');
      expect([reply.pkiStatus, reply.failInfo, reply.envelope.length]).toEqual(['2', '2', 0]);
    }
  });

  it('knows nothing of a transaction that another key began', async () => {
    const device = await site.device('p5', 'manual');
    await site.send(device, 'manual');
    const thief = selfSigned({ subject: 'CN=p5', key: EC });
    const reply = await site.send({ ...device, ...poll, signer: thief }, 'manual');
    expect([reply.pkiStatus, reply.failInfo]).toEqual(['2', '4']);
  });
});

describe('renewal', () => {
  const renewal = (name: string, key = makeKey('rsa-2048')) => ({
    key,
    content: makeCsr({ subject: `CN=${name}`, key }).der,
  });

  it.each(['17', '19'])(
    'is granted to the old certificate with messageType %s and a new key (SC-29, SC-30, S40)',
    async (messageType) => {
      const name = `n${messageType}`;
      const old = await site.enrolled(name);
      const { key, content } = renewal(name);
      const transactionId = transactionOf(key);
      const reply = await site.send({ messageType, signer: old, content, transactionId });
      const [der] = await site.certificates(reply, old);
      expect(publicKeysEqual(parseCertificate(der!).publicKey, publicKeyOf(key))).toBe(true);
    },
  );

  it('is another certificate each time, also with the same key and transactionID', async () => {
    const old = await site.enrolled('n1');
    const { content } = renewal('n1', old.privateKey);
    const [der] = await site.certificates(await site.send({ messageType: '17', signer: old, content }), old);
    expect(Buffer.from(der!)).not.toEqual(Buffer.from(old.der));
    const [again] = await site.certificates(await site.send({ messageType: '17', signer: old, content }), old);
    expect(Buffer.from(again!)).toEqual(Buffer.from(der!));
  });

  it('is answered to an EC key by ECDH', async () => {
    const old = await site.enrolled('n2', 'default', { key: makeKey('ec-p256') });
    const { content } = renewal('n2', makeKey('ec-p256'));
    const reply = await site.send({ messageType: '17', signer: old, content });
    expect(parseEnvelopedData(reply.envelope).recipients[0]?.kind).toBe('key-agreement');
    expect(await site.certificates(reply, old)).toHaveLength(1);
  });

  it('keeps a transaction for one requested key (V38)', async () => {
    const old = await site.enrolled('n3');
    const transactionId = 'n3';
    const first = await site.send({ messageType: '17', signer: old, ...renewal('n3'), transactionId });
    expect(first.pkiStatus).toBe('0');
    const second = await site.send({ messageType: '17', signer: old, ...renewal('n3'), transactionId });
    expect(second).toMatchObject({
      pkiStatus: '2',
      failInfo: '2',
      failInfoText: expect.stringContaining('another key'),
    });
  });

  it('is refused for other names, a revoked or a foreign certificate, and where none is renewed (V9)', async () => {
    const old = await site.enrolled('n4');
    const refused = async (reply: Promise<unknown>, text: string): Promise<void> =>
      expect(await reply).toMatchObject({ pkiStatus: '2', failInfo: '2', failInfoText: expect.stringContaining(text) });
    for (const messageType of ['17', '19']) {
      const { content } = renewal('somebody-else');
      await refused(site.send({ messageType, signer: old, content, transactionId: `a${messageType}` }), 'must equal');
      const here = renewal('n4');
      const message = { messageType, signer: old, content: here.content, transactionId: `b${messageType}` };
      await refused(site.send(message, 'challenges-only'), 'renew');
    }
    await site.revoke(old.der);
    for (const messageType of ['17', '19']) {
      const { content } = renewal('n4');
      await refused(site.send({ messageType, signer: old, content, transactionId: `c${messageType}` }), 'revoked');
    }
    const foreign = selfSigned({ subject: 'CN=n5' });
    const { content } = renewal('n5', foreign.privateKey);
    await refused(site.send({ messageType: '17', signer: foreign, content }), 'renew');
  });

  it('is not needed to enrol anew with a challenge after a revocation', async () => {
    const old = await site.enrolled('n6');
    await site.revoke(old.der);
    const challengePassword = await site.challenge();
    const { der: content } = makeCsr({ subject: 'CN=n6', key: old.privateKey, challengePassword });
    expect((await site.send({ signer: old, content })).pkiStatus).toBe('0');
  });
});

describe('attributes', () => {
  it('may be UTF8Strings, and are repeated as they came', async () => {
    const device = await site.device('a1');
    const attributes = [attribute(OID.transactionID, encode(utf8String, 'a1')), printable(OID.messageType, '19')];
    await expect(site.send({ ...device, attributes })).rejects.toThrow(/PrintableString/);
  });

  it.each([
    ['without messageType', { omit: [OID.messageType] }],
    ['without senderNonce', { omit: [OID.senderNonce] }],
    ['with an empty senderNonce', { senderNonce: new Uint8Array() }],
    ['with a senderNonce of another type', { attributes: [printable(OID.senderNonce, 'nonce')] }],
    [
      'with two values',
      { attributes: [{ type: OID.messageType, values: [encode(utf8String, '19'), encode(utf8String, '18')] }] },
    ],
    [
      'with a messageType of another type',
      { attributes: [attribute(OID.messageType, encode(octetString, randomBytes(2)))] },
    ],
  ])('are refused %s with badRequest (SC-21)', async (_what, options) => {
    const device = await site.device('a2');
    expect(await site.send({ ...device, ...options })).toMatchObject({ pkiStatus: '2', failInfo: '2' });
  });
});
