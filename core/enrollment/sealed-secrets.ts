import { randomBytes } from 'node:crypto';

import type { Sealer } from '../keys/sealing.ts';
import { Secret } from '../keys/secret.ts';
import { newId } from '../store/id.ts';
import type { Unit } from '../store/store.ts';
import { requirePatterns } from './device-patterns.ts';
import { insertSecret, randomText, type IssuedSecret, type NewSecret } from './secrets.ts';
import type { SharedSecretRow } from './tables.ts';

/** What a new MAC secret shall open. */
export interface MacSecretRequest extends NewSecret {
  /** `one-time`: one certificate (RFC 9810 §8: a secret serves a single transaction). `device`: all of the one device. */
  readonly usage: 'one-time' | 'device';
  /** The only device name it enrols; absent: any. One for each device keeps what leaks from one from serving another (V12). */
  readonly subject?: string;
}

/** A MAC secret with the name its sender refers to it by. */
export interface IssuedMacSecret extends IssuedSecret {
  readonly reference: string;
}

/** What a new EAB key shall open. */
export interface EabKeyRequest extends NewSecret {
  /** `one-time`: one account. `device`: any number of accounts. */
  readonly usage: 'one-time' | 'device';
  /** The only name its accounts may order; it needs no challenge. */
  readonly subject?: string;
  /** Names and patterns its accounts may order; they need no challenge. Without both, any name, each by a challenge. */
  readonly allowed?: readonly string[];
}

/** Bits of a reference: not secret, but nobody's neighbour by a slip of the finger. */
const REFERENCE_BITS = 60;

/**
 * Makes a MAC secret (CMP) of 160 bits and seals it: verifying a MAC takes the secret itself.
 * @throws StateError `conflict` when the tenant has no such endpoint.
 */
export async function createMacSecret(
  tx: Unit,
  sealer: Sealer,
  now: number,
  request: MacSecretRequest,
): Promise<IssuedMacSecret> {
  const id = newId(now);
  const reference = randomText(REFERENCE_BITS);
  const secret = new Secret(randomText());
  const sealed = sealer.seal(placeOf(id), secret);
  const { usage, subject } = request;
  const parts = { id, usage, subject, reference, sealed, secretHmac: notLookedUp(id) };
  return { id, reference, secret, expiresAt: await insertSecret(tx, now, request, parts) };
}

/**
 * Makes a key of an endpoint and seals it: `derived` for computed challenges, `decider` for questions to the external decider.
 * @throws StateError `conflict` when the tenant has no such endpoint.
 */
export async function createEndpointKey(
  tx: Unit,
  sealer: Sealer,
  now: number,
  request: NewSecret & { readonly usage: 'derived' | 'decider' },
): Promise<IssuedSecret> {
  const id = newId(now);
  const secret = new Secret(randomText(256));
  const sealed = sealer.seal(placeOf(id), secret);
  const parts = { id, usage: request.usage, sealed, secretHmac: notLookedUp(id) };
  return { id, secret, expiresAt: await insertSecret(tx, now, request, parts) };
}

/**
 * The text of a sealed secret.
 * @throws InternalError when its row does not hold what was sealed for it.
 */
export function openSecret(sealer: Sealer, { id, sealed }: SharedSecretRow): Secret {
  return sealer.open(placeOf(id), sealed ?? new Uint8Array());
}

const EAB_KEY_OCTETS = 32;

/**
 * Makes a key for external account binding (RFC 8555 §7.3.4): 256 bits, as base64url, which is how clients take it.
 * @throws PeerError `malformed-request` for a list that names nothing; StateError `conflict` when the tenant has no such endpoint.
 */
export async function createEabKey(
  tx: Unit,
  sealer: Sealer,
  now: number,
  request: EabKeyRequest,
): Promise<IssuedMacSecret> {
  const id = newId(now);
  const reference = randomText(REFERENCE_BITS);
  const secret = new Secret(randomBytes(EAB_KEY_OCTETS).toString('base64url'));
  const sealed = sealer.seal(placeOf(id), secret);
  const { subject } = request;
  const allowed = request.allowed && requirePatterns(request.allowed);
  const usage = request.usage === 'one-time' ? 'eab-once' : 'eab-many';
  const parts = { id, usage, subject, allowed, reference, sealed, secretHmac: notLookedUp(id) } as const;
  return { id, reference, secret, expiresAt: await insertSecret(tx, now, request, parts) };
}

/** Stands where the hash of a secret does that is not found by its text: no hash reads like it. */
export function notLookedUp(id: string): string {
  return `none:${id}`;
}

function placeOf(row: string): { readonly table: string; readonly row: string } {
  return { table: 'shared_secrets', row };
}
