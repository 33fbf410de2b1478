import { hash } from 'node:crypto';
import type { SubjectPublicKeyInfo } from '../../../core/x509/public-key.ts';
import { toHex } from '../../../core/x509/octets.ts';
import {
  cborArray,
  cborBytes,
  CborError,
  cborInteger,
  cborMap,
  type CborMap,
  cborText,
  type CborValue,
  decodeCbor,
} from '../cbor.ts';
import { confirmationKey } from './confirmation-key.ts';

/** What an Entity Attestation Token claims (RFC 9711 §4), as far as it is looked at. */
export interface EatClaims {
  /** One or several, each of 8 to 64 octets (§4.1). */
  readonly nonces: readonly Uint8Array[];
  readonly ueid: Uint8Array | undefined;
  /** A URI, or an OID in dotted form. */
  readonly profile: string | undefined;
  readonly hardwareModel: string | undefined;
  readonly debugStatus: DebugStatus | undefined;
  readonly confirmation: SubjectPublicKeyInfo | undefined;
  /** NumericDates (RFC 8392 §3.1), seconds since 1970. */
  readonly expiresAt: number | undefined;
  readonly notBefore: number | undefined;
  /** Claims for admission rules and reference values. Hashes and octets in lower-case hex. */
  readonly claims: Readonly<Record<string, string | number | boolean>>;
  /** Every claim as it came: for profiles. */
  readonly all: CborMap;
}

/** §4.2.9. */
export type DebugStatus = (typeof DEBUG_STATES)[number];
const DEBUG_STATES = [
  'enabled',
  'disabled',
  'disabled-since-boot',
  'disabled-permanently',
  'disabled-fully-and-permanently',
] as const;

/** Labels of claims (RFC 9711 §10.2, RFC 8392 §3.1, RFC 8747 §3.1). */
const CLAIM = {
  exp: 4,
  nbf: 5,
  cnf: 8,
  nonce: 10,
  ueid: 256,
  oemId: 258,
  hardwareModel: 259,
  oemBoot: 262,
  debugStatus: 263,
  profile: 265,
  bootCount: 267,
  softwareName: 270,
  softwareVersion: 271,
  measurements: 273,
} as const;

const MAX_MEASUREMENTS = 32;
/** A token serves a few verifiers at once, not hundreds. */
const MAX_NONCES = 8;

/** Decodes the payload of a token: a map of claims. @throws CborError */
export function decodeEatClaims(payload: Uint8Array): EatClaims {
  const all = cborMap(decodeCbor(payload), 'the claims');
  const debugStatus = optional(all, CLAIM.debugStatus, debugStatusOf);
  const hardwareModel = optional(all, CLAIM.hardwareModel, modelOf);
  return {
    nonces: noncesOf(all.get(CLAIM.nonce)),
    ueid: optional(all, CLAIM.ueid, ueidOf),
    profile: optional(all, CLAIM.profile, profileOf),
    hardwareModel,
    debugStatus,
    confirmation: optional(all, CLAIM.cnf, confirmationKey),
    expiresAt: optional(all, CLAIM.exp, (value) => dateOf(value, 'exp')),
    notBefore: optional(all, CLAIM.nbf, (value) => dateOf(value, 'nbf')),
    claims: {
      ...(debugStatus === undefined ? {} : { 'debug-status': debugStatus }),
      ...(hardwareModel === undefined ? {} : { 'hardware-model': hardwareModel }),
      ...softwareClaims(all),
      ...measurementClaims(all.get(CLAIM.measurements)),
    },
    all,
  };
}

/** The text that octets are where they are printable ASCII, else their lower-case hex. */
function textOrHex(octets: Uint8Array): string {
  const isPrintable = octets.length > 0 && octets.every((octet) => octet >= 0x20 && octet < 0x7f);
  return isPrintable ? Buffer.from(octets).toString('latin1') : toHex(octets);
}

function optional<T>(claims: CborMap, label: number, read: (value: CborValue) => T): T | undefined {
  const value = claims.get(label);
  return value === undefined ? undefined : read(value);
}

