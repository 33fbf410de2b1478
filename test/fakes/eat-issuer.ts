import { type KeyObject, sign } from 'node:crypto';
import { encode, Tagged } from 'cborg';
import { makeKey, publicKeyOf, type TestKeyKind } from '../support/test-pki.ts';

/** A map of CBOR: integers or texts as labels. */
export type CborEntries = ReadonlyMap<number | string, unknown>;

/** How a token is to differ from the right one. */
export interface TokenOptions {
  readonly protectedHeader?: CborEntries;
  readonly unprotectedHeader?: CborEntries;
  /** Tags around the four members, innermost first; 18 is COSE_Sign1, 61 a CWT. */
  readonly tags?: readonly number[];
  /** The last word on the signature. */
  readonly alter?: (signature: Uint8Array) => Uint8Array;
}

/** Labels of the claims that tests write. */
export const EAT = {
  exp: 4,
  nbf: 5,
  cnf: 8,
  nonce: 10,
  ueid: 256,
  model: 259,
  debug: 263,
  profile: 265,
  measurements: 273,
} as const;

const ALGORITHMS: Partial<Record<TestKeyKind, { readonly cose: number; readonly digest: string | null }>> = {
  'ec-p256': { cose: -7, digest: 'sha256' },
  'ec-p384': { cose: -35, digest: 'sha384' },
  ed25519: { cose: -8, digest: null },
};

/** Signs Entity Attestation Tokens as COSE_Sign1 (RFC 9052 §4.2). */
export class EatIssuer {
  readonly #kind: TestKeyKind;
  readonly key: KeyObject;

  constructor(kind: TestKeyKind = 'ec-p256') {
    this.#kind = kind;
    this.key = makeKey(kind);
  }

  get publicKey(): ReturnType<typeof publicKeyOf> {
    return publicKeyOf(this.key);
  }

  /** A token over a map of claims, or over any payload. */
  token(claims: CborEntries | Uint8Array, options: TokenOptions = {}): Uint8Array {
    const { cose, digest } = ALGORITHMS[this.#kind]!;
    const payload = claims instanceof Uint8Array ? claims : encode(claims);
    const header = encode(options.protectedHeader ?? new Map([[1, cose]]));
    const toBeSigned = encode(['Signature1', header, new Uint8Array(), payload]);
    const signature = new Uint8Array(sign(digest, toBeSigned, { key: this.key, dsaEncoding: 'ieee-p1363' }));
    const members = [header, options.unprotectedHeader ?? new Map(), payload, options.alter?.(signature) ?? signature];
    return encode((options.tags ?? [18]).reduce((content: unknown, tag) => new Tagged(tag, content), members));
  }
}

/** A COSE_Key of a public key, for `cnf`. */
export function coseKey(key: KeyObject): CborEntries {
  const { kty, x, y, n, e, crv } = key.export({ format: 'jwk' });
  const octets = (text: string | undefined): Uint8Array => new Uint8Array(Buffer.from(text ?? '', 'base64url'));
  const curve = { 'P-256': 1, 'P-384': 2, 'P-521': 3 }[crv ?? ''];
  if (kty === 'RSA')
    return new Map<number, unknown>([
      [1, 3],
      [-1, octets(n)],
      [-2, octets(e)],
    ]);
  if (kty === 'OKP')
    return new Map<number, unknown>([
      [1, 1],
      [-1, 6],
      [-2, octets(x)],
    ]);
  return new Map<number, unknown>([
    [1, 2],
    [-1, curve],
    [-2, octets(x)],
    [-3, octets(y)],
  ]);
}
