import { constants, publicEncrypt, randomBytes } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { signingTimeAttribute } from '../../core/cms/attribute.ts';
import { buildEnvelopedData, parseEnvelopedData } from '../../core/cms/enveloped-data.ts';
import { parseSignedData } from '../../core/cms/signed-data.ts';
import { nameFromText } from '../../core/x509/name.ts';
import { encodeCertificateReference } from '../../protocols/scep/certificate-reference.ts';
import { makeCsr, makeKey, TestAuthority } from '../support/test-pki.ts';
import { buildMessage, selfSigned } from './device.ts';
import { md5Request, md5SelfSigned } from './md5.ts';
import { type CertRep, readCertRep } from './reply.ts';
import { type Device, ScepSite } from './scep-site.ts';

let site: ScepSite;
let device: Device;
const DAY_MS = 86_400_000;

beforeAll(async () => {
  site = await ScepSite.start();
  const until = new Date(Date.now() + 30 * DAY_MS).toISOString();
  await site.addEndpoint('legacy', { scep: { legacy: { until } } });
  await site.addEndpoint('once-legacy', { scep: { legacy: { until: '2020-01-01T00:00:00Z' } } });
  await site.addEndpoint('any-time', { scep: { signingTimeToleranceSeconds: 0 } });
  await site.addEndpoint('impatient', { scep: { badMessagesPerMinute: 3 } });
  device = await site.device('router1');
});
afterAll(async () => site[Symbol.asyncDispose]());

const failure = (failInfo: string, text?: RegExp) => ({
  pkiStatus: '2',
  failInfo,
  failInfoText: text === undefined ? expect.any(String) : expect.stringMatching(text),
  envelope: expect.toSatisfy((envelope: Uint8Array) => envelope.length === 0),
});

/** A message with octets of it replaced. */
function tampered(message: Uint8Array, needle: Uint8Array, change: (copy: Buffer, at: number) => void): Uint8Array {
  const copy = Buffer.from(message);
  const at = copy.lastIndexOf(needle);
  expect(at).toBeGreaterThan(0);
  change(copy, at);
  return copy;
}

async function message(options: object = {}, label = 'default'): Promise<Uint8Array> {
  return buildMessage({ ...device, recipient: await site.recipient(label), ...options });
}

describe('failInfo 0, badAlg', () => {
  it('is for MD5 and for single DES without leave, and afterwards again (SC-40)', async () => {
    for (const label of ['default', 'once-legacy']) {
      expect(await site.send({ ...device, digest: 'md5' }, label)).toMatchObject({ ...failure('0'), digest: 'sha1' });
      expect(await site.send({ ...device, cipher: 'des-cbc' }, label)).toMatchObject(failure('0', /DES/));
    }
  });

  it('is for a content cipher that nobody knows', async () => {
    const envelope = await buildEnvelopedData({
      content: device.content,
      cipher: 'aes-128-cbc',
      recipients: [{ kind: 'rsa', certificate: await site.recipient(), keyTransport: 'pkcs1' }],
    });
    const rc2 = Buffer.from(envelope);
    // The last arc of aes128-CBC-PAD becomes one of no cipher.
    rc2[rc2.indexOf(Buffer.from('60864801650304010204', 'hex')) + 8] = 0x7f;
    expect(await site.send({ ...device, envelope: rc2 })).toMatchObject(failure('0'));
  });

  it('is for a signer whose key no answer can be encrypted for', async () => {
    const key = makeKey('ec-p256');
    const signer = selfSigned({ key });
    const { der: content } = makeCsr({ key });
    for (const options of [{ cipher: 'des-cbc' }, { cipher: 'des-cbc', messageType: '20' }] as const) {
      expect(await site.send({ signer, content, ...options }, 'legacy')).toMatchObject(failure('0', /encrypted/));
    }
  });
});

