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
 * What the path of a GET may mean (RFC 6960 appendix A.1: base64, URL-encoded): the request that it is, or, where it is none, every
 * request that it may have been before a proxy made one slash of two. Taken as well: slashes and pluses that were not
 * escaped, pluses that became spaces, missing padding.
 */
export function decodeGetRequest(encoded: string): readonly [OcspRequest, ...OcspRequest[]] {
  const text = unescaped(encoded).replaceAll(' ', '+').replace(/=+$/, '');
  if (!BASE64.test(text) || text.length > MAX_REQUEST_OCTETS * 2) {
    throw new PeerError('bad-encoding', 'base64 of an OCSPRequest was expected in the path');
  }
  try {
    return [decodeOcspRequest(Buffer.from(text, 'base64'))];
  } catch (error) {
    // A request that is whole and refused for what it asks is not repaired.
    if (!(error instanceof Asn1Error)) throw error;
    const [first, ...rest] = repaired(text);
    if (first === undefined) throw error;
    return [first, ...rest];
  }
}

function unescaped(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch {
    throw new PeerError('bad-encoding', 'the escapes of the path are not those of a URL');
  }
}

/** What the text says with one slash doubled, or with two. */
function repaired(text: string): OcspRequest[] {
  const once = doubled(text);
  const requests = once.flatMap(wholeRequest);
  return requests.length > 0 ? requests : once.flatMap(doubled).slice(0, MAX_REPAIRS).flatMap(wholeRequest);
}

function wholeRequest(text: string): OcspRequest[] {
  try {
    return [decodeOcspRequest(Buffer.from(text, 'base64'))];
  } catch {
    return [];
  }
}

function doubled(text: string): string[] {
  const candidates: string[] = [];
  for (let at = text.indexOf('/'); at !== -1 && candidates.length < MAX_SLASHES; at = text.indexOf('/', at + 1)) {
    candidates.push(`${text.slice(0, at)}/${text.slice(at)}`);
  }
  return candidates;
}
