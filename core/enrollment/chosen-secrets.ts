import { createHmac, randomBytes, scrypt, timingSafeEqual, type ScryptOptions } from 'node:crypto';

import { PeerError, StateError, UpstreamError } from '../errors/muster-error.ts';
import type { Secret } from '../keys/secret.ts';
import { newId } from '../store/id.ts';
import type { Unit } from '../store/store.ts';
import { requirePatterns } from './device-patterns.ts';
import { notLookedUp } from './sealed-secrets.ts';
import { insertSecret, type NewSecret } from './secrets.ts';
import type { EnrollmentTables, SharedSecretRow } from './tables.ts';

/** RFC 7914 §2: 16 MiB and some 30 ms for each guess. */
const COST = { N: 2 ** 14, r: 8, p: 1, octets: 32 };
/** NIST SP 800-63B asks for 8; nobody types this one often, and a fleet hangs on it. */
const MIN_CHARACTERS = 12;
/** A wrong challenge is tried against all of an endpoint's. */
const MAX_PER_ENDPOINT = 4;
/** Guesses of one process that wait for their turn; what comes on top is told to come back. */
const MAX_WAITING = 32;

/** A secret that a person chose, for the devices on a list. */
export interface ChosenSecretRequest extends NewSecret {
  readonly secret: Secret;
  readonly allowed: readonly string[];
}

/** The scrypt of a chosen secret, to be made before the unit that stores it. Throws PeerError for one that is too short. */
export async function hashChosenSecret(secret: Secret): Promise<string> {
  if (secret.reveal().length < MIN_CHARACTERS)
    throw new PeerError('malformed-request', `secret: expected at least ${MIN_CHARACTERS} characters`);
  const salt = randomBytes(16);
  const key = await derive(secret, salt, { N: COST.N, r: COST.r, p: COST.p });
  return ['scrypt', COST.N, COST.r, COST.p, salt.toString('base64url'), key.toString('base64url')].join('$');
}

/**
 * Stores a chosen secret by its scrypt.
 * @throws PeerError `malformed-request` for a list that allows nothing or everything; StateError `conflict` when the endpoint has
 *   as many as it may.
 */
export async function createChosenSecret(
  tx: Unit,
  now: number,
  request: Omit<ChosenSecretRequest, 'secret'>,
  hashed: string,
): Promise<{ readonly id: string; readonly expiresAt: number }> {
  const existing = await tx
    .forTenant<EnrollmentTables>(request.tenant)
    .selectFrom('shared_secrets')
    .select('id')
    .where('endpoint', '=', request.endpoint)
    .where('scrypt', 'is not', null)
    .where('state', '=', 'free')
    .where('expires_at', '>', now)
    .execute();
  if (existing.length >= MAX_PER_ENDPOINT)
    throw new StateError('conflict', `an endpoint has at most ${MAX_PER_ENDPOINT} chosen secrets; revoke one`);
  const id = newId(now);
  const allowed = requirePatterns(request.allowed);
  const parts = { id, usage: 'static' as const, allowed, scrypt: hashed, secretHmac: notLookedUp(id) };
  return { id, expiresAt: await insertSecret(tx, now, request, parts) };
}

/**
 * Compares with chosen secrets. One guess of a process is computed at a time: a flood of them takes one thread, not the pool
 * that signs. A secret that was right once is recognised again by a keyed hash in memory, so that a fleet does not queue.
 */
export class ChosenSecrets {
  readonly #memoryKey = randomBytes(32);
  readonly #right = new Map<string, Buffer>();
  #turn: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  /**
   * Whether this is the chosen secret of the row.
   * @throws UpstreamError `overloaded` when too many guesses wait.
   */
  async matches({ id, scrypt: hashed }: SharedSecretRow, secret: Secret): Promise<boolean> {
    if (hashed === null) return false;
    const mark = createHmac('sha256', this.#memoryKey).update(`${id}\0${secret.reveal()}`).digest();
    const right = this.#right.get(id);
    if (right !== undefined && timingSafeEqual(right, mark)) return true;
    if (this.#waiting >= MAX_WAITING)
      throw new UpstreamError('overloaded', 'too many chosen secrets are being compared');
    this.#waiting += 1;
    const compared = this.#turn.then(() => compare(hashed, secret));
    this.#turn = compared.catch(() => undefined);
    try {
      const matched = await compared;
      if (matched) this.#right.set(id, mark);
      return matched;
    } finally {
      this.#waiting -= 1;
    }
  }
}

async function compare(hashed: string, secret: Secret): Promise<boolean> {
  const [, N, r, p, salt, expected] = hashed.split('$');
  const key = await derive(secret, Buffer.from(salt ?? '', 'base64url'), { N: Number(N), r: Number(r), p: Number(p) });
  const stored = Buffer.from(expected ?? '', 'base64url');
  return stored.length === key.length && timingSafeEqual(stored, key);
}

function derive(secret: Secret, salt: Buffer, options: ScryptOptions): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(secret.reveal().normalize('NFKC'), salt, COST.octets, options, (error, key) => {
      if (error) reject(error);
      else resolve(key);
    });
  });
}
