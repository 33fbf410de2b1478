import { constants, createPrivateKey, createPublicKey, diffieHellman, privateDecrypt } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { Asn1Error } from '../../../core/asn1/asn1-error.ts';
import { decryptAuthEnvelopedData, parseAuthEnvelopedData } from '../../../core/cms/auth-enveloped-data.ts';
import { certificateIdentity } from '../../../core/cms/certificate-identity.ts';
import { CmsDecryptError, CmsError } from '../../../core/cms/cms-error.ts';
import { decodeContentInfo } from '../../../core/cms/content-info.ts';
import { decryptEnvelopedData, parseEnvelopedData } from '../../../core/cms/enveloped-data.ts';
import type { RecipientKey } from '../../../core/cms/enveloped-data.ts';
import { decodeCertsOnly, parseSignedData, verifySignedData } from '../../../core/cms/signed-data.ts';
import { decodeSmimeCapabilities, encodeSmimeCapabilities } from '../../../core/cms/smime-capabilities.ts';
import type { FuzzTarget } from '../run-fuzz.ts';
import { seedFile } from '../seed-files.ts';

const SIGNED = ['signed-data', 'signed-data-ber', 'certs-only'];
const ENVELOPED = ['enveloped-data-rsa', 'enveloped-data-rsa-ber', 'enveloped-data-ecdh'];

/** Every parser of core/cms; signatures are verified, and what is for one of two keys is decrypted. */
export const cmsTargets: readonly FuzzTarget[] = [
  target(
    'cms ContentInfo',
    [Asn1Error],
    () => [...SIGNED, ...ENVELOPED].map(seedFile),
    (bytes) => decodeContentInfo(bytes),
  ),
  target(
    'cms SignedData',
    [Asn1Error],
    () => SIGNED.map(seedFile),
    (bytes) => {
      verifySignedData(parseSignedData(bytes), { digests: ['sha1', 'sha256'], signedAttributes: 'optional' });
    },
  ),
  target(
    'cms certs-only',
    [Asn1Error],
    () => [seedFile('certs-only')],
    (bytes) => decodeCertsOnly(bytes),
  ),
  // Parsed only: opening it derives a key with as many iterations as the sender likes, up to a bound.
  target(
    'cms EnvelopedData for a password',
    [Asn1Error, CmsError],
    () => [seedFile('enveloped-data-password')],
    (bytes) => parseEnvelopedData(bytes),
  ),
  target(
    'cms EnvelopedData',
    [Asn1Error, CmsError, CmsDecryptError],
    () => ENVELOPED.map(seedFile),
    (bytes) => decryptEnvelopedData(parseEnvelopedData(bytes), recipientKeys()),
  ),
  target(
    'cms AuthEnvelopedData',
    [Asn1Error, CmsError, CmsDecryptError],
    () => [seedFile('auth-enveloped-data')],
    (bytes) => decryptAuthEnvelopedData(parseAuthEnvelopedData(bytes), recipientKeys()),
  ),
  target('cms certificate identity', [Asn1Error], () => [seedFile('certificate-p256')], certificateIdentity),
  target('cms SMIMECapabilities', [Asn1Error], capabilities, decodeSmimeCapabilities),
];

let keys: readonly RecipientKey[] | undefined;

function recipientKeys(): readonly RecipientKey[] {
  return (keys ??= [rsaKey(privateKey('key-recipient-rsa')), ecdhKey(privateKey('key-recipient-p256'))]);
}

// RSA with implicit rejection, as RecipientKey asks: OpenSSL does it for PKCS #1 v1.5.
function rsaKey(key: KeyObject): RecipientKey {
  const padding = { pkcs1: constants.RSA_PKCS1_PADDING, oaep: constants.RSA_PKCS1_OAEP_PADDING };
  return {
    kind: 'rsa',
    certificate: seedFile('certificate-recipient-rsa'),
    decryptKeyTransport: async ({ scheme, hash, ciphertext, keyLength }) => {
      const rejected = Buffer.alloc(keyLength, ciphertext[0] ?? 0);
      try {
        const opened = privateDecrypt({ key, padding: padding[scheme], oaepHash: hash }, ciphertext);
        return opened.length === keyLength ? opened : rejected;
      } catch {
        return rejected;
      }
    },
  };
}

function ecdhKey(key: KeyObject): RecipientKey {
  return {
    kind: 'ecdh',
    certificate: seedFile('certificate-p256'),
    agree: async ({ ephemeralPublicKey }) => {
      const spki = { key: Buffer.from(ephemeralPublicKey.der), format: 'der', type: 'spki' } as const;
      return diffieHellman({ privateKey: key, publicKey: createPublicKey(spki) });
    },
  };
}

function privateKey(name: string): KeyObject {
  return createPrivateKey({ key: Buffer.from(seedFile(name)), format: 'der', type: 'pkcs8' });
}

function capabilities(): readonly Uint8Array[] {
  return [encodeSmimeCapabilities([{ algorithm: '2.16.840.1.101.3.4.1.2' }, { algorithm: '1.2.840.113549.3.7' }])];
}

function target(
  name: string,
  allowedErrors: FuzzTarget['allowedErrors'],
  seeds: () => readonly Uint8Array[],
  decode: (bytes: Uint8Array) => unknown,
): FuzzTarget {
  return { name, seeds, decode, allowedErrors };
}
