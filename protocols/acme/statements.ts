import { statement } from '../../core/store/statement.ts';
import type { AccountRow, AcmeTables, AuthorizationRow, OrderRow } from './tables.ts';

type Row = Readonly<Record<string, string | number | Uint8Array | null>>;

/** An account by id, at its endpoint. */
export const accountById = statement<AcmeTables>()(
  'acme-account',
  (db, p: { tenant: string; endpoint: string; id: string }) =>
    db
      .selectFrom('acme_accounts')
      .selectAll()
      .where('tenant', '=', p.tenant)
      .where('id', '=', p.id)
      .where('endpoint', '=', p.endpoint),
);

/** The account of a key. */
export const accountByThumbprint = statement<AcmeTables>()(
  'acme-account-by-thumbprint',
  (db, p: { endpoint: string; thumbprint: string }) =>
    db
      .selectFrom('acme_accounts')
      .selectAll()
      .where('endpoint', '=', p.endpoint)
      .where('thumbprint', '=', p.thumbprint),
);

/** Whether a key is that of an account. */
export const accountOfSpki = statement<AcmeTables>()(
  'acme-account-of-key',
  (db, p: { endpoint: string; spki: string }) =>
    db
      .selectFrom('acme_accounts')
      .select('id')
      .where('spki_sha256', '=', p.spki)
      .where('endpoint', '=', p.endpoint)
      .limit(1),
);

/** Inserts an account, unless its key has one. */
export const insertAccount = statement<AcmeTables>()('acme-account-insert', (db, p: AccountRow & Row) =>
  db
    .insertInto('acme_accounts')
    .values({
      id: p.id,
      tenant: p.tenant,
      endpoint: p.endpoint,
      thumbprint: p.thumbprint,
      spki_sha256: p.spki_sha256,
      jwk: p.jwk,
      status: p.status,
      contact: p.contact,
      terms: p.terms,
      eab_key: p.eab_key,
      binding: p.binding,
      source_address: p.source_address,
      created_at: p.created_at,
    })
    .onConflict((conflict) => conflict.columns(['endpoint', 'thumbprint']).doNothing()),
);

/** Changes the key of an account by compare-and-set on the old one. */
export const changeAccountKey = statement<AcmeTables>()(
  'acme-account-key',
  (db, p: { tenant: string; id: string; from: string; thumbprint: string; spki: string; jwk: string }) =>
    db
      .updateTable('acme_accounts')
      .set({ thumbprint: p.thumbprint, spki_sha256: p.spki, jwk: p.jwk })
      .where('tenant', '=', p.tenant)
      .where('id', '=', p.id)
      .where('status', '=', 'valid')
      .where('thumbprint', '=', p.from),
);

/** An order by id, at its endpoint. */
export const orderById = statement<AcmeTables>()(
  'acme-order',
  (db, p: { tenant: string; endpoint: string; id: string }) =>
    db
      .selectFrom('acme_orders')
      .selectAll()
      .where('tenant', '=', p.tenant)
      .where('id', '=', p.id)
      .where('endpoint', '=', p.endpoint),
);

/** The order that a certificate was issued for. */
export const orderByCertificate = statement<AcmeTables>()(
  'acme-order-by-certificate',
  (db, p: { tenant: string; certificate: string }) =>
    db.selectFrom('acme_orders').selectAll().where('tenant', '=', p.tenant).where('certificate', '=', p.certificate),
);

/** The order that replaces a certificate, unless it failed. */
export const replacementOf = statement<AcmeTables>()(
  'acme-order-replacing',
  (db, p: { tenant: string; certificate: string }) =>
    db
      .selectFrom('acme_orders')
      .select(['id', 'status', 'expires_at'])
      .where('tenant', '=', p.tenant)
      .where('replaces', '=', p.certificate)
      .where('status', '!=', 'invalid'),
);

/** Inserts an order. */
export const insertOrder = statement<AcmeTables>()('acme-order-insert', (db, p: OrderRow & Row) =>
  db.insertInto('acme_orders').values({
    id: p.id,
    tenant: p.tenant,
    endpoint: p.endpoint,
    label: p.label,
    account: p.account,
    status: p.status,
    identifiers: p.identifiers,
    authorizations: p.authorizations,
    profile: p.profile,
    eab_key: p.eab_key,
    replaces: p.replaces,
    replaces_name: p.replaces_name,
    error: p.error,
    csr: p.csr,
    certificate: p.certificate,
    source_address: p.source_address,
    lease_until: p.lease_until,
    expires_at: p.expires_at,
    created_at: p.created_at,
    updated_at: p.updated_at,
  }),
);

/** RFC 8555 §7.1.6: every authorization is valid. */
export const markReady = statement<AcmeTables>()(
  'acme-order-ready',
  (db, p: { tenant: string; id: string; now: number }) =>
    db
      .updateTable('acme_orders')
      .set({ status: 'ready', updated_at: p.now })
      .where('tenant', '=', p.tenant)
      .where('id', '=', p.id)
      .where('status', '=', 'pending'),
);

