import { constants, createHmac, createPublicKey, diffieHellman, privateDecrypt } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { RecipientKey } from '../../core/cms/enveloped-data.ts';
import type { IssuedCertificate } from '../support/test-pki.ts';

/** Private keys in memory that behave as the token's: RSA with implicit rejection, ECDH by node:crypto. */
export function rsaKey({ der, privateKey }: IssuedCertificate): RecipientKey {
  return {
    kind: 'rsa',
    certificate: der,
    decryptKeyTransport: async ({ scheme, hash, ciphertext, keyLength }) => {
      const rejected = createHmac('sha256', 'test').update(ciphertext).digest().subarray(0, keyLength);
      const key = scheme === 'pkcs1' ? openPkcs1(privateKey, ciphertext) : openOaep(privateKey, hash, ciphertext);
      return key?.length === keyLength ? key : rejected;
    },
  };
}

export function ecdhKey({ der, privateKey }: IssuedCertificate): RecipientKey {
  return {
    kind: 'ecdh',
    certificate: der,
    agree: async ({ ephemeralPublicKey }) => {
      const key = Buffer.from(ephemeralPublicKey.der);
      return diffieHellman({ privateKey, publicKey: createPublicKey({ key, format: 'der', type: 'spki' }) });
    },
  };
}

function openPkcs1(privateKey: KeyObject, ciphertext: Uint8Array): Buffer | undefined {
  try {
    const block = privateDecrypt({ key: privateKey, padding: constants.RSA_NO_PADDING }, ciphertext);
    const end = block.indexOf(0, 2);
    return block[0] === 0 && block[1] === 2 && end >= 10 ? block.subarray(end + 1) : undefined;
  } catch {
    return undefined;
  }
}

function openOaep(privateKey: KeyObject, oaepHash: string, ciphertext: Uint8Array): Buffer | undefined {
  try {
    return privateDecrypt({ key: privateKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash }, ciphertext);
  } catch {
    return undefined;
  }
}
