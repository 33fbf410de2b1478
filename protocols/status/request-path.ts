import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { PeerError } from '../../core/errors/muster-error.ts';
import { decodeOcspRequest, MAX_REQUEST_OCTETS, type OcspRequest } from './messages.ts';

/** What a path below `/ocsp/` says. */
export interface StatusPath {
  /** Id of the authority. */
  readonly authority: string;
  /** The request of a GET, still encoded; empty for a POST. */
  readonly encoded: string;
}

const PATH = /^\/+ocsp\/+([0-9a-f-]{36})(?:\/+([^?#]*))?(?:[?#].*)?$/;

/** Splits the path of an OCSP request; `undefined` where it names no authority. */
export function parseStatusPath(url: string): StatusPath | undefined {
  const [, authority, encoded = ''] = PATH.exec(url) ?? [];
  return authority === undefined ? undefined : { authority, encoded };
}

const BASE64 = /^[A-Za-z0-9+/_-]+={0,2}$/;
/** Bounds of what is tried for slashes that a proxy took away. */
const MAX_REPAIRS = 100;
const MAX_SLASHES = 20;

/**
 * Decodes the request of a GET (RFC 6960 appendix A.1: base64, URL-encoded). Taken as well: slashes and pluses that were not
 * escaped, pluses that became spaces, missing padding, and slashes that a proxy made one of two.
 */
export function decodeGetRequest(encoded: string): OcspRequest {
  const text = unescaped(encoded).replaceAll(' ', '+').replace(/=+$/, '');
  if (!BASE64.test(text) || text.length > MAX_REQUEST_OCTETS * 2) {
    throw new PeerError('bad-encoding', 'base64 of an OCSPRequest was expected in the path');
  }
  let fault: unknown;
  for (const candidate of spellings(text)) {
    try {
      return decodeOcspRequest(Buffer.from(candidate, 'base64'));
    } catch (error) {
      // A request that is whole and refused for what it asks is not repaired.
      if (!(error instanceof Asn1Error)) throw error;
      fault ??= error;
    }
  }
  throw fault;
}

function unescaped(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch {
    throw new PeerError('bad-encoding', 'the escapes of the path are not those of a URL');
  }
}

/** The text itself, then with one slash doubled, then with two. */
function* spellings(text: string): Iterable<string> {
  yield text;
  const once = doubled(text);
  yield* once.slice(0, MAX_REPAIRS);
  yield* once.flatMap(doubled).slice(0, MAX_REPAIRS);
}

function doubled(text: string): string[] {
  const candidates: string[] = [];
  for (let at = text.indexOf('/'); at !== -1 && candidates.length < MAX_SLASHES; at = text.indexOf('/', at + 1)) {
    candidates.push(`${text.slice(0, at)}/${text.slice(at)}`);
  }
  return candidates;
}
