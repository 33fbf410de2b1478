import { createHmac, randomBytes } from 'node:crypto';

import { PeerError, PolicyError } from '../errors/muster-error.ts';
import { Secret } from '../keys/secret.ts';
import { newId } from '../store/id.ts';
import { statement } from '../store/statement.ts';
import type { Store, Unit } from '../store/store.ts';
import { requirePatterns } from './device-patterns.ts';
import type { AttestedBeforehand } from './facts.ts';
import type { EnrollmentTables, SharedSecretRow } from './tables.ts';

/** Octets of randomness in a secret we make: 160 bits, so that a keyed hash of it cannot be guessed. */
const SECRET_OCTETS = 20;
/** Crockford's alphabet: no letter that a person confuses when typing it into a router. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

/** What every new secret has. */
export interface NewSecret {
  readonly tenant: string;
  readonly endpoint: string;
  readonly lifetimeSeconds: number;
  readonly createdBy: string;
  /** Makes it a ticket: it stands for evidence, and admits this key alone. */
  readonly attested?: AttestedBeforehand;
}

/** What a new secret shall open. */
export interface SecretRequest extends NewSecret {
  readonly usage: 'one-time' | 'device' | 'static';
  /** The only user name it goes with; absent: any. Required for a device password. */
  readonly username?: string;
  /** The only device name it enrols; absent: any. */
  readonly subject?: string;
  /** The device names and patterns a static secret enrols: required for one, and for no other. */
  readonly allowed?: readonly string[];
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
 * @throws PeerError `malformed-request` for a device password without a user name or a static secret without a list; StateError
 *   `conflict` when the tenant has no such endpoint.
 */
export async function createSecret(
  tx: Unit,
  hash: SecretHash,
  now: number,
  request: SecretRequest,
): Promise<IssuedSecret> {
  const { usage, username, subject } = request;
  if (usage === 'device' && username === undefined)
    throw new PeerError('malformed-request', 'username: a device password belongs to a user name');
  if ((usage === 'static') !== (request.allowed !== undefined))
    throw new PeerError('malformed-request', 'allowed: a static secret, and no other, has a list of devices');
  const allowed = request.allowed && requirePatterns(request.allowed);
  const secret = new Secret(randomText());
  const id = newId(now);
  const row = { id, usage, username, subject, allowed, secretHmac: hash(secret) };
  return { id, secret, expiresAt: await insertSecret(tx, now, request, row) };
}

/** What of a secret's row depends on its kind. */
export interface SecretParts {
  readonly id: string;
  readonly usage: SharedSecretRow['usage'];
  readonly secretHmac: string;
  readonly username?: string | undefined;
  readonly subject?: string | undefined;
  readonly allowed?: readonly string[] | undefined;
  readonly reference?: string;
  readonly sealed?: Uint8Array;
  readonly scrypt?: string;
}

/** Inserts the row of a new secret of any kind; returns when it ends, in epoch milliseconds. */
export async function insertSecret(tx: Unit, now: number, request: NewSecret, parts: SecretParts): Promise<number> {
  const expiresAt = now + request.lifetimeSeconds * 1000;
  await tx
    .db<EnrollmentTables>()
    .insertInto('shared_secrets')
    .values({
      id: parts.id,
      tenant: request.tenant,
      endpoint: request.endpoint,
      usage: parts.usage,
      secret_hmac: parts.secretHmac,
      username: parts.username ?? null,
      subject: parts.subject ?? null,
      reference: parts.reference ?? null,
      sealed: parts.sealed ?? null,
      scrypt: parts.scrypt ?? null,
      allowed: parts.allowed === undefined ? null : JSON.stringify(parts.allowed),
      evidence: request.attested?.evidenceId ?? null,
      spki_sha256: request.attested?.spkiSha256 ?? null,
      state: 'free',
      bound_key: null,
      expires_at: expiresAt,
      created_by: request.createdBy,
      created_at: now,
    })
    .execute();
  return expiresAt;
}

/** The stored secret with this text, whatever its state; `undefined` when there is none. */
export async function findSecret(store: Store, hash: SecretHash, secret: Secret): Promise<SharedSecretRow | undefined> {
  const [row] = await store.query(secretByHash, { hmac: hash(secret) });
  return row;
}

/** The MAC secret or EAB key of an endpoint with this reference, whatever its state. */
export async function findMacSecret(
  store: Store,
  endpoint: string,
  reference: string,
): Promise<SharedSecretRow | undefined> {
  const [row] = await store.query(secretByReference, { endpoint, reference });
  return row;
}

/** A secret of a tenant by its id, whatever its state. */
export async function secretById(store: Store, tenant: string, id: string): Promise<SharedSecretRow | undefined> {
  const [row] = await store.query(byId, { tenant, id });
  return row;
}

/** The secrets of one use that an endpoint may try now, newest first. */
export function usableSecrets(
  store: Store,
  endpoint: { readonly tenant: string; readonly id: string },
  usage: 'static' | 'derived' | 'decider',
): Promise<SharedSecretRow[]> {
  const now = store.clock.now();
  return store.query(usableByUsage, { tenant: endpoint.tenant, endpoint: endpoint.id, usage, now });
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

/** Withdraws a secret that is not spent yet; false when there is none. What is sealed goes with it. */
export async function revokeSecret(tx: Unit, tenant: string, id: string): Promise<boolean> {
  const result = await tx
    .forTenant<EnrollmentTables>(tenant)
    .updateTable('shared_secrets', { state: 'revoked', sealed: null })
    .where('id', '=', id)
    .where('state', 'in', ['free', 'bound'])
    .executeTakeFirst();
  return result.numUpdatedRows === 1n;
}

/** What an administrator sees of a secret: everything but the secret. */
export type SecretDescription = Omit<
  SharedSecretRow,
  'secret_hmac' | 'bound_key' | 'sealed' | 'scrypt' | 'spki_sha256'
>;

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
      'reference',
      'allowed',
      'evidence',
      'state',
      'expires_at',
      'created_by',
      'created_at',
    ]);
  if (page.after !== undefined) query = query.where('id', '>', page.after);
  return query.orderBy('id').limit(page.limit).execute();
}

