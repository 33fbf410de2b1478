import { Asn1Error } from '../asn1/asn1-error.ts';
import { isOid } from '../asn1/oid.ts';
import { fromHex, toHex } from './octets.ts';
import {
  hardwareModuleNameOf,
  hardwareModuleOtherName,
  type OtherName,
  permanentIdentifierOf,
  permanentIdentifierOtherName,
  userPrincipalNameOf,
  userPrincipalOtherName,
} from './other-name.ts';
import { X509Error } from './x509-error.ts';

/**
 * Text of an otherName: `upn:`, `hwmodule:OID;hex` or `permanentid:value;OID` for the types Muster knows, and
 * `othername:OID;hex` (the value's DER) for others, or where the value is not of its type.
 */
export function otherNameToText(name: OtherName): string {
  return knownOtherNameToText(name) ?? `othername:${name.typeId};${toHex(name.value)}`;
}

/** The otherName that `prefix:value` stands for. Throws X509Error. */
export function otherNameFromText(prefix: string, value: string): OtherName {
  if (prefix === 'upn') return userPrincipalOtherName(value);
  const semicolon = value.lastIndexOf(';');
  const head = value.slice(0, Math.max(semicolon, 0));
  const tail = value.slice(semicolon + 1);
  if (prefix === 'permanentid') {
    if (tail !== '') return permanentIdentifierOtherName({ identifierValue: head, assigner: dotted(prefix, tail) });
    return permanentIdentifierOtherName({ identifierValue: head });
  }
  const octets = fromHex(tail);
  if (octets === undefined) throw new X509Error(prefix, 'OID;hex', JSON.stringify(value.slice(0, 64)));
  if (prefix === 'hwmodule') return hardwareModuleOtherName({ hwType: dotted(prefix, head), hwSerialNum: octets });
  return { typeId: dotted(prefix, head), value: octets };
}

function knownOtherNameToText(name: OtherName): string | undefined {
  try {
    const principal = userPrincipalNameOf(name);
    if (principal !== undefined) return `upn:${principal}`;
    const module = hardwareModuleNameOf(name);
    if (module !== undefined) return `hwmodule:${module.hwType};${toHex(module.hwSerialNum)}`;
    const permanent = permanentIdentifierOf(name);
    if (permanent?.identifierValue === undefined) return undefined;
    return `permanentid:${permanent.identifierValue};${permanent.assigner ?? ''}`;
  } catch (error) {
    if (error instanceof Asn1Error) return undefined;
    throw error;
  }
}

function dotted(prefix: string, text: string): string {
  if (isOid(text)) return text;
  throw new X509Error(prefix, 'a dotted OID', JSON.stringify(text.slice(0, 64)));
}
