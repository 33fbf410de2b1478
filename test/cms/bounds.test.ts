import { describe, expect, it } from 'vitest';
import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { decode, encode } from '../../core/asn1/codec.ts';
import {
  any,
  choice,
  explicit,
  implicit,
  octetString,
  oid,
  optional,
  sequence,
  setOf,
  smallInteger,
} from '../../core/asn1/schema.ts';
import { NULL_PARAMETERS, algorithmIdentifierSchema, algorithmWith } from '../../core/cms/algorithm-identifier.ts';
import type { AlgorithmIdentifier } from '../../core/cms/algorithm-identifier.ts';
import {
  buildAuthEnvelopedData,
  decryptAuthEnvelopedData,
  parseAuthEnvelopedData,
} from '../../core/cms/auth-enveloped-data.ts';
import { certificateIdentity, identifies } from '../../core/cms/certificate-identity.ts';
import { CmsDecryptError, CmsError } from '../../core/cms/cms-error.ts';
import { decodeContentInfo, encodeContentInfo } from '../../core/cms/content-info.ts';
import { buildEnvelopedData, decryptEnvelopedData, parseEnvelopedData } from '../../core/cms/enveloped-data.ts';
import type { EnvelopedData, Recipient, RecipientInfo, RecipientKey } from '../../core/cms/enveloped-data.ts';
import { nameFromText } from '../../core/x509/name.ts';
import { EXTENSION, PUBLIC_KEY } from '../../core/x509/oids.ts';
import { TestAuthority } from '../support/test-pki.ts';
import { ecdhKey, rsaKey } from './recipient-keys.ts';

const ECDH_SHA256 = '1.3.132.1.11.1';
const AES_128_WRAP = { algorithm: '2.16.840.1.101.3.4.1.5' };
const P_256 = '1.2.840.10045.3.1.7';

const content = Buffer.from('content');
const password = Buffer.from('correct horse');
const key: RecipientKey = { kind: 'password', password };
const authority = TestAuthority.root();

const pbkdf2Parameters = sequence('PBKDF2-params', {
  salt: choice('salt', { specified: octetString, otherSource: algorithmIdentifierSchema }),
  iterationCount: smallInteger,
  keyLength: optional(smallInteger),
  prf: optional(algorithmIdentifierSchema),
});
const PBKDF2 = '1.2.840.113549.1.5.12';
const PWRI_KEK = '1.2.840.113549.1.9.16.3.9';
const DES_CBC = algorithmWith('1.3.14.3.2.7', octetString, new Uint8Array(8));

async function passwordMessage(): Promise<EnvelopedData> {
  const recipients = [{ kind: 'password', password, iterations: 100 }] as const;
  return parseEnvelopedData(await buildEnvelopedData({ content, cipher: 'aes-128-cbc', recipients }));
}

async function withDerivation(
  change: (parameters: ReturnType<typeof parametersOf>) => AlgorithmIdentifier,
): Promise<EnvelopedData> {
  const message = await passwordMessage();
  const recipients = message.recipients.map((recipient) =>
    recipient.kind === 'password'
      ? { ...recipient, derivation: change(parametersOf(recipient.derivation!)) }
      : recipient,
  );
  return { ...message, recipients };
}

function parametersOf({ parameters }: AlgorithmIdentifier): { salt: Uint8Array; prf: AlgorithmIdentifier } {
  const { salt, prf } = decode(pbkdf2Parameters, parameters!);
  return { salt: salt.value as Uint8Array, prf: prf! };
}

function derivation(
  salt: Uint8Array,
  iterationCount: number,
  prf?: AlgorithmIdentifier,
  keyLength?: number,
): AlgorithmIdentifier {
  const parameters = { salt: { kind: 'specified', value: salt } as const, iterationCount, prf, keyLength };
  return algorithmWith(PBKDF2, pbkdf2Parameters, parameters);
}

