import { describe, expect, it } from 'vitest';
import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { encode } from '../../core/asn1/codec.ts';
import { explicit, octetString, oid, optional, sequence, smallInteger } from '../../core/asn1/schema.ts';
import type { Infer } from '../../core/asn1/schema.ts';
import { wrapIdentifier, wrapKeyLengthOf } from '../../core/cms/aes-key-wrap.ts';
import {
  NULL_PARAMETERS,
  algorithmIdentifierSchema,
  algorithmWith,
  parametersOf,
} from '../../core/cms/algorithm-identifier.ts';
import type { AlgorithmIdentifier } from '../../core/cms/algorithm-identifier.ts';
import { signingTime } from '../../core/cms/attribute.ts';
import { CmsError } from '../../core/cms/cms-error.ts';
import type { CmsFault } from '../../core/cms/cms-error.ts';
import { resolveSignatureAlgorithm, signatureAlgorithmDer } from '../../core/cms/cms-signature.ts';
import {
  cbcParametersOf,
  cipherIdentifier,
  freshCbcParameters,
  freshGcmParameters,
  gcmParametersOf,
} from '../../core/cms/content-cipher.ts';
import { digestAlgorithmOf, digestIdentifier } from '../../core/cms/digest-algorithm.ts';
import { keyTransportOf } from '../../core/cms/key-transport.ts';
import { oaepHashOf, oaepIdentifier } from '../../core/cms/oaep-parameters.ts';
import { KEY_TRANSPORT } from '../../core/cms/oids.ts';

const AES_128_CBC = '2.16.840.1.101.3.4.1.2';
const AES_128_GCM = '2.16.840.1.101.3.4.1.6';
const UNKNOWN = '1.2.3.4';

/** The CmsError that the call ends in, as data. */
function faultOf(run: () => unknown): { fault: CmsFault; expected: string; found: string } {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(CmsError);
    const { fault, expected, found } = error as CmsError;
    return { fault, expected, found };
  }
  return expect.fail('was accepted');
}

function unsupported(expected: string, found: string): ReturnType<typeof faultOf> {
  return { fault: 'unsupported-algorithm', expected, found };
}

describe('ciphers of EnvelopedData', () => {
  it('are read as they are written', () => {
    for (const cipher of ['aes-128-cbc', 'aes-192-cbc', 'aes-256-cbc', 'des-ede3-cbc', 'des-cbc'] as const) {
      const parameters = freshCbcParameters(cipher);
      expect(cbcParametersOf(cipherIdentifier(parameters))).toEqual({ cipher, iv: Uint8Array.from(parameters.iv) });
    }
  });

  it('are refused where they are unknown, of the other kind, or without an IV of a block', () => {
    const refused: [AlgorithmIdentifier, string, string][] = [
      [{ algorithm: UNKNOWN }, 'a CBC cipher', UNKNOWN],
      [cipherIdentifier(freshGcmParameters('aes-128-gcm')), 'a CBC cipher', AES_128_GCM],
      [{ algorithm: AES_128_CBC }, 'an IV of 16 octets', 'no octets'],
      [algorithmWith(AES_128_CBC, octetString, new Uint8Array(8)), 'an IV of 16 octets', '8 octets'],
      [algorithmWith('1.2.840.113549.3.7', octetString, new Uint8Array(16)), 'an IV of 8 octets', '16 octets'],
    ];
    for (const [identifier, expected, found] of refused) {
      expect(faultOf(() => cbcParametersOf(identifier))).toEqual(unsupported(expected, found));
    }
    const notOctets = { algorithm: AES_128_CBC, parameters: NULL_PARAMETERS };
    expect(() => cbcParametersOf(notOctets)).toThrow(
      expect.objectContaining({ name: 'Asn1Error', expected: 'OCTET STRING', found: 'NULL' }),
    );
  });
});