describe('failInfo 1, badMessageCheck', () => {
  it('is for a signature that does not verify, over other content, attributes or by another key (SC-20)', async () => {
    const built = await message();
    const { signerInfos, content } = parseSignedData(built);
    const flip = (copy: Buffer, at: number): void => void (copy[at + 20]! ^= 1);
    for (const needle of [signerInfos[0]!.signature, content!]) {
      expect(await site.post(tampered(built, needle.subarray(0, 64), flip))).toMatchObject(
        failure('1', /does not verify/),
      );
    }
    const other = selfSigned({ subject: 'CN=device', key: makeKey('rsa-2048') });
    const twoKeys = await message({ signer: { der: other.der, privateKey: device.signer.privateKey } });
    expect(await site.post(twoKeys)).toMatchObject(failure('1'));
  });

  it("is for a message without its signer's certificate", async () => {
    const certificates = [selfSigned({ key: makeKey('ec-p256') }).der];
    expect(await site.send({ ...device, certificates })).toMatchObject(failure('1'));
  });

  it('is for an envelope that is for nobody here, or not one (V20)', async () => {
    const stranger = selfSigned({ key: makeKey('rsa-2048') }).der;
    expect(await site.send({ ...device, recipient: stranger })).toMatchObject(failure('1', /cannot be opened/));
    expect(await site.send({ ...device, envelope: randomBytes(200) })).toMatchObject(failure('1', /cannot be opened/));
    expect(await site.send({ ...device, envelope: device.content })).toMatchObject(failure('1', /cannot be opened/));
  });

  it('is for an envelope with the RA twice: only an attacker has a use for that (V20)', async () => {
    const recipient = { kind: 'rsa', certificate: await site.recipient(), keyTransport: 'pkcs1' } as const;
    const recipients = [recipient, recipient];
    const envelope = await buildEnvelopedData({ content: device.content, cipher: 'aes-128-cbc', recipients });
    expect(await site.send({ ...device, envelope })).toMatchObject(failure('1'));
  });

  it('is for a request whose key did not sign it, or that is for another key than the signer has (SC-27, SC-28)', async () => {
    const forged = Buffer.from(device.content);
    forged[forged.length - 5]! ^= 1;
    expect(await site.send({ ...device, content: forged })).toMatchObject(failure('1', /cannot be read/));
    const { der: content } = makeCsr({ key: makeKey('ec-p256'), challengePassword: device.challenge });
    expect(await site.send({ ...device, content })).toMatchObject(failure('1', /cannot be read/));
  });
});

describe('failInfo 2, badRequest', () => {
  it.each(['0', '3', '18', '1', '23', '019', '19 ', ''])(
    'is for messageType %j, which does nothing (SC-23, V1)',
    async (messageType) => {
      const before = (await site.composed.certificatesOf('router1')).length;
      expect(await site.send({ ...device, messageType })).toMatchObject(failure('2', /messageType/));
      expect((await site.composed.certificatesOf('router1')).length).toBe(before);
    },
  );

  it('is for a wrong challenge, and for none (SC-31)', async () => {
    const key = makeKey('ec-p256');
    const signer = selfSigned({ key });
    const wrong = makeCsr({ key, challengePassword: 'a'.repeat(32) }).der;
    expect(await site.send({ signer, content: wrong })).toMatchObject(
      failure('2', /^the credential is not valid here$/),
    );
    const rsa = { ...device, content: makeCsr({ key: device.signer.privateKey }).der, transactionId: 'no challenge' };
    expect(await site.send(rsa)).toMatchObject(failure('2', /found neither/));
  });
});

describe('failInfo 3, badTime', () => {
  it('is for a signingTime a day and more away, unless the endpoint does not look (SC-39)', async () => {
    for (const days of [-2, 2]) {
      const attributes = [signingTimeAttribute(new Date(Date.now() + days * DAY_MS))];
      expect(await site.send({ ...device, attributes })).toMatchObject(failure('3', /signingTime/));
      const elsewhere = await site.device('any-time', 'any-time');
      expect((await site.send({ ...elsewhere, attributes }, 'any-time')).pkiStatus).toBe('0');
    }
    const now = [signingTimeAttribute(new Date())];
    const good = await site.device('router2');
    expect((await site.send({ ...good, attributes: now })).pkiStatus).toBe('0');
  });
});