describe('a password message', () => {
  it.each([0, 1, 99, 100_001, 2 ** 31 - 1])(
    'with %i iterations is refused before they are computed',
    async (iterations) => {
      const bomb = await withDerivation(({ salt, prf }) => derivation(salt, iterations, prf));
      const started = performance.now();
      await expect(decryptEnvelopedData(bomb, [key])).rejects.toMatchObject({ fault: 'out-of-bounds' });
      expect(performance.now() - started).toBeLessThan(100);
    },
  );

  it('with the fewest iterations allowed opens', async () => {
    expect((await decryptEnvelopedData(await passwordMessage(), [key])).content).toEqual(content);
  });

  it('with a salt, key length or pseudo-random function out of bounds is refused', async () => {
    const refused: [string, (p: ReturnType<typeof parametersOf>) => AlgorithmIdentifier][] = [
      ['out-of-bounds', ({ prf }) => derivation(new Uint8Array(7), 100, prf)],
      ['out-of-bounds', ({ prf }) => derivation(new Uint8Array(65), 100, prf)],
      ['out-of-bounds', ({ salt, prf }) => derivation(salt, 100, prf, 1 << 20)],
      ['unsupported-algorithm', ({ salt }) => derivation(salt, 100, { algorithm: '1.2.3' })],
      ['unsupported-algorithm', ({ salt, prf }) => derivation(salt, 100, { ...prf, parameters: Uint8Array.of(4, 0) })],
      ['unsupported-algorithm', () => ({ algorithm: '1.3.6.1.4.1.11591.4.11' })], // scrypt
    ];
    for (const [fault, change] of refused) {
      await expect(decryptEnvelopedData(await withDerivation(change), [key])).rejects.toMatchObject({ fault });
    }
  });

  it('whose salt comes from elsewhere, or without parameters, is refused', async () => {
    const elsewhere = algorithmWith(PBKDF2, pbkdf2Parameters, {
      salt: { kind: 'otherSource', value: { algorithm: '1.2.3' } },
      iterationCount: 100,
    });
    await expect(decryptEnvelopedData(await withDerivation(() => elsewhere), [key])).rejects.toMatchObject({
      fault: 'unsupported-algorithm',
      expected: 'a salt',
      found: 'another source of salt',
    });
    const bare = await withDerivation(() => ({ algorithm: PBKDF2 }));
    await expect(decryptEnvelopedData(bare, [key])).rejects.toMatchObject({
      name: 'Asn1Error',
      expected: 'PBKDF2-params',
      found: 'the end',
    });
  });

  it.each<[string, Partial<RecipientInfo & { kind: 'password' }>, string, string]>([
    ['without a derivation', { derivation: undefined }, 'PBKDF2', 'no key derivation'],
    ['with another way to wrap its key', { algorithm: { algorithm: '1.2.3' } }, 'PWRI-KEK', '1.2.3'],
    ['without a cipher to wrap its key', { algorithm: { algorithm: PWRI_KEK } }, 'PWRI-KEK', PWRI_KEK],
    [
      'with single DES to wrap its key',
      { algorithm: algorithmWith(PWRI_KEK, algorithmIdentifierSchema, DES_CBC) },
      'AES or 3DES to wrap the key',
      'des-cbc',
    ],
  ])('%s is refused', async (_, change, expected, found) => {
    const message = await passwordMessage();
    const recipients = message.recipients.map((recipient) => ({ ...recipient, ...change }) as RecipientInfo);
    await expect(decryptEnvelopedData({ ...message, recipients }, [key])).rejects.toMatchObject({
      fault: 'unsupported-algorithm',
      expected,
      found,
    });
  });

  it('with two password recipients is refused: each would cost its iterations', async () => {
    const recipient = { kind: 'password', password, iterations: 100 } as const;
    const template = { content, cipher: 'aes-128-cbc', recipients: [recipient, recipient] } as const;
    const message = parseEnvelopedData(await buildEnvelopedData(template));
    await expect(decryptEnvelopedData(message, [key])).rejects.toMatchObject({ fault: 'recipient-ambiguous' });
  });

  it('with a wrapped key of the wrong shape fails like any other', async () => {
    const message = await passwordMessage();
    for (const length of [0, 16, 31, 64]) {
      const recipients = message.recipients.map((recipient) => ({
        ...recipient,
        encryptedKey: new Uint8Array(length),
      }));
      const changed = { ...message, recipients: recipients as RecipientInfo[] };
      await expect(decryptEnvelopedData(changed, [key])).rejects.toThrow(CmsDecryptError);
    }
  });
});

