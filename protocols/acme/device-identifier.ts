import { isOid } from '../../core/asn1/oid.ts';
import type { GeneralName } from '../../core/x509/general-name.ts';
import { fromHex } from '../../core/x509/octets.ts';
import { hardwareModuleOtherName, permanentIdentifierOtherName } from '../../core/x509/other-name.ts';

/** The types of identifier that name a device itself (draft-ietf-acme-device-attest §3 and §4). */
export type DeviceIdentifierType = 'permanent-identifier' | 'hardware-module';

/** An identifier as an order keeps it, or what is wrong with it. */
type Read =
  | { readonly type: DeviceIdentifierType; readonly value: string }
  | { readonly type: 'malformed'; readonly detail: string };

/** ub of a device's name in the inventory, and more than any serial number has. */
const MAX_VALUE = 200;
const MAX_SERIAL_OCTETS = 64;
/** Printable ASCII without the slash, which separates. */
const IDENTIFIER = /^[\u0020-\u002e\u0030-\u007e]+$/;

/**
 * Reads `id`, `id/assigner` (PermanentIdentifier, RFC 4043) or `serial/hwType` (HardwareModuleName, RFC 4108), the serial number
 * in hexadecimal. They are kept as they came, but for hexadecimal digits in lower case.
 */
export function readDeviceIdentifier(type: DeviceIdentifierType, text: string): Read {
  const [id = '', oid, ...rest] = text.split('/', 3);
  const fault = (detail: string): Read => ({ type: 'malformed', detail: `${type}: ${detail}` });
  if (text.length > MAX_VALUE) return fault(`expected at most ${MAX_VALUE} characters`);
  if (rest.length > 0 || (oid !== undefined && !isOid(oid)))
    return fault('expected one slash, and a dotted OID behind it');
  if (type === 'permanent-identifier')
    return IDENTIFIER.test(id) && id.trim() === id
      ? { type, value: text }
      : fault('expected printable ASCII, without a slash and without spaces around it');
  const serial = fromHex(id.toLowerCase());
  if (oid === undefined || serial === undefined || serial.length === 0 || serial.length > MAX_SERIAL_OCTETS)
    return fault('expected the serial number in hexadecimal, a slash and the OID of the hardware type');
  return { type, value: `${id.toLowerCase()}/${oid}` };
}

/** The otherName of an identifier that {@link readDeviceIdentifier} returned. */
export function deviceGeneralName(type: DeviceIdentifierType, text: string): GeneralName {
  const { id, oid } = partsOf(text);
  return {
    kind: 'otherName',
    value:
      type === 'permanent-identifier'
        ? permanentIdentifierOtherName({ identifierValue: id, ...(oid !== undefined && { assigner: oid }) })
        : hardwareModuleOtherName({ hwType: oid!, hwSerialNum: fromHex(id)! }),
  };
}

/** What a device is called by its identifier: a certificate's common name may be that. */
export function deviceNameOf(text: string): string {
  return partsOf(text).id;
}

/**
 * Whether evidence proves an identifier. Identifiers of the gate: `permanent-identifier` as here, `value/assigner`;
 * `serial-number`, which is a PermanentIdentifier without assigner, as is `ek-sha256`: a TPM's own URN is in base64, where every
 * other one has a slash; `hardware-module` as `hwType;serial`.
 */
export function isProved(type: DeviceIdentifierType, text: string, proved: Readonly<Record<string, string>>): boolean {
  const { id, oid } = partsOf(text);
  if (type === 'hardware-module') return proved['hardware-module']?.toLowerCase() === `${oid};${id}`;
  if (proved['permanent-identifier'] === text) return true;
  return oid === undefined && (proved['serial-number'] === text || proved['ek-sha256'] === text);
}

function partsOf(text: string): { readonly id: string; readonly oid: string | undefined } {
  const [id = '', oid] = text.split('/', 2);
  return { id, oid };
}
