import { constants, type KeyObject, privateDecrypt, randomBytes } from 'node:crypto';

import { InternalError, PolicyError, UpstreamError } from '../../core/errors/muster-error.ts';
import type { GenerateKey, KeyStore, TokenHealth, TokenKey, TokenKeyDescription } from '../../core/keys/key-store.ts';
import { formatKeyUri, type KeyUri, parseKeyUri } from '../../core/keys/key-uri.ts';
import { RsaDecryption, type RsaPrivateOperations } from '../../core/keys/rsa-decryption.ts';
import { spkiSha256 } from '../../core/x509/public-key.ts';
import { makeKey, publicKeyOf, signWith } from '../support/test-pki.ts';

/** What a token may do to whoever asks it. */
export type TokenFault =
  /** Answers like a token that is gone. */
  | 'away'
  /** Answers nothing until the fault is taken away. */
  | 'hung'
  /** Answers with a signature of something else, as a broken or lying token does. */
  | 'wrong-signature'
  /** Signs, and loses the answer on the way back. */
  | 'signed-but-away';

/**
 * A KeyStore whose keys are node:crypto's: it signs as a token does, remembers what it was given to sign, and misbehaves on
 * request. `fault` holds for every operation of every key, until it is undefined again.
 */
export class FakeKeyStore implements KeyStore {
  /** Everything that was signed, in order, by any key. */
  readonly signed: Uint8Array[] = [];
  /** Operations that reached the token, signed or not. */
  attempts = 0;
  #fault: TokenFault | undefined;
  #recovered = Promise.withResolvers<void>();
  readonly #keys = new Map<string, { readonly key: TokenKey; readonly request: GenerateKey }>();

  get fault(): TokenFault | undefined {
    return this.#fault;
  }

  set fault(fault: TokenFault | undefined) {
    this.#fault = fault;
    this.#recovered.resolve();
    this.#recovered = Promise.withResolvers();
  }

  async generate(request: GenerateKey): Promise<TokenKey> {
    this.#assertThere();
    const kind = request.algorithm;
    const id = randomBytes(8).toString('hex');
    const uri = formatKeyUri({ token: request.token, object: request.label, id });
    const key = this.#keyOf(uri, kind, makeKey(kind));
    this.#keys.set(uri, { key, request });
    return key;
  }

  async open(uri: KeyUri): Promise<TokenKey> {
    this.#assertThere();
    const found = this.#keys.get(parseKeyUri(uri).uri);
    if (!found) throw new InternalError(`the token holds no key ${uri}`);
    return found.key;
  }

  async list(token: string): Promise<TokenKeyDescription[]> {
    return Array.from(this.#keys.values())
      .filter(({ request }) => request.token === token)
      .map(({ key, request: { label } }) => ({
        uri: key.uri,
        label,
        id: parseKeyUri(key.uri).id ?? '',
        algorithm: key.algorithm,
        spkiSha256: spkiSha256(key.publicKey),
        usages: { sign: true, decrypt: false, unwrap: false },
        protection: PROTECTED,
      }));
  }

  health(): TokenHealth[] {
    return [];
  }

  async close(): Promise<void> {
    this.fault = 'away';
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #assertThere(): void {
    if (this.#fault === 'away') throw new UpstreamError('hsm-unavailable', 'the token is away');
  }

  #keyOf(uri: KeyUri, algorithm: GenerateKey['algorithm'], privateKey: KeyObject): TokenKey {
    const publicKey = publicKeyOf(privateKey);
    let decryption: RsaDecryption | undefined;
    return {
      uri,
      algorithm,
      publicKey,
      inMemory: false,
      sign: async (signatureAlgorithm, data) => {
        this.attempts += 1;
        while (this.#fault === 'hung') await this.#recovered.promise;
        this.#assertThere();
        if (this.#fault === 'wrong-signature') return signWith(privateKey, signatureAlgorithm, data.toReversed());
        this.signed.push(data.slice());
        if (this.#fault === 'signed-but-away') throw new UpstreamError('hsm-unavailable', 'the token is away');
        return signWith(privateKey, signatureAlgorithm, data);
      },
      signLegacy: () => Promise.reject(new PolicyError('key-not-allowed', 'this key signs no broken digests')),
      decryptRsa: async (padding, ciphertext, { length }) => {
        this.attempts += 1;
        this.#assertThere();
        decryption ??= new RsaDecryption(publicKey);
        return decryption.decrypt(bareRsa(privateKey), padding, ciphertext, length);
      },
    };
  }
}

function bareRsa(privateKey: KeyObject): RsaPrivateOperations {
  const padding = constants.RSA_NO_PADDING;
  return {
    decryption: 'raw',
    raw: async (block) => privateDecrypt({ key: privateKey, padding }, block),
    unwrap: () => Promise.reject(new InternalError('this token leaves the padding to who asks')),
  };
}

const PROTECTED = {
  sensitive: true,
  extractable: false,
  alwaysSensitive: true,
  neverExtractable: true,
  local: true,
  modifiable: false,
};
