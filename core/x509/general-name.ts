import {
  any,
  choice,
  explicit,
  ia5String,
  implicit,
  octetString,
  oid,
  type Schema,
  sequenceOf,
} from '../asn1/schema.ts';
import { isOid } from '../asn1/oid.ts';
import { ipAddressFromText, ipAddressToText } from './ip-address.ts';
import { type Name, nameFromText, nameKey, nameSchema, nameToText } from './name.ts';
import { fromHex, toHex } from './octets.ts';
import { type OtherName, otherNameSchema } from './other-name.ts';
import { otherNameFromText, otherNameToText } from './other-name-text.ts';
import { X509Error } from './x509-error.ts';

/** GeneralName (RFC 5280 §4.2.1.6). Strings are as encoded: IA5String, not normalised. */
export type GeneralName =
  | { readonly kind: 'otherName'; readonly value: OtherName }
  | { readonly kind: 'rfc822Name'; readonly value: string }
  | { readonly kind: 'dnsName'; readonly value: string }
  /** The complete encoding, tag [3] included: nobody uses it, so nobody decodes it. */
  | { readonly kind: 'x400Address'; readonly value: Uint8Array }
  | { readonly kind: 'directoryName'; readonly value: Name }
  /** The complete encoding, tag [5] included. */
  | { readonly kind: 'ediPartyName'; readonly value: Uint8Array }
  | { readonly kind: 'uri'; readonly value: string }
  /** 4 or 16 octets; in name constraints 8 or 32, address and mask. */
  | { readonly kind: 'ipAddress'; readonly value: Uint8Array }
  | { readonly kind: 'registeredId'; readonly value: string };

/** The schema of a GeneralName. */
export const generalNameSchema: Schema<GeneralName> = choice('GeneralName', {
  otherName: implicit(0, otherNameSchema),
  rfc822Name: implicit(1, ia5String),
  dnsName: implicit(2, ia5String),
  x400Address: undecoded(0xa3),
  directoryName: explicit(4, nameSchema),
  ediPartyName: undecoded(0xa5),
  uri: implicit(6, ia5String),
  ipAddress: implicit(7, octetString),
  registeredId: implicit(8, oid),
});

/** The schema of GeneralNames: at least one. */
export const generalNamesSchema = sequenceOf(generalNameSchema, { min: 1 });

/**
 * Text of a GeneralName, prefix and value: `dns:`, `email:`, `uri:`, `ip:`, `dirname:` (RFC 4514), `rid:`, `upn:`,
 * `hwmodule:OID;hex`, `permanentid:value;OID`, `othername:OID;hex`, `x400:hex`, `edi:hex`. An IP address with mask is
 * written `address/mask`; one of odd length `#hex`.
 */
export function generalNameToText(name: GeneralName): string {
  switch (name.kind) {
    case 'otherName':
      return otherNameToText(name.value);
    case 'rfc822Name':
      return `email:${name.value}`;
    case 'dnsName':
      return `dns:${name.value}`;
    case 'x400Address':
      return `x400:${toHex(name.value)}`;
    case 'directoryName':
      return `dirname:${nameToText(name.value)}`;
    case 'ediPartyName':
      return `edi:${toHex(name.value)}`;
    case 'uri':
      return `uri:${name.value}`;
    case 'ipAddress':
      return `ip:${ipText(name.value)}`;
    case 'registeredId':
      return `rid:${name.value}`;
  }
}

/** The GeneralName of a text that `generalNameToText` could have written; the prefix in either case. Throws X509Error. */
export function generalNameFromText(text: string): GeneralName {
  const colon = text.indexOf(':');
  const prefix = text.slice(0, Math.max(colon, 0)).toLowerCase();
  const read = Object.hasOwn(READERS, prefix) ? READERS[prefix] : undefined;
  if (read === undefined) {
    const expected = `a name that begins with one of ${Object.keys(READERS).join(':, ')}:`;
    throw new X509Error('GeneralName', expected, JSON.stringify(text.slice(0, 32)));
  }
  return read(text.slice(colon + 1), prefix);
}

/** A string that two GeneralNames share exactly when they are equal, each kind by its own rule (RFC 5280 §7). */
export function generalNameKey(name: GeneralName): string {
  switch (name.kind) {
    case 'dnsName':
      return `dns:${name.value.toLowerCase()}`;
    case 'rfc822Name': {
      // RFC 5280 §7.5: the local part is case-sensitive, the host is not.
      const at = name.value.lastIndexOf('@') + 1;
      return `email:${name.value.slice(0, at)}${name.value.slice(at).toLowerCase()}`;
    }
    case 'directoryName':
      return `dirname:${nameKey(name.value)}`;
    case 'otherName':
      return `othername:${name.value.typeId};${toHex(name.value.value)}`;
    case 'x400Address':
    case 'ediPartyName':
    case 'uri':
    case 'ipAddress':
    case 'registeredId':
      return generalNameToText(name);
  }
}

const READERS: Readonly<Record<string, (value: string, prefix: string) => GeneralName>> = {
  dns: (value) => ({ kind: 'dnsName', value: ia5(value) }),
  email: (value) => ({ kind: 'rfc822Name', value: ia5(value) }),
  uri: (value) => ({ kind: 'uri', value: ia5(value) }),
  ip: (value) => ({ kind: 'ipAddress', value: ipOctets(value) }),
  dirname: (value) => ({ kind: 'directoryName', value: nameFromText(value) }),
  rid: (value) => ({ kind: 'registeredId', value: dotted(value) }),
  upn: (value, prefix) => ({ kind: 'otherName', value: otherNameFromText(prefix, value) }),
  hwmodule: (value, prefix) => ({ kind: 'otherName', value: otherNameFromText(prefix, value) }),
  permanentid: (value, prefix) => ({ kind: 'otherName', value: otherNameFromText(prefix, value) }),
  othername: (value, prefix) => ({ kind: 'otherName', value: otherNameFromText(prefix, value) }),
  x400: (value) => ({ kind: 'x400Address', value: octets(value) }),
  edi: (value) => ({ kind: 'ediPartyName', value: octets(value) }),
};

function ipText(value: Uint8Array): string {
  if (value.length === 4 || value.length === 16) return ipAddressToText(value);
  const half = value.length / 2;
  if (half !== 4 && half !== 16) return `#${toHex(value)}`;
  return `${ipAddressToText(value.subarray(0, half))}/${ipAddressToText(value.subarray(half))}`;
}

function ipOctets(text: string): Uint8Array {
  if (text.startsWith('#')) return octets(text.slice(1));
  return Uint8Array.from(text.split('/', 3).flatMap((part) => [...ipAddressFromText(part)]));
}

function ia5(text: string): string {
  // oxlint-disable-next-line no-control-regex -- IA5String is all of ASCII
  if (/^[\u0000-\u007f]*$/.test(text)) return text;
  throw new X509Error(
    'GeneralName',
    'ASCII (an internationalised name in its A-label form)',
    JSON.stringify(text.slice(0, 64)),
  );
}

function dotted(text: string): string {
  if (isOid(text)) return text;
  throw new X509Error('registeredID', 'a dotted OID', JSON.stringify(text.slice(0, 64)));
}

function octets(hex: string): Uint8Array {
  const value = fromHex(hex);
  if (value !== undefined) return value;
  throw new X509Error('GeneralName', 'hex of whole octets', JSON.stringify(hex.slice(0, 32)));
}

function undecoded(identifier: number): Schema<Uint8Array> {
  return {
    ...any,
    typeName: `[${identifier & 0x1f}]`,
    identifiers: () => [identifier],
  };
}
