import type { KeyAlgorithm } from './key-algorithm.ts';

/** A value now, or later: what runs in this thread answers at once. */
export type MaybePromise<T> = T | Promise<T>;

/** How a key is found in its token: by CKA_ID (lower-case hex), by CKA_LABEL, or by both. */
export interface KeyReference {
  readonly id: string | undefined;
  readonly label: string | undefined;
}

/** What a pair may be used for. */
export type KeyUsage = 'sign' | 'decrypt' | 'sign-and-decrypt';

/** What the token says about who can ever see or change the key; `undefined` where it does not tell. */
export interface KeyProtection {
  readonly sensitive: boolean | undefined;
  readonly extractable: boolean | undefined;
  readonly alwaysSensitive: boolean | undefined;
  readonly neverExtractable: boolean | undefined;
  /** Generated inside the token. */
  readonly local: boolean | undefined;
  readonly modifiable: boolean | undefined;
}

/** A private key as its token describes it. */
export interface KeyObject {
  /** CKA_ID, lower-case hex; empty when it has none. */
  readonly id: string;
  readonly label: string;
  readonly algorithm: KeyAlgorithm;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
  readonly usages: { readonly sign: boolean; readonly decrypt: boolean; readonly unwrap: boolean };
  readonly protection: KeyProtection;
}

/** The signature schemes of tokens; all but the last two take a digest (`rsa-pkcs1`: a DigestInfo). */
export type SignMechanism =
  | 'ecdsa'
  | 'rsa-pkcs1'
  | 'rsa-pss-sha256'
  | 'rsa-pss-sha384'
  | 'rsa-pss-sha512'
  | 'eddsa'
  | 'ml-dsa';

/** How a message was padded before RSA encryption: RFC 8017 §7.2, or §7.1 with this hash for OAEP and MGF1. */
export type RsaPadding = 'pkcs1' | 'oaep-sha1' | 'oaep-sha256' | 'oaep-sha384' | 'oaep-sha512';

export interface GenerateRequest {
  readonly algorithm: KeyAlgorithm;
  readonly label: string;
  readonly usage: KeyUsage;
}

/** What a token tells about itself when it is connected. */
export interface TokenFacts {
  readonly label: string;
  readonly manufacturer: string;
  readonly model: string;
  readonly serialNumber: string;
  /** `raw`: offers CKM_RSA_X_509 for decryption; `unwrap`: does not. */
  readonly rsaDecryption: 'raw' | 'unwrap';
  /** Sessions that may be open at once, as configured and as the token allows. */
  readonly sessions: number;
}

/**
 * One token, in this process or behind the signer process. Every method throws (or rejects with) TokenFault only; none
 * queues, retries later or gives up: that is what TokenConnection is for.
 */
export interface TokenBackend {
  /** Whether the module runs in another process, where it can hang and be killed. */
  readonly remote: boolean;
  /** Initialises (again, if need be), logs in, forgets every handle. */
  connect(): Promise<TokenFacts>;
  /** The raw signature: r ‖ s for ECDSA. */
  sign(key: KeyReference, mechanism: SignMechanism, input: Uint8Array): MaybePromise<Uint8Array>;
  /** The bare RSA private operation on as many octets as the modulus has. */
  decryptRaw(key: KeyReference, ciphertext: Uint8Array): MaybePromise<Uint8Array>;
  /** Decryption by the token, padding included; `undefined` when the token did not find `length` octets in it. */
  unwrap(
    key: KeyReference,
    padding: RsaPadding,
    ciphertext: Uint8Array,
    length: number,
  ): MaybePromise<Uint8Array | undefined>;
  generate(request: GenerateRequest): MaybePromise<KeyObject>;
  find(key: KeyReference): MaybePromise<readonly KeyObject[]>;
  /** A round trip to the token and nothing else. */
  ping(): MaybePromise<void>;
  /** Ends whatever hangs, at once; `connect` starts anew. */
  abandon(): void;
  close(): Promise<void>;
}
