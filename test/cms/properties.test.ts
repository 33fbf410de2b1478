import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { attributesFromWire, attributesSchema, attributesToWire } from '../../core/cms/attribute.ts';
import {
  buildAuthEnvelopedData,
  decryptAuthEnvelopedData,
  parseAuthEnvelopedData,
} from '../../core/cms/auth-enveloped-data.ts';
import { CmsDecryptError, CmsError } from '../../core/cms/cms-error.ts';
import { decodeContentInfo, encodeContentInfo } from '../../core/cms/content-info.ts';
import { buildEnvelopedData, decryptEnvelopedData, parseEnvelopedData } from '../../core/cms/enveloped-data.ts';
import type { Recipient, RecipientKey } from '../../core/cms/enveloped-data.ts';
import {
  buildSignedData,
  decodeCertsOnly,
  encodeCertsOnly,
  parseSignedData,
  verifySignedData,
} from '../../core/cms/signed-data.ts';
import { decodeSmimeCapabilities, encodeSmimeCapabilities } from '../../core/cms/smime-capabilities.ts';
import { decode, encode } from '../../core/asn1/codec.ts';
import { TestAuthority, signWith } from '../support/test-pki.ts';
import { ecdhKey, rsaKey } from './recipient-keys.ts';

const authority = TestAuthority.root();
const signer = authority.leaf({ subject: 'CN=signer' });
const rsa = authority.leaf({ subject: 'CN=rsa', key: 'rsa-2048' });
const ec = authority.leaf({ subject: 'CN=ec' });
const password = Buffer.from('password');

const parsers = {
  decodeContentInfo,
  decodeCertsOnly,
  parseSignedData,
  parseEnvelopedData,
  parseAuthEnvelopedData,
  decodeSmimeCapabilities,
};

const signed = await buildSignedData({
  content: Buffer.from('content'),
  signer: {
    certificate: signer.der,
    signatureAlgorithm: 'ecdsa-with-SHA256',
    sign: async (data) => signWith(signer.privateKey, 'ecdsa-with-SHA256', data),
  },
});
const recipients: readonly Recipient[] = [
  { kind: 'rsa', certificate: rsa.der, keyTransport: 'pkcs1' },
  { kind: 'ecdh', certificate: ec.der },
  { kind: 'password', password, iterations: 100 },
];
const enveloped = await buildEnvelopedData({ content: Buffer.from('content'), cipher: 'aes-128-cbc', recipients });
const sealed = await buildAuthEnvelopedData({ content: Buffer.from('content'), cipher: 'aes-128-gcm', recipients });
const samples = [signed, enveloped, sealed, encodeCertsOnly([signer.der, authority.der])];

function isTyped(error: unknown): boolean {
  return error instanceof Asn1Error || error instanceof CmsError || error instanceof CmsDecryptError;
}

/** One of the samples with some octets changed, and perhaps cut short. */
const mutation = fc
  .tuple(
    fc.constantFrom(...samples),
    fc.array(
      fc.tuple(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), fc.integer({ min: 0, max: 255 })),
      { minLength: 1, maxLength: 4 },
    ),
    fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { freq: 8 }),
  )
  .map(([sample, changes, cut]) => {
    const octets = new Uint8Array(sample);
    for (const [at, value] of changes) octets[Math.floor(at * octets.length)] = value;
    return cut === null ? octets : octets.subarray(0, Math.floor(cut * octets.length));
  });

describe('every parser', () => {
  it('returns or throws a typed error, on any octets', () => {
    const anything = fc.oneof({ weight: 4, arbitrary: mutation }, fc.uint8Array({ maxLength: 200 }));
    fc.assert(
      fc.property(anything, fc.constantFrom(...Object.values(parsers)), (octets, parse) => {
        try {
          parse(octets);
        } catch (error) {
          expect(isTyped(error)).toBe(true);
        }
      }),
      { numRuns: 5000 },
    );
  });

  it('stops early at deep nesting, definite and indefinite', () => {
    for (const level of [Uint8Array.of(0x30, 0x80), Uint8Array.of(0xa0, 0x80), Uint8Array.of(0x24, 0x80)]) {
      const bomb = Buffer.alloc(60_000, level);
      for (const parse of Object.values(parsers)) expect(() => parse(bomb)).toThrow(Asn1Error);
    }
  });
});

