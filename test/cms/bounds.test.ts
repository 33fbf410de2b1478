import { describe, expect, it } from 'vitest';
import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { decode, encode } from '../../core/asn1/codec.ts';
import { any, choice, implicit, octetString, optional, sequence, smallInteger } from '../../core/asn1/schema.ts';
import { algorithmIdentifierSchema, algorithmWith } from '../../core/cms/algorithm-identifier.ts';
import type { AlgorithmIdentifier } from '../../core/cms/algorithm-identifier.ts';
import { CmsDecryptError, CmsError } from '../../core/cms/cms-error.ts';
import { decodeContentInfo, encodeContentInfo } from '../../core/cms/content-info.ts';
import { buildEnvelopedData, decryptEnvelopedData, parseEnvelopedData } from '../../core/cms/enveloped-data.ts';
import type { EnvelopedData, RecipientInfo, RecipientKey } from '../../core/cms/enveloped-data.ts';
import { TestAuthority } from '../support/test-pki.ts';
import { ecdhKey, rsaKey } from './recipient-keys.ts';

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
      ['unsupported-algorithm', () => ({ algorithm: '1.3.6.1.4.1.11591.4.11' })], // scrypt
    ];
    for (const [fault, change] of refused) {
      await expect(decryptEnvelopedData(await withDerivation(change), [key])).rejects.toMatchObject({ fault });
    }
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
    for (const length of [0, 15, 17]) {
      expect(() => parseEnvelopedData(withEncryptedContent(der, length))).toThrow(/whole blocks/);
    }
  });
});

const envelopedData = sequence('EnvelopedData', {
  version: any,
  recipientInfos: any,
  encryptedContentInfo: sequence('EncryptedContentInfo', {
    type: any,
    algorithm: any,
    content: implicit(0, octetString),
  }),
});

function withEncryptedContent(der: Uint8Array, length: number): Uint8Array {
  const { contentType, content: inner } = decodeContentInfo(der);
  const wire = decode(envelopedData, inner);
  const encryptedContentInfo = { ...wire.encryptedContentInfo, content: new Uint8Array(length) };
  return encodeContentInfo({ contentType, content: encode(envelopedData, { ...wire, encryptedContentInfo }) });
}
