import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';

import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { findKeyWeakness } from '../../core/x509/key-weakness.ts';
import { parseSubjectPublicKeyInfo, type SubjectPublicKeyInfo } from '../../core/x509/public-key.ts';
import { fromBase64url, type JsonObject, requiredString } from './json.ts';
import { AcmeProblem } from './problem.ts';

/** The signature algorithms of requests (RFC 7518 §3.1, RFC 8037 §3.1): none with MACs, and not `none`. */
export const JWS_ALGORITHMS = ['ES256', 'ES384', 'ES512', 'RS256', 'EdDSA'] as const;
export type JwsAlgorithm = (typeof JWS_ALGORITHMS)[number];

/** A public key that signs requests. */
export interface AccountKey {
  /** JSON of the members that RFC 7638 §3.2 takes, in its order: what is kept, and what the thumbprint covers. */
  readonly jwk: string;
  /** SHA-256 of it in base64url (RFC 8555 §8.1). */
  readonly thumbprint: string;
  readonly algorithm: JwsAlgorithm;
  readonly publicKey: SubjectPublicKeyInfo;
  /** Whether a signature verifies, looked at beside the event loop. Never rejects. */
  verify(data: Uint8Array, signature: Uint8Array): Promise<boolean>;
}

interface KeyKind {
  readonly algorithm: JwsAlgorithm;
  readonly hash: string | null;
  /** The members a JWK of this kind must have, in lexicographic order. */
  readonly members: readonly string[];
}

const EC_MEMBERS = ['crv', 'kty', 'x', 'y'];
const KINDS: Readonly<Record<string, KeyKind>> = {
  'EC P-256': { algorithm: 'ES256', hash: 'sha256', members: EC_MEMBERS },
  'EC P-384': { algorithm: 'ES384', hash: 'sha384', members: EC_MEMBERS },
  'EC P-521': { algorithm: 'ES512', hash: 'sha512', members: EC_MEMBERS },
  'OKP Ed25519': { algorithm: 'EdDSA', hash: null, members: ['crv', 'kty', 'x'] },
  RSA: { algorithm: 'RS256', hash: 'sha256', members: ['e', 'kty', 'n'] },
};
const RSA_BITS = { min: 2048, max: 4096 };
/** Octets of a coordinate or modulus in base64url that are looked at at all. */
const MAX_MEMBER = 1024;

/**
 * Reads a JWK (RFC 7517) that is to sign requests.
 * @throws AcmeProblem `badPublicKey`, or `malformed` for what is no JWK.
 */
export function parseAccountKey(jwk: JsonObject): AccountKey {
  const type = requiredString(jwk, 'kty');
  const name = type === 'RSA' ? type : `${type} ${requiredString(jwk, 'crv')}`;
  const kind = Object.hasOwn(KINDS, name) ? KINDS[name] : undefined;
  if (kind === undefined)
    throw badKey('expected an EC key on P-256, P-384 or P-521, an RSA key or an Ed25519 key, found another');
  if (Object.hasOwn(jwk, 'd')) throw badKey('the JWK holds a private key; take it out of use');
  const members = kind.members.map((member) => [member, requiredString(jwk, member)] as const);
  for (const [member, value] of members) {
    if (member.length > 1) continue;
    if (value.length > MAX_MEMBER) throw badKey(`${member}: expected at most ${MAX_MEMBER} characters`);
    fromBase64url(value, member);
  }
  return accountKeyOf(JSON.stringify(Object.fromEntries(members)), kind);
}

/** The account key of a JWK that was stored. */
export function restoreAccountKey(jwk: string): AccountKey {
  return parseAccountKey(JSON.parse(jwk) as JsonObject);
}

function accountKeyOf(jwk: string, kind: KeyKind): AccountKey {
  const key = keyObject(jwk);
  const publicKey = requireStrong(key);
  return {
    jwk,
    thumbprint: createHash('sha256').update(jwk).digest('base64url'),
    algorithm: kind.algorithm,
    publicKey,
    verify: (data, signature) => verifies(kind, key, data, signature),
  };
}

function keyObject(jwk: string): KeyObject {
  try {
    return createPublicKey({ key: JSON.parse(jwk) as Record<string, string>, format: 'jwk' });
  } catch (error) {
    throw badKey('the JWK is no valid key', error);
  }
}

function requireStrong(key: KeyObject): SubjectPublicKeyInfo {
  let publicKey: SubjectPublicKeyInfo;
  try {
    publicKey = parseSubjectPublicKeyInfo(key.export({ type: 'spki', format: 'der' }));
  } catch (error) {
    if (error instanceof Asn1Error) throw badKey(error.message, error);
    throw error;
  }
  const { algorithm } = publicKey;
  if (algorithm.kind === 'rsa' && (algorithm.bits < RSA_BITS.min || algorithm.bits > RSA_BITS.max))
    throw badKey(`expected an RSA key of ${RSA_BITS.min} to ${RSA_BITS.max} bits, found ${algorithm.bits}`);
  const weakness = findKeyWeakness(publicKey);
  if (weakness !== undefined) throw badKey(`the key is weak: ${weakness.detail}`);
  return publicKey;
}

function verifies({ hash }: KeyKind, key: KeyObject, data: Uint8Array, signature: Uint8Array): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  // RFC 7518 §3.4: R and S side by side, not DER. The other kinds do not look at dsaEncoding.
  verify(hash, data, { key, dsaEncoding: 'ieee-p1363' }, signature, (error, valid) => resolve(error === null && valid));
  return promise;
}

function badKey(message: string, cause?: unknown): AcmeProblem {
  return new AcmeProblem('badPublicKey', message, {
    members: { algorithms: JWS_ALGORITHMS },
    ...(cause !== undefined && { cause }),
  });
}