describe('a key-agreement message', () => {
  const holder = authority.leaf({ key: 'ec-p256', keyUsage: ['keyAgreement'] });

  async function withPoint(change: (point: Uint8Array) => Uint8Array): Promise<EnvelopedData> {
    const recipients = [{ kind: 'ecdh', certificate: holder.der }] as const;
    const message = parseEnvelopedData(await buildEnvelopedData({ content, cipher: 'aes-128-cbc', recipients }));
    const [recipient] = message.recipients;
    if (recipient?.kind !== 'key-agreement') throw new TypeError('expected key agreement');
    const bytes = change(new Uint8Array(recipient.ephemeralKey!.publicKey.bytes));
    const ephemeralKey = { ...recipient.ephemeralKey!, publicKey: { unusedBits: 0, bytes } };
    return { ...message, recipients: [{ ...recipient, ephemeralKey }] };
  }

  it('with a point off the curve is refused before the private key is used', async () => {
    let used = 0;
    const counting: RecipientKey = {
      ...ecdhKey(holder),
      kind: 'ecdh',
      agree: async () => new Uint8Array((used += 1)),
    } as RecipientKey;
    const offCurve = await withPoint((point) => point.fill(1, 1));
    await expect(decryptEnvelopedData(offCurve, [counting])).rejects.toThrow(CmsError);
    const infinity = await withPoint(() => Uint8Array.of(0));
    await expect(decryptEnvelopedData(infinity, [counting])).rejects.toThrow(Asn1Error);
    expect(used).toBe(0);
  });

  it('with another point on the curve fails like any other', async () => {
    const stranger = authority.leaf({ key: 'ec-p256' });
    const message = await withPoint(() => stranger.certificate.publicKey.keyBytes);
    await expect(decryptEnvelopedData(message, [ecdhKey(holder)])).rejects.toThrow(CmsDecryptError);
  });

  async function withRecipient(change: Partial<RecipientInfo & { kind: 'key-agreement' }>): Promise<EnvelopedData> {
    const message = await withPoint((point) => point);
    return { ...message, recipients: message.recipients.map((one) => ({ ...one, ...change }) as RecipientInfo) };
  }

  it.each<[string, Partial<RecipientInfo & { kind: 'key-agreement' }>, string, string]>([
    [
      'by cofactor Diffie-Hellman',
      { algorithm: algorithmWith('1.3.132.1.14.1', algorithmIdentifierSchema, AES_128_WRAP) },
      'ephemeral-static ECDH with AES key wrap',
      '1.3.132.1.14.1',
    ],
    [
      'that does not say how its key is wrapped',
      { algorithm: { algorithm: ECDH_SHA256 } },
      'ephemeral-static ECDH with AES key wrap',
      ECDH_SHA256,
    ],
    [
      'with another key wrap',
      { algorithm: algorithmWith(ECDH_SHA256, algorithmIdentifierSchema, { algorithm: '1.2.3' }) },
      'AES key wrap',
      '1.2.3',
    ],
  ])('%s is refused', async (_, change, expected, found) => {
    await expect(decryptEnvelopedData(await withRecipient(change), [ecdhKey(holder)])).rejects.toMatchObject({
      fault: 'unsupported-algorithm',
      expected,
      found,
    });
  });

  it('opens where the curve of its key is ours or not told (RFC 5753 §3.1.1), and is refused on another', async () => {
    const message = await withPoint((point) => point);
    const [recipient] = message.recipients;
    if (recipient?.kind !== 'key-agreement') throw new TypeError('expected key agreement');
    const withAlgorithm = (algorithm: AlgorithmIdentifier): EnvelopedData => ({
      ...message,
      recipients: [{ ...recipient, ephemeralKey: { ...recipient.ephemeralKey!, algorithm } }],
    });
    const algorithm = PUBLIC_KEY.ecPublicKey;
    const told = [{ algorithm }, { algorithm, parameters: NULL_PARAMETERS }, algorithmWith(algorithm, oid, P_256)];
    for (const identifier of told) {
      expect((await decryptEnvelopedData(withAlgorithm(identifier), [ecdhKey(holder)])).content).toEqual(content);
    }
    const refused: [AlgorithmIdentifier, string, string][] = [
      [algorithmWith(algorithm, oid, '1.3.132.0.34'), 'a point on our curve', 'another curve'],
      [{ algorithm: '1.3.101.110' }, 'id-ecPublicKey', '1.3.101.110'], // X25519
    ];
    for (const [identifier, expected, found] of refused) {
      const opening = decryptEnvelopedData(withAlgorithm(identifier), [ecdhKey(holder)]);
      await expect(opening).rejects.toMatchObject({ fault: 'unsupported-algorithm', expected, found });
    }
  });

  it('without an ephemeral key is not supported', async () => {
    const message = await withPoint((point) => point);
    const recipients = message.recipients.map((recipient) => ({
      ...recipient,
      ephemeralKey: undefined,
    })) as RecipientInfo[];
    await expect(decryptEnvelopedData({ ...message, recipients }, [ecdhKey(holder)])).rejects.toThrow('a static one');
  });
});

