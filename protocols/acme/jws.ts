import { createHmac, timingSafeEqual } from 'node:crypto';

import type { Secret } from '../../core/keys/secret.ts';
import { type AccountKey, JWS_ALGORITHMS, type JwsAlgorithm, parseAccountKey } from './account-key.ts';
import { asObject, fromBase64url, type JsonObject, optionalString, parseObject, requiredString } from './json.ts';
import { AcmeProblem } from './problem.ts';

/** A JWS in flattened JSON (RFC 7515 §7.2.2), its signature not yet verified. */
export interface Jws {
  readonly algorithm: string;
  /** The key itself, or the URL of the account that has it: one of them (RFC 8555 §6.2). */
  readonly signer: { readonly kind: 'jwk'; readonly key: JsonObject } | { readonly kind: 'kid'; readonly kid: string };
  readonly nonce: string | undefined;
  readonly url: string;
  /** Empty for POST-as-GET. */
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
  /** What the signature covers. */
  readonly signed: Uint8Array;
}

/**
 * Reads a JWS (RFC 8555 §6.2): one signature, every header protected, no extension that must be understood.
 * @throws AcmeProblem `malformed`.
 */
export function parseJws(object: JsonObject): Jws {
  if (Object.hasOwn(object, 'header')) throw new AcmeProblem('malformed', 'JWS: expected no unprotected header');
  if (Object.hasOwn(object, 'signatures')) throw new AcmeProblem('malformed', 'JWS: expected one signature, flattened');
  const protectedText = requiredString(object, 'protected');
  const payloadText = requiredString(object, 'payload');
  const header = parseObject(fromBase64url(protectedText, 'protected'), 'protected');
  // RFC 7797: an unencoded payload would be signed as other octets than we verify.
  if (Object.hasOwn(header, 'crit') || Object.hasOwn(header, 'b64'))
    throw new AcmeProblem('malformed', 'JWS: expected no critical header');
  return {
    algorithm: requiredString(header, 'alg'),
    signer: signerOf(header),
    nonce: optionalString(header, 'nonce'),
    url: requiredString(header, 'url'),
    payload: fromBase64url(payloadText, 'payload'),
    signature: fromBase64url(requiredString(object, 'signature'), 'signature'),
    signed: Buffer.from(`${protectedText}.${payloadText}`, 'latin1'),
  };
}

/** The key a JWS carries. @throws AcmeProblem `malformed` when it names an account instead. */
export function carriedKey({ signer }: Jws): AccountKey {
  if (signer.kind === 'jwk') return parseAccountKey(signer.key);
  throw new AcmeProblem('malformed', 'JWS: expected a jwk, found a kid');
}

/**
 * Whether the algorithm is one of ours, before anything is looked up (RFC 8555 §6.2).
 * @throws AcmeProblem `badSignatureAlgorithm` with what is taken.
 */
export function requireAlgorithm({ algorithm }: Jws): void {
  if (!JWS_ALGORITHMS.includes(algorithm as JwsAlgorithm)) throw badAlgorithm();
}

/** @throws AcmeProblem `badSignatureAlgorithm` for an algorithm of another key, `malformed` for a wrong signature. */
export async function verifyJws({ algorithm, signed, signature }: Jws, key: AccountKey): Promise<void> {
  if (algorithm !== key.algorithm) throw badAlgorithm();
  // RFC 8555 names no type for it; Boulder and Pebble answer so.
  if (!(await key.verify(signed, signature)))
    throw new AcmeProblem('malformed', 'the signature of the request does not verify');
}

/** Whether an HS256 signature verifies (RFC 8555 §7.3.4), the key in base64url. */
export function macVerifies({ signed, signature }: Jws, key: Secret): boolean {
  const expected = createHmac('sha256', Buffer.from(key.reveal(), 'base64url')).update(signed).digest();
  return signature.length === expected.length && timingSafeEqual(signature, expected);
}

function signerOf(header: JsonObject): Jws['signer'] {
  const kid = optionalString(header, 'kid');
  if ((kid !== undefined) === Object.hasOwn(header, 'jwk'))
    throw new AcmeProblem('malformed', 'JWS: expected either a jwk or a kid');
  return kid === undefined ? { kind: 'jwk', key: asObject(header['jwk'], 'jwk') } : { kind: 'kid', kid };
}

function badAlgorithm(): AcmeProblem {
  const message = `expected the algorithm of the key, one of ${JWS_ALGORITHMS.join(', ')}`;
  return new AcmeProblem('badSignatureAlgorithm', message, { members: { algorithms: JWS_ALGORITHMS } });
}
