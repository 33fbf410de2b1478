import type { AcmeChallengeType } from '../../core/enrollment/acme-settings.ts';
import { newId } from '../../core/store/id.ts';
import type { Store } from '../../core/store/store.ts';
import { accountUrl } from './accounts.ts';
import { challengesFor, challengeView, newToken, offeredOf } from './challenges.ts';
import type { Answer, Call } from './dependencies.ts';
import { type DeviceProofDependencies, proveDevice } from './device-attestation.ts';
import { baseOf, type Identifier, isOfDevice, isWildcard } from './identifier.ts';
import { optionalString } from './json.ts';
import { AcmeUrls } from './path.ts';
import { AcmeProblem } from './problem.ts';
import { type AccountRequest, payloadOf } from './request-authentication.ts';
import { authorizationById, deactivateAuthorization, orderById, validAuthorization } from './statements.ts';
import type { AccountRow, AuthorizationRow, AuthorizationStatus, OrderRow } from './tables.ts';
import type { ValidationOffice } from './validation-office.ts';

/** Seconds after which a client looks again at what is under way. */
const LOOK_AGAIN_SECONDS = 1;

/** What an authorization is worth now. */
export function statusOf(row: AuthorizationRow, now: number): AuthorizationStatus | 'expired' {
  const isOpen = row.status === 'pending' || row.status === 'valid';
  return isOpen && row.expires_at <= now ? 'expired' : row.status;
}

/** An authorization of the account that still holds for a name; undefined where it has to be validated anew (V45). */
export async function reusable(
  store: Store,
  { settings }: Call,
  account: AccountRow,
  identifier: Identifier,
): Promise<AuthorizationRow | undefined> {
  // Evidence enrols once: the next order needs fresh one.
  if (isOfDevice(identifier)) return undefined;
  const now = store.clock.now();
  const { type, value } = baseOf(identifier);
  const wildcard = isWildcard(identifier) ? 1 : 0;
  const [row] = await store.query(validAuthorization, { account: account.id, type, value, wildcard, now });
  const since = row?.validated_at ?? 0;
  return since + settings.authorizationReuseSeconds * 1000 > now ? row : undefined;
}

/** A new authorization for a name. @throws AcmeProblem `rejectedIdentifier` when no challenge fits it. */
export function newAuthorization(
  call: Call,
  account: AccountRow,
  identifier: Identifier,
  now: number,
): AuthorizationRow {
  const { endpoint, settings } = call;
  const wildcard = isWildcard(identifier);
  const offered = challengesFor(identifier, wildcard, settings);
  if (offered.length === 0)
    throw new AcmeProblem('rejectedIdentifier', `no challenge is offered here for ${identifier.value}`);
  return {
    id: newId(now),
    tenant: endpoint.tenant,
    endpoint: endpoint.id,
    label: endpoint.label,
    account: account.id,
    ...baseOf(identifier),
    wildcard: wildcard ? 1 : 0,
    status: 'pending',
    token: newToken(),
    offered: JSON.stringify(offered),
    challenge: null,
    challenge_status: 'pending',
    account_url: accountUrl(call, account.id),
    error: null,
    attempts: 0,
    lease_until: null,
    validated_at: null,
    evidence: null,
    attested_key: null,
    expires_at: now + settings.orderLifetimeSeconds * 1000,
    created_at: now,
  };
}

/** Reads or deactivates an authorization (RFC 8555 §7.5, §7.5.2). */
export async function answerAuthorization(
  store: Store,
  call: Call,
  request: AccountRequest,
  id: string,
): Promise<Answer> {
  const vouched = vouchedPlace(id);
  if (vouched !== undefined) return vouchedAuthorization(store, call, request, vouched);
  const row = await requireAuthorization(store, call, request.account, id);
  if (request.jws.payload.length === 0) return authorizationAnswer(call, row, store.clock.now());
  if (optionalString(payloadOf(request), 'status') !== 'deactivated')
    throw new AcmeProblem('malformed', 'status: expected deactivated');
  const { tenant } = row;
  const gone = await store.unit((tx) => tx.affected(deactivateAuthorization, { tenant, id }));
  if (gone !== 1) throw new AcmeProblem('malformed', `the authorization is ${row.status} already`);
  return authorizationAnswer(call, { ...row, status: 'deactivated' }, store.clock.now());
}

/** Reads a challenge, or takes the client's word that it is met (RFC 8555 §7.5.1). */
export async function answerChallenge(
  { office, ...parts }: DeviceProofDependencies & { readonly office: ValidationOffice },
  call: Call,
  request: AccountRequest,
  [id, type]: readonly [string, string],
): Promise<Answer> {
  const { store } = parts;
  let row = await requireAuthorization(store, call, request.account, id);
  const challenge = offeredOf(row).find((offered) => offered === type);
  if (challenge === undefined) throw new AcmeProblem('malformed', 'no such challenge', { status: 404 });
  if (request.jws.payload.length > 0) {
    // RFC 8555 §7.5.1: an object, whose members mean nothing but for evidence.
    const payload = payloadOf(request);
    await requireOpen(store, row);
    if (challenge === 'device-attest-01') await proveDevice(parts, call, { row, payload, key: request.key });
    else await office.begin(row, challenge, call.settings);
    row = await requireAuthorization(store, call, request.account, id);
  }
  return challengeAnswer(call, row, challenge);
}