/** Of parallel finalize requests one begins (V44). */
export const beginProcessing = statement<AcmeTables>()(
  'acme-order-processing',
  (db, p: { tenant: string; id: string; csr: Uint8Array; leaseUntil: number; now: number }) =>
    db
      .updateTable('acme_orders')
      .set({ status: 'processing', csr: p.csr, lease_until: p.leaseUntil, updated_at: p.now })
      .where('tenant', '=', p.tenant)
      .where('id', '=', p.id)
      .where('status', '=', 'ready'),
);

/** Takes an order that is worked on, if nobody has it. */
export const leaseOrder = statement<AcmeTables>()(
  'acme-order-lease',
  (db, p: { tenant: string; id: string; leaseUntil: number; before: number }) =>
    db
      .updateTable('acme_orders')
      .set({ lease_until: p.leaseUntil })
      .where('tenant', '=', p.tenant)
      .where('id', '=', p.id)
      .where('status', '=', 'processing')
      .where('lease_until', '<=', p.before),
);

/** Leaves an order that is worked on alone until a time. */
export const postponeOrder = statement<AcmeTables>()(
  'acme-order-postpone',
  (db, p: { tenant: string; id: string; leaseUntil: number }) =>
    db
      .updateTable('acme_orders')
      .set({ lease_until: p.leaseUntil })
      .where('tenant', '=', p.tenant)
      .where('id', '=', p.id)
      .where('status', '=', 'processing'),
);

/** The certificate is there. */
export const markValid = statement<AcmeTables>()(
  'acme-order-valid',
  (db, p: { tenant: string; id: string; certificate: string; now: number }) =>
    db
      .updateTable('acme_orders')
      .set({ status: 'valid', certificate: p.certificate, lease_until: null, updated_at: p.now })
      .where('tenant', '=', p.tenant)
      .where('id', '=', p.id)
      .where('status', '=', 'processing'),
);

/** The order came to nothing, from one state. */
export const markInvalid = statement<AcmeTables>()(
  'acme-order-invalid',
  (db, p: { tenant: string; id: string; from: string; error: string | null; now: number }) =>
    db
      .updateTable('acme_orders')
      .set({ status: 'invalid', error: p.error, lease_until: null, updated_at: p.now })
      .where('tenant', '=', p.tenant)
      .where('id', '=', p.id)
      .where('status', '=', p.from as OrderRow['status']),
);

/** Orders that are worked on and that nobody has. */
export const abandonedOrders = statement<AcmeTables>()('acme-orders-abandoned', (db, p: { before: number }) =>
  db
    .selectFrom('acme_orders')
    .selectAll()
    .where('status', '=', 'processing')
    .where('lease_until', '<=', p.before)
    .orderBy('lease_until')
    .limit(100),
);

/** An authorization by id, at its endpoint. */
export const authorizationById = statement<AcmeTables>()(
  'acme-authorization',
  (db, p: { tenant: string; endpoint: string; id: string }) =>
    db
      .selectFrom('acme_authorizations')
      .selectAll()
      .where('tenant', '=', p.tenant)
      .where('id', '=', p.id)
      .where('endpoint', '=', p.endpoint),
);

/** The authorizations of an account that are valid, newest first, for one name. */
export const validAuthorization = statement<AcmeTables>()(
  'acme-authorization-valid-for',
  (db, p: { account: string; type: string; value: string; wildcard: number; now: number }) =>
    db
      .selectFrom('acme_authorizations')
      .selectAll()
      .where('account', '=', p.account)
      .where('status', '=', 'valid')
      .where('value', '=', p.value)
      .where('type', '=', p.type as AuthorizationRow['type'])
      .where('wildcard', '=', p.wildcard)
      .where('expires_at', '>', p.now)
      .orderBy('validated_at', 'desc')
      .limit(1),
);

/** Inserts an authorization. */
export const insertAuthorization = statement<AcmeTables>()(
  'acme-authorization-insert',
  (db, p: AuthorizationRow & Row) =>
    db.insertInto('acme_authorizations').values({
      id: p.id,
      tenant: p.tenant,
      endpoint: p.endpoint,
      label: p.label,
      account: p.account,
      type: p.type,
      value: p.value,
      wildcard: p.wildcard,
      status: p.status,
      token: p.token,
      offered: p.offered,
      challenge: p.challenge,
      challenge_status: p.challenge_status,
      account_url: p.account_url,
      error: p.error,
      attempts: p.attempts,
      lease_until: p.lease_until,
      validated_at: p.validated_at,
      evidence: p.evidence,
      attested_key: p.attested_key,
      expires_at: p.expires_at,
      created_at: p.created_at,
    }),
);