/** A text of at least `bits` random bits that a person can type: 160 unless told otherwise. */
export function randomText(bits = SECRET_OCTETS * 8): string {
  return typeable(randomBytes(Math.ceil(bits / 5)));
}

/** One letter of Crockford's alphabet for the low five bits of each octet. */
export function typeable(octets: Uint8Array): string {
  return Array.from(octets, (octet) => ALPHABET[octet & 31]).join('');
}

const secretByHash = statement<EnrollmentTables>()('secret-by-hash', (db, p: { hmac: string }) =>
  db.selectFrom('shared_secrets').selectAll().where('secret_hmac', '=', p.hmac),
);

const byId = statement<EnrollmentTables>()('secret-by-id', (db, p: { tenant: string; id: string }) =>
  db.selectFrom('shared_secrets').selectAll().where('tenant', '=', p.tenant).where('id', '=', p.id),
);

const secretByReference = statement<EnrollmentTables>()(
  'secret-by-reference',
  (db, p: { endpoint: string; reference: string }) =>
    db.selectFrom('shared_secrets').selectAll().where('endpoint', '=', p.endpoint).where('reference', '=', p.reference),
);

const usableByUsage = statement<EnrollmentTables>()(
  'secrets-by-usage',
  (db, p: { tenant: string; endpoint: string; usage: SharedSecretRow['usage']; now: number }) =>
    db
      .selectFrom('shared_secrets')
      .selectAll()
      .where('tenant', '=', p.tenant)
      .where('endpoint', '=', p.endpoint)
      .where('usage', '=', p.usage)
      .where('state', '=', 'free')
      .where('expires_at', '>', p.now)
      .orderBy('id', 'desc'),
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