describe('failInfo 4, badCertId', () => {
  it('is for a poll of a transaction that never was (SC-35)', async () => {
    const poll = { ...device, messageType: '20', transactionId: 'unheard of' };
    expect(await site.send(poll)).toMatchObject(failure('4', /transactionID/));
  });
});

describe('no oracle (V20, V22)', () => {
  /** A good envelope but for the RSA block, which is the attacker's to choose. */
  async function withRsaBlock(key: Uint8Array, start: readonly number[]): Promise<Uint8Array> {
    const { content } = device;
    const recipient = await site.recipient();
    const recipients = [{ kind: 'rsa', certificate: recipient, keyTransport: 'pkcs1' }] as const;
    const envelope = Buffer.from(await buildEnvelopedData({ content, cipher: 'aes-128-cbc', recipients }));
    const [info] = parseEnvelopedData(envelope).recipients;
    if (info?.kind !== 'key-transport') throw new TypeError('expected a KeyTransRecipientInfo');
    const { length } = info.encryptedKey;
    const filling = Buffer.alloc(length - start.length - 1 - key.length, 0x5a);
    const block = Buffer.concat([Buffer.from(start), filling, Buffer.of(0), key]);
    const raw = { key: certificatePem(recipient), padding: constants.RSA_NO_PADDING };
    publicEncrypt(raw, block).copy(envelope, envelope.indexOf(info.encryptedKey));
    return envelope;
  }

  it('answers wrong padding, key length, content padding and content in the same words', async () => {
    const recipients = [{ kind: 'rsa', certificate: await site.recipient(), keyTransport: 'pkcs1' }] as const;
    const envelopes = {
      padding: await withRsaBlock(randomBytes(16), [0, 1]),
      keyLength: await withRsaBlock(randomBytes(24), [0, 2]),
      anotherKey: await withRsaBlock(randomBytes(16), [0, 2]),
      contentPadding: Buffer.concat([
        (await buildEnvelopedData({ content: device.content, cipher: 'aes-128-cbc', recipients })).slice(0, -16),
        randomBytes(16),
      ]),
      content: await buildEnvelopedData({ content: randomBytes(600), cipher: 'aes-128-cbc', recipients }),
      almost: await buildEnvelopedData({
        content: Buffer.concat([device.content, Buffer.of(0)]),
        cipher: 'aes-128-cbc',
        recipients,
      }),
    };
    const answers = new Set<string>();
    for (const envelope of Object.values(envelopes)) {
      const built = await buildMessage({
        ...device,
        recipient: recipients[0].certificate,
        envelope,
        senderNonce: Buffer.alloc(16, 7),
      });
      const answer = await site.call('default?operation=PKIOperation', { method: 'POST', body: built });
      expect(answer.status).toBe(200);
      const reply = readCertRep(answer.body);
      expect(reply).toMatchObject(failure('1', /^the message cannot be read$/));
      answers.add(withoutChance(answer.body, reply));
    }
    expect(answers.size).toBe(1);
  });

  it('answers GetCert in the same words whether the content cannot be read or is not found', async () => {
    const query = { ...device, messageType: '21' };
    const unreadable = await site.send({ ...query, content: randomBytes(100) });
    const nobody = encodeCertificateReference(nameFromText('CN=nobody'), Uint8Array.of(1));
    const unknown = await site.send({ ...query, content: nobody });
    expect([unreadable.failInfo, unreadable.failInfoText]).toEqual(['4', unknown.failInfoText]);
  });

  it('stops listening to an address that sends many of them', async () => {
    const bad = await message({ envelope: randomBytes(100) }, 'impatient');
    const post = () => site.call('impatient?operation=PKIOperation', { method: 'POST', body: bad });
    const statuses = [];
    for (let i = 0; i < 5; i++) statuses.push((await post()).status);
    expect(statuses).toEqual([200, 200, 200, 429, 429]);
    expect(Number((await post()).headers['retry-after'])).toBeGreaterThan(0);
  });
});

