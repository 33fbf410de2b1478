import { PeerError } from '../errors/muster-error.ts';

/** A key's address: a `pkcs11:` URI (RFC 7512) that names its token and the key in it. */
export type KeyUri = string & { readonly brand: 'KeyUri' };

/** What of RFC 7512 names a key here: its token by label, the key by CKA_LABEL (`object`), by CKA_ID (`id`), or by both. */
export interface KeyUriParts {
  readonly token: string;
  readonly object?: string | undefined;
  /** CKA_ID, lower-case hex. */
  readonly id?: string | undefined;
}

const SCHEME = 'pkcs11:';
const MAX_OCTETS = 2048;
/** RFC 7512 §2.3: pk11-pchar, unescaped, without `&` (allowed in the path only) and "=" (allowed in values). */
const VALUE = /^(?:[A-Za-z0-9\-._~:[\]@!$'()*+,=&]|%[0-9A-Fa-f]{2})*$/;
const KNOWN: readonly string[] = ['token', 'object', 'id', 'type'];

/**
 * Reads a key's URI. Throws PeerError `malformed-request` when it is not RFC 7512, lacks the token or the key, names the key by
 * anything else (an attribute that is not understood must not be ignored), or carries a PIN (`pin-value` and `pin-source`
 * do not belong where addresses are printed).
 */
export function parseKeyUri(text: string): KeyUriParts & { readonly uri: KeyUri } {
  if (text.length > MAX_OCTETS) throw fault(`at most ${MAX_OCTETS} characters`, `${text.length}`);
  if (text.slice(0, SCHEME.length).toLowerCase() !== SCHEME) throw fault('the scheme pkcs11:', 'another');
  const attributes = parsePath(text.slice(SCHEME.length));
  const type = attributes.get('type')?.toString('utf8');
  if (type !== undefined && type !== 'private') throw fault('type=private', 'another type');
  const token = textOf(attributes, 'token');
  const object = textOf(attributes, 'object');
  const id = attributes.get('id')?.toString('hex');
  if (token === undefined || token === '') throw fault('a token', 'none');
  if (!object && !id) throw fault('an object or an id', 'neither');
  const parts = { token, ...(object ? { object } : {}), ...(id ? { id } : {}) };
  return { ...parts, uri: formatKeyUri(parts) };
}

/** Writes a key's URI: attributes in one order, everything but unreserved characters escaped, so that equal keys have equal URIs. */
export function formatKeyUri({ token, object, id }: KeyUriParts): KeyUri {
  const attributes = [
    `token=${escape(Buffer.from(token, 'utf8'))}`,
    object === undefined ? undefined : `object=${escape(Buffer.from(object, 'utf8'))}`,
    // RFC 7512 §2.3: every octet of an id SHOULD be escaped.
    id === undefined ? undefined : `id=${id.replace(/../g, (hex) => `%${hex.toUpperCase()}`)}`,
  ];
  return (SCHEME + attributes.filter((attribute) => attribute !== undefined).join(';')) as KeyUri;
}

function parsePath(path: string): Map<string, Buffer> {
  if (path.includes('?')) throw fault('no query attributes', 'some (a PIN belongs in the settings of the token)');
  const attributes = new Map<string, Buffer>();
  for (const attribute of path.split(';')) {
    const at = attribute.indexOf('=');
    const name = at === -1 ? attribute : attribute.slice(0, at);
    const value = attribute.slice(at + 1);
    if (at === -1 || !VALUE.test(value)) throw fault('attributes name=value, escaped as RFC 7512 asks', 'others');
    if (!KNOWN.includes(name)) throw fault(`the attributes ${KNOWN.join(', ')}`, 'another');
    // RFC 7512 §2.3: an attribute MUST NOT be given twice.
    if (attributes.has(name)) throw fault(`one ${name}`, 'two');
    attributes.set(name, unescape(value));
  }
  return attributes;
}

function textOf(attributes: ReadonlyMap<string, Buffer>, name: string): string | undefined {
  const octets = attributes.get(name);
  if (octets === undefined) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(octets);
  } catch {
    throw fault(`UTF-8 in ${name}`, 'other octets');
  }
}

function escape(octets: Buffer): string {
  const escaped = (octet: number): string => `%${octet.toString(16).toUpperCase().padStart(2, '0')}`;
  return Array.from(octets, (octet) => {
    const character = String.fromCharCode(octet);
    return /[A-Za-z0-9\-._~]/.test(character) ? character : escaped(octet);
  }).join('');
}

function unescape(value: string): Buffer {
  const hex = value.replace(
    /%([0-9A-Fa-f]{2})|(.)/g,
    (_all, escaped: string | undefined, plain: string) => escaped ?? plain.charCodeAt(0).toString(16).padStart(2, '0'),
  );
  return Buffer.from(hex, 'hex');
}

function fault(expected: string, found: string): PeerError {
  return new PeerError('malformed-request', `key URI: expected ${expected}, came ${found}`);
}