async function requireOpen(store: Store, row: AuthorizationRow): Promise<void> {
  const status = statusOf(row, store.clock.now());
  if (status === 'expired') throw new AcmeProblem('malformed', 'the authorization is expired');
  if (status === 'deactivated') throw new AcmeProblem('malformed', 'the authorization is deactivated');
}

async function requireAuthorization(
  store: Store,
  { endpoint }: Call,
  account: AccountRow,
  id: string,
): Promise<AuthorizationRow> {
  const [row] = await store.query(authorizationById, { tenant: endpoint.tenant, endpoint: endpoint.id, id });
  if (row !== undefined && row.account === account.id) return row;
  throw new AcmeProblem('malformed', 'no such authorization of this account', { status: 404 });
}

function authorizationAnswer(call: Call, row: AuthorizationRow, now: number): Answer {
  // RFC 8555 §7.1.4: of a final authorization, the challenge that decided it.
  const shown = row.challenge !== null && row.status !== 'pending' ? [row.challenge] : offeredOf(row);
  return {
    status: 200,
    body: {
      identifier: { type: row.type, value: row.value },
      status: statusOf(row, now),
      expires: new Date(row.expires_at).toISOString(),
      challenges: shown.map((type) => challengeView(call, row, type)),
      ...(row.wildcard === 1 && { wildcard: true }),
    },
    ...(row.challenge_status === 'processing' && { retryAfterSeconds: LOOK_AGAIN_SECONDS }),
  };
}

function challengeAnswer(call: Call, row: AuthorizationRow, type: AcmeChallengeType): Answer {
  const urls = new AcmeUrls(call.base, call.endpoint.label);
  return {
    status: 200,
    body: challengeView(call, row, type),
    links: [`<${urls.of('authorization', row.id)}>;rel="up"`],
    ...(row.challenge_status === 'processing' && { retryAfterSeconds: LOOK_AGAIN_SECONDS }),
  };
}

/** The name of an authorization that a key stands for: the order's id and the place in its list. */
export function vouchedId(order: string, index: number): string {
  return `${order}.${index}`;
}

function vouchedPlace(id: string): { readonly order: string; readonly index: number } | undefined {
  const [order = '', index = ''] = id.split('.', 2);
  return /^\d{1,3}$/.test(index) ? { order, index: Number(index) } : undefined;
}

/** RFC 8555 §7.1.4 has an authorization for each name; one that a key vouches for is valid from the start and has no challenge. */
async function vouchedAuthorization(
  store: Store,
  { endpoint }: Call,
  { account, jws }: AccountRequest,
  { order: id, index }: { readonly order: string; readonly index: number },
): Promise<Answer> {
  const [order] = await store.query(orderById, { tenant: endpoint.tenant, endpoint: endpoint.id, id });
  const identifier = order?.account === account.id && order.eab_key !== null ? identifiersOf(order)[index] : undefined;
  if (order === undefined || identifier === undefined || isOfDevice(identifier))
    throw new AcmeProblem('malformed', 'no such authorization of this account', { status: 404 });
  if (jws.payload.length > 0)
    throw new AcmeProblem('malformed', 'the key of the account vouches for this name: there is nothing to give up');
  return {
    status: 200,
    body: {
      identifier: baseOf(identifier),
      status: 'valid',
      expires: new Date(order.expires_at).toISOString(),
      challenges: [],
      ...(isWildcard(identifier) && { wildcard: true }),
    },
  };
}

/** The identifiers of an order. */
export function identifiersOf({ identifiers }: Pick<OrderRow, 'identifiers'>): readonly Identifier[] {
  return JSON.parse(identifiers) as Identifier[];
}

/** Ids of the authorizations of an order that are stored: all but those that a key vouches for. */
export function authorizationIds({ authorizations }: Pick<OrderRow, 'authorizations'>): readonly string[] {
  return (JSON.parse(authorizations) as (string | null)[]).filter((id) => id !== null);
}

/** What evidence has proved for an order: its id, and the key it attests (SHA-256 of the SubjectPublicKeyInfo). */
export async function attestations(
  store: Store,
  order: Pick<OrderRow, 'tenant' | 'endpoint' | 'authorizations'>,
): Promise<readonly { readonly evidence: string; readonly attestedKey: string }[]> {
  const { tenant, endpoint } = order;
  const rows = await Promise.all(
    authorizationIds(order).map((id) => store.query(authorizationById, { tenant, endpoint, id })),
  );
  return rows.flatMap(([row]) =>
    row?.evidence && row.attested_key ? [{ evidence: row.evidence, attestedKey: row.attested_key }] : [],
  );
}
