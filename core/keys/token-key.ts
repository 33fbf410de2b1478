import { InternalError, PolicyError } from '../errors/muster-error.ts';
import { type SubjectPublicKeyInfo, parseSubjectPublicKeyInfo } from '../x509/public-key.ts';
import { type SignatureAlgorithm, keyFitsSignatureAlgorithm } from '../x509/signature-algorithm.ts';
import { digestInTurns, isLong } from './digest-in-turns.ts';
import type { KeyAlgorithm } from './key-algorithm.ts';
import type { KeyUri } from './key-uri.ts';
import { RsaDecryption, type RsaPrivateOperations } from './rsa-decryption.ts';
import { legacySignaturePlan, type LegacySignatureAlgorithm, signaturePlan } from './signature-plan.ts';
import type { KeyObject, KeyReference, RsaPadding } from './token-backend.ts';
import type { TokenConnection } from './token-connection.ts';
import type { OperationOptions } from './token-job.ts';

/** A private key in a token. It outlives the token's absences: an operation finds it again. */
export interface TokenKey {
  readonly uri: KeyUri;
  readonly algorithm: KeyAlgorithm;
  readonly publicKey: SubjectPublicKeyInfo;
  /** The token lives in this host's memory (SoftHSM, NSS): its signatures are made by the CPU that would verify them. */
  readonly inMemory: boolean;
  /**
   * Signs data (not a digest); the result has the form of X.509's signatureValue: Ecdsa-Sig-Value in DER for ECDSA. Rejects
   * with PolicyError `key-not-allowed` for an algorithm that does not fit the key or its token, with UpstreamError
   * `hsm-unavailable`, `hsm-pin-refused` or `overloaded`, or with the reason of the signal.
   */
  sign(algorithm: SignatureAlgorithm, data: Uint8Array, options: OperationOptions): Promise<Uint8Array>;
  /** Signs with an RSA key over a broken digest, for devices that know no other; rejects as {@link TokenKey.sign} does. */
  signLegacy(algorithm: LegacySignatureAlgorithm, data: Uint8Array, options: OperationOptions): Promise<Uint8Array>;
  /**
   * Decrypts what RSA encrypted for this key: exactly `length` octets, such as the key of a content cipher. A ciphertext that is
   * wrong in any way yields `length` octets that look random, never an error; `length` must not come from what only a
   * right ciphertext could tell.
   */
  decryptRsa(
    padding: RsaPadding,
    ciphertext: Uint8Array,
    options: OperationOptions & { readonly length: number },
  ): Promise<Uint8Array>;
}

/** A key as its token described it, on that token's connection. */
export class ConnectedKey implements TokenKey {
  readonly uri: KeyUri;
  readonly algorithm: KeyAlgorithm;
  readonly publicKey: SubjectPublicKeyInfo;
  readonly inMemory: boolean;
  readonly #connection: TokenConnection;
  readonly #reference: KeyReference;
  readonly #decrypts: boolean;
  #decryption: RsaDecryption | undefined;

  constructor(
    connection: TokenConnection,
    uri: KeyUri,
    { id, label, algorithm, spki, usages }: KeyObject,
    inMemory: boolean,
  ) {
    this.uri = uri;
    this.inMemory = inMemory;
    this.algorithm = algorithm;
    this.publicKey = parseSubjectPublicKeyInfo(spki);
    this.#connection = connection;
    this.#reference = id === '' ? { id: undefined, label } : { id, label: undefined };
    this.#decrypts = usages.decrypt || usages.unwrap;
  }

  async sign(algorithm: SignatureAlgorithm, data: Uint8Array, options: OperationOptions): Promise<Uint8Array> {
    const plan = signaturePlan(algorithm);
    if (plan === undefined || !keyFitsSignatureAlgorithm(this.publicKey.algorithm, algorithm)) {
      throw new PolicyError('key-not-allowed', `a key of kind ${this.algorithm} does not sign with ${algorithm}`);
    }
    const { digested } = plan;
    const input =
      digested && isLong(data) ? digested.input(await digestInTurns(digested.hashName, data)) : plan.input(data);
    return plan.output(
      await this.#connection.submit((token) => token.sign(this.#reference, plan.mechanism, input), options),
    );
  }

  async signLegacy(
    algorithm: LegacySignatureAlgorithm,
    data: Uint8Array,
    options: OperationOptions,
  ): Promise<Uint8Array> {
    if (this.publicKey.algorithm.kind !== 'rsa') {
      throw new PolicyError('key-not-allowed', `a key of kind ${this.algorithm} does not sign with ${algorithm}`);
    }
    const { mechanism, input } = legacySignaturePlan(algorithm);
    const digestInfo = input(data);
    return this.#connection.submit((token) => token.sign(this.#reference, mechanism, digestInfo), options);
  }

  async decryptRsa(
    padding: RsaPadding,
    ciphertext: Uint8Array,
    { length, ...options }: OperationOptions & { readonly length: number },
  ): Promise<Uint8Array> {
    if (this.publicKey.algorithm.kind !== 'rsa' || !this.#decrypts) {
      throw new InternalError(`the key ${this.uri} is not one to decrypt with`);
    }
    this.#decryption ??= new RsaDecryption(this.publicKey);
    return this.#decryption.decrypt(this.#operations(options), padding, ciphertext, length);
  }

  #operations(options: OperationOptions): RsaPrivateOperations {
    const connection = this.#connection;
    return {
      decryption: connection.facts?.rsaDecryption ?? 'raw',
      raw: async (block) => connection.submit((token) => token.decryptRaw(this.#reference, block), options),
      unwrap: async (padding, ciphertext, length) =>
        connection.submit((token) => token.unwrap(this.#reference, padding, ciphertext, length), options),
    };
  }
}
