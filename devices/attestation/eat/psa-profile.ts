import { toHex } from '../../../core/x509/octets.ts';
import { cborArray, cborBytes, CborError, cborInteger, type CborMap, cborMap, cborText } from '../cbor.ts';
import type { EatClaims } from './claims.ts';

/** The profile of a PSA attestation token (RFC 9783 §5). */
const PSA_PROFILE = 'tag:psacertified.org,2023:psa#tfm';

/** Labels of its claims (RFC 9783 §4). */
const PSA = { clientId: 2394, lifecycle: 2395, implementationId: 2396, softwareComponents: 2399 } as const;
/** Members of a software component (§4.4.1). */
const COMPONENT = { type: 1, measurement: 2, version: 4, signer: 5 } as const;

/** States of the security lifecycle by the upper octet of its claim (§4.3.1). */
const LIFECYCLE = [
  'unknown',
  'assembly-and-test',
  'psa-rot-provisioning',
  'secured',
  'non-psa-rot-debug',
  'recoverable-psa-rot-debug',
  'decommissioned',
] as const;

/** Whether a token claims the profile of PSA. */
export function isPsaToken({ profile }: EatClaims): boolean {
  return profile === PSA_PROFILE;
}

/** What a PSA token says besides the claims of every token. */
export interface PsaClaims {
  /** Only `secured` is a device in the field. */
  readonly lifecycle: (typeof LIFECYCLE)[number];
  readonly claims: EatClaims['claims'];
}

const MAX_COMPONENTS = 32;
/** §4.1.1: a nonce is a hash. */
const NONCE_OCTETS: ReadonlySet<number> = new Set([32, 48, 64]);

/** Holds a token that claims the profile against it: mandatory claims and their sizes (RFC 9783 §4). @throws CborError */
export function readPsaClaims({ nonces, ueid, all }: EatClaims): PsaClaims {
  const [nonce, ...others] = nonces;
  if (nonce === undefined || others.length > 0 || !NONCE_OCTETS.has(nonce.length)) {
    throw new CborError('one nonce of 32, 48 or 64 octets', 'others');
  }
  // §4.2.1: the instance id is a UEID of type RAND with 32 octets behind it.
  if (ueid?.length !== 33 || ueid[0] !== 1) throw new CborError('ueid of 33 octets and type RAND', 'another');
  const implementationId = cborBytes(all.get(PSA.implementationId), 'psa-implementation-id');
  if (implementationId.length !== 32)
    throw new CborError('psa-implementation-id of 32 octets', `${implementationId.length}`);
  const lifecycle = lifecycleOf(all);
  return {
    lifecycle,
    claims: {
      'psa-lifecycle': lifecycle,
      'psa-client-id': cborInteger(all.get(PSA.clientId), 'psa-client-id'),
      'psa-implementation-id': toHex(implementationId),
      ...componentClaims(all),
    },
  };
}

function lifecycleOf(all: CborMap): PsaClaims['lifecycle'] {
  const value = cborInteger(all.get(PSA.lifecycle), 'psa-security-lifecycle');
  // §4.3.1: the state is in bits 12 to 15, the octet below is the implementation's.
  const state = (value & 0x0f00) === 0 && value >= 0 && value <= 0xffff ? LIFECYCLE[value >> 12] : undefined;
  if (state !== undefined) return state;
  throw new CborError('a state of psa-security-lifecycle', `${value}`);
}

/** `software-<type or index>`: the measurement in hex; `software-<…>-version`, `software-<…>-signer` beside it. */
function componentClaims(all: CborMap): EatClaims['claims'] {
  const components = cborArray(all.get(PSA.softwareComponents), 'psa-software-components');
  if (components.length === 0 || components.length > MAX_COMPONENTS) {
    throw new CborError(`1 to ${MAX_COMPONENTS} software components`, `${components.length}`);
  }
  const claims: Record<string, string> = {};
  for (const [index, item] of components.entries()) {
    const component = cborMap(item, 'a software component');
    const type = component.get(COMPONENT.type);
    const name = `software-${type === undefined ? index : cborText(type, 'measurement type')}`;
    if (Object.hasOwn(claims, name)) throw new CborError('software components of different types', `${name} twice`);
    claims[name] = toHex(cborBytes(component.get(COMPONENT.measurement), 'measurement value'));
    claims[`${name}-signer`] = toHex(cborBytes(component.get(COMPONENT.signer), 'signer id'));
    const version = component.get(COMPONENT.version);
    if (version !== undefined) claims[`${name}-version`] = cborText(version, 'version');
  }
  return claims;
}