describe('ciphers of AuthEnvelopedData', () => {
  const gcmParameters = sequence('GCMParameters', { nonce: octetString, icvLen: optional(smallInteger) });
  const nonce = new Uint8Array(12);
  const gcm = (value: { nonce: Uint8Array; icvLen?: number }): AlgorithmIdentifier =>
    algorithmWith(AES_128_GCM, gcmParameters, value);

  it('are read as they are written; a tag of 12 octets is the default (RFC 5084 §3.2)', () => {
    for (const cipher of ['aes-128-gcm', 'aes-192-gcm', 'aes-256-gcm'] as const) {
      const parameters = freshGcmParameters(cipher);
      const read = { cipher, nonce: Uint8Array.from(parameters.nonce), tagLength: 16 };
      expect(gcmParametersOf(cipherIdentifier(parameters))).toEqual(read);
    }
    const least = { cipher: 'aes-128-gcm', nonce, tagLength: 12 } as const;
    expect(gcmParametersOf(gcm({ nonce }))).toEqual(least);
    expect(cipherIdentifier(least)).toEqual(gcm({ nonce }));
  });

  it('are refused where they are unknown, of the other kind, or with figures out of bounds', () => {
    const refused: [AlgorithmIdentifier, string, string][] = [
      [{ algorithm: UNKNOWN }, 'an AES-GCM cipher', UNKNOWN],
      [cipherIdentifier(freshCbcParameters('aes-128-cbc')), 'an AES-GCM cipher', AES_128_CBC],
      [gcm({ nonce: new Uint8Array(11) }), 'a nonce of 12 octets', '11 octets'],
      [gcm({ nonce: new Uint8Array(16) }), 'a nonce of 12 octets', '16 octets'],
      [gcm({ nonce, icvLen: 11 }), 'a tag of 12 to 16 octets', '11 octets'],
      [gcm({ nonce, icvLen: 17 }), 'a tag of 12 to 16 octets', '17 octets'],
    ];
    for (const [identifier, expected, found] of refused) {
      expect(faultOf(() => gcmParametersOf(identifier))).toEqual(unsupported(expected, found));
    }
    expect(() => gcmParametersOf({ algorithm: AES_128_GCM })).toThrow(
      expect.objectContaining({ name: 'Asn1Error', expected: 'GCMParameters', found: 'the end' }),
    );
  });
});

describe('key transport', () => {
  const parameters = sequence('RSAES-OAEP-params', {
    hashFunc: optional(explicit(0, algorithmIdentifierSchema)),
    maskGenFunc: optional(explicit(1, algorithmIdentifierSchema)),
    pSourceFunc: optional(explicit(2, algorithmIdentifierSchema)),
  });
  const sha256 = digestIdentifier('sha256');
  const mgf1 = (hash: AlgorithmIdentifier): AlgorithmIdentifier =>
    algorithmWith(KEY_TRANSPORT.mgf1, algorithmIdentifierSchema, hash);
  const oaep = (value: Infer<typeof parameters>): AlgorithmIdentifier =>
    algorithmWith(KEY_TRANSPORT.rsaesOaep, parameters, value);

  it('by OAEP is read as it is written, and as RFC 4055 §4.1 lets others write it', () => {
    for (const hash of ['sha1', 'sha256', 'sha384', 'sha512'] as const) {
      expect(oaepHashOf(oaepIdentifier(hash))).toBe(hash);
    }
    expect(oaepHashOf({ algorithm: KEY_TRANSPORT.rsaesOaep })).toBe('sha1');
    expect(oaepHashOf(oaep({ maskGenFunc: { algorithm: KEY_TRANSPORT.mgf1 } }))).toBe('sha1');
    const emptyLabel = [
      { algorithm: KEY_TRANSPORT.pSpecified },
      algorithmWith(KEY_TRANSPORT.pSpecified, octetString, new Uint8Array()),
    ];
    for (const pSourceFunc of emptyLabel) {
      expect(oaepHashOf(oaep({ hashFunc: sha256, maskGenFunc: mgf1(sha256), pSourceFunc }))).toBe('sha256');
    }
  });

  it('by OAEP is refused with two hashes, another hash or mask, or a label', () => {
    const whole = { hashFunc: sha256, maskGenFunc: mgf1(sha256) };
    const label = algorithmWith(KEY_TRANSPORT.pSpecified, octetString, Uint8Array.of(1));
    const refused: [AlgorithmIdentifier, string, string][] = [
      [oaep({ hashFunc: sha256 }), 'one hash for message and mask', 'two'],
      [oaep({ maskGenFunc: mgf1(sha256) }), 'one hash for message and mask', 'two'],
      [oaep({ hashFunc: { algorithm: UNKNOWN } }), 'SHA-1 or SHA-2', UNKNOWN],
      [oaep({ ...whole, hashFunc: digestIdentifier('md5') }), 'SHA-1 or SHA-2', '1.2.840.113549.2.5'],
      [oaep({ ...whole, maskGenFunc: { algorithm: UNKNOWN } }), 'MGF1', UNKNOWN],
      [oaep({ ...whole, pSourceFunc: label }), 'an empty label', 'another'],
      [oaep({ ...whole, pSourceFunc: { algorithm: UNKNOWN } }), 'an empty label', 'another'],
    ];
    for (const [identifier, expected, found] of refused) {
      expect(faultOf(() => keyTransportOf(identifier))).toEqual(unsupported(expected, found));
    }
  });

  it('by PKCS #1 v1.5 has no parameters', () => {
    const algorithm = KEY_TRANSPORT.rsaEncryption;
    expect(keyTransportOf({ algorithm })).toEqual({ scheme: 'pkcs1' });
    expect(keyTransportOf({ algorithm, parameters: NULL_PARAMETERS })).toEqual({ scheme: 'pkcs1' });
    for (const identifier of [algorithmWith(algorithm, octetString, new Uint8Array()), { algorithm: UNKNOWN }]) {
      expect(faultOf(() => keyTransportOf(identifier))).toEqual(
        unsupported('rsaEncryption or RSAES-OAEP', identifier.algorithm),
      );
    }
  });

  it('of wrapped keys has no parameters either', () => {
    for (const length of [16, 24, 32] as const) expect(wrapKeyLengthOf(wrapIdentifier(length))).toBe(length);
    const { algorithm } = wrapIdentifier(16);
    expect(wrapKeyLengthOf({ algorithm, parameters: NULL_PARAMETERS })).toBe(16);
    const withParameters = algorithmWith(algorithm, octetString, new Uint8Array(8));
    expect(faultOf(() => wrapKeyLengthOf(withParameters))).toEqual(unsupported('AES key wrap', algorithm));
    expect(faultOf(() => wrapKeyLengthOf({ algorithm: UNKNOWN }))).toEqual(unsupported('AES key wrap', UNKNOWN));
  });
});