describe('verifySignedData', () => {
  it('accepts no message whose content, attributes or signature changed', () => {
    const good = verifySignedData(parseSignedData(signed));
    if (!good.ok) throw new TypeError(good.detail);
    fc.assert(
      fc.property(mutation, (octets) => {
        let verdict;
        try {
          verdict = verifySignedData(parseSignedData(octets));
        } catch (error) {
          expect(isTyped(error)).toBe(true);
          return;
        }
        if (!verdict.ok) return;
        expect(Buffer.from(verdict.content)).toEqual(Buffer.from(good.content));
        expect(verdict.signedAttributes.map(({ type }) => type)).toEqual(good.signedAttributes.map(({ type }) => type));
      }),
      { numRuns: 2000 },
    );
  });
});

describe('decryption', () => {
  const keys: readonly RecipientKey[] = [rsaKey(rsa), ecdhKey(ec), { kind: 'password', password }];

  it('of changed messages answers or throws a typed error', async () => {
    await fc.assert(
      fc.asyncProperty(mutation, fc.constantFrom(...keys), async (octets, key) => {
        try {
          await decryptEnvelopedData(parseEnvelopedData(octets), [key]);
        } catch (error) {
          expect(isTyped(error)).toBe(true);
        }
        try {
          const { content } = await decryptAuthEnvelopedData(parseAuthEnvelopedData(octets), [key]);
          expect(Buffer.from(content).toString()).toBe('content');
        } catch (error) {
          expect(isTyped(error)).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('undoes encryption, for any content, cipher and recipient', async () => {
    const cipher = fc.constantFrom('aes-128-cbc', 'aes-192-cbc', 'aes-256-cbc', 'des-ede3-cbc');
    const index = fc.nat({ max: recipients.length - 1 });
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), cipher, index, async (content, name, at) => {
        const message = await buildEnvelopedData({ content, cipher: name, recipients: [recipients[at]!] });
        const opened = await decryptEnvelopedData(parseEnvelopedData(message), [keys[at]!]);
        expect(Buffer.from(opened.content)).toEqual(Buffer.from(content));
      }),
      { numRuns: 60 },
    );
  });
});

describe('decode after encode is the identity', () => {
  const oid = fc.array(fc.nat(), { minLength: 1, maxLength: 8 }).map((arcs) => `1.2.${arcs.join('.')}`);
  const tlv = fc.uint8Array({ maxLength: 100 }).map((octets) => Uint8Array.of(0x04, octets.length, ...octets));

  it('for ContentInfo', () => {
    fc.assert(
      fc.property(oid, tlv, (contentType, content) => {
        expect(decodeContentInfo(encodeContentInfo({ contentType, content }))).toEqual({ contentType, content });
      }),
    );
  });

  it('for SMIMECapabilities', () => {
    const capability = fc.oneof(fc.record({ algorithm: oid }), fc.record({ algorithm: oid, parameters: tlv }));
    fc.assert(
      fc.property(fc.array(capability, { maxLength: 10 }), (capabilities) => {
        expect(decodeSmimeCapabilities(encodeSmimeCapabilities(capabilities))).toEqual(capabilities);
      }),
    );
  });

  it('for attributes, up to the order of the SETs', () => {
    const attribute = fc.record({ type: oid, values: fc.array(tlv, { maxLength: 3 }) });
    const sorted = (attributes: readonly { type: string; values: readonly Uint8Array[] }[]): string[] =>
      attributes
        .map(
          ({ type, values }) =>
            `${type}:${values
              .map((value) => Buffer.from(value).toString('hex'))
              .toSorted()
              .join()}`,
        )
        .toSorted();
    fc.assert(
      fc.property(fc.array(attribute, { maxLength: 5 }), (attributes) => {
        const der = encode(attributesSchema, attributesToWire(attributes));
        expect(sorted(attributesFromWire(decode(attributesSchema, der)))).toEqual(sorted(attributes));
      }),
    );
  });
});
