import { PeerError } from '../../core/errors/muster-error.ts';

/** The media type of nonce requests and answers (draft-ietf-lamps-attestation-freshness §7.1). */
export const FRESHNESS = 'application/est-attestation-freshness+json';

/** Octets of a nonce (§5). */
const NONCE_OCTETS = { min: 8, max: 64 };
/** A request names a length and a type of evidence; what the type may add is not looked at, and not much. */
const MAX_REQUEST_OCTETS = 4096;

const decoder = new TextDecoder('utf-8', { fatal: true });

/**
 * Reads the body of POST /nonce: how many octets the nonce shall have, where the device says so. Members that only some type of
 * evidence understands are allowed, and ignored.
 *
 * @throws PeerError `malformed-request`, `too-large`
 */
export function decodeNonceRequest(body: Uint8Array): number | undefined {
  if (body.length > MAX_REQUEST_OCTETS)
    throw new PeerError('too-large', `nonce: expected at most ${MAX_REQUEST_OCTETS} octets`);
  const { len } = parseObject(body);
  if (len === undefined) return undefined;
  if (Number.isInteger(len) && Number(len) >= NONCE_OCTETS.min && Number(len) <= NONCE_OCTETS.max) return Number(len);
  throw new PeerError('malformed-request', `len: expected ${NONCE_OCTETS.min} to ${NONCE_OCTETS.max}`);
}

/** The answer: the nonce in base64url, empty where evidence need hold none, and the seconds it lives. */
export function encodeNonceResponse(nonce: Uint8Array, expirySeconds: number): Uint8Array {
  const text = Buffer.from(nonce).toString('base64url');
  return Buffer.from(JSON.stringify(nonce.length === 0 ? { nonce: text } : { nonce: text, expiry: expirySeconds }));
}

function parseObject(body: Uint8Array): { readonly len?: unknown } {
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(body));
  } catch (error) {
    throw new PeerError('malformed-request', 'nonce: expected JSON in UTF-8', { cause: error });
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw new PeerError('malformed-request', 'nonce: expected a JSON object');
}