/** Of parallel answers to challenges one counts (V44). */
export const beginValidation = statement<AcmeTables>()(
  'acme-challenge-processing',
  (db, p: { tenant: string; id: string; challenge: string; leaseUntil: number; now: number }) =>
    db
      .updateTable('acme_authorizations')
      .set({
        challenge: p.challenge as NonNullable<AuthorizationRow['challenge']>,
        challenge_status: 'processing',
        lease_until: p.leaseUntil,
      })
      .where('tenant', '=', p.tenant)
      .where('id', '=', p.id)
      .where('status', '=', 'pending')
      .where('challenge_status', '=', 'pending')
      .where('expires_at', '>', p.now),
);

/** Takes a validation that nobody has. */
export const leaseValidation = statement<AcmeTables>()(
  'acme-challenge-lease',
  (db, p: { tenant: string; id: string; leaseUntil: number; before: number }) =>
    db
      .updateTable('acme_authorizations')
      .set({ lease_until: p.leaseUntil })
      .where('tenant', '=', p.tenant)
      .where('id', '=', p.id)
      .where('challenge_status', '=', 'processing')
      .where('lease_until', '<=', p.before),
);

/** The challenge was met. */
export const markValidated = statement<AcmeTables>()(
  'acme-challenge-valid',
  (db, p: { tenant: string; id: string; expiresAt: number; now: number }) =>
    db
      .updateTable('acme_authorizations')
      .set({
        status: 'valid',
        challenge_status: 'valid',
        validated_at: p.now,
        expires_at: p.expiresAt,
        error: null,
        lease_until: null,
      })
      .where('tenant', '=', p.tenant)
      .where('id', '=', p.id)
      .where('status', '=', 'pending')
      .where('challenge_status', '=', 'processing'),
);

/** Evidence decided: of parallel answers one counts (V44). */
export const markAttested = statement<AcmeTables>()(
  'acme-device-attested',
  (
    db,
    p: {
      tenant: string;
      id: string;
      verdict: string;
      evidence: string | null;
      attestedKey: string | null;
      error: string | null;
      validatedAt: number | null;
      expiresAt: number;
      now: number;
    },
  ) =>
    db
      .updateTable('acme_authorizations')
      .set({
        challenge: 'device-attest-01',
        status: p.verdict as 'valid' | 'invalid',
        challenge_status: p.verdict as 'valid' | 'invalid',
        evidence: p.evidence,
        attested_key: p.attestedKey,
        error: p.error,
        validated_at: p.validatedAt,
        expires_at: p.expiresAt,
      })
      .where('tenant', '=', p.tenant)
      .where('id', '=', p.id)
      .where('status', '=', 'pending')
      .where('challenge_status', '=', 'pending')
      .where('expires_at', '>', p.now),
);

/** The challenge was not met this time. */
export const noteFailure = statement<AcmeTables>()(
  'acme-challenge-again',
  (db, p: { tenant: string; id: string; attempts: number; error: string; leaseUntil: number }) =>
    db
      .updateTable('acme_authorizations')
      .set({ attempts: p.attempts, error: p.error, lease_until: p.leaseUntil })
      .where('tenant', '=', p.tenant)
      .where('id', '=', p.id)
      .where('challenge_status', '=', 'processing'),
);

/** The challenge was not met, and that is the end of it. */
export const markRefuted = statement<AcmeTables>()(
  'acme-challenge-invalid',
  (db, p: { tenant: string; id: string; attempts: number; error: string }) =>
    db
      .updateTable('acme_authorizations')
      .set({ status: 'invalid', challenge_status: 'invalid', attempts: p.attempts, error: p.error, lease_until: null })
      .where('tenant', '=', p.tenant)
      .where('id', '=', p.id)
      .where('status', '=', 'pending')
      .where('challenge_status', '=', 'processing'),
);

/** The client gives a name up (RFC 8555 §7.5.2). */
export const deactivateAuthorization = statement<AcmeTables>()(
  'acme-authorization-deactivate',
  (db, p: { tenant: string; id: string }) =>
    db
      .updateTable('acme_authorizations')
      .set({ status: 'deactivated', challenge_status: 'invalid', lease_until: null })
      .where('tenant', '=', p.tenant)
      .where('id', '=', p.id)
      .where('status', 'in', ['pending', 'valid']),
);

/** Validations that are under way and that nobody has. */
export const abandonedValidations = statement<AcmeTables>()('acme-challenges-abandoned', (db, p: { before: number }) =>
  db
    .selectFrom('acme_authorizations')
    .selectAll()
    .where('challenge_status', '=', 'processing')
    .where('lease_until', '<=', p.before)
    .orderBy('lease_until')
    .limit(100),
);

/** Validations of an account that failed since a time. */
export const failedSince = statement<AcmeTables>()('acme-failed-since', (db, p: { account: string; since: number }) =>
  db
    .selectFrom('acme_authorizations')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('account', '=', p.account)
    .where('status', '=', 'invalid')
    .where('created_at', '>', p.since),
);
