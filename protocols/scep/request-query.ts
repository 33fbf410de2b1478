import { PeerError } from '../../core/errors/muster-error.ts';
import { MAX_MESSAGE_OCTETS } from './pki-message.ts';

/** Operations of the query string (RFC 8894 §4.1). */
export const OPERATIONS = ['GetCACaps', 'GetCACert', 'GetNextCACert', 'PKIOperation'] as const;
export type Operation = (typeof OPERATIONS)[number];

/** Characters of a message in a query (SC-41). */
const MAX_GET_MESSAGE = 64 * 1024;

/** A query string, its `message` as it came. */
export interface ScepQuery {
  readonly operation: Operation;
  readonly message: string;
}

/**
 * Reads the raw query string (without `?`), because a parser of forms turns the `+` of base64 into a space (S5). Names and
 * operations are taken in any case; the `message` of the other operations names what each client likes, and nothing is
 * made of it (S6).
 * @throws PeerError `unsupported-operation`, `malformed-request`, `too-large`
 */
export function parseQuery(query: string): ScepQuery {
  const parameters = new Map<string, string>();
  for (const parameter of query.split('&')) {
    const at = parameter.indexOf('=');
    const name = (at === -1 ? parameter : parameter.slice(0, at)).toLowerCase();
    if (!parameters.has(name)) parameters.set(name, at === -1 ? '' : parameter.slice(at + 1));
  }
  const asked = parameters.get('operation');
  if (asked === undefined) throw new PeerError('malformed-request', `expected operation=${OPERATIONS.join(' or ')}`);
  const name = percentDecode(asked).trim().toLowerCase();
  const operation = OPERATIONS.find((known) => known.toLowerCase() === name);
  if (operation === undefined) throw new PeerError('unsupported-operation', `expected ${OPERATIONS.join(' or ')}`);
  const message = parameters.get('message') ?? '';
  if (message.length > MAX_GET_MESSAGE) {
    throw new PeerError('too-large', `expected a message of at most ${MAX_GET_MESSAGE} characters`);
  }
  return { operation, message };
}

/**
 * The message of a GET (RFC 8894 §4.1), in any of the ways devices break base64 (S5): new lines, `+` and `/` not escaped or
 * lost to spaces, escaped twice, the URL-safe alphabet, no padding.
 * @throws PeerError `bad-encoding`
 */
export function decodeGetMessage(message: string): Uint8Array {
  const once = percentDecode(message);
  const text = once.includes('%') ? percentDecode(once) : once;
  // A space was a plus sign, save behind the padding.
  return decodeBase64(
    text
      .replaceAll(/[\r\n\t]/g, '')
      .replace(/= +$/, '=')
      .replaceAll(' ', '+'),
  );
}

/**
 * The message of a POST: CMS in binary whatever its media type says (S7), or base64, which begins with M: an indefinite
 * length makes it `MIA`, a definite one `MII`.
 * @throws PeerError `bad-encoding`
 */
export function decodePostMessage(body: Uint8Array): Uint8Array {
  if (body[0] !== 0x4d) return body;
  return decodeBase64(
    Buffer.from(body)
      .toString('latin1')
      .replaceAll(/[\r\n\t ]/g, ''),
  );
}

const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;

function decodeBase64(text: string): Uint8Array {
  const standard = text.replaceAll('-', '+').replaceAll('_', '/');
  if (!BASE64.test(standard))
    throw new PeerError('bad-encoding', 'expected a message in base64, found other characters');
  const octets = new Uint8Array(Buffer.from(standard, 'base64'));
  if (octets.length > MAX_MESSAGE_OCTETS) throw new PeerError('too-large', 'the message is too large');
  return octets;
}

/** Percent-encoding as it comes, octet by octet; what is not one stays. */
function percentDecode(text: string): string {
  return text.replaceAll(/%([0-9A-Fa-f]{2})/g, (_all, hex: string) => String.fromCodePoint(Number.parseInt(hex, 16)));
}