describe('encrypted content', () => {
  it('of no or half blocks is refused before a key is used', async () => {
    const holder = authority.leaf({ key: 'rsa-2048' });
    const recipients = [{ kind: 'rsa', certificate: holder.der, keyTransport: 'pkcs1' }] as const;
    const der = await buildEnvelopedData({ content: new Uint8Array(), cipher: 'aes-128-cbc', recipients });
    expect((await decryptEnvelopedData(parseEnvelopedData(der), [rsaKey(holder)])).content).toHaveLength(0);
    for (const length of [undefined, 0, 15, 17]) {
      expect(() => parseEnvelopedData(withEncryptedContent(der, length))).toThrow(
        expect.objectContaining({
          path: 'EnvelopedData.encryptedContent',
          expected: 'whole blocks of the cipher',
          found: `${length ?? 0} octets`,
        }),
      );
    }
  });

  it('that is authenticated may be nothing at all, and its tag is checked all the same', async () => {
    const recipients = [{ kind: 'password', password, iterations: 100 }] as const;
    const der = await buildAuthEnvelopedData({ content: new Uint8Array(), cipher: 'aes-128-gcm', recipients });
    const wire = decode(authEnvelopedData, decodeContentInfo(der).content);
    const authEncryptedContentInfo = { ...wire.authEncryptedContentInfo, content: undefined };
    const absent = encode(authEnvelopedData, { ...wire, authEncryptedContentInfo });
    const { contentType } = decodeContentInfo(der);
    const parsed = parseAuthEnvelopedData(encodeContentInfo({ contentType, content: absent }));
    expect((await decryptAuthEnvelopedData(parsed, [key])).content).toHaveLength(0);
    const changed = { ...parsed, mac: parsed.mac.map((octet) => octet ^ 1) };
    await expect(decryptAuthEnvelopedData(changed, [key])).rejects.toThrow(CmsDecryptError);
  });
});