describe('legacy, where an endpoint allows it until a day', () => {
  it('accepts and mirrors MD5 and single DES, from the request to the certificate (S25, V24)', async () => {
    const old = await site.device('old', 'legacy');
    const key = old.signer.privateKey;
    const signer = { der: md5SelfSigned(old.signer.der, key), privateKey: key };
    const content = md5Request(old.content, key);
    const reply = await site.send({ ...old, signer, content, digest: 'md5', cipher: 'des-cbc' }, 'legacy');
    expect([reply.pkiStatus, reply.digest]).toEqual(['0', 'md5']);
    expect(parseEnvelopedData(reply.envelope).encryption.cipher).toBe('des-cbc');
    expect(await site.certificates(reply, signer)).toHaveLength(1);
    expect(await legacyCount('md5', 'true')).toBeGreaterThan(0);
    expect(await legacyCount('des', 'true')).toBeGreaterThan(0);
  });

  it('does not read a request signed with MD5 elsewhere, and a forged one nowhere', async () => {
    const old = await site.device('old2');
    const content = md5Request(old.content, old.signer.privateKey);
    expect(await site.send({ ...old, content })).toMatchObject(failure('1', /cannot be read/));
    const forged = Buffer.from(content);
    forged[forged.length - 3]! ^= 1;
    expect(await site.send({ ...old, content: forged }, 'legacy')).toMatchObject(failure('1', /cannot be read/));
    expect(await legacyCount('md5', 'false')).toBeGreaterThan(0);
  });

  async function legacyCount(algorithm: string, accepted: string): Promise<number> {
    const { text } = await site.metrics();
    const line = new RegExp(
      `^muster_scep_legacy_total\\{[^}]*algorithm="${algorithm}"[^}]*accepted="${accepted}"[^}]*\\} (\\d+)`,
      'm',
    );
    return Number(line.exec(text)?.[1] ?? 0);
  }
});

describe('certificates of others', () => {
  it('are no certificates of ours: a foreign CA renews nothing, and its device may enrol with a challenge', async () => {
    const foreign = TestAuthority.root({ name: 'CN=Foreign CA' });
    const key = makeKey('rsa-2048');
    const leaf = foreign.leaf({ subject: 'CN=foreign', key });
    const signer = { der: leaf.der, privateKey: key };
    const bare = makeCsr({ subject: 'CN=foreign', key }).der;
    for (const messageType of ['17', '19']) {
      expect(await site.send({ signer, content: bare, messageType })).toMatchObject(failure('2', /certificate/));
    }
    const { der: content } = makeCsr({ subject: 'CN=foreign', key, challengePassword: await site.challenge() });
    expect((await site.send({ signer, content })).pkiStatus).toBe('0');
    const other = makeCsr({ key: makeKey('ec-p256'), challengePassword: await site.challenge() }).der;
    expect(await site.send({ signer, content: other, transactionId: 'other key' })).toMatchObject(failure('2'));
  });
});

/** An answer but for what chance makes of it: the nonce, and the signature over it. */
function withoutChance(body: Buffer, { senderNonce, signerInfo }: CertRep): string {
  const copy = Buffer.from(body);
  copy.fill(0, copy.indexOf(senderNonce), copy.indexOf(senderNonce) + senderNonce.length);
  copy.fill(0, copy.indexOf(signerInfo.signature), copy.indexOf(signerInfo.signature) + signerInfo.signature.length);
  return copy.toString('latin1');
}

function certificatePem(der: Uint8Array): string {
  return `-----BEGIN CERTIFICATE-----\n${Buffer.from(der).toString('base64')}\n-----END CERTIFICATE-----\n`;
}
