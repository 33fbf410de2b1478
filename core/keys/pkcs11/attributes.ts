import pkcs11js, { type Handle, type Template } from 'pkcs11js';
import { TokenFault } from './token-fault.ts';

/** What of a session reads objects. */
export interface ObjectReader {
  readonly api: pkcs11js.PKCS11;
  readonly session: Handle;
}

/** Handles a single C_FindObjects may return; further ones are fetched by another call. */
const FIND_BATCH = 100;
/** No token of ours holds more keys; a search that finds more is a mistake. */
const FIND_LIMIT = 10_000;

/** Answers that mean "this object has no such attribute" or "not told". */
const ABSENT: readonly number[] = [
  pkcs11js.CKR_ATTRIBUTE_TYPE_INVALID,
  pkcs11js.CKR_ATTRIBUTE_SENSITIVE,
  pkcs11js.CKR_ATTRIBUTE_VALUE_INVALID,
];

/** Every object that matches a template. */
export function findObjects({ api, session }: ObjectReader, template: Template): Handle[] {
  const found: Handle[] = [];
  api.C_FindObjectsInit(session, template);
  try {
    for (let batch = api.C_FindObjects(session, FIND_BATCH); batch.length > 0;) {
      found.push(...batch);
      if (found.length > FIND_LIMIT) throw new TokenFault('failed', `more than ${FIND_LIMIT} objects match`);
      batch = api.C_FindObjects(session, FIND_BATCH);
    }
  } finally {
    api.C_FindObjectsFinal(session);
  }
  return found;
}

/** One attribute's octets; `undefined` when the object has none or the token does not tell. */
export function readOctets({ api, session }: ObjectReader, object: Handle, type: number): Buffer | undefined {
  try {
    const [attribute] = api.C_GetAttributeValue(session, object, [{ type }]);
    return Buffer.isBuffer(attribute?.value) ? attribute.value : undefined;
  } catch (error) {
    const fault = TokenFault.from(error);
    if (ABSENT.includes(fault.code)) return undefined;
    throw fault;
  }
}

/** A CK_BBOOL attribute. */
export function readFlag(reader: ObjectReader, object: Handle, type: number): boolean | undefined {
  const octets = readOctets(reader, object, type);
  return octets === undefined || octets.length !== 1 ? undefined : octets[0] !== 0;
}

/** A CK_ULONG attribute: 4 or 8 octets in the byte order of the machine (every one that Node runs on today is little endian). */
export function readNumber(reader: ObjectReader, object: Handle, type: number): number | undefined {
  const octets = readOctets(reader, object, type);
  return octets === undefined || octets.length < 4 ? undefined : octets.readUInt32LE(0);
}
