import { decode } from '../../../core/asn1/codec.ts';
import {
  any,
  boolean,
  enumerated,
  explicit,
  integer,
  octetString,
  optional,
  type Schema,
  sequence,
  sequenceOf,
} from '../../../core/asn1/schema.ts';

/** The extension of Android's key attestation certificates that holds a KeyDescription. */
export const KEY_DESCRIPTION_EXTENSION = '1.3.6.1.4.1.11129.2.1.17';

/** Where a property is enforced. */
export type SecurityLevel = 'software' | 'trusted-environment' | 'strongbox';

/** What an Android device says of a key and of itself: what its hardware enforces, nothing of what its system only claims. */
export interface KeyDescription {
  readonly securityLevel: SecurityLevel;
  readonly keyMintSecurityLevel: SecurityLevel;
  readonly challenge: Uint8Array;
  /** Whether the key was made in the hardware; undefined where it says nothing. */
  readonly isGenerated: boolean | undefined;
  readonly rootOfTrust: { readonly isLocked: boolean; readonly verifiedBootState: number } | undefined;
  readonly osVersion: number | undefined;
  readonly osPatchLevel: number | undefined;
  /** UTF-8. Only what an identifier attestation was asked for. */
  readonly serialNumber: string | undefined;
  readonly manufacturer: string | undefined;
  readonly model: string | undefined;
}

const SECURITY_LEVELS: readonly SecurityLevel[] = ['software', 'trusted-environment', 'strongbox'];

const keyDescription = sequence('KeyDescription', {
  attestationVersion: integer,
  attestationSecurityLevel: enumerated,
  keyMintVersion: integer,
  keyMintSecurityLevel: enumerated,
  attestationChallenge: octetString,
  uniqueId: octetString,
  softwareEnforced: any,
  hardwareEnforced: sequenceOf(any, { max: 128 }),
});

const rootOfTrust = sequence('RootOfTrust', {
  verifiedBootKey: octetString,
  deviceLocked: boolean,
  verifiedBootState: enumerated,
  verifiedBootHash: optional(octetString),
});

/** KM_ORIGIN_GENERATED. */
const GENERATED = 0n;

/** Members of an AuthorizationList that are read, by their tags; the list grows with each version and is never complete. */
const AUTHORIZATION = {
  origin: explicit(702, integer),
  rootOfTrust: explicit(704, rootOfTrust),
  osVersion: explicit(705, integer),
  osPatchLevel: explicit(706, integer),
  serial: explicit(713, octetString),
  manufacturer: explicit(716, octetString),
  model: explicit(717, octetString),
} as const;

/** Decodes a KeyDescription of any version (Android's "Key and ID attestation"). Throws Asn1Error. */
export function decodeKeyDescription(der: Uint8Array): KeyDescription {
  const wire = decode(keyDescription, der);
  const member = <T>(schema: Schema<T>): T | undefined => memberOf(wire.hardwareEnforced, schema);
  const trust = member(AUTHORIZATION.rootOfTrust);
  const origin = member(AUTHORIZATION.origin);
  return {
    securityLevel: SECURITY_LEVELS[wire.attestationSecurityLevel] ?? 'software',
    keyMintSecurityLevel: SECURITY_LEVELS[wire.keyMintSecurityLevel] ?? 'software',
    challenge: wire.attestationChallenge,
    isGenerated: origin === undefined ? undefined : origin === GENERATED,
    rootOfTrust: trust && { isLocked: trust.deviceLocked, verifiedBootState: trust.verifiedBootState },
    osVersion: numberOf(member(AUTHORIZATION.osVersion)),
    osPatchLevel: numberOf(member(AUTHORIZATION.osPatchLevel)),
    serialNumber: textOf(member(AUTHORIZATION.serial)),
    manufacturer: textOf(member(AUTHORIZATION.manufacturer)),
    model: textOf(member(AUTHORIZATION.model)),
  };
}

function memberOf<T>(members: readonly Uint8Array[], schema: Schema<T>): T | undefined {
  const [identifier] = schema.identifiers()!;
  const found = members.find((der) => identifierOf(der) === identifier);
  return found === undefined ? undefined : decode(schema, found);
}

/** X.690 §8.1.2.4, as core/asn1 writes it down: tag number times 256 plus the leading octet. Tags below 31 are none of those read. */
function identifierOf(der: Uint8Array): number {
  const [leading, high, low] = der;
  if (high === undefined || low === undefined || high < 0x80) return -1;
  return (((high & 0x7f) << 7) | low) * 256 + leading!;
}

function numberOf(value: bigint | undefined): number | undefined {
  return value === undefined ? undefined : Number(value);
}

function textOf(octets: Uint8Array | undefined): string | undefined {
  return octets === undefined ? undefined : Buffer.from(octets).toString('utf8');
}