describe('digests', () => {
  const { algorithm: shake } = digestIdentifier('shake256-512');

  it('are known with parameters absent or NULL; SHAKE256 with its length alone (RFC 8419 §2.3)', () => {
    for (const digest of ['md5', 'sha1', 'sha256', 'sha384', 'sha512', 'shake256-512'] as const) {
      expect(digestAlgorithmOf(digestIdentifier(digest))).toBe(digest);
    }
    expect(digestAlgorithmOf({ ...digestIdentifier('sha256'), parameters: NULL_PARAMETERS })).toBe('sha256');
  });

  it.each<[string, AlgorithmIdentifier]>([
    ['an unknown one', { algorithm: UNKNOWN }],
    ['SHA-256 with parameters', algorithmWith(digestIdentifier('sha256').algorithm, smallInteger, 256)],
    ['SHAKE256 without a length', { algorithm: shake }],
    ['SHAKE256 of 256 bits', algorithmWith(shake, smallInteger, 256)],
    ['SHAKE256 of a length that is no number', { algorithm: shake, parameters: NULL_PARAMETERS }],
  ])('%s is not', (_, identifier) => {
    expect(digestAlgorithmOf(identifier)).toBeUndefined();
  });
});

describe('signature algorithms of SignerInfo', () => {
  const MD5_WITH_RSA = '1.2.840.113549.1.1.4';
  const der = (identifier: AlgorithmIdentifier): Uint8Array => encode(algorithmIdentifierSchema, identifier);
  const rsa = der({ algorithm: KEY_TRANSPORT.rsaEncryption, parameters: NULL_PARAMETERS });

  it('named rsaEncryption take their hash from the digest (RFC 3370 §3.2)', () => {
    for (const digest of ['md5', 'sha1', 'sha256', 'sha384', 'sha512'] as const) {
      expect(resolveSignatureAlgorithm(rsa, digest)).toBe(`${digest}WithRSAEncryption`);
    }
    expect(resolveSignatureAlgorithm(rsa, 'shake256-512')).toBeUndefined();
    const strange = der(algorithmWith(KEY_TRANSPORT.rsaEncryption, smallInteger, 1));
    expect(resolveSignatureAlgorithm(strange, 'sha256')).toBeUndefined();
  });

  it('of the oldest clients are written and read', () => {
    const specific = signatureAlgorithmDer('md5WithRSAEncryption', false);
    expect(specific).toEqual(der({ algorithm: MD5_WITH_RSA, parameters: NULL_PARAMETERS }));
    expect(resolveSignatureAlgorithm(specific, 'md5')).toBe('md5WithRSAEncryption');
    expect(signatureAlgorithmDer('md5WithRSAEncryption', true)).toEqual(rsa);
    const strange = der(algorithmWith(MD5_WITH_RSA, smallInteger, 1));
    expect(resolveSignatureAlgorithm(strange, 'md5')).toBeUndefined();
  });

  it('that are unknown have no name, and what is no AlgorithmIdentifier is refused', () => {
    expect(resolveSignatureAlgorithm(der({ algorithm: UNKNOWN }), 'sha256')).toBeUndefined();
    expect(() => resolveSignatureAlgorithm(encode(oid, UNKNOWN), 'sha256')).toThrow(Asn1Error);
  });
});

it('parameters and attributes that are not there have no value', () => {
  expect(parametersOf({ algorithm: UNKNOWN }, octetString)).toBeUndefined();
  expect(parametersOf(algorithmWith(UNKNOWN, octetString, Uint8Array.of(7)), octetString)).toEqual(Uint8Array.of(7));
  expect(signingTime([])).toBeUndefined();
});
