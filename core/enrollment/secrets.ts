import { createHmac, randomBytes } from 'node:crypto';

import { PeerError, PolicyError } from '../errors/muster-error.ts';
import { Secret } from '../keys/secret.ts';
import { newId } from '../store/id.ts';
import { statement } from '../store/statement.ts';
import type { Store, Unit } from '../store/store.ts';
import type { EnrollmentTables, SharedSecretRow } from './tables.ts';

/** Octets of randomness in a secret we make: 160 bits, so that a keyed hash of it cannot be guessed. */
const SECRET_OCTETS = 20;
/** Crockford's alphabet: no letter that a person confuses when typing it into a router. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

/** What a new secret shall open. */
export interface SecretRequest {
  readonly tenant: string;
  readonly endpoint: string;
  readonly usage: 'one-time' | 'device';
  /** The only user name it goes with; absent: any. Required for a device password. */
  readonly username?: string;
  /** The only device name it enrols; absent: any. */
  readonly subject?: string;
  readonly lifetimeSeconds: number;
  readonly createdBy: string;
}

/** A secret as made: the text exists here and nowhere else. */
export interface IssuedSecret {
  readonly id: string;
  readonly secret: Secret;
  readonly expiresAt: number;
}

/** Keyed hash under which secrets are stored and looked up. */
export type SecretHash = (secret: Secret) => string;

/** HMAC-SHA-256 under the installation's key, lower-case hex. */
export function secretHash(installationKey: Uint8Array): SecretHash {
  return (secret) => createHmac('sha256', installationKey).update(secret.reveal()).digest('hex');
}

/**
 * Makes a secret and stores its hash; the only copy of the text is in the answer.
 * @throws PeerError `malformed-request` for a device password without a user name; StateError `conflict` when the tenant
 *   has no such endpoint.
 */
export async function createSecret(
  tx: Unit,
  hash: SecretHash,
  now: number,
  request: SecretRequest,
): Promise<IssuedSecret> {
  if (request.usage === 'device' && request.username === undefined)
    throw new PeerError('malformed-request', 'username: a device password belongs to a user name');
  const secret = new Secret(randomText());
  const id = newId(now);
  const expiresAt = now + request.lifetimeSeconds * 1000;
  await tx
    .db<EnrollmentTables>()
    .insertInto('shared_secrets')
    .values({
      id,
      tenant: request.tenant,
      endpoint: request.endpoint,
      usage: request.usage,
      secret_hmac: hash(secret),
      username: request.username ?? null,
      subject: request.subject ?? null,
      state: 'free',
      bound_key: null,
      expires_at: expiresAt,
      created_by: request.createdBy,
      created_at: now,
    })
    .execute();
  return { id, secret, expiresAt };
}

/** The stored secret with this text, whatever its state; `undefined` when there is none. */
export async function findSecret(store: Store, hash: SecretHash, secret: Secret): Promise<SharedSecretRow | undefined> {
  const [row] = await store.query(secretByHash, { hmac: hash(secret) });
  return row;
}

/**
 * Binds a one-time secret to its first request, inside the unit that records the request.
 * @throws PolicyError `bad-credential` when another request was faster, or it ended meanwhile.
 */
export async function bindSecret(
  tx: Unit,
  binding: { readonly tenant: string; readonly id: string; readonly key: string; readonly now: number },
): Promise<void> {
  if ((await tx.affected(bind, binding)) !== 1) {
    throw new PolicyError('bad-credential', 'the password is not valid here');
  }
}

/** Spends a bound secret, inside the unit that records the certificate. */
export async function spendSecret(tx: Unit, tenant: string, id: string): Promise<void> {
  await tx.affected(spend, { tenant, id });
}

/** Gives a spent secret back to the request that spent it: what it got for it is revoked in the same unit. */
export async function reopenSecret(tx: Unit, tenant: string, id: string, key: string): Promise<void> {
  await tx.affected(reopen, { tenant, id, key });
}

/** Withdraws a secret that is not spent yet; false when there is none. */
export async function revokeSecret(tx: Unit, tenant: string, id: string): Promise<boolean> {
  const result = await tx
    .forTenant<EnrollmentTables>(tenant)
    .updateTable('shared_secrets', { state: 'revoked' })
    .where('id', '=', id)
    .where('state', 'in', ['free', 'bound'])
    .executeTakeFirst();
  return result.numUpdatedRows === 1n;
}

/** What an administrator sees of a secret: everything but the secret. */
export type SecretDescription = Omit<SharedSecretRow, 'secret_hmac' | 'bound_key'>;

/** The secrets of a tenant in order of id, after `after`. */
export function listSecrets(
  store: Store,
  tenant: string,
  page: { readonly after?: string | undefined; readonly limit: number },
): Promise<SecretDescription[]> {
  let query = store
    .forTenant<EnrollmentTables>(tenant)
    .selectFrom('shared_secrets')
    .select([
      'id',
      'tenant',
      'endpoint',
      'usage',
      'username',
      'subject',
      'state',
      'expires_at',
      'created_by',
      'created_at',
    ]);
  if (page.after !== undefined) query = query.where('id', '>', page.after);
  return query.orderBy('id').limit(page.limit).execute();
}

function randomText(): string {
  return Array.from(randomBytes(Math.ceil((SECRET_OCTETS * 8) / 5)), (octet) => ALPHABET[octet & 31]).join('');
}

const secretByHash = statement<EnrollmentTables>()('secret-by-hash', (db, p: { hmac: string }) =>
  db.selectFrom('shared_secrets').selectAll().where('secret_hmac', '=', p.hmac),
);

const bind = statement<EnrollmentTables>()(
  'secret-bind',
  (db, p: { tenant: string; id: string; key: string; now: number }) =>
    db
      .updateTable('shared_secrets')
      .set({ state: 'bound', bound_key: p.key })
      .where('tenant', '=', p.tenant)
      .where('id', '=', p.id)
      .where('expires_at', '>', p.now)
      .where((eb) =>
        eb.or([eb('state', '=', 'free'), eb.and([eb('state', '=', 'bound'), eb('bound_key', '=', p.key)])]),
      ),
);

const spend = statement<EnrollmentTables>()('secret-spend', (db, p: { tenant: string; id: string }) =>
  db
    .updateTable('shared_secrets')
    .set({ state: 'spent' })
    .where('tenant', '=', p.tenant)
    .where('id', '=', p.id)
    .where('state', '=', 'bound'),
);

const reopen = statement<EnrollmentTables>()('secret-reopen', (db, p: { tenant: string; id: string; key: string }) =>
  db
    .updateTable('shared_secrets')
    .set({ state: 'bound' })
    .where('tenant', '=', p.tenant)
    .where('id', '=', p.id)
    .where('state', '=', 'spent')
    .where('bound_key', '=', p.key),
);
