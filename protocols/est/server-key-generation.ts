import { generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';

import type { KeyRules } from '../../core/authority/profile.ts';
import { PolicyError, UpstreamError } from '../../core/errors/muster-error.ts';
import {
  parseSubjectPublicKeyInfo,
  type PublicKeyAlgorithm,
  type SubjectPublicKeyInfo,
} from '../../core/x509/public-key.ts';
import { keyLike } from './key-choice.ts';

/**
 * A key pair made for a device. It lives as long as its request: disposing it erases the private key. (OpenSSL erases its
 * own copy when the KeyObject goes; copies the garbage collector may have moved are beyond our reach.)
 */
export interface ServerGeneratedKey extends Disposable {
  readonly publicKey: SubjectPublicKeyInfo;
  /** PrivateKeyInfo (RFC 5958 §2), DER. */
  readonly pkcs8: Uint8Array;
}

const generate = promisify(generateKeyPair);

/** Makes keys for devices, a few at a time: an RSA key takes a thread of libuv's pool for up to seconds. */
export class KeyGenerator {
  readonly #limit: number;
  #running = 0;

  /** `limit`: keys made at once; more requests are turned away. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * A fresh key of a kind that the rules allow, as near as they allow to the kind of `hint` (RFC 7030 §4.4.1: the values
   * of the public key in the request are ignored).
   *
   * @throws PolicyError `key-not-allowed` where the rules allow no key at all; UpstreamError `overloaded`
   */
  async generate(rules: KeyRules, hint: PublicKeyAlgorithm): Promise<ServerGeneratedKey> {
    const algorithm = keyLike(rules, hint);
    if (algorithm === undefined)
      throw new PolicyError('key-not-allowed', 'the profile allows no key that can be made here');
    if (this.#running >= this.#limit)
      throw new UpstreamError('overloaded', 'too many keys are being made', { retryAfterSeconds: 5 });
    this.#running += 1;
    try {
      const { publicKey, privateKey } = await generatePair(algorithm);
      const pkcs8 = privateKey.export({ format: 'der', type: 'pkcs8' });
      return {
        publicKey: parseSubjectPublicKeyInfo(publicKey.export({ format: 'der', type: 'spki' })),
        pkcs8,
        [Symbol.dispose]: () => void pkcs8.fill(0),
      };
    } finally {
      this.#running -= 1;
    }
  }
}

function generatePair(algorithm: PublicKeyAlgorithm): Promise<{ publicKey: KeyObject; privateKey: KeyObject }> {
  switch (algorithm.kind) {
    case 'rsa':
      return generate('rsa', { modulusLength: algorithm.bits, publicExponent: algorithm.exponent });
    case 'ec':
      return generate('ec', { namedCurve: algorithm.curve });
    case 'ed25519':
      return generate('ed25519');
    case 'ed448':
      return generate('ed448');
    case 'ml-dsa':
      return generate(`ml-dsa-${algorithm.parameterSet}`);
  }
}