describe('recipients', () => {
  const rsa = authority.leaf({ key: 'rsa-2048' });
  const ec = authority.leaf({ key: 'ec-p256', keyUsage: ['keyAgreement'] });
  const ori = encode(implicit(4, sequence('OtherRecipientInfo', { oriType: oid, oriValue: any })), {
    oriType: '1.2.3',
    oriValue: NULL_PARAMETERS,
  });

  /** A message whose RecipientInfos are changed as octets. */
  async function withRecipientInfos(
    recipient: Recipient,
    change: (infos: readonly Uint8Array[]) => readonly Uint8Array[],
  ): Promise<EnvelopedData> {
    const der = await buildEnvelopedData({ content, cipher: 'aes-128-cbc', recipients: [recipient] });
    const { contentType, content: inner } = decodeContentInfo(der);
    const wire = decode(envelopedData, inner);
    const recipientInfos = encode(setOf(any), change(decode(setOf(any), wire.recipientInfos)));
    return parseEnvelopedData(
      encodeContentInfo({ contentType, content: encode(envelopedData, { ...wire, recipientInfos }) }),
    );
  }

  it('of other kinds are passed over, and alone are not for us', async () => {
    const toUs: Recipient = { kind: 'rsa', certificate: rsa.der, keyTransport: 'pkcs1' };
    const beside = await withRecipientInfos(toUs, (infos) => [...infos, ori]);
    expect(beside.recipients.map(({ kind }) => kind).toSorted()).toEqual(['key-transport', 'other']);
    expect((await decryptEnvelopedData(beside, [rsaKey(rsa)])).content).toEqual(content);
    const alone = await withRecipientInfos(toUs, () => [ori]);
    await expect(decryptEnvelopedData(alone, [rsaKey(rsa)])).rejects.toMatchObject({ fault: 'recipient-absent' });
  });

  it('of a key agreement may be named by their key identifier', async () => {
    const toUs: Recipient = { kind: 'ecdh', certificate: ec.der, identifiedBy: 'subjectKeyIdentifier' };
    const message = await withRecipientInfos(toUs, (infos) => infos);
    expect(message.recipients).toMatchObject([{ recipient: { kind: 'subjectKeyIdentifier' } }]);
    expect((await decryptEnvelopedData(message, [ecdhKey(ec)])).content).toEqual(content);
  });

  it('of a key agreement with a static key are read, and not opened', async () => {
    const message = await withRecipientInfos({ kind: 'ecdh', certificate: ec.der }, (infos) =>
      infos.map((info) => {
        const wire = decode(keyAgreement, info);
        return encode(keyAgreement, { ...wire, originator: encode(implicit(0, octetString), Uint8Array.of(1)) });
      }),
    );
    expect(message.recipients).toMatchObject([{ kind: 'key-agreement', ephemeralKey: undefined }]);
    await expect(decryptEnvelopedData(message, [ecdhKey(ec)])).rejects.toMatchObject({
      fault: 'unsupported-algorithm',
      expected: 'an ephemeral key',
      found: 'a static one',
    });
  });

  it('cannot be named by a key identifier that their certificate has not', async () => {
    const nameless = authority.leaf({ key: 'rsa-2048', omit: [EXTENSION.subjectKeyIdentifier] });
    const identifiedBy = 'subjectKeyIdentifier';
    const recipients: Recipient[] = [{ kind: 'rsa', certificate: nameless.der, keyTransport: 'pkcs1', identifiedBy }];
    await expect(buildEnvelopedData({ content, cipher: 'aes-128-cbc', recipients })).rejects.toMatchObject({
      fault: 'invalid-argument',
      expected: 'a certificate with a subjectKeyIdentifier',
      found: 'one without',
    });
    const identity = certificateIdentity(nameless.der);
    expect(identifies({ kind: identifiedBy, value: Uint8Array.of(1) }, identity)).toBe(false);
  });

  it('are found by the issuer’s name as RFC 5280 §7.1 compares names, and by nothing that is no name', () => {
    const identity = certificateIdentity(authority.leaf().der);
    const named = (issuer: Uint8Array): boolean =>
      identifies({ kind: 'issuerAndSerialNumber', value: { issuer, serialNumber: identity.serialNumber } }, identity);
    expect(named(identity.issuer)).toBe(true);
    expect(named(nameFromText('CN=TEST  ROOT,O=muster test').der)).toBe(true);
    expect(named(nameFromText('CN=Test Root,O=Other').der)).toBe(false);
    expect(named(NULL_PARAMETERS)).toBe(false);
  });
});

const envelopedData = sequence('EnvelopedData', {
  version: any,
  recipientInfos: any,
  encryptedContentInfo: sequence('EncryptedContentInfo', {
    type: any,
    algorithm: any,
    content: optional(implicit(0, octetString)),
  }),
});
const authEnvelopedData = sequence('AuthEnvelopedData', {
  version: any,
  recipientInfos: any,
  authEncryptedContentInfo: sequence('EncryptedContentInfo', {
    type: any,
    algorithm: any,
    content: optional(implicit(0, octetString)),
  }),
  mac: octetString,
});
const keyAgreement = implicit(
  1,
  sequence('KeyAgreeRecipientInfo', {
    version: smallInteger,
    originator: explicit(0, any),
    algorithm: any,
    recipients: any,
  }),
);

function withEncryptedContent(der: Uint8Array, length: number | undefined): Uint8Array {
  const { contentType, content: inner } = decodeContentInfo(der);
  const wire = decode(envelopedData, inner);
  const octets = length === undefined ? undefined : new Uint8Array(length);
  const encryptedContentInfo = { ...wire.encryptedContentInfo, content: octets };
  return encodeContentInfo({ contentType, content: encode(envelopedData, { ...wire, encryptedContentInfo }) });
}