function noncesOf(value: CborValue | undefined): readonly Uint8Array[] {
  if (value === undefined) return [];
  const values = value instanceof Uint8Array ? [value] : cborArray(value, 'eat_nonce');
  if (values.length > MAX_NONCES) throw new CborError(`at most ${MAX_NONCES} values of eat_nonce`, `${values.length}`);
  const nonces = values.map((one) => cborBytes(one, 'eat_nonce'));
  if (nonces.every(({ length }) => length >= 8 && length <= 64)) return nonces;
  throw new CborError('eat_nonce of 8 to 64 octets', 'another length');
}

// §4.2.1: 7 to 33 octets, the first says of which type.
function ueidOf(value: CborValue): Uint8Array {
  const ueid = cborBytes(value, 'ueid');
  const isKnownType = ueid[0] === 1 || ueid[0] === 2 || ueid[0] === 3;
  if (ueid.length >= 7 && ueid.length <= 33 && isKnownType) return ueid;
  throw new CborError('ueid of type RAND, EUI or IMEI and 7 to 33 octets', `${ueid.length} octets`);
}

// §4.3.2: a URI as text, an OID as the contents of its BER encoding.
function profileOf(value: CborValue): string {
  return value instanceof Uint8Array ? dottedOid(value) : cborText(value, 'eat_profile');
}

function dottedOid(octets: Uint8Array): string {
  const arcs: number[] = [];
  let arc = 0;
  for (const octet of octets) {
    arc = arc * 128 + (octet & 0x7f);
    if (arc > 2 ** 40) throw new CborError('an OID as eat_profile', 'a number beyond bounds');
    if (octet >= 0x80) continue;
    arcs.push(arc);
    arc = 0;
  }
  const [first] = arcs;
  if (first === undefined || octets.at(-1)! >= 0x80) throw new CborError('an OID as eat_profile', 'other octets');
  const root = Math.min(2, Math.floor(first / 40));
  return [root, first - 40 * root, ...arcs.slice(1)].join('.');
}

function modelOf(value: CborValue): string {
  const model = cborBytes(value, 'hwmodel');
  if (model.length >= 1 && model.length <= 32) return textOrHex(model);
  throw new CborError('hwmodel of 1 to 32 octets', `${model.length}`);
}

function debugStatusOf(value: CborValue): DebugStatus {
  const status = DEBUG_STATES[cborInteger(value, 'dbgstat')];
  if (status !== undefined) return status;
  throw new CborError('dbgstat from 0 to 4', 'another');
}

// RFC 8392 §2: a NumericDate is an integer or a floating-point number, here without its tag.
function dateOf(value: CborValue, what: string): number {
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  throw new CborError(`${what} as a number`, typeof value);
}

function softwareClaims(all: CborMap): EatClaims['claims'] {
  const claims: Record<string, string | number | boolean> = {};
  const name = all.get(CLAIM.softwareName);
  if (name !== undefined) claims['software-name'] = cborText(name, 'swname');
  const version = all.get(CLAIM.softwareVersion);
  if (version !== undefined) claims['software-version'] = cborText(cborArray(version, 'swversion')[0], 'swversion');
  const oem = all.get(CLAIM.oemId);
  if (oem !== undefined) claims['oem-id'] = typeof oem === 'number' ? oem : toHex(cborBytes(oem, 'oemid'));
  const boot = all.get(CLAIM.oemBoot);
  if (boot !== undefined) claims['oem-boot'] = boot === true;
  const count = all.get(CLAIM.bootCount);
  if (count !== undefined) claims['boot-count'] = cborInteger(count, 'bootcount');
  return claims;
}

// §4.2.16: pairs of a CoAP content format and octets of that format. They are told by their hash: formats are many, and equal is equal.
function measurementClaims(value: CborValue | undefined): EatClaims['claims'] {
  if (value === undefined) return {};
  const measurements = cborArray(value, 'measurements');
  if (measurements.length > MAX_MEASUREMENTS) {
    throw new CborError(`at most ${MAX_MEASUREMENTS} measurements`, `${measurements.length}`);
  }
  const entries = measurements.map((measurement, index) => {
    const [, content] = cborArray(measurement, 'a measurement');
    return [`measurement-${index}`, hash('sha256', cborBytes(content, 'a measurement'), 'hex')] as const;
  });
  return Object.fromEntries(entries);
}
