import { generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';

import { PolicyError, UpstreamError } from '../errors/muster-error.ts';
import { parseSubjectPublicKeyInfo, type PublicKeyAlgorithm, type SubjectPublicKeyInfo } from '../x509/public-key.ts';

/**
 * A key pair made for a device. It lives as long as its request: disposing it erases the private key. (OpenSSL erases its
 * own copy when the KeyObject goes; copies the garbage collector may have moved are beyond our reach.)
 */
export interface DeviceKey extends Disposable {
  readonly publicKey: SubjectPublicKeyInfo;
  /** PrivateKeyInfo (RFC 5958 §2), DER. */
  readonly pkcs8: Uint8Array;
}

/** Keys made at once by one carrier, for all devices: half of libuv's default pool. */
const AT_ONCE = 2;
const COME_BACK_SECONDS = 5;

const generate = promisify(generateKeyPair);

/** Makes keys for devices, a few at a time: an RSA key takes a thread of libuv's pool for up to seconds. */
export class DeviceKeyMaker {
  #running = 0;

  /**
   * A fresh key of a kind that the profile allows; undefined stands for a profile that allows none.
   * @throws PolicyError `key-not-allowed` where there is no kind of key to make; UpstreamError `overloaded`
   */
  async make(algorithm: PublicKeyAlgorithm | undefined): Promise<DeviceKey> {
    if (algorithm === undefined) {
      throw new PolicyError('key-not-allowed', 'the profile allows no such key to be made here');
    }
    if (this.#running >= AT_ONCE) {
      throw new UpstreamError('overloaded', 'too many keys are being made', { retryAfterSeconds: COME_BACK_SECONDS });
    }
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
