import { decode, encode } from '../asn1/codec.ts';
import { any, choice, explicit, implicit, octetString, oid, optional, sequence, utf8String } from '../asn1/schema.ts';
import { OTHER_NAME } from './oids.ts';

/** The otherName alternative of a GeneralName: its type-id, and the DER of the value inside the [0] tag. */
export interface OtherName {
  readonly typeId: string;
  readonly value: Uint8Array;
}

/** RFC 4108 §5: the manufacturer's hardware type and the serial number of one module. IDevIDs carry it (IEEE 802.1AR §8.10.4). */
export interface HardwareModuleName {
  readonly hwType: string;
  readonly hwSerialNum: Uint8Array;
}

/** RFC 4043 §2: an identifier that outlives the names of its subject; `assigner` says whose. */
export interface PermanentIdentifier {
  readonly identifierValue?: string | undefined;
  readonly assigner?: string | undefined;
}

const hardwareModuleName = sequence('HardwareModuleName', { hwType: oid, hwSerialNum: octetString });
// smallstep's clients and CA write the serial number with the tag [4].
const foreignHardwareModuleName = sequence('HardwareModuleName', {
  hwType: oid,
  hwSerialNum: choice('hwSerialNum', { octets: octetString, tagged: implicit(4, octetString) }),
});
const permanentIdentifier = sequence('PermanentIdentifier', {
  identifierValue: optional(utf8String),
  assigner: optional(oid),
});

/** The schema of otherName. */
export const otherNameSchema = sequence('OtherName', { typeId: oid, value: explicit(0, any) });

/** The HardwareModuleName in an otherName, or undefined for other type-ids. Throws Asn1Error where its value is malformed. */
export function hardwareModuleNameOf({ typeId, value }: OtherName): HardwareModuleName | undefined {
  if (typeId !== OTHER_NAME.hardwareModuleName) return undefined;
  const { hwType, hwSerialNum } = decode(foreignHardwareModuleName, value);
  return { hwType, hwSerialNum: hwSerialNum.value };
}

/** The PermanentIdentifier in an otherName, or undefined for other type-ids. Throws Asn1Error where its value is malformed. */
export function permanentIdentifierOf({ typeId, value }: OtherName): PermanentIdentifier | undefined {
  return typeId === OTHER_NAME.permanentIdentifier ? decode(permanentIdentifier, value) : undefined;
}

/** The user principal name in an otherName, or undefined for other type-ids. Throws Asn1Error where its value is malformed. */
export function userPrincipalNameOf({ typeId, value }: OtherName): string | undefined {
  return typeId === OTHER_NAME.userPrincipalName ? decode(utf8String, value) : undefined;
}

/** The otherName of a HardwareModuleName. */
export function hardwareModuleOtherName(name: HardwareModuleName): OtherName {
  return { typeId: OTHER_NAME.hardwareModuleName, value: encode(hardwareModuleName, name) };
}

/** The otherName of a PermanentIdentifier. */
export function permanentIdentifierOtherName(name: PermanentIdentifier): OtherName {
  return { typeId: OTHER_NAME.permanentIdentifier, value: encode(permanentIdentifier, name) };
}

/** The otherName of a user principal name. */
export function userPrincipalOtherName(name: string): OtherName {
  return { typeId: OTHER_NAME.userPrincipalName, value: encode(utf8String, name) };
}
